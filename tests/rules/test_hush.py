"""When a service is taken for silent: a table, and the speech that it did not take up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.hush import Owed, Unheard


@pytest.mark.parametrize(
    ("owed", "doubts", "silent"),
    [
        (Owed(life=0.0), 0, False),
        (Owed(life=0.0, speech=85.0), 0, True),
        (Owed(life=0.0, speech=85.1), 0, False),
        (Owed(life=0.0, words=85.0), 0, True),
        (Owed(life=0.0, reply=85.0), 0, True),
        (Owed(life=0.0, told=85.0), 0, True),
        (Owed(life=85.1, speech=10.0, words=20.0), 0, False),
        (Owed(life=0.0, speech=85.0, told=99.0), 0, True),
        (Owed(life=0.0, speech=85.0), 1, False),
        (Owed(life=0.0, speech=70.0), 1, True),
        (Owed(life=-500.0, speech=-139.0), 4, False),
        (Owed(life=-500.0, speech=-140.0), 4, True),
        (Owed(life=-500.0, speech=-140.0), 40, True),
    ],
)
def test_when_it_is_silent(owed: Owed, doubts: int, silent: bool) -> None:
    assert owed.silent(100.0, 15.0, doubts) is silent


def unheard(*spells: tuple[float, float]) -> Unheard:
    """Speech from and to these seconds, of an input that began at 0."""
    made = Unheard(rate=1000)
    for begin, end in spells:
        made.begins(round(begin * 1000), begin)
        made.pauses(round(end * 1000), end)
    return made


@pytest.mark.parametrize(
    ("spells", "now", "over"),
    [
        ([], 50.0, None),
        ([(1.0, 1.6)], 4.0, None),
        ([(1.0, 1.6)], 4.2, 1.6),
        ([(1.0, 1.3)], 50.0, None),
        ([(1.0, 1.3), (9.0, 9.3)], 50.0, 9.3),
        ([(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)], 7.0, None),
        ([(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)], 9.0, 6.0),
        ([(1.0, 2.0), (5.0, 6.0)], 6.0, 2.0),
    ],
)
def test_which_speech_counts(spells: list[tuple[float, float]], now: float, over: float | None) -> None:
    found = unheard(*spells).over(now)
    assert found == (None if over is None else (over, round(over * 1000)))


def test_speech_that_goes_on_is_not_over() -> None:
    made = unheard()
    made.begins(1000, 1.0)
    assert made.over(60.0) is None
    assert made.start == 1000


def test_what_was_taken_up_counts_no_longer() -> None:
    made = unheard((1.0, 2.0))
    made.taken()
    assert made.start is made.over(60.0) is None
    made.pauses(3000, 3.0)
    assert made.over(60.0) is None, "its end belongs to what was taken up"


seconds = st.floats(0, 1e4)


@given(seconds, st.none() | seconds, st.none() | seconds, seconds, st.integers(0, 9))
def test_each_sign_of_life_and_each_doubt_grants_time(
    life: float, speech: float | None, told: float | None, now: float, doubts: int
) -> None:
    owed = Owed(life, speech, told=told)
    if owed.silent(now, 15.0, doubts + 1):
        assert owed.silent(now, 15.0, doubts)
    if owed.silent(now, 15.0, doubts):
        assert now - life >= 15.0
        assert not Owed(now, speech, told=told).silent(now, 15.0, doubts)
