"""Keeps the assistant's own voice, back from the loudspeaker, out of what the session hears.

All take the microphone (near) and what the loudspeaker plays (far) in frames of 10 ms, and give what the user said.
A user that speaks over the assistant is heard through :class:`EchoCanceller`, and not through :class:`HalfDuplex`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from attrs import define, field

from voiceloop.errors import BadInput, MissingExtra

EchoMode = Literal["cancel", "half-duplex", "off"]
EchoState = Literal["off", "half-duplex", "learning", "converged"]

FRAMES_PER_SECOND = 100

_AUDIBLE = (32768 * 10 ** (-60 / 20)) ** 2  # power of the far end from which on it may be heard
_TAIL = 25  # frames for which a room may go on sounding
_SMOOTH = 1 / 5  # of powers: a time constant of 50 ms
_NOISE_RISE = 10 ** (0.2 / FRAMES_PER_SECOND)  # the noise floor follows at once down, and by 2 dB a second up

_NOISE_AT_FIRST = (32768 * 10 ** (-55 / 20)) ** 2  # at most: the first frame may hold more than noise

_ECHO_OVER_NOISE = 10.0  # power of the near end over the noise, from which on it holds echo that can be measured
_ERLE_MEMORY = 1 / 30
_CONVERGED = 10 ** (-15 / 10)  # so much of the echo is left, at most
_LOST = 10 ** (-6 / 10)
_BLIND = 200  # frames of far end sound: at first the canceller silences everything, and that proves nothing
_LEARNED_AFTER = 100  # frames of echo of which nothing came through
_NO_ECHO_AFTER = 150  # frames of far end sound with hardly any echo: headphones
_LOST_AFTER = 150

_TALK = 10 ** (-18 / 10)  # so much of the near end is left when the user speaks, at least
_TALK_OVER_NOISE = 4.0
_TALK_OVER_ECHO = 10 ** (-12 / 10)
_ECHO_MEMORY = 1 / 50
_TALK_ONSET = 5  # frames: what a canceller leaves at the end of a word is shorter, or has faded by then
_TALK_HOLD = 20


class Echo(abc.ABC):
    """Takes the echo out, frame by frame; :attr:`frame` is the bytes of one (10 ms, mono PCM16 of ``rate``)."""

    state: EchoState = "off"

    def __init__(self, rate: int = 16_000) -> None:
        if rate % FRAMES_PER_SECOND or not 8_000 <= rate <= 48_000:
            raise BadInput(f"rate={rate!r}: a multiple of 100 Hz from 8000 to 48000 is allowed")
        self.rate = rate
        self.frame = rate // FRAMES_PER_SECOND * 2

    def process(self, near: bytes, far: bytes) -> bytes:
        """What the user said in this frame.

        ``near`` is what the microphone took while the loudspeaker played ``far``, or up to a quarter of a second
        later. Raises BadInput unless both are exactly one frame.
        """
        if len(near) != self.frame or len(far) != self.frame:
            raise BadInput(f"{len(near)} and {len(far)} bytes: frames of {self.frame} bytes (10 ms) are needed")
        return self._process(np.frombuffer(near, "<i2"), np.frombuffer(far, "<i2"))

    @abc.abstractmethod
    def _process(self, near: Any, far: Any) -> bytes: ...


class NoEcho(Echo):
    """For headphones: passes the microphone on."""

    def _process(self, near: Any, far: Any) -> bytes:
        return bytes(near.tobytes())


class HalfDuplex(Echo):
    """Mutes the microphone while the assistant is audible, and for a quarter of a second after."""

    state: EchoState = "half-duplex"

    def __init__(self, rate: int = 16_000) -> None:
        super().__init__(rate)
        self._audible = _Audible()
        self._noise = _Noise()

    def _process(self, near: Any, far: Any) -> bytes:
        audible = self._audible.far(far)
        self._noise.heard(_power(near), echo=audible)
        return self._noise.make(len(near)) if audible else bytes(near.tobytes())


class EchoCanceller(Echo):
    """WebRTC's echo canceller (AEC3), and a gate against what it leaves; about 9 ms of processor time a second.

    Until it has proved to cancel (``state`` "learning"), and when it no longer does, it is half duplex: an echo that
    is not cancelled is never heard. Once ``converged``, only what stands out from the residual echo passes while the
    assistant is audible. ``rate``: 16000, 32000 or 48000 Hz. Raises BadInput, and MissingExtra without the package
    ``pywebrtc-audio``.
    """

    def __init__(self, rate: int = 16_000) -> None:
        super().__init__(rate)
        if rate not in (16_000, 32_000, 48_000):
            raise BadInput(f"rate={rate!r}: the echo canceller takes 16000, 32000 or 48000 Hz")
        self._cancel = _webrtc(rate)
        self._audible = _Audible()
        self._noise = _Noise()
        self._residual = _Residual()
        self._gate = _Gate()

    @property
    def state(self) -> EchoState:  # type: ignore[override]
        """Whether the canceller works: "learning" or "converged"."""
        return "converged" if self._residual.converged else "learning"

    @property
    def converged(self) -> bool:
        """Whether the echo is cancelled well enough to listen while the assistant speaks."""
        return self._residual.converged

    @property
    def erle_db(self) -> float:
        """By how many dB the echo was attenuated of late (echo return loss enhancement); 0 before any."""
        return self._residual.erle_db

    def _process(self, near: Any, far: Any) -> bytes:
        out = self._cancel(near, far)
        near_power, out_power = _power(near), _power(out)
        audible = self._audible.far(far)
        self._noise.heard(near_power, echo=audible)
        if not audible:
            return bytes(out.tobytes())
        user = self._gate.user(near_power, out_power, self._noise.power)
        self._residual.frame(near_power, out_power, self._noise.power, user=user)
        return bytes(out.tobytes()) if user and self._residual.converged else self._noise.make(len(near))


def make_echo(mode: EchoMode, rate: int = 16_000) -> Echo:
    """What keeps the echo out: "cancel" (half duplex where the canceller is not installed), "half-duplex", "off".

    Raises BadInput for another mode.
    """
    if mode == "cancel":
        try:
            return EchoCanceller(rate)
        except MissingExtra:
            return HalfDuplex(rate)
    if mode == "half-duplex":
        return HalfDuplex(rate)
    if mode == "off":
        return NoEcho(rate)
    raise BadInput(f"mode={mode!r}: one of 'cancel', 'half-duplex', 'off' is allowed")


def _webrtc(rate: int) -> Callable[[Any, Any], Any]:
    try:
        from pywebrtc_audio import EchoCanceller as Aec3
    except ImportError as error:
        raise MissingExtra(
            "echo cancellation needs the package pywebrtc-audio", hint="Run: pip install 'voiceloop[soundcard]'"
        ) from error
    process: Callable[[Any, Any], Any] = Aec3(sample_rate=rate).process
    return process


def _power(samples: Any) -> float:
    return float(np.mean(np.square(samples, dtype=np.float32)))


@define
class _Audible:
    """Whether the far end may be heard: it plays, or the room still sounds."""

    _left: int = 0

    def far(self, samples: Any) -> bool:
        self._left = _TAIL if _power(samples) > _AUDIBLE else max(0, self._left - 1)
        return self._left > 0


@define
class _Noise:
    """The microphone's noise floor, and noise as loud: turn detectors that adapt must not take the room for speech
    after the microphone was muted."""

    power: float = field(default=-1.0, init=False)
    _smooth: float = field(default=0.0, init=False)
    _random: np.random.Generator = field(factory=lambda: np.random.default_rng(1), init=False)

    def heard(self, power: float, *, echo: bool) -> None:
        """The microphone's next frame; ``echo``: the far end may be in it, so it says at most that there is less."""
        if self.power < 0:
            self.power = self._smooth = min(power, _NOISE_AT_FIRST)
        self._smooth += (power - self._smooth) * _SMOOTH
        self.power = max(1.0, min(self._smooth, self.power if echo else self.power * _NOISE_RISE))

    def make(self, samples: int) -> bytes:
        noise = self._random.normal(0.0, self.power**0.5, samples)
        return bytes(np.clip(np.rint(noise), -32768, 32767).astype("<i2").tobytes())


@define
class _Residual:
    """How much of the echo is left, in the frames in which there is one."""

    converged: bool = field(default=False, init=False)
    _near: float = field(default=0.0, init=False)
    _out: float = field(default=0.0, init=False)
    _audible: int = field(default=0, init=False)
    _echoes: int = field(default=0, init=False)
    _good: int = field(default=0, init=False)
    _bad: int = field(default=0, init=False)

    @property
    def erle_db(self) -> float:
        return float(10 * np.log10(self._near / max(self._out, 1e-3))) if self._near else 0.0

    def frame(self, near: float, out: float, noise: float, *, user: bool) -> None:
        """The next frame in which the far end is audible; ``user``: and somebody else, or what was not cancelled."""
        self._audible += 1
        if near < noise * _ECHO_OVER_NOISE:
            if not self.converged and self._audible >= _NO_ECHO_AFTER and self._echoes * 10 < self._audible:
                self.converged = True
            return
        self._echoes += 1
        self._near += (near - self._near) * _ERLE_MEMORY
        self._out += (out - self._out) * _ERLE_MEMORY
        if not self.converged:
            cancelled = not user and self._out < self._near * _CONVERGED
            self._good = self._good + 1 if cancelled and self._audible > _BLIND else 0
            if self._good >= _LEARNED_AFTER:
                self.converged, self._bad = True, 0
            return
        self._bad = self._bad + 1 if self._out > self._near * _LOST else max(0, self._bad - 2)
        if self._bad >= _LOST_AFTER:
            self.converged, self._echoes, self._audible, self._good = False, 0, 0, 0


@define
class _Gate:
    """Whether it is the user who is heard: much of the near end is left, and it is no fainter than the echo was.

    A canceller leaves faint pieces of words, which a recognizer takes for words.
    """

    _near: float = field(default=0.0, init=False)
    _out: float = field(default=0.0, init=False)
    _echo: float = field(default=0.0, init=False)
    _run: int = field(default=0, init=False)
    _hold: int = field(default=0, init=False)

    def user(self, near: float, out: float, noise: float) -> bool:
        """The next frame in which the far end is audible."""
        self._near += (near - self._near) * _SMOOTH
        self._out += (out - self._out) * _SMOOTH
        loud = self._out > noise * _TALK_OVER_NOISE and self._out > self._echo * _TALK_OVER_ECHO
        self._run = self._run + 1 if loud and self._out > self._near * _TALK else 0
        self._hold = _TALK_HOLD if self._run >= _TALK_ONSET else max(0, self._hold - 1)
        if not self._hold and near > noise * _ECHO_OVER_NOISE:
            self._echo += (near - self._echo) * _ECHO_MEMORY
        return self._hold > 0


__all__ = ("FRAMES_PER_SECOND", "Echo", "EchoCanceller", "EchoMode", "EchoState", "HalfDuplex", "NoEcho", "make_echo")
