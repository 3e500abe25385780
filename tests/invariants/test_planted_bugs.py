"""One small bug in each rule: the property that guards it must find it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from voiceloop.cascade import reply as reply_module
from voiceloop.conversation import Conversation
from voiceloop.engine import echo as echoes
from voiceloop.engine import speaker
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.latewords import LateWords
from voiceloop.events import Heard
from voiceloop.rules import endpointing
from voiceloop.rules.floor import Act, Floor, Happening
from voiceloop.rules.inputtime import InputTime
from voiceloop.rules.joints import Joints
from voiceloop.rules.playout import Playhead, Script
from voiceloop.rules.timeline import Track
from voiceloop.rules.transcripts import Transcripts

from . import test_conversations as properties

Patch = pytest.MonkeyPatch


def floor(patch: Patch) -> None:
    """A suspicion that came to nothing lets nothing out again."""
    decide = speaker.decide

    def deaf(floor: Floor, happened: Happening, **options: Any) -> tuple[Floor, Act]:
        after, act = decide(floor, happened, **options)
        return after, Act.NOTHING if act in (Act.RESUME, Act.RELEASE) else act

    patch.setattr(speaker, "decide", deaf)


def playout_words(patch: Patch) -> None:
    """The word that was being said counts as heard."""
    exact = Script.heard
    patch.setattr(Script, "heard", lambda self, at, total: exact(self, at + 150, total))


def playout_position(patch: Patch) -> None:
    """The playhead runs on in pauses."""
    patch.setattr(Playhead, "pause", lambda self, now: None)


def timeline_late(patch: Patch) -> None:
    """Late marks do not say so."""
    exact = Track.next

    def next_(self: Track, now: float) -> Any:
        piece = exact(self, now)
        return attrs.evolve(piece, late=False) if getattr(piece, "late", False) else piece

    patch.setattr(Track, "next", next_)


def timeline_frames(patch: Patch) -> None:
    """A chunk is numbered as if the one before it had been longer."""
    exact = Track.next

    def next_(self: Track, now: float) -> Any:
        piece = exact(self, now)
        return (
            attrs.evolve(piece, start=piece.start + 1)
            if getattr(piece, "start", 0) and hasattr(piece, "pcm")
            else piece
        )

    patch.setattr(Track, "next", next_)


def segmentation(patch: Patch) -> None:
    """The rest of a reply without a full stop is not spoken."""
    patch.setattr(reply_module.Segmenter, "finish", lambda self: [])


def joints(patch: Patch) -> None:
    """Marks are placed as if each clause began the reply."""
    patch.setattr(Joints, "place", lambda self, ms: ms)


def endpoints(patch: Patch) -> None:
    """No silence is ever long enough."""
    patch.setattr(endpointing, "decide", lambda evidence, settings: "wait")


def transcripts(patch: Patch) -> None:
    """The next utterance has the number of the last."""
    exact = Transcripts.commit

    def commit(self: Transcripts, until_ms: float | None = None) -> Any:
        number, done = self._number, exact(self, until_ms)
        self._number = number
        return done

    patch.setattr(Transcripts, "commit", commit)


def echo(patch: Patch) -> None:
    """Everything is an echo."""
    patch.setattr(echoes, "is_echo", lambda *arguments, **options: True)


def conversation(patch: Patch) -> None:
    """All that was said is stored as heard."""
    exact = Conversation.heard

    def heard(self: Conversation, turn: int, heard: Heard) -> None:
        exact(self, turn, attrs.evolve(heard, text="".join(self._part(i).said for i in self._turns[turn].parts)))

    patch.setattr(Conversation, "heard", heard)


def stale_speech(patch: Patch) -> None:
    """An interruption leaves in the lane what has not left."""
    patch.setattr(Lanes, "purge", lambda self, track: None)


def failed_replies(patch: Patch) -> None:
    """A reply that could not be made to its end counts as complete."""
    exact = speaker.Speaker.made
    patch.setattr(speaker.Speaker, "made", lambda self, turn, **options: exact(self, turn))


def late_words(patch: Patch) -> None:
    """Words that come late are not waited for at the end of the input."""
    patch.setattr(LateWords, "until", property(lambda self: -math.inf))


def recordings(patch: Patch) -> None:
    """What the session took counts as heard by the recognizer."""
    exact = InputTime.take
    patch.setattr(InputTime, "take", lambda self, behind_ms, now: exact(self, 0.0, now))


BUGS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (floor, properties.goes_on_after_noise),
    (playout_words, properties.knows_what_was_heard),
    (playout_position, properties.goes_on_after_noise),
    (timeline_late, properties.keeps_the_timeline),
    (timeline_frames, properties.keeps_the_timeline),
    (segmentation, properties.marks_come_in_time),
    (joints, properties.marks_come_in_time),
    (endpoints, properties.answers_exactly_once),
    (transcripts, properties.answers_exactly_once),
    (echo, properties.hears_the_user),
    (conversation, properties.makes_valid_histories),
    (stale_speech, properties.holds_everything),
    (failed_replies, properties.tells_what_could_not_be_spoken),
    (late_words, properties.loses_no_words),
    (recordings, properties.loses_no_words),
]


@pytest.mark.parametrize(("plant", "check"), BUGS, ids=[plant.__name__ for plant, _ in BUGS])
def test_a_planted_bug_is_found(
    plant: Callable[[Patch], None], check: Callable[[], None], monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check()
