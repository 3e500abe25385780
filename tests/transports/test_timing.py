"""Sample clocks, the far end's memory, and blocks from other threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from voiceloop.audio import PCM16_16K
from voiceloop.transports.timing import FarEnd, Handover, SampleClock


def test_a_clock_smooths_jitter_and_follows_drift() -> None:
    clock, random = SampleClock(16_000), np.random.default_rng(1)
    for block in range(3_000):  # a card that is 200 ppm slow
        clock.observe(block * 160, 5.0 + block * 0.010002 + random.uniform(-0.003, 0.003))
    assert clock.time(3_000 * 160) == pytest.approx(5.0 + 3_000 * 0.010002, abs=0.001)
    assert clock.sample(clock.time(1_234)) == 1_234


def test_a_clock_jumps_when_samples_were_lost() -> None:
    clock = SampleClock(16_000)
    clock.observe(0, 1.0)
    clock.observe(160, 1.51)
    assert clock.time(160) == pytest.approx(1.51)


def ramp(start: int, samples: int) -> bytes:
    return np.arange(start, start + samples).astype("<i2").tobytes()


def test_the_far_end_is_read_at_the_microphones_pace() -> None:
    far = FarEnd(PCM16_16K)
    numbers = [far.played(ramp(block * 160, 160), 1.0 + block * 0.01) for block in range(10)]
    assert numbers == [block * 160 for block in range(10)]
    assert far.read(1.02, 160) == (320, ramp(320, 160))
    # 3 ms late by its time stamp, and contiguous all the same
    assert far.read(1.033, 160) == (480, ramp(480, 160))
    # 30 ms late: something was lost, so it jumps
    assert far.read(1.07, 160) == (1120, ramp(1120, 160))
    assert far.time(1120) == pytest.approx(1.07)


def test_what_is_not_known_of_the_far_end_is_silence() -> None:
    far = FarEnd(PCM16_16K, seconds=0.1)
    assert far.read(1.0, 4) == (16_000, bytes(8))
    far = FarEnd(PCM16_16K, seconds=0.1)
    for block in range(20):
        far.played(ramp(block * 160, 160), 1.0 + block * 0.01)
    assert far.read(1.0, 160)[1] == bytes(320)
    number, pcm = far.read(1.195, 160)
    assert pcm == ramp(number, 80) + bytes(160)


async def test_items_come_from_other_threads_in_order() -> None:
    handover: Handover[int] = Handover(10_000)
    thread = threading.Thread(target=lambda: [handover.put(number) for number in range(1_000)])
    thread.start()
    got: list[int] = []
    while len(got) < 1_000:
        got += await handover.take(5.0)
    thread.join()
    assert got == list(range(1_000))
    assert handover.lost == 0


async def test_too_many_items_push_the_oldest_out_and_are_counted() -> None:
    handover: Handover[int] = Handover(3)
    for number in range(5):
        handover.put(number)
    assert await handover.take(1.0) == [2, 3, 4]
    assert handover.lost == 2


@pytest.mark.virtual_time
async def test_waiting_for_items_ends() -> None:
    handover: Handover[int] = Handover(3)
    before = handover.now
    assert await handover.take(0.5) == []
    assert handover.now - before == pytest.approx(0.5)
    handover.close()
    handover.put(1)
    assert await handover.take(0.5) == []
