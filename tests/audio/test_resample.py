"""The resampler: exact counts, the same bits for every split, its delay, its pass band and its stop band."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio.resample import Resampler, resample
from voiceloop.errors import AudioFormatError

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
PAIRS = [(source, target) for source in RATES for target in RATES if source != target]


def noise(samples: int, channels: int = 1) -> bytes:
    return np.random.default_rng(7).integers(-32768, 32768, samples * channels).astype("<i2").tobytes()


def tone(hz: float, rate: int, seconds: float = 0.3, peak: float = 20_000) -> bytes:
    times = np.arange(int(rate * seconds)) / rate
    return np.rint(peak * np.sin(2 * np.pi * hz * times)).astype("<i2").tobytes()


def middle(pcm: bytes) -> np.ndarray:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return samples[len(samples) // 4 : -len(samples) // 4]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_keeps_count_and_delay(source: int, target: int) -> None:
    resampler = Resampler(source, target)
    taken = made = 0
    for packet in (1, 7, source // 50, 3 * source // 100 + 1, 5_000):
        made += len(resampler.push(bytes(2 * packet))) // 2
        taken += packet
        assert made == taken * target // source
    assert len(resampler.finish()) // 2 == resampler.delay
    assert resampler.delay_ms == pytest.approx(resampler.delay * 1000 / target)
    assert resampler.delay_ms < 5


@given(
    pair=st.sampled_from(PAIRS),
    channels=st.sampled_from([1, 2]),
    packets=st.lists(st.integers(0, 1_500), max_size=12),
)
@settings(deadline=None)
def test_every_split_gives_the_same_bits(pair: tuple[int, int], channels: int, packets: list[int]) -> None:
    pcm = noise(sum(packets), channels)
    whole = Resampler(*pair, channels)
    expected = whole.push(pcm) + whole.finish()
    split = Resampler(*pair, channels)
    made, at = b"", 0
    for packet in packets:
        made += split.push(memoryview(pcm)[at : at + packet * 2 * channels])
        at += packet * 2 * channels
    assert made + split.finish() == expected
    counted = sum(packets) * pair[1] // pair[0] + (split.delay if sum(packets) else 0)
    assert len(expected) == counted * 2 * channels


def test_channels_do_not_mix() -> None:
    left, right = tone(440, 48_000), tone(1_000, 48_000)
    stereo = np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1).tobytes()
    made = np.frombuffer(Resampler(48_000, 16_000, 2).push(stereo), "<i2").reshape(-1, 2)
    assert made[:, 0].tobytes() == Resampler(48_000, 16_000).push(left)
    assert made[:, 1].tobytes() == Resampler(48_000, 16_000).push(right)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_steady_value_stays_exactly_what_it_is(source: int, target: int) -> None:
    made = np.frombuffer(Resampler(source, target).push(np.full(source, -12_345, "<i2").tobytes()), "<i2")
    assert set(made[target // 50 :].tolist()) == {-12_345}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_pass_band_is_flat_and_the_stop_band_is_empty(source: int, target: int) -> None:
    nyquist = min(source, target) / 2
    passed = middle(resample(tone(0.8 * nyquist, source), source, target))
    assert math.sqrt(np.mean(passed**2)) * math.sqrt(2) == pytest.approx(20_000, rel=2e-3)
    if target < source:
        stopped = middle(resample(tone(1.02 * nyquist, source), source, target))
        assert 20 * math.log10(max(1.0, np.abs(stopped).max()) / 20_000) < -75


@pytest.mark.parametrize(
    ("source", "target"), [(22_050, 24_000), (48_000, 16_000), (8_000, 48_000), (44_100, 11_025)]
)
def test_a_tone_comes_out_as_the_same_tone_in_time(source: int, target: int) -> None:
    made = middle(resample(tone(1_000, source), source, target))
    expected = middle(tone(1_000, target))[: len(made)]
    assert np.abs(made - expected).max() <= 3  # of 20,000: both are rounded to 16 bits


def test_full_scale_clips_and_does_not_wrap() -> None:
    square = np.where(np.arange(16_000) // 40 % 2, 32767, -32768).astype("<i2")
    made = middle(resample(square.tobytes(), 16_000, 48_000))
    assert made.max() == 32767
    assert made.min() == -32768
    assert np.abs(np.diff(made)).max() < 32768


def test_finish_and_reset_begin_a_new_stream() -> None:
    resampler = Resampler(24_000, 16_000)
    first = resampler.push(noise(777)) + resampler.finish()
    assert resampler.push(noise(777)) + resampler.finish() == first
    resampler.push(noise(100))
    resampler.reset()
    assert resampler.push(noise(777)) + resampler.finish() == first
    assert resampler.finish() == b""


def test_no_drift_and_no_growth_over_a_long_stream() -> None:
    resampler, minute = Resampler(44_100, 48_000), bytes(2 * 44_100 * 60)
    resampler.push(minute[:10_000])
    tracemalloc.start()
    made = len(resampler.push(minute[10_000:]))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < made + 50_000
    assert len(resampler.push(tone(500, 44_100, 1.0))) == 2 * 48_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 16_000), "rate=0"),
        ((16_000, 7), "rate=7"),
        ((16_000, 8_000, 0), "channels=0"),
        ((383_999, 383_998), "383999"),
    ],
)
def test_impossible_rates_are_refused(arguments: tuple[int, ...], named: str) -> None:
    with pytest.raises(AudioFormatError, match=named):
        Resampler(*arguments)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="3 bytes"):
        Resampler(8_000, 16_000).push(b"abc")


def test_nothing_in_nothing_out() -> None:
    assert Resampler(8_000, 16_000).push(b"") == b""
    assert resample(b"", 48_000, 8_000) == b""
