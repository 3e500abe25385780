"""From any audio format to any other. Loads numpy only when there is something to convert."""

from __future__ import annotations

import abc

from voiceloop.audio.format import AudioFormat


class Converter(abc.ABC):
    """Turns a stream of ``source`` audio into ``target`` audio, packet by packet; made by :func:`converter`.

    After N input samples in all, ``push`` has returned exactly ``floor(N * target.rate / source.rate)`` samples, and
    the output is the same to the bit for every split into packets. The sound comes ``delay`` output samples late
    (``delay_ms``, at most 4.2 ms at 8 kHz and above; 0 between equal rates); ``finish`` returns these last samples.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        self.delay = 0

    @property
    def delay_ms(self) -> float:
        """How much later than the input the sound comes out, in ms."""
        return self.target.ms(self.delay)

    @abc.abstractmethod
    def push(self, data: bytes | bytearray | memoryview) -> bytes:
        """The next input, any number of whole samples; returns the output that is due.

        Raises :class:`~voiceloop.errors.AudioFormatError` on bytes that are not whole samples of ``source``.
        """

    @abc.abstractmethod
    def finish(self) -> bytes:
        """The last ``delay`` output samples, after the end of the input. The converter is then as new."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Forget all input: what is pushed next begins a new stream."""


class _PassThrough(Converter):
    """Between equal formats: gives back the very bytes it gets."""

    def push(self, data: bytes | bytearray | memoryview) -> bytes:
        self.source.samples(data)
        return data if isinstance(data, bytes) else bytes(data)

    def finish(self) -> bytes:
        return b""

    def reset(self) -> None:
        pass


def converter(source: AudioFormat, target: AudioFormat) -> Converter:
    """A converter from ``source`` to ``target``: encoding, rate and channels.

    Several channels become one by their mean; one becomes several by copying; between two other counts, both. Raises
    :class:`~voiceloop.errors.AudioFormatError` when the ratio of the rates is too fine to resample.
    """
    if source == target:
        return _PassThrough(source, target)
    from voiceloop.audio.steps import Conversion

    return Conversion(source, target)


def convert(data: bytes | bytearray | memoryview, source: AudioFormat, target: AudioFormat) -> bytes:
    """A whole recording in another format, in time with the original.

    N samples become ``floor(N * target.rate / source.rate)``. Raises as :func:`converter` and its ``push`` do.
    """
    stream = converter(source, target)
    made = stream.push(data)
    return (made + stream.finish())[target.bytes_of(stream.delay) :] if stream.delay else made


__all__ = ("Converter", "convert", "converter")
