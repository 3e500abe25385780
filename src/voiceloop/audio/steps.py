"""The conversion between two unequal audio formats: decode, mix down, resample, mix up, encode."""

from __future__ import annotations

import numpy as np

from voiceloop.audio import g711
from voiceloop.audio.conversion import Converter
from voiceloop.audio.format import AudioFormat
from voiceloop.audio.resample import Resampler


class Conversion(Converter):
    """See :class:`Converter`. The steps that are not needed are left out."""

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        super().__init__(source, target)
        self._channels = source.channels if source.channels == target.channels else 1
        self._resampler: Resampler | None = None
        if source.rate != target.rate:
            self._resampler = Resampler(source.rate, target.rate, self._channels)
            self.delay = self._resampler.delay

    def push(self, data: bytes | bytearray | memoryview) -> bytes:
        self.source.samples(data)
        pcm = bytes(data) if self.source.encoding == "pcm16" else g711.decode(data, self.source.encoding)
        if self._channels != self.source.channels:
            pcm = _to_mono(pcm, self.source.channels)
        return self._encoded(pcm if self._resampler is None else self._resampler.push(pcm))

    def finish(self) -> bytes:
        return b"" if self._resampler is None else self._encoded(self._resampler.finish())

    def reset(self) -> None:
        if self._resampler is not None:
            self._resampler.reset()

    def _encoded(self, pcm: bytes) -> bytes:
        if self._channels != self.target.channels:
            pcm = np.repeat(np.frombuffer(pcm, "<i2"), self.target.channels).tobytes()
        return pcm if self.target.encoding == "pcm16" else g711.encode(pcm, self.target.encoding)


def _to_mono(pcm: bytes, channels: int) -> bytes:
    mean = np.frombuffer(pcm, "<i2").reshape(-1, channels).mean(axis=1)
    mixed: bytes = np.rint(mean, mean).astype("<i2").tobytes()
    return mixed


__all__ = ("Conversion",)
