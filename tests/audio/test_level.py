"""Loudness, and the energy meter on made sounds and on people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voiceloop.audio import EnergyMeter, read_wav, rms_dbfs
from voiceloop.errors import AudioFormatError

RATE = 16_000


def noise(seconds: float, dbfs: float) -> np.ndarray:
    return np.random.default_rng(3).normal(0, float(32768 * 10 ** (dbfs / 20)), int(seconds * RATE))


def hum(seconds: float, dbfs: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    parts = [np.sin(2 * np.pi * 50 * times), np.sin(2 * np.pi * 150 * times) / 2, np.sin(2 * np.pi * 250 * times) / 3]
    summed: np.ndarray = np.sum(parts, axis=0)
    return summed * 32768 * 10 ** (dbfs / 20)


def clicks(seconds: float) -> np.ndarray:
    return np.where(np.arange(int(seconds * RATE)) % 8_000 < 16, 8_000.0, 0.0) + noise(seconds, -70)


def judged(sound: np.ndarray, frame_ms: int = 10, rate: int = RATE) -> np.ndarray:
    """The meter's answer for each frame."""
    pcm = np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()
    meter, size = EnergyMeter(rate), rate * frame_ms // 1000 * 2
    return np.array([meter.feed(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)])


def clip(path: Path) -> np.ndarray:
    return np.frombuffer(read_wav(path)[1], "<i2").astype(float)


def test_loudness() -> None:
    sine = np.rint(32767 * np.sin(np.arange(16_000) * 0.1)).astype("<i2")
    assert rms_dbfs(sine.tobytes()) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs((sine // 10).astype("<i2").tobytes()) == pytest.approx(-23.01, abs=0.01)
    assert rms_dbfs(np.full(100, -32768, "<i2").tobytes()) == 0
    assert rms_dbfs(b"\x01\x00" * 10) == pytest.approx(-90.3, abs=0.1)
    assert rms_dbfs(bytes(320)) == rms_dbfs(b"") == -100


@pytest.mark.parametrize("frame_ms", [10, 20])
@pytest.mark.parametrize(
    "sound",
    [np.zeros(3 * RATE), noise(3, -75), noise(3, -45), noise(3, -50), hum(3, -20), clicks(3)],
    ids=["silence", "faint noise", "noise at -45", "noise at -50", "hum", "clicks"],
)
def test_what_is_no_speech(sound: np.ndarray, frame_ms: int) -> None:
    assert not judged(sound, frame_ms).any()


@pytest.mark.parametrize(("loud", "quiet"), [(-20, None), (-35, None), (-40, -75), (-20, -60)])
def test_loud_noise_becomes_floor_within_half_a_second(loud: float, quiet: float | None) -> None:
    before = np.zeros(0) if quiet is None else noise(3, quiet)
    speech = np.flatnonzero(judged(np.concatenate((before, noise(4, loud)))))
    assert len(speech) > 0
    assert speech[0] * 10 >= len(before) * 1000 / RATE
    assert speech[-1] * 10 < len(before) * 1000 / RATE + 500


def test_a_pause_ends_speech_and_a_gap_between_sounds_does_not() -> None:
    voice = noise(0.2, -25) * np.repeat([1, 0.5], 1_600)
    gap, pause = np.zeros(RATE // 25), np.zeros(RATE // 5)
    speech = judged(np.concatenate((pause, voice, gap, voice, pause)))
    changes = np.flatnonzero(np.diff(speech.astype(int))) * 10
    assert changes.tolist() == [210, 690]


def padded(voice: np.ndarray, dbfs: float) -> np.ndarray:
    """Half a second of faint noise before, a second after."""
    return np.concatenate((noise(0.5, dbfs), voice, noise(1, dbfs)))


CONDITIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda voice: padded(voice, -75),
    "after digital silence": lambda voice: padded(voice, -200),
    "soft": lambda voice: padded(voice / 10, -80),
    "loud": lambda voice: padded(voice * 4, -70),
    "in noise": lambda voice: padded(voice, -200) + noise(20, -45)[: len(voice) + RATE * 3 // 2],
    "in hum": lambda voice: padded(voice, -75) + hum(20, -35)[: len(voice) + RATE * 3 // 2],
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_people_are_heard_when_they_speak(clips: Path, condition: str) -> None:
    starts, ends = [], []
    for entry in json.loads((clips / "index.json").read_text()):
        times = np.flatnonzero(judged(CONDITIONS[condition](clip(clips / entry["file"])))) * 10 - 500
        heard_start, heard_end = entry["vad"]["energy_ms"]
        near = times[times >= heard_start - 200]
        starts.append(near[0] + 10 - heard_start)
        ends.append(near[-1] + 10 - heard_end)
    assert -200 <= min(starts) <= max(starts) <= 300
    assert -350 <= min(ends) <= max(ends) <= 150
    assert abs(statistics.median(starts)) <= 30
    assert abs(statistics.median(ends)) <= 70


def test_who_speaks_at_once_is_heard_at_once(clips: Path) -> None:
    for path in sorted(clips.glob("df_*.wav")):
        assert np.flatnonzero(judged(clip(path)))[0] * 10 <= 100


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_other_rates_hear_much_the_same(rate: int) -> None:
    times = np.arange(rate * 2) / rate
    voice = (
        3_000 * np.sin(2 * np.pi * 700 * times) * (1 + np.sin(2 * np.pi * 4 * times)) * (times > 0.5) * (times < 1.5)
    )
    speech = judged(voice, rate=rate)
    assert 40 <= np.flatnonzero(speech)[0] <= 60
    assert 140 <= np.flatnonzero(speech)[-1] <= 160


@pytest.mark.parametrize(
    ("frame", "named"), [(b"", "0.0 ms"), (bytes(64), "2.0 ms"), (bytes(3_200), "100.0 ms"), (b"a", "1 b")]
)
def test_other_frames_are_refused(frame: bytes, named: str) -> None:
    with pytest.raises(AudioFormatError, match=named):
        EnergyMeter(RATE).feed(frame)


def test_other_audio_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="rate=1"):
        EnergyMeter(1)
    with pytest.raises(AudioFormatError, match="3 bytes"):
        rms_dbfs(b"abc")
