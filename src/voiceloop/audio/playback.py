"""The buffer between audio that arrives in pieces and a player that pulls it: sound card, WebRTC, test listener."""

from __future__ import annotations

import threading
from collections import deque

from attrs import frozen

from voiceloop.audio.format import AudioFormat
from voiceloop.errors import BadInput, SlowConsumer

_TURNS_KEPT = 64


@frozen
class Position:
    """How far a turn was played, in ``samples`` and in ``ms``. Silence between its pieces does not count."""

    turn: int
    samples: int
    ms: float


class PlaybackBuffer:
    """Audio in by ``push``, out by ``pull``, from any two threads; it knows what was really rendered of each turn.

    ``format`` is that of both sides. ``limit_ms`` bounds what may wait (by default 10 minutes). Positions count what
    was pulled: a player that holds audio back itself subtracts that.
    """

    def __init__(self, format: AudioFormat, *, limit_ms: float = 600_000) -> None:
        if not limit_ms > 0:
            raise BadInput(f"limit_ms={limit_ms!r}: more than 0 is allowed")
        self.format = format
        self._limit = format.samples_in(limit_ms)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, memoryview]] = deque()
        self._samples = 0
        self._paused = False
        self._rendered: dict[int, int] = {}

    def push(self, pcm: bytes | bytearray | memoryview, turn: int) -> None:
        """Append whole samples of ``turn``, to be played after what waits already.

        Raises AudioFormatError on broken samples, and SlowConsumer when more than ``limit_ms`` would wait; then
        nothing was appended.
        """
        samples = self.format.samples(pcm)
        with self._lock:
            if self._samples + samples > self._limit:
                raise SlowConsumer(
                    f"more than {self.format.ms(self._limit):.0f} ms of audio wait to be played",
                    hint="Pull the audio as it plays, or give the session a `lead`.",
                )
            if samples:
                self._waiting.append((turn, memoryview(bytes(pcm))))
                self._samples += samples

    def pull(self, samples: int) -> bytes:
        """Exactly ``samples`` samples to be played now: what waits, and silence where there is none or while paused.

        Raises BadInput on a negative number.
        """
        if samples < 0:
            raise BadInput(f"samples={samples}: 0 or more is allowed")
        pieces: list[bytes | memoryview] = []
        lacking = samples
        with self._lock:
            while lacking and self._waiting and not self._paused:
                turn, audio = self._waiting.popleft()
                size = self.format.bytes_of(lacking)
                if len(audio) > size:
                    self._waiting.appendleft((turn, audio[size:]))
                    audio = audio[:size]
                taken = self.format.samples(audio)
                self._count(turn, taken)
                lacking -= taken
                pieces.append(audio)
        return b"".join((*pieces, self.format.silence(lacking)))

    def flush(self, turn: int | None = None) -> None:
        """Drop all that waits, or only what waits of one turn. Positions stay as they are."""
        with self._lock:
            kept = [] if turn is None else [piece for piece in self._waiting if piece[0] != turn]
            self._waiting = deque(kept)
            self._samples = sum(self.format.samples(audio) for _, audio in kept)

    def pause(self) -> None:
        """Play silence until :meth:`resume`; nothing is dropped and no position moves."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Go on where :meth:`pause` stopped."""
        with self._lock:
            self._paused = False

    @property
    def paused(self) -> bool:
        """Whether the buffer is paused."""
        return self._paused

    @property
    def waiting(self) -> int:
        """How many samples wait to be played."""
        return self._samples

    @property
    def position(self) -> Position | None:
        """The turn that was played last, and how far; None before the first sample of any."""
        with self._lock:
            if not self._rendered:
                return None
            turn, samples = next(reversed(self._rendered.items()))
            return Position(turn, samples, self.format.ms(samples))

    def played(self, turn: int) -> Position:
        """How far ``turn`` was played: 0 when nothing of it was, or when 64 others were played since."""
        with self._lock:
            samples = self._rendered.get(turn, 0)
        return Position(turn, samples, self.format.ms(samples))

    def _count(self, turn: int, samples: int) -> None:
        self._samples -= samples
        self._rendered[turn] = self._rendered.pop(turn, 0) + samples  # the turn played last comes last
        if len(self._rendered) > _TURNS_KEPT:
            del self._rendered[next(iter(self._rendered))]


__all__ = ("PlaybackBuffer", "Position")
