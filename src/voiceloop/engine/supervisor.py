"""One task that owns other tasks: started in one place, joined in another, its failure told bare."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

from voiceloop import clock
from voiceloop.errors import VoiceloopError

_SOON = 5.0
"""How long what was never wanted, or has failed, may take to end, in seconds."""


class Supervisor:
    """Runs one coroutine function in a task of its own, so that its scopes may be entered in one task and left from
    another. ``main(ready)`` calls ``ready()`` once it stands; its task groups live inside it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._scope = anyio.CancelScope()
        self._ready: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None

    async def start(self, main: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Start ``main`` and wait until it stands; raises its failure if it never does."""
        self._ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(main, self._ready), name=self._name)
        try:
            await asyncio.shield(self._ready)
        except asyncio.CancelledError as cancellation:
            self.stop()
            try:
                await self.join(_SOON)
            except VoiceloopError as stuck:
                cancellation.add_note(str(stuck))
            raise
        if self.failure is not None:
            await self.join(_SOON)
            raise self.failure

    async def _run(self, main: Callable[[Callable[[], None]], Awaitable[None]], ready: asyncio.Future[None]) -> None:
        def stands() -> None:
            if not ready.done():
                ready.set_result(None)

        try:
            with self._scope:
                await main(stands)
        except BaseException as error:
            self.failure = bare(error)
            if not isinstance(error, Exception):
                raise
        finally:
            stands()

    def stop(self) -> None:
        """Cancel all that runs in it."""
        self._scope.cancel()

    @property
    def running(self) -> bool:
        """Whether its task has not ended."""
        return self._task is not None and not self._task.done()

    async def join(self, timeout: float) -> None:
        """Wait for its end, at most ``timeout`` seconds, even when the caller is being cancelled.

        Raises VoiceloopError when something inside does not stop.
        """
        if self._task is not None and not await outlast(self._task, timeout, hasten=self.stop):
            raise VoiceloopError(
                f"{self._name} did not stop within {timeout:g} s",
                doing="closing",
                hint="A provider or a tool ignores cancellation.",
            )

    async def end(self, timeout: float) -> None:
        """Wait for its end; what does not end in ``timeout`` seconds is cancelled. Raises as :meth:`join` does."""
        try:
            await self.join(timeout)
        except VoiceloopError:
            self.stop()
            await self.join(timeout)


async def outlast(task: asyncio.Task[None], timeout: float, *, hasten: Callable[[], None]) -> bool:
    """Wait for the end of ``task``, at most ``timeout`` seconds, whoever cancels the waiting; whether it ended.

    A cancellation makes ``hasten()`` be called, and is raised when the waiting is over.
    """
    until, cancelled = clock.now() + timeout, None
    with anyio.CancelScope(shield=True):
        while not task.done() and clock.now() < until:
            try:
                await asyncio.wait({task}, timeout=until - clock.now())
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
                hasten()
    if cancelled is not None:
        raise cancelled
    return task.done()


def bare(error: BaseException) -> BaseException:
    """The first real failure inside exception groups; others are noted on it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves: list[BaseException] = []
    pending: list[BaseException] = list(error.exceptions)
    while pending:
        leaf = pending.pop(0)
        if isinstance(leaf, BaseExceptionGroup):
            pending[:0] = leaf.exceptions
        else:
            leaves.append(leaf)
    first, *others = [leaf for leaf in leaves if not isinstance(leaf, asyncio.CancelledError)] or leaves
    for other in others:
        first.add_note(f"also: {type(other).__name__}")
    return first
