"""From frames that are speech or not to when the user speaks and pauses; what all detectors share."""

from __future__ import annotations

import math

from attrs import asdict, define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.errors import AudioFormatError, BadInput
from voiceloop.interfaces import Silent, Speaking, TurnSignal

_CONFIRM_MS = 250.0
_REPORT_MS = 100.0
_ROUNDING_MS = 1e-6


@frozen
class Pauses:
    """What counts as speech and as a pause, in ms, from 0 to 10,000. Raises BadInput.

    ``min_speech_ms``: so much speech, with gaps of at most ``gap_ms``, is a start. ``min_silence_ms``: so much
    silence is a pause. ``blip_ms``: in a silence, less speech than that is ignored.
    """

    min_speech_ms: float = 100.0
    min_silence_ms: float = 150.0
    gap_ms: float = 60.0
    blip_ms: float = 20.0

    def __attrs_post_init__(self) -> None:
        for name, value in asdict(self).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or not 0 <= value <= 10_000:
                raise BadInput(f"{name}={value!r}: from 0 to 10000 ms is allowed")


def check_mono(format: AudioFormat) -> AudioFormat:
    """``format`` again, if it is 16 bit mono PCM; else raises AudioFormatError."""
    if format.encoding != "pcm16" or format.channels != 1:
        raise AudioFormatError(f"{format} cannot be listened to", hint="Turn detectors take 16 bit mono PCM.")
    return format


@define
class Segmenter:
    """Turns frames, in order and without holes, into signals about the user's speech."""

    pauses: Pauses
    speaking: bool = field(default=False, init=False)
    _start: float | None = field(default=None, init=False)
    _end: float = field(default=0.0, init=False)
    _voiced: float = field(default=0.0, init=False)
    _run: float = field(default=0.0, init=False)
    _due: float = field(default=0.0, init=False)

    @property
    def idle(self) -> bool:
        """Whether no speech is going on, and none may have begun."""
        return self._start is None

    def frame(self, start_ms: float, end_ms: float, is_speech: bool) -> TurnSignal | None:
        """The next frame, from ``start_ms`` to ``end_ms`` of the input."""
        return self._speech(start_ms, end_ms) if is_speech else self._silence(end_ms)

    def _speech(self, start_ms: float, end_ms: float) -> TurnSignal | None:
        if self._start is None:
            self._start, self._end, self._voiced, self._run = start_ms, start_ms, 0.0, 0.0
            self._due = self.pauses.min_speech_ms
        self._run += end_ms - start_ms
        self._voiced += end_ms - start_ms
        if self._run + _ROUNDING_MS < self.pauses.blip_ms and start_ms - self._end > self.pauses.gap_ms:
            return self._pause(end_ms)
        self._end = end_ms
        if self._voiced + _ROUNDING_MS < self._due:
            return None
        self.speaking = True
        self._due = max(self._voiced + _REPORT_MS, _CONFIRM_MS if self._voiced + _ROUNDING_MS < _CONFIRM_MS else 0.0)
        return Speaking(self._start, self._voiced)

    def _silence(self, end_ms: float) -> TurnSignal | None:
        self._run = 0.0
        return None if self._start is None else self._pause(end_ms)

    def _pause(self, now_ms: float) -> TurnSignal | None:
        silence = now_ms - self._end + _ROUNDING_MS
        if not self.speaking:
            if silence > self.pauses.gap_ms + 2 * _ROUNDING_MS:
                self._start = None
            return None
        if silence < self.pauses.min_silence_ms:
            return None
        self.speaking, self._start = False, None
        return Silent(self._end)
