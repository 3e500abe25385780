"""Conversion between any two formats: exact counts, any split, free when there is nothing to do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, PCM16_24K, AudioFormat, convert, converter
from voiceloop.audio.format import Encoding
from voiceloop.errors import AudioFormatError

encodings: st.SearchStrategy[Encoding] = st.sampled_from(["pcm16", "mulaw", "alaw"])
formats = st.builds(
    AudioFormat, st.sampled_from([8_000, 16_000, 22_050, 24_000, 48_000]), encodings, st.integers(1, 3)
)


@given(source=formats, target=formats, packets=st.lists(st.integers(0, 900), max_size=8), seed=st.integers(0, 99))
@settings(deadline=None)
def test_any_two_formats_exactly_for_any_split(
    source: AudioFormat, target: AudioFormat, packets: list[int], seed: int
) -> None:
    total = sum(packets)
    data = np.random.default_rng(seed).bytes(source.bytes_of(total))
    stream, made, at = converter(source, target), b"", 0
    for packet in packets:
        end = at + source.bytes_of(packet)
        made += stream.push(bytearray(data[at:end]))
        at = end
    assert target.samples(made) == total * target.rate // source.rate
    tail = stream.finish()
    assert target.samples(tail) == (stream.delay if total else 0)
    assert stream.delay_ms < 5
    whole = converter(source, target)
    assert whole.push(data) + whole.finish() == made + tail
    assert target.samples(convert(data, source, target)) == total * target.rate // source.rate


def test_equal_formats_give_back_the_very_bytes() -> None:
    data = bytes(range(64))
    stream = converter(PCM16_16K, AudioFormat(16_000))
    assert stream.push(data) is data
    assert stream.push(memoryview(data)) == data
    stream.reset()
    assert stream.finish() == b""
    assert stream.delay_ms == 0
    with pytest.raises(AudioFormatError, match="whole samples"):
        stream.push(b"abc")


def test_channels_become_their_mean_and_one_becomes_many() -> None:
    stereo = AudioFormat(8_000, channels=2)
    assert (
        convert(np.array([100, 301, -5, -6], "<i2").tobytes(), stereo, PCM16_8K)
        == np.array([200, -6], "<i2").tobytes()
    )
    assert convert(np.array([7, -9], "<i2").tobytes(), PCM16_8K, stereo) == np.array([7, 7, -9, -9], "<i2").tobytes()
    loud = np.full(8, 32767, "<i2").tobytes()
    assert convert(loud, AudioFormat(8_000, channels=4), PCM16_8K) == loud[:4]


def test_a_telephone_call_survives_the_way_there_and_back() -> None:
    times = np.arange(8_000) / 8_000
    voice = np.rint(8_000 * np.sin(2 * np.pi * 440 * times)).astype("<i2").tobytes()
    coded = convert(voice, PCM16_8K, MULAW_8K)
    back = convert(convert(coded, MULAW_8K, PCM16_24K), PCM16_24K, MULAW_8K)
    error = np.frombuffer(convert(back, MULAW_8K, PCM16_8K), "<i2").astype(float) - np.frombuffer(voice, "<i2")
    assert np.sqrt(np.mean(error[100:-100] ** 2)) < 150


def test_reset_forgets() -> None:
    stream = converter(PCM16_24K, MULAW_8K)
    first = stream.push(bytes(960)) + stream.finish()
    stream.push(b"\x11\x22" * 480)
    stream.reset()
    assert stream.push(bytes(960)) + stream.finish() == first


@pytest.mark.parametrize(("source", "data"), [(PCM16_8K, b"a"), (AudioFormat(8_000, "mulaw", 2), b"abc")])
def test_broken_samples_are_refused(source: AudioFormat, data: bytes) -> None:
    with pytest.raises(AudioFormatError, match="whole samples"):
        converter(source, PCM16_24K).push(data)


def test_numpy_loads_only_for_a_real_conversion() -> None:
    program = (
        "import sys; from voiceloop.audio import MULAW_8K, PCM16_8K, converter;"
        "same = converter(PCM16_8K, PCM16_8K); same.push(b'ab');"
        "assert 'numpy' not in sys.modules; converter(PCM16_8K, MULAW_8K).push(b'ab'); assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
