"""Audio formats, exact arithmetic, resampling, G.711, WAV files and playback. No I/O but the WAV functions'.

Importing this package does not load numpy; the first use of what needs it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voiceloop.audio.conversion import Converter, convert, converter
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
from voiceloop.audio.playback import PlaybackBuffer, Position

if TYPE_CHECKING:
    from voiceloop.audio.level import EnergyMeter, rms_dbfs
    from voiceloop.audio.resample import Resampler
    from voiceloop.audio.wav import WavWriter, read_wav, write_wav

# What needs numpy, or is seldom needed, and the module that it comes from on first use.
_LAZY = {
    "EnergyMeter": "level",
    "rms_dbfs": "level",
    "Resampler": "resample",
    "WavWriter": "wav",
    "read_wav": "wav",
    "write_wav": "wav",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"voiceloop.audio.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


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
    "EnergyMeter",
    "PlaybackBuffer",
    "Position",
    "Resampler",
    "WavWriter",
    "convert",
    "converter",
    "read_wav",
    "rms_dbfs",
    "write_wav",
)
