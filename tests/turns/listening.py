"""Sound for turn detectors, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from voiceloop.audio import PCM16_16K, AudioFormat, convert, read_wav
from voiceloop.interfaces import Silent, Speaking, TurnDetector, TurnSignal, TurnState

Segment = tuple[float, float]


class Sounds:
    """16 kHz PCM that is not speech, the same in each run."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    @staticmethod
    def _pcm(samples: Any) -> bytes:
        return bytes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())

    def noise(self, ms: float, db: float = -72.0) -> bytes:
        """White noise."""
        return self._pcm(self._random.normal(0, 32768 * 10 ** (db / 20), round(ms * 16)))

    def tone(self, ms: float, hz: float, amplitude: float = 3000.0) -> bytes:
        """A sine."""
        return self._pcm(amplitude * np.sin(2 * np.pi * hz * np.arange(round(ms * 16)) / 16_000))

    def clicks(self, ms: float) -> bytes:
        """Two loud clicks of 5 ms each second, over faint noise."""
        at = np.arange(round(ms * 16))
        loud = self._random.normal(0, 8_000, len(at))
        return self._pcm(np.where(at % 8_000 < 80, loud, loud / 1_000))

    def bursts(self, *ms: float) -> bytes:
        """Faint noise and loud noise in turn, each so long."""
        return b"".join(self.noise(length, -20.0 if index % 2 else -72.0) for index, length in enumerate(ms))


def feed(state: TurnState, pcm: bytes, packet_ms: float = 20, format: AudioFormat = PCM16_16K) -> list[TurnSignal]:
    """All signals for ``pcm``, given in packets."""
    step = format.bytes_of(format.samples_in(packet_ms))
    return [signal for at in range(0, len(pcm), step) for signal in state.audio(pcm[at : at + step])]


def segments(signals: Iterable[TurnSignal]) -> list[Segment]:
    """The stretches of speech that the signals tell of, from start to end in ms."""
    found: list[Segment] = []
    start: float | None = None
    for signal in signals:
        match signal:
            case Speaking(start_ms=ms):
                start = ms if start is None else start
                assert start == ms
            case Silent(since_ms=ms):
                assert start is not None
                found.append((start, ms))
                start = None
            case _:
                raise AssertionError(signal)
    assert start is None, "speech without an end"
    return found


class Clip:
    """A human clip between 500 ms and 1 s of faint noise, and its references; times count from the clip's start."""

    LEAD_MS = 500.0

    def __init__(self, folder: Path, entry: dict[str, Any], sounds: Sounds) -> None:
        self.name: str = entry["file"]
        self.energy: Segment = tuple(entry["vad"]["energy_ms"])
        self.silero: list[Segment] = [tuple(pair) for pair in entry["vad"]["silero_ms"]]
        its_format, pcm = read_wav(folder / self.name)
        assert its_format == PCM16_16K
        self.pcm = sounds.noise(self.LEAD_MS) + pcm + sounds.noise(1_000)

    def heard(self, detector: TurnDetector, format: AudioFormat = PCM16_16K) -> list[Segment]:
        """What a detector takes for speech."""
        pcm = convert(self.pcm, PCM16_16K, format)
        found = segments(feed(detector.start(format), pcm, format=format))
        return [(start - self.LEAD_MS, end - self.LEAD_MS) for start, end in found]
