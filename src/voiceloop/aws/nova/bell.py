"""The two small waits of a link: a bell for one task, and the queue of its events."""

from __future__ import annotations

from collections import deque
from math import inf

import anyio

from voiceloop import clock
from voiceloop.interfaces import LinkEvent


class Bell:
    """Rings for the one task that waits, or that waits next."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake who waits."""
        self._rung.set()

    async def wait(self, until: float = inf) -> bool:
        """Wait for the bell, at most to the time ``until``; whether it rang."""
        if not self._rung.is_set():
            with anyio.CancelScope(deadline=until):
                await self._rung.wait()
        if not self._rung.is_set():
            return False
        self._rung = anyio.Event()
        return True


class Outbox:
    """Events for the session, in order; an end, or an error, follows all that came before it.

    Bounded by what one connection gives: the session takes events at once, and slows no one down by itself.
    """

    def __init__(self) -> None:
        self._events: deque[LinkEvent] = deque()
        self._closed = False
        self._error: Exception | None = None
        self._bell = Bell()

    def put(self, *events: LinkEvent) -> None:
        """Add events; after the end they are forgotten."""
        if events and not self._closed:
            self._events.extend(events)
            self._bell.ring()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more comes."""
        if not self._closed:
            self._closed, self._error = True, error
            self._bell.ring()

    def check(self) -> None:
        """Raise the error that ended it."""
        if self._error is not None:
            raise self._error

    def __aiter__(self) -> Outbox:
        return self

    async def __anext__(self) -> LinkEvent:
        while not self._events:
            if self._closed:
                self.check()
                raise StopAsyncIteration
            await self._bell.wait(clock.now() + 3600)
        return self._events.popleft()
