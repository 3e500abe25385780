"""The limiter and its gate on virtual time: never over the quota, the most urgent first, nobody forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import clock
from voiceloop.aws.polly.gate import LISTENED, UNHEARD, Gate
from voiceloop.aws.polly.limiter import QUOTAS, Crowded, Limiter, Quota, Urgency
from voiceloop.errors import BadInput, ProviderUnavailable
from voiceloop.testing import virtual_time

NEURAL = QUOTAS["neural"]
_QUOTAS = st.builds(Quota, st.floats(0.5, 50), st.integers(1, 12), st.integers(1, 20))
_ASKED = st.lists(
    st.tuples(st.floats(0, 5), st.sampled_from(list(Urgency)), st.floats(0, 2), st.floats(0.01, 3) | st.none()),
    max_size=40,
)


def run(quota: Quota, asked: Sequence[tuple[float, Urgency, float, float | None]]) -> list[tuple[float, float, int]]:
    """Requests (when, how urgent, how long, patience) through a gate; when each admitted one began and ended."""
    admitted: list[tuple[float, float, int]] = []

    async def main() -> None:
        gate = Gate(Limiter(quota))

        async def request(number: int, at: float, urgency: Urgency, lasts: float, patience: float | None) -> None:
            await anyio.sleep(at)
            with anyio.move_on_after(patience if patience is not None else math.inf):
                async with gate.passing(urgency, UNHEARD):
                    began = clock.now()
                    try:
                        await anyio.sleep(lasts)
                    finally:
                        admitted.append((began, clock.now(), number))

        async with anyio.create_task_group() as group:
            for number, one in enumerate(asked):
                group.start_soon(request, number, *one)
        async with gate.passing(Urgency.MARKS, UNHEARD):
            pass  # nothing is left in the queue, and no place is lost

    virtual_time.run(main)
    return sorted(admitted)


@given(quota=_QUOTAS, asked=_ASKED)
def test_the_quota_is_never_exceeded_and_everybody_gets_a_turn(quota: Quota, asked: list[tuple]) -> None:  # type: ignore[type-arg]
    admitted = run(quota, asked)
    patient = {number for number, one in enumerate(asked) if one[3] is None}
    assert patient <= {number for _, _, number in admitted}
    begins = [began for began, _, _ in admitted]
    for first in range(len(begins)):
        for last in range(first, len(begins)):
            allowed = max(1, quota.burst - 1) + quota.per_second * (begins[last] - begins[first])
            assert last - first + 1 <= allowed + 1e-6
    for began, _, _ in admitted:
        running = sum(1 for other, ended, _ in admitted if other <= began < ended)
        assert running <= quota.places


def test_first_clauses_go_before_audio_and_audio_before_marks() -> None:
    urgencies = (Urgency.MARKS, Urgency.AUDIO, Urgency.FIRST) * 3
    waiting = [(0.01 + n / 1000, urgency, 0.0, None) for n, urgency in enumerate(urgencies)]
    admitted = run(Quota(8, 1, 18), [(0.0, Urgency.AUDIO, 0.0, None), *waiting])
    order = [waiting[number - 1][1] for _, _, number in admitted[1:]]
    assert order == sorted(order)
    within = [number for _, _, number in admitted[1:4]]
    assert within == sorted(within)


def test_nearly_a_burst_then_eight_a_second() -> None:
    admitted = run(NEURAL, [(0.0, Urgency.AUDIO, 0.0, None)] * 26)
    begins = [began - virtual_time.START for began, _, _ in admitted]
    assert begins[:9] == [0.0] * 9
    assert begins[9:] == pytest.approx([n / 8 for n in range(1, 18)])


def test_a_request_waits_for_a_place() -> None:
    admitted = run(Quota(80, 100, 2), [(0.0, Urgency.AUDIO, 1.0, None)] * 3)
    assert [round(began - virtual_time.START, 3) for began, _, _ in admitted] == [0, 0, 1]


def test_after_a_throttle_no_token_is_left() -> None:
    limiter = Limiter(NEURAL)
    ticket = limiter.ask(Urgency.FIRST)
    limiter.refused(10.0)
    assert limiter.wait(ticket, 10.0) == pytest.approx(1 / 8)
    assert not limiter.take(ticket, 10.1)
    assert limiter.take(ticket, 10.125)


@pytest.mark.parametrize("quota", [(0, 10, 18), (8, 0, 18), (8, 10, math.inf), (8, True, 18)])
def test_a_quota_that_lets_nothing_through_is_refused(quota: tuple[float, int, int]) -> None:
    with pytest.raises(BadInput, match=r"from 0\.1 on"):
        Quota(*quota)


def test_the_queue_has_an_end() -> None:
    limiter = Limiter(NEURAL)
    for _ in range(1000):
        limiter.ask(Urgency.MARKS)
    with pytest.raises(ProviderUnavailable, match="1000 requests are waiting"):
        limiter.ask(Urgency.FIRST)


@pytest.mark.virtual_time
async def test_a_turn_is_waited_for_no_longer_than_somebody_listens() -> None:
    gate, began = Gate(Limiter(Quota(0.1, 1, 1))), clock.now()
    async with gate.passing(Urgency.FIRST, LISTENED):
        with pytest.raises(Crowded, match=r"no turn within 8 s for a quota of 0.1 a second, 1 at once") as caught:
            async with gate.passing(Urgency.AUDIO, LISTENED):
                pass
        assert "Service Quotas" in caught.value.hint
        assert clock.now() - began == pytest.approx(LISTENED)
    async with gate.passing(Urgency.MARKS, LISTENED):  # who gave up is not in the queue
        assert clock.now() - began == pytest.approx(10, abs=0.1)
