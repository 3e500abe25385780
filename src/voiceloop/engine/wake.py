"""The two smallest waits of the engine: a flag that wakes one task, and named deadlines on one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from voiceloop import clock


class Wake:
    """A flag to wait for; waking takes it down again. Setting it is cheap when nobody waits."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake who waits, or who next waits."""
        self._set = True
        for waiter in self._waiters:
            _release(waiter)

    async def wait(self, until: float = inf) -> None:
        """Wait for the flag, at most to the time ``until``. Cancelling loses nothing."""
        if not self._set:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._waiters.append(waiter)
            timer = loop.call_at(until, _release, waiter) if until < inf else None
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
                if timer is not None:
                    timer.cancel()
        self._set = False


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Timers:
    """Named deadlines, each with a call to make; :meth:`run` makes them, in order of time."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self._asleep_until = -inf
        self._wake = Wake()

    def set(self, name: str, when: float, call: Callable[[], None]) -> None:
        """Make ``call`` at ``when``, in place of an earlier deadline of that name."""
        self._due[name] = (when, call)
        if when < self._asleep_until:
            self._wake.set()

    def clear(self, name: str) -> None:
        """Forget a deadline; an unknown name is no error."""
        self._due.pop(name, None)

    async def run(self) -> None:
        """Make the calls as they fall due; never returns."""
        while True:
            name = min(self._due, key=lambda key: self._due[key][0], default=None)
            when = self._due[name][0] if name is not None else inf
            if name is not None and when <= clock.now():
                self._due.pop(name)[1]()
                continue
            self._asleep_until = when
            await self._wake.wait(when)
            self._asleep_until = -inf
