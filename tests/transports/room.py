"""A simulated room with a sound card in it, behind the interface of the module ``sounddevice``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import numpy as np
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, convert, read_wav

BLOCK = 0.01
SPEECH_DB = -20.0


class PortAudioError(Exception):
    """As sounddevice's."""


@frozen
class Time:
    """As the structure that sounddevice hands to callbacks, in seconds of the stream."""

    currentTime: float
    inputBufferAdcTime: float = 0.0
    outputBufferDacTime: float = 0.0


@define
class Stream:
    """As a raw stream of sounddevice."""

    settings: Mapping[str, Any]
    latency: float
    running: bool = False
    closed: bool = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running, self.closed = False, True


@frozen
class Path:
    """The way of the sound from the loudspeaker to the microphone.

    ``level_db``: of the echo, relative to what is played; None: no echo at all. ``delay_ms``: of the
    direct sound; a tail follows that decays by 60 dB in ``reverb`` s.
    """

    level_db: float | None = -12.0
    delay_ms: float = 40.0
    reverb: float = 0.3
    seed: int = 1

    def response(self, rate: int) -> Any:
        """The impulse response."""
        if self.level_db is None:
            return np.zeros(1)
        times = np.arange(round(0.25 * rate)) / rate
        tail = np.random.default_rng(self.seed).normal(0, 0.15, len(times)) * np.exp(-6.9 * times / self.reverb)
        tail[0] = 1.0
        tail *= 10 ** (self.level_db / 20) / np.sqrt(np.square(tail).sum())
        return np.concatenate([np.zeros(round(self.delay_ms * rate / 1000)), tail])


class Line:
    """Sound on a timeline, to which more is added; ``rate`` in Hz, times in seconds."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._sound = np.zeros(0)

    def add(self, at: float, sound: Any) -> None:
        first = round(at * self._rate)
        missing = first + len(sound) - len(self._sound)
        if missing > 0:
            self._sound = np.concatenate([self._sound, np.zeros(missing + 60 * self._rate)])
        self._sound[first : first + len(sound)] += sound

    def get(self, at: float, samples: int) -> Any:
        first = round(at * self._rate)
        found = self._sound[max(0, first) : max(0, first + samples)]
        return np.concatenate([np.zeros(max(0, min(samples, -first))), found, np.zeros(samples)])[:samples]


class Room:
    """Loudspeaker, air and microphone; a stand-in for the module ``sounddevice``, driven by :meth:`run`.

    ``rates``: of the microphone and of the loudspeaker. ``stamps``: False, as drivers that tell no
    times; else they jitter by up to 2 ms. ``noise`` of the microphone, of 32768 (8: -72 dBFS). ``played``: all that
    left the loudspeaker.
    """

    PortAudioError = PortAudioError

    def __init__(
        self,
        path: Path = Path(),
        *,
        rates: tuple[int, int] = (16_000, 16_000),
        latencies: tuple[float, float] = (0.03, 0.05),
        stamps: bool = True,
        noise: float = 8.0,
    ) -> None:
        self.default = _Default()
        self.streams: dict[str, Stream] = {}
        self.at = 0.0
        self._formats = tuple(AudioFormat(rate) for rate in rates)
        self._latencies = latencies
        self._stamps = stamps
        self._noise = noise
        self._response = path.response(rates[1])
        self._echo = Line(rates[1])
        self._user = Line(rates[0])
        self._random = np.random.default_rng(5)
        self.played: list[bytes] = []

    # ------------------------------------------------------------ as sounddevice

    def query_devices(self) -> Sequence[Mapping[str, Any]]:
        source, target = self._formats
        return [
            {"name": "Mic", "max_input_channels": 1, "max_output_channels": 0, "default_samplerate": source.rate},
            {"name": "Box", "max_input_channels": 0, "max_output_channels": 1, "default_samplerate": target.rate},
        ]

    def check_input_settings(self, **settings: Any) -> None:
        assert settings["dtype"] == "int16"

    check_output_settings = check_input_settings

    def RawInputStream(self, **settings: Any) -> Stream:
        return self._stream("input", self._latencies[0], settings)

    def RawOutputStream(self, **settings: Any) -> Stream:
        return self._stream("output", self._latencies[1], settings)

    def _stream(self, kind: str, latency: float, settings: Mapping[str, Any]) -> Stream:
        self.streams[kind] = Stream(settings, latency)
        return self.streams[kind]

    # ------------------------------------------------------------ the room

    def say(self, pcm: Any, after: float = 0.0) -> None:
        """The user says ``pcm`` (samples at the microphone's rate), from ``after`` s from now on."""
        self._user.add(self.at + after, pcm)

    async def run(self, each: Callable[[], object] = lambda: None) -> None:
        """Play and record, in blocks of 10 ms; ``each`` is called after each."""
        began = clock.now()
        while True:
            await anyio.sleep_until(began + self.at)
            for kind, work in (("output", self._play), ("input", self._record)):
                stream = self.streams.get(kind)
                if stream is not None and stream.running:
                    work(stream.settings["callback"])
            each()
            self.at += BLOCK

    def _time(self, adc: float, dac: float) -> Time:
        if not self._stamps:
            return Time(0.0)
        jitter = self._random.uniform(-0.002, 0.002, 2)
        return Time(self.at, adc + jitter[0], dac + jitter[1])

    def _play(self, callback: Any) -> None:
        form, dac = self._formats[1], self.at + self._latencies[1]
        samples = round(form.rate * BLOCK)
        out = memoryview(bytearray(form.bytes_of(samples)))
        callback(out, samples, self._time(0.0, dac), None)
        self.played.append(bytes(out))
        sound = np.frombuffer(out, "<i2") / 32768
        if len(self._response) > 1 and sound.any():
            bent = 32768 * np.tanh((sound + 0.1 * sound * sound) * 1.6) / 1.6  # a cheap loudspeaker
            self._echo.add(dac, np.convolve(bent, self._response))

    def _record(self, callback: Any) -> None:
        form, adc = self._formats[0], self.at - self._latencies[0] - BLOCK
        samples = round(form.rate * BLOCK)
        echo = self._echo.get(adc, round(self._formats[1].rate * BLOCK))
        if self._formats[0] != self._formats[1]:
            echo = np.interp(np.linspace(0, 1, samples, False), np.linspace(0, 1, len(echo), False), echo)
        heard = self._user.get(adc, samples) + echo + self._random.normal(0, self._noise, samples)
        pcm = np.clip(np.rint(heard), -32768, 32767).astype("<i2").tobytes()
        callback(memoryview(pcm), samples, self._time(adc, 0.0), None)


@define
class _Default:
    device: tuple[int, int] = field(default=(0, 1))


def loud(samples: Any, db: float = SPEECH_DB) -> Any:
    """The same sound, with its active part at ``db`` dBFS."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    powers = np.square(frames).mean(axis=1)
    active = powers[powers > powers.max() * 1e-3].mean()
    return samples * 32768 * 10 ** (db / 20) / np.sqrt(active)


def human(path: Any, rate: int = 16_000, db: float = SPEECH_DB) -> Any:
    """A human clip, as samples at ``rate``, from the beginning of its speech on."""
    form, pcm = read_wav(path)
    samples = loud(np.frombuffer(convert(pcm, form, AudioFormat(rate)), "<i2").astype(float), db)
    size = rate // 100
    powers = np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(axis=1)
    return samples[int(np.argmax(powers > powers.max() * 0.03)) * size :]


__all__ = ("BLOCK", "Path", "PortAudioError", "Room", "Time", "human", "loud")
