"""WAV files: any that hold linear, float or G.711 samples are read as 16 bit PCM; 16 bit and G.711 ones are written.

Lenient where recorders are careless (headers never completed, files cut short), strict where guessing would give
noise.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from voiceloop.audio import g711
from voiceloop.audio.format import AudioFormat
from voiceloop.errors import AudioFormatError

PathOrFile: TypeAlias = str | os.PathLike[str] | BinaryIO

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_UNKNOWN_SIZE = 0xFFFFFFFF
_OTHER_CODECS = {2: "Microsoft ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}
_OTHER_FILES = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"FORM": "AIFF", b"RIFX": "big-endian WAV"}
_ALLOWED = "WAV with 8, 16, 24 or 32 bit integers, 32 or 64 bit floats, µ-law or A-law is allowed."


# ---------------------------------------------------------------- reading


def read_wav(source: PathOrFile) -> tuple[AudioFormat, bytes]:
    """The whole of a WAV file: its rate and channels as a 16 bit ``AudioFormat``, and its samples as 16 bit PCM.

    ``source`` is a path, or a file open for reading bytes. Finer samples are rounded, floats clipped at full scale.
    Of a file that was cut short, or whose header gives no length, all whole samples that are there are read; a file
    may hold no sample at all. Raises :class:`AudioFormatError`, which names the file and says what is allowed, on
    anything that is no such WAV, and OSError as ``open`` does.
    """
    if isinstance(source, str | os.PathLike):
        name, data = os.fspath(source), Path(source).read_bytes()
    else:
        name, data = str(getattr(source, "name", "file")), source.read()
    try:
        return _parse(data)
    except AudioFormatError as error:
        raise AudioFormatError(f"{name}: {error}", hint=_ALLOWED) from None


@attrs.frozen
class _Layout:
    """The samples of a WAV: ``tag`` says which codec, ``size`` is one channel's sample in bytes."""

    tag: int
    channels: int
    rate: int
    size: int


def _parse(data: bytes) -> tuple[AudioFormat, bytes]:
    if not data:
        raise AudioFormatError("the file is empty")
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        kind = next((kind for magic, kind in _OTHER_FILES.items() if data.startswith(magic)), None)
        raise AudioFormatError(f"it is {kind}, no WAV file" if kind else "it is no WAV file")
    layout = None
    for name, body in _chunks(data):
        if name == b"fmt ":
            layout = _layout(body)
        elif name == b"data":
            if layout is None:
                raise AudioFormatError("its samples come before their format (no 'fmt ' chunk)")
            read = AudioFormat(layout.rate, channels=layout.channels)
            whole = len(body) - len(body) % (layout.size * layout.channels)
            return read, _pcm16(body[:whole], layout)
    raise AudioFormatError("it has no samples (no 'data' chunk)")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks in order; one that claims more than there is ends with the file."""
    (riff_size,) = struct.unpack_from("<I", data, 4)
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        never_completed = size == 0 and (riff_size in (0, _UNKNOWN_SIZE) or riff_size + 8 <= at)
        if name == b"data" and never_completed:
            size = len(data) - at
        yield name, data[at : at + size]
        at += size + size % 2


def _layout(body: bytes) -> _Layout:
    if len(body) < 16:
        raise AudioFormatError(f"its 'fmt ' chunk has {len(body)} bytes, at least 16 are needed")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    AudioFormat(rate, channels=channels)
    # Samples of, say, 20 bits lie left-justified in the bytes that the block size tells.
    size = block // channels if block and block % channels == 0 else (bits + 7) // 8
    allowed = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8), _ALAW: (1,), _MULAW: (1,)}
    if tag not in allowed:
        raise AudioFormatError(f"its codec is {_OTHER_CODECS.get(tag, f'number {tag:#x}')}")
    if size not in allowed[tag]:
        raise AudioFormatError(f"its samples have {8 * size} bits in codec {tag}")
    return _Layout(tag, channels, rate, size)


def _pcm16(body: bytes, layout: _Layout) -> bytes:
    if layout.tag in (_ALAW, _MULAW):
        return g711.decode(body, "alaw" if layout.tag == _ALAW else "mulaw")
    if layout.tag == _FLOAT:
        scaled = (
            np.nan_to_num(np.frombuffer(body, f"<f{layout.size}").astype(np.float64), posinf=1, neginf=-1) * 32768
        )
        return _packed(np.rint(scaled).clip(-32768, 32767))
    if layout.size == 2:
        return body
    if layout.size == 1:
        return _packed((np.frombuffer(body, np.uint8).astype(np.int64) - 128) << 8)
    wide = np.zeros((len(body) // layout.size, 4), np.uint8)
    wide[:, 4 - layout.size :] = np.frombuffer(body, np.uint8).reshape(-1, layout.size)
    rounded = (wide.view("<i4")[:, 0].astype(np.int64) + 0x8000) >> 16
    return _packed(np.minimum(rounded, 32767))


def _packed(samples: NDArray[Any]) -> bytes:
    pcm: bytes = samples.astype("<i2").tobytes()
    return pcm


# ---------------------------------------------------------------- writing


class WavWriter:
    """Writes a WAV file piece by piece; a context manager.

    ``target`` is a path, or a file open for writing bytes, which is left open. On leaving, also by an exception, the
    header gets its lengths; on a file that cannot seek (a pipe) it keeps "unknown", which players understand.
    """

    def __init__(self, target: PathOrFile, format: AudioFormat) -> None:
        self.format = format
        self._target = target
        self._file: BinaryIO | None = None
        self._written = 0

    @property
    def samples(self) -> int:
        """How many samples were written so far."""
        return self._written // self.format.sample_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append whole samples of ``format``. Raises AudioFormatError on broken samples and beyond 4 GiB."""
        self.format.samples(data)
        if self._file is None:
            raise AudioFormatError("the WAV file is not open", hint="Write inside `with WavWriter(...)`.")
        size = memoryview(data).nbytes
        if self._written + size > _UNKNOWN_SIZE - 64:
            raise AudioFormatError("a WAV file holds at most 4 GiB", hint="Begin another file.")
        self._file.write(data)
        self._written += size

    def __enter__(self) -> Self:
        if isinstance(self._target, str | os.PathLike):
            self._file = Path(self._target).open("wb")
        else:
            self._file = self._target
        self._file.write(_header(self.format, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if self._written % 2:
                file.write(b"\x00")
            if file.seekable():
                header = _header(self.format, self._written)
                end = file.tell()
                file.seek(end - self._written - self._written % 2 - len(header))
                file.write(header)
                file.seek(end)
        finally:
            if file is not self._target:
                file.close()


def write_wav(target: PathOrFile, format: AudioFormat, data: bytes | bytearray | memoryview) -> None:
    """Write a whole WAV file: 16 bit PCM or G.711 as ``format`` says. Raises as :class:`WavWriter` does."""
    format.samples(data)
    with WavWriter(target, format) as writer:
        writer.write(data)


def _header(format: AudioFormat, size: int | None) -> bytes:
    """All that comes before the samples. ``size``: their bytes, None when not known (yet)."""
    tag = {"pcm16": _PCM, "alaw": _ALAW, "mulaw": _MULAW}[format.encoding]
    block = format.sample_bytes
    layout = struct.pack(
        "<HHIIHH", tag, format.channels, format.rate, format.rate * block, block, 8 * block // format.channels
    )
    chunks = [(b"fmt ", layout)]
    if tag != _PCM:  # the standard asks other codecs for an (empty) extension and for the number of samples
        samples = _UNKNOWN_SIZE if size is None else size // block
        chunks = [(b"fmt ", layout + b"\x00\x00"), (b"fact", struct.pack("<I", samples))]
    before = b"WAVE" + b"".join(struct.pack("<4sI", name, len(body)) + body for name, body in chunks)
    whole = _UNKNOWN_SIZE if size is None else len(before) + 8 + size + size % 2
    body_size = _UNKNOWN_SIZE if size is None else size
    return struct.pack("<4sI", b"RIFF", whole) + before + struct.pack("<4sI", b"data", body_size)


__all__ = ("PathOrFile", "WavWriter", "read_wav", "write_wav")
