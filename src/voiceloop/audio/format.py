"""What a stretch of audio is: rate, encoding and channels, and exact arithmetic over them."""

from __future__ import annotations

from typing import Literal

import attrs

from voiceloop.errors import AudioFormatError

Encoding = Literal["pcm16", "mulaw", "alaw"]
_SAMPLE_BYTES: dict[str, int] = {"pcm16": 2, "mulaw": 1, "alaw": 1}


@attrs.frozen(repr=False)
class AudioFormat:
    """Raw audio: ``rate`` in Hz, ``encoding`` (little-endian signed 16 bit, or G.711), interleaved ``channels``.

    A *sample* below is one instant over all channels. Raises :class:`AudioFormatError` on values out of range.
    """

    rate: int
    encoding: Encoding = "pcm16"
    channels: int = 1

    def __attrs_post_init__(self) -> None:
        if isinstance(self.rate, bool) or not isinstance(self.rate, int) or not 4_000 <= self.rate <= 384_000:
            raise AudioFormatError(f"rate={self.rate!r}: a whole number of Hz from 4000 to 384000 is allowed")
        if self.encoding not in _SAMPLE_BYTES:
            raise AudioFormatError(f"encoding={self.encoding!r}: one of {', '.join(_SAMPLE_BYTES)} is allowed")
        if isinstance(self.channels, bool) or not isinstance(self.channels, int) or not 1 <= self.channels <= 32:
            raise AudioFormatError(f"channels={self.channels!r}: a whole number from 1 to 32 is allowed")

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample over all channels."""
        return _SAMPLE_BYTES[self.encoding] * self.channels

    def samples(self, data: bytes | bytearray | memoryview | int) -> int:
        """How many samples ``data`` (or that many bytes) holds. Raises AudioFormatError on a broken sample."""
        match data:
            case bytes() | bytearray():
                size = len(data)
            case int():
                size = data
            case _:
                size = data.nbytes
        count, rest = divmod(size, self.sample_bytes)
        if rest:
            raise AudioFormatError(
                f"{size} bytes of audio are not whole samples of {self.sample_bytes} bytes ({self})",
                hint="Send whole samples; keep the odd byte for the next call.",
            )
        return count

    def bytes_of(self, samples: int) -> int:
        """How many bytes ``samples`` samples take."""
        return samples * self.sample_bytes

    def ms(self, samples: int) -> float:
        """The duration of ``samples`` samples, in ms."""
        return samples * 1000 / self.rate

    def samples_in(self, ms: float) -> int:
        """The whole samples in ``ms`` milliseconds, rounded to the nearest."""
        return round(ms * self.rate / 1000)

    def silence(self, samples: int) -> bytes:
        """``samples`` samples of silence in this encoding (µ-law 0xFF, A-law 0xD5, PCM 0)."""
        fill = {"pcm16": b"\x00", "mulaw": b"\xff", "alaw": b"\xd5"}[self.encoding]
        return fill * self.bytes_of(samples)

    def __str__(self) -> str:
        mono = "mono" if self.channels == 1 else f"{self.channels} channels"
        return f"{self.encoding} {self.rate} Hz {mono}"

    __repr__ = __str__


PCM16_8K = AudioFormat(8_000)
PCM16_16K = AudioFormat(16_000)
PCM16_22K = AudioFormat(22_050)
PCM16_24K = AudioFormat(24_000)
PCM16_48K = AudioFormat(48_000)
MULAW_8K = AudioFormat(8_000, "mulaw")
ALAW_8K = AudioFormat(8_000, "alaw")
