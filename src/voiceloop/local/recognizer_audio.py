"""The speech in a stream of audio: an energy gate, and the utterance that it lets through. 16 kHz PCM16."""

from __future__ import annotations

from collections import deque

import numpy as np
from attrs import define, field

RATE = 16_000
FRAME = 640  # bytes: 20 ms
_FRAME = FRAME // 2
_PRE_ROLL = 15  # frames kept from before the gate opens: 300 ms
PAUSE = 5  # frames of silence that are a pause: 100 ms
_TAIL = 10  # frames of silence kept behind the last speech for the final decode: 200 ms
_CLOSE = 50  # frames of silence after which nothing more is stored until speech goes on: 1 s
_OPEN = 2  # frames of speech that open the gate: a click does not
_HISTORY = 100  # frames that the noise floor is read from: 2 s
_LONGEST = 300 * RATE  # samples of one utterance: what comes after 5 minutes without an end of turn is not heard
_QUIET, _LOUD = -58.0, -45.0  # dBFS: below is never speech; the floor is never taken to be above
_MARGIN = 10.0  # dB above the floor that is speech


@define(eq=False)
class Utterance:
    """Speech since the last end of turn, with the silence inside it. ``speech``: frames of it so far."""

    pieces: list[tuple[int, bytearray]] = field(factory=list)
    speech: int = 0
    _last: int = 0  # samples stored up to the end of the last frame of speech

    @property
    def samples(self) -> int:
        """How many samples are stored."""
        return sum(len(pcm) for _, pcm in self.pieces) // 2

    def begin(self, start: int) -> None:
        """A stretch begins at sample ``start`` of the stream."""
        self.pieces.append((start, bytearray()))

    def add(self, frame: bytes, *, speech: bool) -> None:
        """The next frame."""
        self.pieces[-1][1].extend(frame)
        if speech:
            self.speech += 1
            self._last = self.samples

    def tail(self, start: int) -> bytes:
        """What is stored behind the first ``start`` bytes."""
        kept = bytearray()
        for _, pcm in reversed(self.pieces):
            kept[:0] = pcm
            if len(kept) + start >= 2 * self.samples:
                break
        return bytes(kept[len(kept) - (2 * self.samples - start) :])

    def pcm(self) -> bytes:
        """All of it, trimmed behind the last speech."""
        return self.head(2 * self._last + _TAIL * FRAME)

    def head(self, end: int) -> bytes:
        """The first ``end`` bytes, or what there is of them."""
        return b"".join(bytes(pcm) for _, pcm in self.pieces)[:end]

    @property
    def pause(self) -> int:
        """Up to where, in bytes, a quick decode goes: the last speech and the beginning of the pause behind it."""
        return min(2 * self._last + PAUSE * FRAME, 2 * self.samples)

    def ms(self, offset: float) -> float:
        """Where ``offset`` seconds into the stored audio is in the stream, in ms."""
        sample = round(offset * RATE)
        for start, pcm in self.pieces:
            if sample <= len(pcm) // 2:
                return (start + sample) * 1000 / RATE
            sample -= len(pcm) // 2
        start, pcm = self.pieces[-1] if self.pieces else (0, bytearray())
        return (start + len(pcm) // 2) * 1000 / RATE


@define(eq=False)
class Gate:
    """Lets speech through, in frames of 20 ms, whatever the size of the chunks that come."""

    utterance: Utterance = field(factory=Utterance)
    open: bool = False
    silent: int = 0  # frames since the last speech
    _at: int = 0  # samples that were made frames
    _rest: bytes = b""
    _before: deque[bytes] = field(factory=lambda: deque(maxlen=_PRE_ROLL))
    _levels: deque[float] = field(factory=lambda: deque(maxlen=_HISTORY))
    _run: int = 0

    def feed(self, pcm: bytes) -> bytes:
        """Take audio; returns what of it, and of what came before, was added to the utterance."""
        data = self._rest + pcm
        whole = len(data) // FRAME * FRAME
        self._rest = data[whole:]
        added = bytearray()
        for at in range(0, whole, FRAME):
            added += self._frame(data[at : at + FRAME])
        return bytes(added)

    def _frame(self, frame: bytes) -> bytes:
        self._at += _FRAME
        speech = self._is_speech(frame)
        self._run = self._run + 1 if speech else 0
        if self.utterance.samples >= _LONGEST:
            return b""
        if self.open:
            self.utterance.add(frame, speech=speech)
            self.silent = 0 if speech else self.silent + 1
            if self.silent >= _CLOSE:
                self.open = False
                self._before.clear()
            return frame
        self._before.append(frame)
        if self._run < _OPEN:
            return b""
        self.open, self.silent = True, 0
        stored = list(self._before)
        self._before.clear()
        self.utterance.begin(self._at - len(stored) * _FRAME)
        for number, each in enumerate(stored, 1):
            self.utterance.add(each, speech=number > len(stored) - self._run)
        return b"".join(stored)

    def _is_speech(self, frame: bytes) -> bool:
        samples = np.frombuffer(frame, "<i2").astype(np.float64)
        level = 10 * float(np.log10(np.mean(samples * samples) / 2**30 + 1e-10))
        self._levels.append(level)
        floor = min(sorted(self._levels)[len(self._levels) // 10], _LOUD)
        return level > max(floor + _MARGIN, _QUIET)

    def cut(self) -> Utterance:
        """End the utterance and begin a new one; returns the old one."""
        done, self.utterance = self.utterance, Utterance()
        self.open, self._run, self.silent = False, 0, 0
        self._before.clear()
        return done
