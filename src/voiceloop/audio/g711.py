"""G.711, the telephone's 8 bit encodings: µ-law (North America, Japan) and A-law (elsewhere), by table.

Bit for bit as the ITU's tables. Encoding takes 16 bit samples; decoding gives the middle of each step, scaled to
16 bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voiceloop.audio.format import AudioFormat

Law: TypeAlias = Literal["mulaw", "alaw"]

_PCM = AudioFormat(8_000)


def encode(pcm: bytes | bytearray | memoryview, law: Law) -> bytes:
    """16 bit PCM to G.711, one byte for each sample. Raises AudioFormatError on an odd number of bytes."""
    _PCM.samples(pcm)
    # As an index an int16 is taken as a uint16: the table begins with 0 .. 32767, the negative values follow.
    coded: bytes = _encoder(law)[np.frombuffer(pcm, "<u2")].tobytes()
    return coded


def decode(data: bytes | bytearray | memoryview, law: Law) -> bytes:
    """G.711 to 16 bit PCM, two bytes for each byte."""
    pcm: bytes = _decoder(law)[np.frombuffer(data, np.uint8)].tobytes()
    return pcm


@lru_cache(maxsize=2)
def _encoder(law: Law) -> NDArray[np.uint8]:
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32)
    if law == "mulaw":
        value = sample >> 2  # 14 bits
        magnitude = np.minimum(np.abs(value), 8_158) + 33
        segment = np.floor(np.log2(magnitude)).astype(np.int32) - 5
        step = magnitude >> (segment + 1)
        mask = np.where(value < 0, 0x7F, 0xFF)
    else:
        value = sample >> 3  # 13 bits
        magnitude = np.where(value < 0, -value - 1, value)
        segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
        step = magnitude >> np.maximum(segment, 1)
        mask = np.where(value < 0, 0x55, 0xD5)
    table: NDArray[np.uint8] = (((segment << 4) | (step & 0x0F)) ^ mask).astype(np.uint8)
    return table


@lru_cache(maxsize=2)
def _decoder(law: Law) -> NDArray[np.int16]:
    code = np.arange(256) ^ (0xFF if law == "mulaw" else 0x55)
    step, segment, sign = (code & 0x0F) << 4, (code >> 4) & 0x07, code & 0x80
    if law == "mulaw":
        magnitude = (((step >> 1) + 0x84) << segment) - 0x84
    else:
        magnitude = -((step + np.where(segment, 0x108, 8)) << np.maximum(segment - 1, 0))  # the bit says "positive"
    table: NDArray[np.int16] = np.where(sign, -magnitude, magnitude).astype("<i2")
    return table


__all__ = ("Law", "decode", "encode")
