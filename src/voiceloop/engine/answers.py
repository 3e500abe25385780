"""What the user said, and which turns answer it."""

from __future__ import annotations

from attrs import frozen

from voiceloop import clock
from voiceloop.conversation import Conversation, ImagePart
from voiceloop.engine.speaker import Speaker
from voiceloop.engine.turn import Turn
from voiceloop.events import TurnMetrics
from voiceloop.rules.transcripts import Utterance

_KEPT = 4
"""How many of the newest answers may still be corrected."""


@frozen
class _Asked:
    """An utterance that waits for its answer: its number, its entry, and the times it ended and was committed."""

    utterance: int
    entry: int
    speech_ended: float
    committed: float


class Answers:
    """Writes what the user says into the conversation, and knows which turn answers it."""

    def __init__(self, conversation: Conversation, speaker: Speaker) -> None:
        self._conversation = conversation
        self._speaker = speaker
        self._asked: _Asked | None = None
        self._newest: int | None = None
        self._place: int | None = None
        self._turns: dict[int, Turn] = {}
        self._said = 0
        self._cut_offs = 0

    # ------------------------------------------------------------ what the user says

    def typed(self, text: str, images: tuple[ImagePart, ...]) -> int:
        """The user typed ``text``; its entry."""
        self._newest = self._conversation.user(text, images=images, typed=True)
        return self._newest

    def prepared(self, utterance: Utterance) -> Turn:
        """A turn that answers ``utterance``, which is not over."""
        turn = self._speaker.new_turn("reply", utterance=utterance.number)
        turn.speculative = True
        turn.entry = self._newest = self._conversation.user(utterance.text, confidence=utterance.confidence)
        return turn

    def committed(self) -> None:
        """An utterance is over."""
        self._said += 1

    def said(self, utterance: int, text: str, confidence: float | None, speech_ended: float) -> bool:
        """The user said ``text``; whether it waits for an answer, or was answered before its words came."""
        place, self._place = self._place, None
        entry = self._newest = self._conversation.user(text, confidence=confidence, place=place)
        if place is not None:
            return False
        self._asked = _Asked(utterance, entry, speech_ended, clock.now())
        return True

    def last_words(self, utterance: Utterance) -> None:
        """The session ended in the middle of ``utterance``."""
        self._conversation.user(utterance.text, confidence=utterance.confidence)

    def corrected(self, turn: Turn, text: str, confidence: float | None = None) -> None:
        """What ``turn`` answers was ``text``, if that can still be said of it."""
        if turn.entry is not None and self._conversation.amendable(turn.entry):
            self._conversation.amend_user(turn.entry, text, confidence)

    # ------------------------------------------------------------ the turns

    @property
    def wanted(self) -> bool:
        """Whether an utterance waits for its answer."""
        return self._asked is not None

    def of_untold_words(self) -> None:
        """The model answers words that have not come yet: they will belong before its answer."""
        self._place = self._conversation.place()

    def turn(self) -> Turn:
        """A turn that answers what the user said last, if nothing has answered it yet."""
        asked, self._asked = self._asked, None
        if asked is None:
            return self._speaker.new_turn("reply")
        turn = self._speaker.new_turn("reply", utterance=asked.utterance)
        turn.entry = asked.entry
        turn.timing.speech_ended, turn.timing.committed = asked.speech_ended, asked.committed
        return turn

    def begins(self, turn: Turn) -> None:
        """Remember which utterance ``turn`` answers, for corrections that come late."""
        if turn.utterance is not None:
            self._turns[turn.utterance] = turn
            while len(self._turns) > _KEPT:
                del self._turns[next(iter(self._turns))]

    def to(self, utterance: int) -> Turn | None:
        """The turn that answers ``utterance``, one of the newest."""
        return self._turns.get(utterance)

    def can_take_back(self, turn: Turn) -> bool:
        """Whether what ``turn`` answers is the last thing that the user said, and nothing came of it yet."""
        return turn.utterance is not None and turn.entry == self._newest and not (turn.called or turn.audible)

    def take_back(self, turn: Turn, why: str) -> None:
        """Undo the living turn and what it was to answer."""
        self._speaker.cancel(why)
        if turn.entry is not None:
            self._conversation.withdraw_user(turn.entry)

    def was_cut_off(self) -> None:
        """The user went on after a commit."""
        self._cut_offs += 1

    def metrics(self, turn: Turn) -> TurnMetrics | None:
        """The latency of ``turn``, of which something is heard from now on; None where it answers no speech."""
        return turn.timing.waterfall(
            turn=turn.number,
            utterance=turn.utterance or 0,
            out=clock.now(),
            cut_offs=self._cut_offs,
            turns=self._said,
        )
