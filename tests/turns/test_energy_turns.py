"""Turn detection by loudness."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, PCM16_22K, PCM16_48K, AudioFormat, convert
from voiceloop.errors import AudioFormatError
from voiceloop.interfaces import Silent, Speaking
from voiceloop.turns.energy import EnergyTurns

from .listening import Clip, Sounds, feed, segments

BURSTS = Sounds().bursts(700, 900, 400, 300, 600, 40, 600)


def test_bursts_are_found_to_the_frame_and_clicks_are_not() -> None:
    found = segments(feed(EnergyTurns().start(PCM16_16K), BURSTS))
    assert len(found) == 2
    for (start, end), (true_start, true_end) in zip(found, [(700, 1600), (2000, 2300)], strict=True):
        assert start == pytest.approx(true_start, abs=10)
        # Noise of constant loudness becomes background, so that a long burst seems to end early.
        assert true_start + 200 <= end <= true_end + 10


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=60))
def test_every_split_into_packets_tells_the_same(sizes: list[int]) -> None:
    whole = EnergyTurns().start(PCM16_16K).audio(BURSTS)
    state, at, told = EnergyTurns().start(PCM16_16K), 0, []
    for size in sizes:
        told += state.audio(BURSTS[at : at + 2 * size])
        at += 2 * size
    told += state.audio(BURSTS[at:])
    assert told == whole
    assert told


def test_speech_is_known_after_about_100_ms_and_a_pause_after_150_ms(sounds: Sounds) -> None:
    state = EnergyTurns().start(PCM16_16K)
    feed(state, sounds.noise(1000))
    first = next(ms for ms in range(0, 400, 10) if state.audio(sounds.noise(10, -20)))
    assert 80 <= first <= 130
    feed(state, sounds.noise(200, -20))
    quiet = (signal for _ in range(40) for signal in state.audio(sounds.noise(10)) or [None])
    pause = next(index for index, signal in enumerate(quiet) if isinstance(signal, Silent))
    assert 12 <= pause <= 20


def test_input_that_stops_arriving_is_silence(sounds: Sounds) -> None:
    state = EnergyTurns().start(PCM16_16K)
    state.audio(sounds.bursts(500, 300))
    (pause,) = state.silence(300)
    assert pause.since_ms == pytest.approx(800, abs=20)  # type: ignore[union-attr]
    (again, *_) = state.audio(sounds.noise(400, -20))
    assert isinstance(again, Speaking)
    assert again.start_ms == pytest.approx(1100, abs=20)


def test_steady_noise_becomes_background(sounds: Sounds) -> None:
    for noise in (sounds.noise(5000, -20), sounds.tone(5000, 50), sounds.tone(5000, 1000)):
        (only,) = segments(feed(EnergyTurns().start(PCM16_16K), sounds.noise(1000) + noise))
        assert only[1] - only[0] < 500


def test_silence_and_clicks_are_nothing(sounds: Sounds) -> None:
    for nothing in (bytes(64_000), sounds.noise(2000), sounds.clicks(5000)):
        assert feed(EnergyTurns().start(PCM16_16K), nothing) == []


def test_two_states_do_not_know_each_other(sounds: Sounds) -> None:
    one, other = EnergyTurns().start(PCM16_16K), EnergyTurns().start(PCM16_16K)
    told = []
    for at in range(0, len(BURSTS), 640):
        told += one.audio(BURSTS[at : at + 640])
        assert other.audio(bytes(640)) == []
    assert told == list(EnergyTurns().start(PCM16_16K).audio(BURSTS))


@pytest.mark.parametrize("format", [PCM16_8K, PCM16_22K, PCM16_48K])
def test_any_rate_will_do(format: AudioFormat) -> None:
    pcm = convert(BURSTS, PCM16_16K, format)
    found = segments(feed(EnergyTurns().start(format), pcm, format=format))
    assert [start for start, _ in found] == pytest.approx([700, 2000], abs=20)


@pytest.mark.parametrize("format", [MULAW_8K, AudioFormat(16_000, channels=2)])
def test_other_formats_are_refused(format: AudioFormat) -> None:
    with pytest.raises(AudioFormatError, match="mono"):
        EnergyTurns().start(format)


def test_human_clips_start_and_end_where_they_do(all_clips: Sequence[Clip]) -> None:
    starts, ends = [], []
    for clip in all_clips:
        found = clip.heard(EnergyTurns())
        starts.append(found[0][0] - clip.energy[0])
        ends.append(found[-1][1] - clip.energy[1])
    assert abs(median(starts)) <= 30
    assert abs(median(ends)) <= 60
    assert max(map(abs, starts + ends)) <= 350
