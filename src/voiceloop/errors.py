"""Everything voiceloop raises.

::

    VoiceloopError
    ├── BadInput (ValueError)          an argument, a file or a setting is wrong
    │   ├── AudioFormatError           bytes, rate, encoding or channels do not fit
    │   └── UnknownName                a voice, language or device that does not exist, with near matches
    ├── MissingExtra (ImportError)     an optional package or system library is not installed
    ├── SettingRefused                 a running session cannot take this change; nothing was changed
    ├── SessionClosed                  the session is over; the call came too late
    │   └── SessionFailed              ... and it ended by a failure, kept in ``__cause__``
    ├── SlowConsumer                   nobody took the session's events for too long
    ├── InputStalled                   the model took no audio for longer than ``limits.input_stall``
    ├── MemoryConflict                 another writer appended to the same conversation
    └── ProviderError                  a recognizer, reasoner, synthesizer or speech model failed
        ├── ProviderTimeout            ... did not answer within its deadline
        ├── ProviderUnavailable        ... cannot be reached, or went away
        │   └── ReplyBroke             ... in the midst of a reply: that reply ends, the session goes on
        │       └── SpeechBroke        ... a synthesizer, in the midst of speech
        ├── ProviderRefused            ... answered no: permission, quota, or a request it does not take
        └── ProviderMisbehaved         ... broke the contract of its interface

Each error says what was being done (``doing``), whether trying again can help (``retryable``) and what to do
(``hint``). Messages never hold keys, audio or what people said.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VoiceloopError(Exception):
    """Base of every error of this library.

    ``doing``: what was being done, in a few words. ``retryable``: whether trying again can help.
    ``hint``: what to do about it.
    """

    def __init__(self, message: str, *, doing: str = "", retryable: bool = False, hint: str = "") -> None:
        super().__init__(message)
        self.doing = doing
        self.retryable = retryable
        self.hint = hint

    def __str__(self) -> str:
        text = super().__str__()
        if self.doing:
            text = f"{text} (while {self.doing})"
        return f"{text.rstrip('.')}. {self.hint}" if self.hint else text


class BadInput(VoiceloopError, ValueError):
    """An argument, a file or a setting is wrong; the message names it, its value and what is allowed."""


class AudioFormatError(BadInput):
    """Audio does not fit its declared format (bytes, rate, encoding or channels)."""


class UnknownName(BadInput):
    """A name that is not in a known list. ``matches`` holds the nearest known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        choices = sorted(known)
        folded = {choice.lower(): choice for choice in choices}
        self.matches = tuple(folded[m] for m in difflib.get_close_matches(name.lower(), folded, n=4, cutoff=0.5))
        near = f" Did you mean {', '.join(map(repr, self.matches))}?" if self.matches else ""
        shown = ", ".join(choices[:12]) + (f", ... ({len(choices)} in all)" if len(choices) > 12 else "")
        super().__init__(f"unknown {kind} {name!r}.{near} Known: {shown or 'none'}", hint=hint)


class MissingExtra(VoiceloopError, ImportError):
    """An optional package or system library is not installed; the hint is the exact command that mends it."""


class SettingRefused(VoiceloopError):
    """A running session cannot take this change. Nothing was changed."""


class SessionClosed(VoiceloopError):
    """The session is over; the call came too late."""


class SessionFailed(SessionClosed):
    """The session ended by a failure; the failure itself is ``__cause__``."""


class SlowConsumer(VoiceloopError):
    """Nobody took the session's events for longer than ``limits.consumer_stall``, or too many were waiting."""


class InputStalled(VoiceloopError):
    """The speech model took no audio for longer than ``limits.input_stall``."""


class MemoryConflict(VoiceloopError):
    """Another writer appended to the same conversation; load it again before appending."""


class ProviderError(VoiceloopError):
    """A recognizer, reasoner, synthesizer or speech model failed. ``provider`` names which."""

    def __init__(
        self, message: str, *, provider: str, doing: str = "", retryable: bool = False, hint: str = ""
    ) -> None:
        super().__init__(f"{provider}: {message}", doing=doing, retryable=retryable, hint=hint)
        self.provider = provider


class ProviderTimeout(ProviderError):
    """A provider did not answer within its deadline."""


class ProviderUnavailable(ProviderError):
    """A provider cannot be reached, or went away."""


class ReplyBroke(ProviderUnavailable):
    """A provider went away in the midst of a reply, and another request would not have the same answer.

    In a session it is a :class:`Notice`, "reply-failed": what was made until then is spoken, the reply ends there,
    and the session goes on.
    """


class SpeechBroke(ReplyBroke):
    """A synthesizer went away in the midst of a clause, and cannot take it up where it was."""


class ProviderRefused(ProviderError):
    """A provider answered no: permission, quota, or a request that it does not take."""


class ProviderMisbehaved(ProviderError):
    """A provider broke the contract of its interface."""
