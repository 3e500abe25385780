"""WAV files: against the standard library's reader and writer, and hand-made ones of every kind."""

from __future__ import annotations

import contextlib
import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio import ALAW_8K, MULAW_8K, PCM16_16K, AudioFormat, WavWriter, convert, read_wav, write_wav
from voiceloop.errors import AudioFormatError

SAMPLES = np.array([0, 1, -1, 12_345, -12_345, 32_767, -32_768, 256], "<i2")
PCM = SAMPLES.tobytes()
formats = st.builds(
    AudioFormat, st.integers(4_000, 384_000), st.sampled_from(["pcm16", "mulaw", "alaw"]), st.integers(1, 5)
)


def layout(tag: int, size: int, channels: int = 1, rate: int = 16_000) -> bytes:
    block = size * channels
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, 8 * size)


def extensible(tag: int, size: int, bits: int) -> bytes:
    guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    return layout(0xFFFE, size) + struct.pack("<HHI", 22, bits, 4) + guid


def riff(*chunks: tuple[bytes, bytes], size: int | None = None, magic: bytes = b"RIFF") -> io.BytesIO:
    body = b"WAVE"
    for name, content in chunks:
        body += struct.pack("<4sI", name, len(content)) + content + b"\x00" * (len(content) % 2)
    return io.BytesIO(struct.pack("<4sI", magic, len(body) if size is None else size) + body)


@given(format=formats, samples=st.integers(0, 60), seed=st.integers(0, 9))
@settings(deadline=None)
def test_what_is_written_is_read(format: AudioFormat, samples: int, seed: int) -> None:
    data = np.random.default_rng(seed).bytes(format.bytes_of(samples))
    file = io.BytesIO()
    write_wav(file, format, data)
    assert len(file.getvalue()) % 2 == 0
    assert struct.unpack_from("<I", file.getvalue(), 4)[0] == len(file.getvalue()) - 8
    file.seek(0)
    expected = AudioFormat(format.rate, channels=format.channels)
    assert read_wav(file) == (expected, convert(data, format, expected))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_standard_library_reads_what_is_written(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, AudioFormat(22_050, channels=channels), PCM)
    with wave.open(str(path)) as reader:
        assert reader.getparams()[:4] == (channels, 2, 22_050, len(SAMPLES) // channels)
        assert reader.readframes(100) == PCM


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integers_of_any_width_as_the_standard_library_writes_them(tmp_path: Path, width: int) -> None:
    path = str(tmp_path / "a.wav")
    values = SAMPLES.astype(np.int64)
    if width == 1:
        coded, expected = (values // 256 + 128).astype(np.uint8).tobytes(), values // 256 * 256
    else:
        wide = (values << 16).astype("<i4").view(np.uint8).reshape(-1, 4)
        coded, expected = wide[:, 4 - width :].tobytes(), values
    with wave.open(path, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(width)
        writer.setframerate(44_100)
        writer.writeframes(coded)
    assert read_wav(path) == (AudioFormat(44_100, channels=2), expected.astype("<i2").tobytes())


def test_finer_samples_are_rounded_and_never_wrap() -> None:
    values = np.array([0x7FFF_FFFF, 0x0000_7FFF, 0x0000_8000, -0x8000_0000, -0x0000_8001], "<i4").tobytes()
    _, pcm = read_wav(riff((b"fmt ", layout(1, 4)), (b"data", values)))
    assert np.frombuffer(pcm, "<i2").tolist() == [32_767, 0, 1, -32_768, -1]


@pytest.mark.parametrize(("size", "code"), [(4, "f"), (8, "d")])
def test_floats(size: int, code: str) -> None:
    values = [0.0, 0.5, -0.5, 1.0, -1.0, 3.0, float("nan"), float("inf"), -float("inf")]
    data = struct.pack(f"<{len(values)}{code}", *values)
    _, pcm = read_wav(riff((b"fmt ", layout(3, size)), (b"data", data)))
    expected = [0, 16_384, -16_384, 32_767, -32_768, 32_767, 0, 32_767, -32_768]
    assert np.frombuffer(pcm, "<i2").tolist() == expected


@pytest.mark.parametrize(
    ("tag", "size", "bits", "data"),
    [
        (1, 2, 16, PCM),
        (3, 4, 32, (SAMPLES / 32768).astype("<f4").tobytes()),
        (1, 3, 20, (SAMPLES.astype("<i4") << 16).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()),
    ],
)
def test_the_extensible_form(tag: int, size: int, bits: int, data: bytes) -> None:
    assert read_wav(riff((b"fmt ", extensible(tag, size, bits)), (b"data", data))) == (PCM16_16K, PCM)


@pytest.mark.parametrize(("tag", "format"), [(7, MULAW_8K), (6, ALAW_8K)])
def test_g711(tag: int, format: AudioFormat) -> None:
    data = bytes(range(256))
    file = riff((b"fmt ", layout(tag, 1, rate=8_000)), (b"data", data))
    assert read_wav(file)[1] == convert(data, format, AudioFormat(8_000))


def test_other_chunks_are_passed_over_also_of_odd_length() -> None:
    file = riff(
        (b"JUNK", b"abc"),
        (b"fmt ", layout(1, 2) + b"\x00\x00"),
        (b"LIST", b"x" * 7),
        (b"data", PCM),
        (b"id3 ", b"zz"),
    )
    assert read_wav(file) == (PCM16_16K, PCM)


@pytest.mark.parametrize("magic", [b"RIFF", b"RF64"])
@pytest.mark.parametrize(
    ("riff_size", "data_size"), [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (36, 0), (0xFFFFFFFF, 0), (36, 99)]
)
def test_headers_that_were_never_completed(magic: bytes, riff_size: int, data_size: int) -> None:
    data = bytearray(riff((b"fmt ", layout(1, 2)), (b"data", PCM), size=riff_size, magic=magic).getvalue())
    struct.pack_into("<I", data, 40, data_size)
    assert read_wav(io.BytesIO(data)) == (PCM16_16K, PCM)


def test_a_chunk_of_no_samples_with_others_behind_it_is_empty() -> None:
    assert read_wav(riff((b"fmt ", layout(1, 2)), (b"data", b""), (b"LIST", b"name"))) == (PCM16_16K, b"")


@pytest.mark.parametrize("cut", range(1, 9))
def test_of_a_file_cut_short_the_whole_samples_are_read(cut: int) -> None:
    data = riff((b"fmt ", layout(1, 2, channels=2)), (b"data", PCM)).getvalue()[:-cut]
    found, pcm = read_wav(io.BytesIO(data))
    assert pcm == PCM[: (len(PCM) - cut) // 4 * 4]
    assert found.channels == 2


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "the file is empty"),
        (b"hello there, friend", "it is no WAV file"),
        (b"RIFF", "it is no WAV file"),
        (b"OggS" + bytes(40), "it is Ogg, no WAV file"),
        (riff((b"fmt ", layout(0x55, 1)), (b"data", b"ab")).getvalue(), "its codec is MP3"),
        (riff((b"fmt ", layout(0x1234, 1)), (b"data", b"ab")).getvalue(), "its codec is number 0x1234"),
        (riff((b"fmt ", layout(3, 2)), (b"data", b"ab")).getvalue(), "16 bits in codec 3"),
        (riff((b"fmt ", layout(1, 2, rate=100)), (b"data", b"ab")).getvalue(), "rate=100"),
        (riff((b"fmt ", layout(1, 2, channels=0)), (b"data", b"ab")).getvalue(), "channels=0"),
        (riff((b"fmt ", b"short"), (b"data", b"ab")).getvalue(), "'fmt ' chunk has 5 bytes"),
        (riff((b"data", b"ab")).getvalue(), "before their format"),
        (riff((b"fmt ", layout(1, 2))).getvalue(), "no 'data' chunk"),
    ],
)
def test_what_is_no_such_wav_is_named_with_what_is_allowed(tmp_path: Path, data: bytes, named: str) -> None:
    path = tmp_path / "odd name.wav"
    path.write_bytes(data)
    with pytest.raises(AudioFormatError) as raised:
        read_wav(path)
    assert "odd name.wav" in str(raised.value)
    assert named in str(raised.value)
    assert "24 or 32 bit integers" in str(raised.value)


@given(data=st.binary(max_size=80))
@settings(deadline=None)
def test_no_bytes_give_anything_but_audio_or_an_audio_format_error(data: bytes) -> None:
    for whole in (data, b"RIFF\x00\x00\x00\x00WAVE" + data, b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + data):
        try:
            found, pcm = read_wav(io.BytesIO(whole))
        except AudioFormatError:
            continue
        found.samples(pcm)


def test_a_writer_takes_pieces_and_completes_the_header_even_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with contextlib.suppress(ZeroDivisionError), WavWriter(path, MULAW_8K) as writer:
        writer.write(b"\xff" * 3)
        writer.write(memoryview(b"\x7f" * 4))
        assert writer.samples == 7
        raise ZeroDivisionError
    assert path.stat().st_size == 58 + 8
    assert len(read_wav(path)[1]) == 14


def test_a_writer_on_a_pipe_leaves_the_length_open() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    write_wav(pipe, PCM16_16K, PCM)
    assert read_wav(io.BytesIO(pipe.getvalue())) == (PCM16_16K, PCM)


def test_a_writer_on_a_file_begins_where_the_file_stands() -> None:
    file = io.BytesIO()
    file.write(b"before")
    write_wav(file, PCM16_16K, PCM)
    assert file.getvalue()[:6] == b"before"
    assert read_wav(io.BytesIO(file.getvalue()[6:])) == (PCM16_16K, PCM)


def test_a_writer_refuses_broken_samples_and_use_when_closed(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav", PCM16_16K)
    with pytest.raises(AudioFormatError, match="not open"):
        writer.write(PCM)
    with writer, pytest.raises(AudioFormatError, match="3 bytes"):
        writer.write(b"abc")
    with pytest.raises(AudioFormatError, match="3 bytes"):
        write_wav(tmp_path / "never.wav", PCM16_16K, b"abc")
    assert not (tmp_path / "never.wav").exists()


def test_the_human_clips_read_as_the_standard_library_reads_them(clips: Path) -> None:
    for path in sorted(clips.glob("*.wav")):
        with wave.open(str(path)) as reader:
            expected = reader.readframes(reader.getnframes())
        assert read_wav(path) == (PCM16_16K, expected)
