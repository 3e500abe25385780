"""Turn detection by loudness over an adaptive noise floor: numpy only, always there.

It takes any sound that stands out for speech. Where there is more noise than steady hum and hiss, use
:class:`voiceloop.turns.vad.VadTurns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.audio.level import EnergyMeter
from voiceloop.interfaces import Silent, Speaking, TurnDetector, TurnSignal, TurnState
from voiceloop.turns.segments import Pauses, Segmenter, check_mono

_FRAMES_PER_SECOND = 100
# The meter calls a frame speech when the one before was loud too, and goes on for five quiet ones.
_STARTS_LATE_MS = 10.0
_ENDS_LATE_MS = 50.0


@frozen
class EnergyTurns(TurnDetector):
    """Speech is what :class:`~voiceloop.audio.EnergyMeter` takes for it, in frames of 10 ms."""

    name = "energy"

    pauses: Pauses = Pauses(min_silence_ms=100)

    def start(self, format: AudioFormat) -> TurnState:
        """A new state, for 16 bit mono PCM of any rate. Raises AudioFormatError."""
        return _EnergyState(check_mono(format), EnergyMeter(format.rate), Segmenter(self.pauses))


@define
class _EnergyState(TurnState):
    _format: AudioFormat
    _meter: EnergyMeter
    _segmenter: Segmenter
    _rest: bytes = field(default=b"", init=False)
    _samples: int = field(default=0, init=False)

    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        self._format.samples(pcm)
        self._rest += pcm
        return list(self._signals())

    def silence(self, ms: float) -> Sequence[TurnSignal]:
        return self.audio(self._format.silence(self._format.samples_in(ms)))

    def _signals(self) -> Iterator[TurnSignal]:
        samples = self._format.rate // _FRAMES_PER_SECOND
        size = self._format.bytes_of(samples)
        held, whole = self._rest, len(self._rest) // size * size
        self._rest = held[whole:]
        for at in range(0, whole, size):
            is_speech = self._meter.feed(held[at : at + size])
            start, self._samples = self._samples, self._samples + samples
            match self._segmenter.frame(self._format.ms(start), self._format.ms(self._samples), is_speech):
                case Speaking(start_ms=ms, voiced_ms=voiced):
                    yield Speaking(max(0.0, ms - _STARTS_LATE_MS), voiced)
                case Silent(since_ms=ms):
                    yield Silent(max(0.0, ms - _ENDS_LATE_MS))
