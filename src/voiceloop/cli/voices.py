"""The caller's sound: recordings read from files, or sentences spoken by a machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voiceloop.audio import PCM16_16K, AudioFormat, convert, read_wav
from voiceloop.cli.caller import Said
from voiceloop.errors import BadInput
from voiceloop.interfaces import Clause, Resources, SpeakConfig, SpeechAudio
from voiceloop.local.espeak import EspeakSynthesizer

LINE = PCM16_16K
"""The format in which a caller's sound goes over the line."""

VOICE = "en-us+f2"
"""The caller's voice, of those of espeak-ng the one that is understood best."""

BOOKING = (
    ("i'd like to book a room in chicago for two people", None),
    ("tomorrow", None),
    ("at two thirty p m", None),
    ("for forty five minutes", None),
    ("make it three people", 4.0),
    ("yes please", None),
)
"""What the simulated caller says, and how many seconds into the assistant's reply where it interrupts."""

YES = "yes please"

_PACE = 0.9
_LONGEST = 300.0
_SILENT = 60  # of 32768: a recording that is never louder holds no speech


def read_clip(path: Path) -> Said:
    """A recording, as one turn of the caller; any WAV. Raises BadInput when it cannot be one."""
    try:
        form, pcm = read_wav(path)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        raise BadInput(f"{path}: {reason}", hint="Name WAV files with speech, one for each turn.") from error
    seconds = form.ms(form.samples(pcm)) / 1000
    if not pcm:
        raise BadInput(f"{path}: it holds no sound")
    if seconds > _LONGEST:
        raise BadInput(f"{path}: {seconds:.0f} s long; a turn of at most {_LONGEST:.0f} s is allowed")
    return Said(path.name, convert(pcm, form, LINE))


def is_silent(said: Said) -> bool:
    """Whether there is nothing to be heard in it."""
    return int(np.abs(np.frombuffer(said.pcm, "<i2").astype(np.int32)).max(initial=0)) < _SILENT


async def speak(text: str, resources: Resources, *, interrupts: float | None = None) -> Said:
    """``text`` in the simulated caller's voice. Raises MissingExtra, ProviderError."""
    voice = EspeakSynthesizer(VOICE, rate=_PACE)
    source: AudioFormat = voice.capabilities.output
    pcm = bytearray()
    async with voice.speak(Clause(text=text), SpeakConfig(resources)) as speech:
        async for item in speech:
            if isinstance(item, SpeechAudio):
                pcm += item.pcm
    return Said(text, convert(bytes(pcm), source, LINE), interrupts)
