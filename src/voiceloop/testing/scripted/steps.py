"""What a script can ask for besides results: waiting, failing, hanging; and values that come at given times."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Generic, Self, TypeAlias, TypeVar

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.errors import ProviderUnavailable

T = TypeVar("T")


@frozen
class Delay:
    """Nothing happens for ``seconds``."""

    seconds: float


def _unavailable() -> Exception:
    return ProviderUnavailable("the script says so", provider="scripted", retryable=True)


@frozen
class Fail:
    """``exception`` is raised; by default a ProviderUnavailable that can be retried."""

    exception: Exception = field(factory=_unavailable)


@frozen
class Hang:
    """Nothing happens any more, until cancelled."""


Step: TypeAlias = Delay | Fail | Hang
Steps: TypeAlias = Step | Sequence[Step | None] | None
"""One step, taken every time, or a list of them: one for each time, and nothing (None) after the last."""


def nth(steps: Steps, number: int) -> Step | None:
    """The step of the ``number``-th time, counted from 0."""
    if isinstance(steps, Sequence):
        return steps[number] if number < len(steps) else None
    return steps


async def perform(step: Step | None) -> None:
    """Wait, fail or hang as ``step`` says."""
    match step:
        case Delay(seconds):
            await anyio.sleep(seconds)
        case Fail(exception):
            raise exception
        case Hang():
            await anyio.sleep_forever()
        case None:
            pass


@define(eq=False)
class Outbox(Generic[T]):
    """Values that become readable at given times: ``async for`` yields them in order of time. One reader."""

    _due: list[tuple[float, int, T]] = field(factory=list)
    _count: int = 0
    _wake: anyio.Event = field(factory=anyio.Event)
    _closed: bool = False
    _failure: Exception | None = None

    def put(self, value: T, after: float = 0.0) -> None:
        """Make ``value`` readable in ``after`` seconds; infinity: never."""
        if not math.isinf(after):
            self._count += 1
            heapq.heappush(self._due, (clock.now() + after, self._count, value))
            self._wake.set()

    def fail(self, exception: Exception) -> None:
        """Raise ``exception`` to the reader from now on, and from :meth:`check`."""
        self._failure = exception
        self._wake.set()

    def check(self) -> None:
        """Raise what :meth:`fail` was given."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the iteration, whatever is still to come."""
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            self.check()
            if self._closed:
                raise StopAsyncIteration
            wait = self._due[0][0] - clock.now() if self._due else math.inf
            if wait <= 0:
                return heapq.heappop(self._due)[2]
            self._wake = anyio.Event()
            with anyio.move_on_after(wait):
                await self._wake.wait()
