"""What the listener tells, to whom, and how it decides."""

from __future__ import annotations

import abc
from typing import Literal, TypeAlias

from attrs import frozen

from voiceloop.rules.endpointing import Endpointing
from voiceloop.rules.transcripts import Revised, Utterance

Doing: TypeAlias = Literal["started", "suspect", "confirm", "paused", "handed over", "ended", "nothing"]
"""What the user does: an utterance began; speech that may be one, and that surely is; a pause in it; they gave up
their turn; it is over; or nothing was said after all."""


class Ears(abc.ABC):
    """Who is told what the user does; all synchronous."""

    @abc.abstractmethod
    def user(self, doing: Doing, ms: float) -> None:
        """The user is ``doing`` that at ``ms`` of the input."""

    @abc.abstractmethod
    def words(self, utterance: Utterance) -> None:
        """The words of the running utterance changed."""

    @abc.abstractmethod
    def prepare(self, utterance: Utterance | None) -> None:
        """An answer to ``utterance`` may be prepared; None: what was prepared is void."""

    @abc.abstractmethod
    def committed(self, utterance: Utterance, before: str | None, speech_ended: float) -> None:
        """The utterance is over. ``before``: with what it was committed earlier, if it was reopened since."""

    @abc.abstractmethod
    def ignores(self, utterance: Utterance) -> str:
        """Why the utterance is not the user's turn (an echo, say); empty: it is."""

    @abc.abstractmethod
    def ignored(self, why: str) -> None:
        """An utterance came to nothing for that reason."""

    @abc.abstractmethod
    def not_recognized(self) -> None:
        """The user spoke, and the recognizer told no words of it, nor that there were none."""

    @abc.abstractmethod
    def revised(self, change: Revised) -> None:
        """The words of a committed utterance were others."""


@frozen
class Hearing:
    """How the listener decides. ``manual``: only ``end_turn`` ends a turn. ``eager``: answers are prepared early.
    ``model_decides``: the speech model ends turns by itself. ``only_suspects``: and interrupts itself, speech and
    words are only a hint. ``flushes``: a pause brings a final transcript;
    ``finishes``: an end of turn does, soon."""

    endpointing: Endpointing = Endpointing()
    manual: bool = False
    eager: bool = False
    model_decides: bool = False
    only_suspects: bool = False
    flushes: bool = False
    finishes: bool = False
