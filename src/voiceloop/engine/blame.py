"""Whose fault a failure is: whatever a provider raises leaves as an error that names it."""

from __future__ import annotations

import asyncio

from voiceloop.engine.supervisor import bare
from voiceloop.errors import ProviderMisbehaved, VoiceloopError


def is_stray(failure: BaseException) -> bool:
    """Whether ``failure`` is a cancellation that nobody asked this task for.

    It comes from something cancelled inside what was awaited. A child task that it ends would vanish without a word.
    """
    task = asyncio.current_task()
    return isinstance(failure, asyncio.CancelledError) and task is not None and not task.cancelling()


class blame:
    """A context in which whatever a provider raises leaves as a VoiceloopError that names it."""

    __slots__ = ("_doing", "_provider")

    def __init__(self, provider: str, doing: str) -> None:
        self._provider = provider
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        if failure is None or isinstance(failure, VoiceloopError):
            return
        if not (isinstance(failure, Exception) or is_stray(failure)):
            return
        error = bare(failure)
        if isinstance(error, VoiceloopError):
            raise error from failure
        raise ProviderMisbehaved(
            f"raised {type(error).__name__}",
            provider=self._provider,
            doing=self._doing,
            hint="It should raise a ProviderError; see the cause.",
        ) from error
