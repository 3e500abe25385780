"""Items on their way to whoever reads them."""

from __future__ import annotations

from collections import deque

import anyio
from attrs import define, field

from voiceloop.errors import SlowConsumer
from voiceloop.interfaces import Final, Partial, RecognizerItem

_MOST = 1000


@define(eq=False)
class Outbox:
    """Takes items at once, so that nothing is lost when a connection breaks. One reader takes them out by
    ``async for``.

    A partial that nobody read yet is replaced by a newer one of its item. Raises SlowConsumer when too many wait.
    """

    _waiting: deque[RecognizerItem] = field(factory=deque, init=False)
    _filled: anyio.Event = field(factory=anyio.Event, init=False)
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

    def put(self, item: RecognizerItem) -> None:
        """Add an item."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, Partial) and isinstance(item, Partial | Final) and item.item == last.item:
            self._waiting.pop()
        elif len(self._waiting) >= _MOST:
            raise SlowConsumer(f"nobody took {_MOST} items of the recognizer", doing="listening")
        self._waiting.append(item)
        self._filled.set()

    def close(self, failure: Exception | None = None) -> None:
        """End the iteration, or raise ``failure`` in it, after what was put before."""
        self._failure = self._failure or failure
        self._closed = True
        self._filled.set()

    def __aiter__(self) -> Outbox:
        return self

    async def __anext__(self) -> RecognizerItem:
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise StopAsyncIteration
            self._filled = anyio.Event()
            await self._filled.wait()
        return self._waiting.popleft()
