from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import evolve

from voiceloop import events as ev
from voiceloop.audio import PCM16_8K
from voiceloop.testing.event_log import assert_log, check_log

CHUNK = PCM16_8K.silence(800)  # 100 ms

GOOD: Sequence[ev.Event] = (
    ev.SessionStarted(conversation_id="c", model="m", input=PCM16_8K, output=PCM16_8K),
    ev.UserSpeechStarted(ms=0, at=0.1),  # 1
    ev.Transcript(utterance=1, text="Hello", stable_chars=5, at=0.2),
    ev.UserSpeechEnded(ms=300, at=0.3),
    ev.Transcript(utterance=1, text="Hello", final=True, at=0.4),  # 4
    ev.TurnStarted(turn=1, utterance=1, at=0.5),
    ev.ReplyText(turn=1, text="Good day", start=0, at=0.5),  # 6
    ev.Viseme(turn=1, code="k", ms=0, at=0.6),
    ev.Word(turn=1, text="Good", ms=10, end_ms=90, start=0, end=4, at=0.6),  # 8
    ev.AudioChunk(turn=1, pcm=CHUNK, format=PCM16_8K, start=0, at=0.6),
    ev.Paused(turn=1, at=0.7),  # 10
    ev.Resumed(turn=1, at=0.8),
    ev.Viseme(turn=1, code="t", ms=50, late=True, at=0.8),  # 12
    ev.Word(turn=1, text="day", ms=120, end_ms=200, start=5, end=8, at=0.8),
    ev.AudioChunk(turn=1, pcm=CHUNK, format=PCM16_8K, start=800, at=0.8),  # 14
    ev.TurnMetrics(
        turn=1,
        utterance=1,
        voice_to_voice=500,
        endpointing=100,
        first_token=200,
        first_clause=0,
        synthesis=200,
        delivery=0,
        at=0.9,
    ),
    ev.TurnEnded(turn=1, said="Good day", heard=ev.Heard("Good day", 200), at=1.0),  # 16
    ev.TranscriptRevised(utterance=1, before="Hello", text="Hullo", at=1.1),
    ev.TurnStarted(turn=2, cause="say", at=2.0),  # 18
    ev.ReplyText(turn=2, text="One moment, please", start=0, at=2.0),
    ev.ToolCalled(turn=2, call="a", name="look", arguments={}, at=2.0),  # 20
    ev.Word(turn=2, text="One", ms=0, end_ms=50, start=0, end=3, at=2.1),
    ev.Word(turn=2, text="moment", ms=50, end_ms=120, start=4, end=10, at=2.1),  # 22
    ev.AudioChunk(turn=2, pcm=CHUNK, format=PCM16_8K, start=0, at=2.1),
    ev.Paused(turn=2, at=2.2),  # 24
    ev.Interrupted(turn=2, heard=ev.Heard("One moment", 100, "estimated", 300), at=2.2),
    ev.ToolReturned(turn=2, call="a", name="look", result="moon", at=2.3),  # 26
    ev.TurnEnded(turn=2, said="One moment, please.", heard=ev.Heard("One", 80), reason="interrupted", at=2.4),
    ev.SessionEnded(reason="ended", at=3.0),  # 28
)


def test_a_good_log_has_no_violations() -> None:
    assert check_log(GOOD) == []
    assert_log(GOOD)
    assert check_log(GOOD[:12], complete=False) == []
    assert check_log([], complete=False) == []


def changed(number: int, **changes: object) -> list[ev.Event]:
    return [evolve(event, **changes) if n == number else event for n, event in enumerate(GOOD)]  # type: ignore[misc]


def without(*numbers: int) -> list[ev.Event]:
    return [event for n, event in enumerate(GOOD) if n not in numbers]


def repeated(number: int, after: int) -> list[ev.Event]:
    return [*GOOD[: after + 1], evolve(GOOD[number], at=GOOD[after].at), *GOOD[after + 1 :]]


BREACHES = {
    "out of time": (changed(5, at=0.1), "after an event at"),
    "starts twice": (repeated(0, 0), "is not the first event"),
    "does not start": (without(0), "first event is not SessionStarted"),
    "does not end": (without(28), "last event is not SessionEnded"),
    "goes on after the end": ([*GOOD, evolve(GOOD[1], at=4.0)], "comes after SessionEnded"),
    "gap in audio": (changed(14, start=801), "starts at sample 801, expected 800"),
    "overlap in audio": (repeated(9, 9), "starts at sample 0, expected 800"),
    "half a sample": (changed(9, pcm=CHUNK + b"x"), "not one or more whole samples"),
    "no audio in a chunk": (changed(9, pcm=b""), "not one or more whole samples"),
    "format changes": (changed(14, format=evolve(PCM16_8K, rate=16_000)), "audio format changed"),
    "late mark unmarked": (changed(12, late=False), "not marked late"),
    "early mark marked late": (changed(13, late=True), "still to come"),
    "visemes backwards": (changed(7, ms=80), "after one at 80"),
    "words backwards": (changed(13, ms=5, late=True), "after one at 10"),
    "word ends before it begins": (changed(8, end_ms=5), "before it begins"),
    "words overlap": (changed(13, start=3), "before the end of the word before"),
    "word of other letters": (changed(8, text="Bad"), "not that word in what was said"),
    "word outside": (changed(13, ms=900, end_ms=950), "outside the turn's 200 ms"),
    "viseme outside": (changed(12, ms=900, late=False), "a viseme at 900 ms lies outside"),
    "text with a gap": (changed(6, start=3), "text starts at 3"),
    "text is not what was said": (changed(16, said="Good night"), "not the text that came"),
    "turn not started": (without(18), "turn 2 was not started"),
    "turn started twice": (repeated(5, 6), "turn 1 was started before"),
    "two turns at once": ([*GOOD[:16], GOOD[18], *GOOD[16:18], *GOOD[19:]], "turn 2 starts while turn 1 is alive"),
    "turn without end": (without(16), "turn 1 has no TurnEnded"),
    "turn ended twice": (repeated(16, 16), "was ended before"),
    "audio after the end": (repeated(14, 16), "turn 1 was ended before"),
    "audio after the interruption": (repeated(23, 25), "turn 2 was interrupted before"),
    "resumed after the interruption": ([*GOOD[:26], ev.Resumed(turn=2, at=2.2), *GOOD[26:]], "interrupted before"),
    "interrupted twice": (repeated(25, 25), "turn 2 was interrupted before"),
    "interrupted, not started": (changed(25, turn=7), "turn 7 was not started"),
    "ended, not started": (changed(16, turn=7), "turn 7 was not started"),
    "interrupted yet completed": (changed(27, reason="completed"), "was interrupted, it ends completed"),
    "not interrupted yet says so": (without(25), "not interrupted, it ends interrupted"),
    "audio in a pause": (without(11), "while it is paused"),
    "paused twice": (repeated(10, 10), "was paused"),
    "resumed, not paused": (without(10), "was not paused"),
    "an older turn's audio": (
        [*without(16)[:18], evolve(GOOD[14], start=1600, at=2.0), *GOOD[19:]],
        "after turn 2 was started",
    ),
    "heard what was not said": (changed(27, heard=ev.Heard("Two", 80)), "not a prefix"),
    "heard more than delivered": (changed(27, heard=ev.Heard("One", 180)), "heard 180 ms of 100 ms"),
    "provisionally heard too much": (changed(25, heard=ev.Heard("One", 180)), "heard 180 ms of 100 ms"),
    "heard a word not played": (
        changed(27, heard=ev.Heard("One moment", 20)),
        "a word at 50 ms is in what was heard",
    ),
    "heard a word less": (changed(27, heard=ev.Heard("", 80)), "is missing from what was heard"),
    "measured but unsure": (changed(16, heard=ev.Heard("Good day", 200, "measured", 9)), "an uncertainty of 9"),
    "dropped but heard": (changed(16, heard=ev.Heard("Good day", 200, dropped="x")), "turn that was dropped"),
    "answered twice": (changed(18, utterance=1), "answered by turns 1 and 2"),
    "two finals": (repeated(4, 4), "had its final transcript before"),
    "no final": (without(4, 17), "no final transcript"),
    "utterance skipped": (changed(2, utterance=2), "comes after 0 others"),
    "stable text changes": (
        [*GOOD[:3], ev.Transcript(utterance=1, text="Yellow", at=0.2), *GOOD[3:]],
        "stable text of utterance 1 changed",
    ),
    "more stable than text": (changed(2, stable_chars=9), "9 stable characters of 5"),
    "revised out of nothing": (changed(17, before="Hey"), "not the last text"),
    "revised before it was final": (without(4), "no final transcript to revise"),
    "speech ends twice": (repeated(3, 3), "was not speaking"),
    "speech starts twice": (repeated(1, 1), "was speaking already"),
    "unknown call returns": (changed(26, call="b"), "call b is unknown"),
    "call returns twice": (repeated(26, 26), "call a returned before"),
    "call made twice": (repeated(20, 20), "call a was made before"),
    "waterfall with a leak": (changed(15, synthesis=100), "sum to 400 ms"),
    "waterfall that flows up": (changed(15, synthesis=300, delivery=-100), "is negative"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_every_breach_is_reported(name: str) -> None:
    log, expected = BREACHES[name]
    violations = check_log(log)
    assert any(expected in violation for violation in violations), violations
    with pytest.raises(AssertionError, match="breaks its promises"):
        assert_log(log)
