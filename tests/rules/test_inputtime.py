"""Positions in the input against the clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.inputtime import InputTime


def test_a_position_has_a_time() -> None:
    time = InputTime(10.0)
    time.arrive(100, 10.1, 10.1)
    time.arrive(100, 10.2, 10.25)
    assert time.ms == 200
    assert time.wall(150) == pytest.approx(10.15)
    assert time.since_ms(150, 10.3) == pytest.approx(150)
    assert time.since_ms(150, 10.0) == 0


def test_silence_is_counted_once_for_missing_input() -> None:
    time = InputTime(0.0)
    time.arrive(100, 0.1, 0.1)
    assert time.missing_ms(0.3, 0.3) == 0
    assert time.missing_ms(0.4, 0.3) == pytest.approx(300)
    assert time.missing_ms(0.5, 0.3) == pytest.approx(100)
    assert time.of_detector(450) == 100  # in the silence that was put in: at the end of what arrived
    time.arrive(100, 0.6, 0.6)
    assert time.of_detector(550) == pytest.approx(150)
    assert time.missing_ms(0.7, 0.3) == 0


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(0, 3)), max_size=20))
def test_a_detector_never_points_behind_the_input(steps: list[tuple[float, float]]) -> None:
    time, now, fed = InputTime(0.0), 0.0, 0.0
    for ms, gap in steps:
        now += gap
        fed += time.missing_ms(now, 0.3)
        now += ms / 1000
        time.arrive(ms, now, now)
        fed += ms
        assert 0 <= time.of_detector(fed) <= time.ms
        assert time.of_detector(fed) == pytest.approx(time.ms)


def test_what_the_model_has_not_taken_is_no_silence() -> None:
    time = InputTime(0.0)
    time.arrive(5000, 0.0, 0.0)  # a recording: all of it at once
    time.take(3000, 2.0)
    assert time.taken_ms == 2000
    assert time.had(1500) == pytest.approx(1.5)
    assert time.since_ms(1500, 2.0) == pytest.approx(5500)
    assert time.since_ms(1500, 2.0, had=time.had(1500)) == pytest.approx(500)
    time.take(0, 5.0)
    assert time.taken_ms == time.ms
