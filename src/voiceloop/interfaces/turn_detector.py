"""TurnDetector: hears when the user speaks, pauses and has finished. Pure and synchronous."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from attrs import frozen

from voiceloop.audio import AudioFormat
from voiceloop.interfaces.recognizer import Final, Partial


@frozen
class Speaking:
    """The user is speaking, since ``start_ms`` of the input; ``voiced_ms`` of it was speech so far.

    Sent at the start and again as ``voiced_ms`` grows (at least once when it passes 250 ms).
    """

    start_ms: float
    voiced_ms: float


@frozen
class Silent:
    """The user stopped speaking at ``since_ms`` of the input. Sent once a pause is long enough to be one."""

    since_ms: float


@frozen
class TurnOver:
    """The detector itself judges that the user's turn is over; ends it without waiting for more silence."""

    reason: str = ""


TurnSignal: TypeAlias = Speaking | Silent | TurnOver


class TurnState(abc.ABC):
    """One session's state of a detector. Synchronous; every call takes well under a millisecond."""

    @abc.abstractmethod
    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        """The next chunk of input, whole samples of the format given to ``start``. Times count from the first one."""

    def transcript(self, item: Partial | Final) -> Sequence[TurnSignal]:
        """What the recognizer says, for detectors that listen to words. The default ignores it."""
        return ()

    def silence(self, ms: float) -> Sequence[TurnSignal]:
        """No input arrived for ``ms`` more milliseconds: it counts as silence. The default feeds nothing."""
        return ()


class TurnDetector(abc.ABC):
    """Makes one :class:`TurnState` for each session. An immutable value."""

    name: ClassVar[str] = "turn detector"

    @abc.abstractmethod
    def start(self, format: AudioFormat) -> TurnState:
        """A new state, for input in ``format`` (16 bit PCM, mono). Raises MissingExtra or AudioFormatError."""
