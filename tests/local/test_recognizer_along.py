"""The dictation that goes along with an utterance: when it does, and that it changes nothing of what is decided."""

from __future__ import annotations

import wave
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from attrs import frozen

from voiceloop.conversation import Message, TextPart
from voiceloop.local.recognizer_along import Along, Shared
from voiceloop.local.recognizer_audio import Gate, Utterance
from voiceloop.local.recognizer_models import Grammars, Models, decode
from voiceloop.local.recognizer_worker import Decision, Session
from voiceloop.local.rules_reasoner import Rules

T = TypeVar("T")

IDLE = ("az_weather", "go_brooklyn", "ps_goforward")
OTHERS = ("ps_forever_2", "librivox_austen_0880", "ps_cards_005")


def hush(seconds: float) -> bytes:
    return np.random.default_rng(1).normal(0, 6, round(16_000 * seconds)).astype("<i2").tobytes()


def clip(clips: Path, name: str) -> bytes:
    with wave.open(str(clips / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def expected(*said: str) -> str:
    messages = [Message(role, (TextPart(text),)) for text in said for role in ("user", "assistant")]
    expectation = Rules.demo().expect(messages)
    assert expectation is not None
    return expectation.grammar


def utterance(pcm: bytes) -> Utterance:
    gate = Gate()
    gate.feed(hush(0.4) + pcm)
    return gate.utterance


def end(steps: Generator[None, None, T]) -> T:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: T = stop.value
            return value


@frozen
class Room:
    """What the sessions of one worker share."""

    models: Models
    shared: Shared

    def session(self, grammar: str) -> Session:
        session = Session(
            self.models, Grammars({}, lambda word: [self.shared.load().lookup_word(word)]), self.along()
        )
        session.expect(grammar)
        return session

    def along(self) -> Along:
        return Along(self.shared)


@pytest.fixture(scope="module")
def room() -> Room:
    models = Models()
    return Room(models, Shared(models))


def hear(session: Session, pcm: bytes, size: int = 640) -> None:
    for at in range(0, len(pcm), size):
        session.hear(pcm[at : at + size])


def decided(session: Session) -> Decision:
    _, decision = end(session.finish(end=True))
    return decision


# ---------------------------------------------------------------- what it says


@pytest.mark.parametrize("mean", ["", "48,2,3,4,5,1,0,2,-3,-4,1,-2,0"])
def test_it_says_the_same_at_one_go_and_in_whatever_pieces_the_audio_came(clips: Path, room: Room, mean: str) -> None:
    pcm = hush(0.4) + clip(clips, "go_brooklyn") + hush(0.5)
    told = []
    for size in (640, 7000):
        along, gate = room.along(), Gate()
        for at in range(0, len(pcm), size):
            gate.feed(pcm[at : at + size])
            if gate.utterance.samples:
                along.follow(gate.utterance, mean)
        told.append(along.now(gate.utterance, 2 * gate.utterance.samples, mean))
        along.leave()
    whole = room.along().whole(gate.utterance, 2 * gate.utterance.samples, mean)
    assert told == [whole, whole]
    assert "brooklyn bridge" in whole.text


def test_a_short_utterance_is_decoded_when_it_pauses(clips: Path, room: Room) -> None:
    short = utterance(clip(clips, "df_today")[:16_000])
    assert short.pause < 25_600
    along = room.along()
    along.follow(short, "")
    assert room.shared.user is None
    assert along.now(short, short.pause, "") == room.along().whole(short, short.pause, "")


def test_one_goes_along_at_a_time_and_leaves_when_a_pause_needs_the_decoder(clips: Path, room: Room) -> None:
    first, second, third = room.along(), room.along(), room.along()
    early = utterance(clip(clips, "df_mountain_view")[:32_000])
    first.follow(early, "")
    assert room.shared.user is first
    second.follow(early, "")
    assert second.now(early, early.pause, "") is None
    said = third.whole(early, early.pause, "")
    assert room.shared.user is None
    assert first.now(early, early.pause, "") is None
    assert first.whole(early, early.pause, "") == said


def test_long_speech_is_left(clips: Path, room: Room) -> None:
    along, gate = room.along(), Gate()
    pcm = hush(0.4) + clip(clips, "jfk")[: 7 * 32_000]
    joined = []
    for at in range(0, len(pcm), 640):
        gate.feed(pcm[at : at + 640])
        if gate.utterance.samples:
            along.follow(gate.utterance, "")
            joined.append((2 * gate.utterance.samples, room.shared.user is along))
    assert {size for size, there in joined if there} == {size for size, _ in joined if 25_600 <= size <= 5 * 32_000}


def test_speech_that_went_on_for_long_is_not_joined(clips: Path, room: Room) -> None:
    along = room.along()
    along.follow(utterance(clip(clips, "go_brooklyn")), "")
    assert room.shared.user is None


# ---------------------------------------------------------------- what is decided


@pytest.mark.parametrize("name", IDLE)
def test_what_it_confirms_is_decided_when_the_pause_begins(clips: Path, room: Room, name: str) -> None:
    session = room.session(expected())
    hear(session, hush(0.4) + clip(clips, name) + hush(0.3))
    steps = session.finish(end=True)
    with pytest.raises(StopIteration) as stop:
        next(steps)  # no step of work is left
    decision = stop.value.value[1]
    assert decision.confidence >= 0.8
    session.close()
    assert room.shared.user is None


@pytest.mark.parametrize("name", [*IDLE, *OTHERS])
def test_the_decision_is_the_same_when_it_could_not_go_along(clips: Path, room: Room, name: str) -> None:
    sessions = [room.session(expected()) for _ in range(2)]
    pcm = hush(0.4) + clip(clips, name) + hush(0.4)
    for at in range(0, len(pcm), 3200):
        for session in sessions:
            hear(session, pcm[at : at + 3200])
    one, other = map(decided, sessions)
    assert (one.heard, one.confidence) == (other.heard, other.confidence)
    assert (one.confidence is not None and one.confidence >= 0.5) == (name in IDLE)
    for session in sessions:
        session.close()


def test_the_decision_is_the_same_for_any_size_of_chunks(clips: Path, room: Room) -> None:
    told = []
    for size in (640, 6000, 64_000):
        session = room.session(expected())
        hear(session, hush(0.4) + clip(clips, "ps_goforward") + hush(0.4), size)
        decision = decided(session)
        told.append((decision.heard, decision.confidence))
        session.close()
    assert told == [told[0]] * 3


def test_speech_after_a_pause_is_decided_anew(clips: Path, room: Room) -> None:
    session = room.session(expected("book a room", "boston"))
    hear(session, hush(0.4) + clip(clips, "df_today") + hush(0.3))
    _, first = end(session.finish(end=False))
    hear(session, clip(clips, "df_today") + hush(0.3))
    second = decided(session)
    assert first.heard.text == "today"
    assert second.end > first.end + 16_000
    session.close()


def test_what_a_decoder_heard_before_changes_nothing(clips: Path, room: Room) -> None:
    first, other = clip(clips, "df_mountain_view"), clip(clips, "go_brooklyn")
    mean = room.models.mean(first)
    room.models.mean(other)
    assert room.models.mean(first) == mean
    decoder = room.models.take("check")
    alone = decode(decoder, first, mean)
    decode(decoder, other, mean)
    assert decode(decoder, first, mean) == alone
    room.models.give("check", decoder)
