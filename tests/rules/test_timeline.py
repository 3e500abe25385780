"""A turn on its way out: frames, pacing, and marks before their audio."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import AudioChunk, TurnStarted, Viseme, Word
from voiceloop.audio import MULAW_8K, PCM16_8K
from voiceloop.rules.playout import Playhead
from voiceloop.rules.timeline import Pacing, Track


def track(**pacing: Any) -> Track:
    settings = Pacing(**{"format": PCM16_8K, **pacing})
    return Track(turn=1, pacing=settings, playhead=Playhead(paced=settings.lead is not None))


def pcm(ms: float) -> bytes:
    return b"\1\0" * PCM16_8K.samples_in(ms)


def drain(made: Track, now: float) -> list[Any]:
    pieces = []
    while (piece := made.next(now)) is not None and not isinstance(piece, float):
        pieces.append(piece)
    return pieces


def chunks(pieces: list[Any]) -> list[tuple[float, float]]:
    return [(piece.ms, piece.duration_ms) for piece in pieces if isinstance(piece, AudioChunk)]


def test_the_opening_and_text_leave_first() -> None:
    made = track()
    made.opening = TurnStarted(turn=1)
    made.audio(pcm(50), 0.0)
    made.marks_until(1e9)
    made.text("Hello", 0)
    assert [type(piece).__name__ for piece in drain(made, 0.0)] == ["TurnStarted", "ReplyText", "AudioChunk"]


def test_nothing_leaves_while_held() -> None:
    made = track()
    made.text("Hello", 0)
    made.held = True
    assert made.next(0.0) is None


def test_long_audio_is_cut_and_short_audio_is_not_joined() -> None:
    made = track(lead=None)
    made.marks_until(1e9)
    made.audio(pcm(250), 0.0)
    assert chunks(drain(made, 0.0)) == [(0, 100), (100, 100), (200, 50)]
    made.audio(pcm(30), 0.0)
    assert chunks(drain(made, 0.0)) == [(250, 30)]


def test_frames_are_exact_and_the_last_is_filled_with_silence() -> None:
    made = track(lead=None, chunk_ms=20, format=MULAW_8K)
    made.marks_until(1e9)
    made.audio(b"\1" * MULAW_8K.samples_in(50), 0.0)
    assert chunks(drain(made, 0.0)) == [(0, 20), (20, 20)]
    made.end()
    [last] = drain(made, 0.0)
    assert last.pcm == b"\1" * 80 + b"\xff" * 80
    assert made.drained


def test_the_lead() -> None:
    made = track(lead=0.2, chunk_ms=100)
    made.marks_until(1e9)
    made.audio(pcm(500), 0.0)
    assert chunks(drain(made, 0.0)) == [(0, 100), (100, 100)]
    assert made.next(0.0) == pytest.approx(0.1)
    assert chunks(drain(made, 0.1)) == [(200, 100)]


def test_a_chunk_longer_than_the_lead_leaves_when_all_was_played() -> None:
    made = track(lead=0.05, chunk_ms=100)
    made.marks_until(1e9)
    made.audio(pcm(200), 0.0)
    assert chunks(drain(made, 0.0)) == [(0, 100)]
    assert made.next(0.0) == pytest.approx(0.1)


def test_audio_waits_for_its_marks_and_no_longer_than_told() -> None:
    made = track(lead=None, mark_wait=0.08)
    made.audio(pcm(100), 1.0)
    assert made.next(1.0) == pytest.approx(1.08)
    assert chunks(drain(made, 1.08)) == [(0, 100)]


def test_audio_whose_marks_came_leaves_at_once() -> None:
    made = track(lead=None)
    made.audio(pcm(100), 1.0)
    made.mark(Viseme(turn=1, code="p", ms=20))
    made.marks_until(100)
    assert [type(piece).__name__ for piece in drain(made, 1.0)] == ["Viseme", "AudioChunk"]


def test_a_mark_on_the_border_belongs_to_the_next_chunk() -> None:
    made = track(lead=None, chunk_ms=100)
    made.audio(pcm(200), 1.0)
    made.mark(Viseme(turn=1, code="p", ms=100))
    made.marks_until(1e9)
    assert [type(piece).__name__ for piece in drain(made, 1.0)] == ["AudioChunk", "Viseme", "AudioChunk"]


def test_a_late_mark_says_so_and_leaves_at_once() -> None:
    made = track(lead=None)
    made.marks_until(1e9)
    made.audio(pcm(100), 1.0)
    drain(made, 1.0)
    made.mark(Word(turn=1, text="Hi", ms=40, start=0, end=2))
    [mark] = drain(made, 1.0)
    assert mark.late
    assert mark.ms == 40


def test_marks_beyond_the_end_are_moved_inside() -> None:
    made = track(lead=None)
    made.audio(pcm(100), 1.0)
    made.mark(Viseme(turn=1, code="p", ms=5000))
    made.end()
    pieces = drain(made, 1.0)
    assert [type(piece).__name__ for piece in pieces] == ["AudioChunk", "Viseme"]
    assert pieces[1].ms == 100
    assert made.drained


@given(
    st.lists(st.tuples(st.sampled_from("amut"), st.integers(1, 400)), max_size=40),
    st.sampled_from((None, 20, 33)),
    st.sampled_from((None, 0.2, 0.6)),
)
def test_whatever_comes_whenever(steps: list[tuple[str, int]], chunk_ms: int | None, lead: float | None) -> None:
    """Contiguous to the sample, nothing lost, marks in order and before their audio, or late."""
    made, now, out, samples, marks = track(chunk_ms=chunk_ms, lead=lead), 0.0, [], 0, 0
    for step, value in steps:
        match step:
            case "a":
                made.audio(pcm(value), now)
                samples += PCM16_8K.samples_in(value)
            case "m":
                made.mark(Viseme(turn=1, code="p", ms=float(value * 3)))
                marks += 1
            case "u":
                made.marks_until(value * 3.0)
            case _:
                now += value / 1000
        out += drain(made, now)
    made.end()
    out += drain(made, now + 1000)
    while not made.drained:
        now += 10
        out += drain(made, now + 1000)
    left, told = 0, 0
    for piece in out:
        if isinstance(piece, AudioChunk):
            assert piece.start == left
            left += piece.samples
            assert chunk_ms is None or piece.samples == PCM16_8K.samples_in(chunk_ms)
        else:
            told += 1
            assert piece.late == (piece.ms < PCM16_8K.ms(left))
            assert piece.ms <= PCM16_8K.ms(left) + PCM16_8K.ms(samples)
    assert told == marks
    assert samples <= left < samples + (PCM16_8K.samples_in(chunk_ms) if chunk_ms else 1)
