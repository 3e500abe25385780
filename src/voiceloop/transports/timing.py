"""What links a sound card's two sides: when which sample was played and taken, and blocks handed from its threads."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

from attrs import define

from voiceloop.audio import PCM16_16K, AudioFormat

T = TypeVar("T")

_FOLLOW = 0.02  # of the deviation, per observation: time stamps jitter by ms, clocks drift by parts per million
_JUMP = 0.1  # s of deviation that is no jitter: samples were lost


@define
class SampleClock:
    """When each sample of a stream passes, from time stamps that jitter; ``rate`` in Hz, times in seconds."""

    rate: int
    _origin: float | None = None

    def observe(self, sample: int, at: float) -> None:
        """Sample number ``sample`` passed at ``at``, more or less."""
        origin = at - sample / self.rate
        if self._origin is None or abs(origin - self._origin) > _JUMP:
            self._origin = origin
        else:
            self._origin += (origin - self._origin) * _FOLLOW

    def time(self, sample: int) -> float:
        """When ``sample`` passes. 0 before the first observation."""
        return (self._origin or 0.0) + sample / self.rate

    def sample(self, time: float) -> int:
        """The number of the sample that passes at ``time``."""
        return round((time - (self._origin or 0.0)) * self.rate)


class FarEnd:
    """What the loudspeaker played in the last ``seconds``, to be read at the pace of the microphone.

    Reads are contiguous: they follow the time stamps only when these deviate by more than ``slack_ms``, since a
    canceller has to learn anew after each jump.
    """

    def __init__(self, format: AudioFormat = PCM16_16K, *, seconds: float = 4.0, slack_ms: float = 8.0) -> None:
        self.format = format
        self._kept = format.bytes_of(format.samples_in(seconds * 1000))
        self._slack = format.samples_in(slack_ms)
        self._clock = SampleClock(format.rate)
        self._audio = bytearray()
        self._first = 0
        self._next: int | None = None

    def played(self, pcm: bytes, at: float) -> int:
        """The loudspeaker gives ``pcm``, from ``at`` on; the number of its first sample."""
        number = self._first + self.format.samples(len(self._audio))
        self._clock.observe(number, at)
        self._audio += pcm
        excess = len(self._audio) - self._kept
        if excess > 0:
            del self._audio[:excess]
            self._first += self.format.samples(excess)
        return number

    def time(self, sample: int) -> float:
        """When the loudspeaker gives sample number ``sample``."""
        return self._clock.time(sample)

    def read(self, at: float, samples: int) -> tuple[int, bytes]:
        """What was played from ``at`` on, and the number of its first sample; silence where that is not known."""
        wanted = self._clock.sample(at)
        if self._next is None or abs(wanted - self._next) > self._slack:
            self._next = wanted
        number, self._next = self._next, self._next + samples
        start = number - self._first
        before = min(samples, max(0, -start))
        found = bytes(
            self._audio[self.format.bytes_of(max(0, start)) : self.format.bytes_of(max(0, start + samples))]
        )
        return number, (self.format.silence(before) + found).ljust(self.format.bytes_of(samples), b"\x00")


class Handover(Generic[T]):
    """Carries items from any thread to the event loop in which it was made; holds at most ``limit``.

    Beyond that the oldest is dropped, and counted in ``lost``: sound is of no use when it is late.
    """

    def __init__(self, limit: int) -> None:
        self.lost = 0
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._arrived = asyncio.Event()
        self._closed = False

    @property
    def now(self) -> float:
        """The event loop's time, in any thread."""
        return self._loop.time()

    def put(self, item: T) -> None:
        """Add ``item``; from any thread. After :meth:`close` it goes nowhere."""
        with self._lock:
            if self._closed:
                return
            if len(self._items) >= self._limit:
                self._items.popleft()
                self.lost += 1
            self._items.append(item)
            if len(self._items) == 1:
                self._loop.call_soon_threadsafe(self._arrived.set)

    async def take(self, timeout: float) -> list[T]:
        """All items, once there are any; none after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True
            self._items.clear()


__all__ = ("FarEnd", "Handover", "SampleClock")
