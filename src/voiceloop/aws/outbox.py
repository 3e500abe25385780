"""Items on their way to whoever reads them."""

from __future__ import annotations

from collections import deque
from typing import Generic, Self, TypeVar

import anyio
from attrs import define, field

T = TypeVar("T")


@define(eq=False)
class Outbox(Generic[T]):
    """Takes items at once, so that nobody who puts one in waits. One reader takes them out by ``async for``.

    Whoever puts them in sets their bound.
    """

    _items: deque[T] = field(factory=deque, init=False)
    _wake: anyio.Event = field(factory=anyio.Event, init=False)
    _closed: bool = field(default=False, init=False)
    _failure: Exception | None = field(default=None, init=False)

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    @property
    def failure(self) -> Exception | None:
        """Why, if it was no proper end."""
        return self._failure

    def add(self, *items: T) -> None:
        """Add items."""
        self._items.extend(items)
        self._wake.set()

    def close(self, failure: Exception | None = None) -> None:
        """End the iteration, or raise ``failure`` in it, after what was put before. The first failure counts."""
        self._closed, self._failure = True, self._failure or failure
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise StopAsyncIteration
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._items.popleft()
