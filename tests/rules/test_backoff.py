"""How long to wait before trying again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.backoff import Backoff

chances = st.floats(0, 1, exclude_max=True)


def test_the_bound_doubles_up_to_the_most() -> None:
    backoff = Backoff(first=0.2, factor=2, most=1.0, attempts=6)
    almost = 1 - 2**-40
    assert [backoff.delay(n, almost) for n in range(1, 6)] == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])


def test_the_last_attempt_is_followed_by_none() -> None:
    assert Backoff(attempts=4).delay(4, 0.5) is None
    assert Backoff(attempts=1).delay(1, 0.5) is None


@given(st.integers(1, 10_000), chances, st.floats(0, 10), st.floats(1, 10), st.floats(0, 100))
def test_every_wait_is_within_its_bound(
    attempt: int, chance: float, first: float, factor: float, most: float
) -> None:
    delay = Backoff(first, factor, most, attempts=attempt + 1).delay(attempt, chance)
    assert delay is not None
    assert 0 <= delay <= most


@given(st.integers(1, 5), chances, chances)
def test_jitter_is_full(attempt: int, one: float, other: float) -> None:
    backoff = Backoff(attempts=9)
    assert backoff.delay(attempt, 0.0) == 0.0
    low, high = sorted((one, other))
    assert backoff.delay(attempt, low) <= backoff.delay(attempt, high)  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first": -1}, {"factor": 0.5}, {"most": -1}])
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backoff(**wrong)  # type: ignore[arg-type]
