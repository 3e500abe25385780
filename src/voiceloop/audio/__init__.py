"""Audio formats, exact arithmetic, resampling, G.711, WAV files and playback. No I/O but the WAV functions'.

Importing this package does not load numpy; the first use of what needs it does.
"""

from voiceloop.audio.convert import Converter, convert, converter
from voiceloop.audio.format import (
    ALAW_8K,
    MULAW_8K,
    PCM16_8K,
    PCM16_16K,
    PCM16_22K,
    PCM16_24K,
    PCM16_48K,
    AudioFormat,
    Encoding,
)

__all__ = (
    "ALAW_8K",
    "MULAW_8K",
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_22K",
    "PCM16_24K",
    "PCM16_48K",
    "AudioFormat",
    "Converter",
    "Encoding",
    "convert",
    "converter",
)
