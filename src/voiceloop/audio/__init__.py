"""Audio formats, exact arithmetic, resampling, G.711, WAV files and playback. No I/O but the WAV functions'."""

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
    "Encoding",
)
