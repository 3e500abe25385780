"""Small queues between the tasks of a cascade, and whose fault a failure is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Generic, TypeVar

import anyio

from voiceloop import clock
from voiceloop.engine.wake import Wake
from voiceloop.errors import ProviderTimeout

T = TypeVar("T")


class Box(Generic[T]):
    """A bounded queue from one task to another; ``close`` ends it, with an error that follows what is in it."""

    def __init__(self, size: float = inf) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._closed = False
        self._error: BaseException | None = None
        self._more = Wake()
        self._room = Wake()

    async def put(self, item: T) -> None:
        """Add ``item``; waits while the box is full."""
        while len(self._items) >= self._size and not self._closed:
            await self._room.wait()
        self.add(item)

    def add(self, item: T) -> None:
        """Add ``item`` at once; after the end it is forgotten."""
        if not self._closed:
            self._items.append(item)
            self._more.set()

    async def emptied(self) -> None:
        """Wait until all that was added has been taken."""
        while self._items and not self._closed:
            await self._room.wait()

    @property
    def full(self) -> bool:
        """Whether :meth:`put` would wait."""
        return len(self._items) >= self._size

    @property
    def finished(self) -> bool:
        """Whether it was closed and all of it was taken."""
        return self._closed and not self._items

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more comes; then ``error`` is raised, if there is one."""
        if not self._closed:
            self._closed, self._error = True, error
            self._more.set()
            self._room.set()

    def __aiter__(self) -> Box[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._more.wait()
        self._room.set()
        return self._items.popleft()


class Patience:
    """A deadline on a provider's next item: ``first`` seconds, then ``gap`` seconds after each one.

    Entered around the whole stream; :meth:`fed` after each item; :meth:`paused` while the provider has nothing to do.
    """

    def __init__(self, first: float, gap: float, *, provider: str, doing: str) -> None:
        self._gap = gap
        self._error = ProviderTimeout(
            f"gave nothing for {first:g} s (or {gap:g} s after an item)",
            provider=provider,
            doing=doing,
            retryable=True,
            hint="See the provider's status, or raise the Cascade's deadlines.",
        )
        self._scope = anyio.CancelScope(deadline=clock.now() + first)
        self._until = 0.0
        self._pauses = 0

    def __enter__(self) -> Patience:
        self._scope.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool | None:
        caught = self._scope.__exit__(kind, error, trace)  # type: ignore[arg-type]
        if self._scope.cancelled_caught:
            raise self._error
        return caught

    def fed(self) -> None:
        """An item came. Moving the deadline has a price, so it is moved when a quarter of it is used up."""
        now = clock.now()
        if not self._pauses and now + self._gap * 0.75 > self._until:
            self._scope.deadline = self._until = now + self._gap

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait without a deadline; afterwards it is as if an item had come. Pauses may overlap."""
        self._pauses += 1
        self._scope.deadline, self._until = inf, 0.0
        try:
            yield
        finally:
            self._pauses -= 1
            self.fed()
