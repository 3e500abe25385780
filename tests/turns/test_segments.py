"""From frames to signals."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.interfaces import Silent, Speaking, TurnSignal
from voiceloop.turns.segments import Pauses, Segmenter


def signals(frames: str, ms: float = 10, **pauses: float) -> list[TurnSignal]:
    """What comes of frames given as ``#`` (speech) and ``.``."""
    segmenter = Segmenter(Pauses(**pauses))
    found = [segmenter.frame(i * ms, (i + 1) * ms, frame == "#") for i, frame in enumerate(frames)]
    return [signal for signal in found if signal is not None]


def test_speech_is_told_at_100_ms_at_250_ms_and_then_every_100_ms() -> None:
    told = signals("." * 5 + "#" * 50)
    assert told == [Speaking(50, 100), Speaking(50, 250), Speaking(50, 350), Speaking(50, 450)]


def test_a_pause_is_told_with_the_time_it_began() -> None:
    assert signals("#" * 12 + "." * 14) == [Speaking(0, 100)]
    assert signals("#" * 12 + "." * 15) == [Speaking(0, 100), Silent(120)]
    assert signals("#" * 12 + "." * 90) == [Speaking(0, 100), Silent(120)]


def test_short_gaps_belong_to_speech_and_long_ones_do_not() -> None:
    assert signals("#####......#####") == [Speaking(0, 100)]
    assert signals("#####.......#####") == []


def test_clicks_are_no_speech_and_do_not_keep_it_going() -> None:
    assert signals("#.........." * 30) == []
    click_in_the_pause = "#" * 12 + "." * 8 + "#" + "." * 6
    assert signals(click_in_the_pause) == [Speaking(0, 100), Silent(120)]
    speech_in_the_pause = "#" * 12 + "." * 8 + "###" + "." * 14
    assert signals(speech_in_the_pause) == [Speaking(0, 100)]


def test_speech_after_a_pause_starts_anew() -> None:
    assert signals("#" * 10 + "." * 20 + "#" * 10)[-2:] == [Silent(100), Speaking(300, 100)]


def test_long_frames_are_told_when_they_are_complete() -> None:
    assert signals("#" * 8, ms=32, min_speech_ms=90) == [Speaking(0, 96), Speaking(0, 256)]


@given(st.text(alphabet="#.", max_size=300))
def test_signals_alternate_in_order_of_time(frames: str) -> None:
    clock = 0.0
    speaking: Speaking | None = None
    for signal in signals(frames):
        match signal:
            case Speaking(start_ms=start, voiced_ms=voiced):
                assert start >= clock
                assert speaking is None or (start == speaking.start_ms and voiced >= speaking.voiced_ms + 100)
                speaking = signal
            case Silent(since_ms=since):
                assert speaking is not None
                assert since >= speaking.start_ms + 100
                clock, speaking = since, None


@pytest.mark.parametrize(("name", "value"), [("min_speech_ms", -1), ("gap_ms", math.nan), ("blip_ms", "20")])
def test_bad_settings_are_named(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=name):
        Pauses(**{name: value})
