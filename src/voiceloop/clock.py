"""The one seam to the world's time, ids and chance.

Everything in voiceloop that asks what time it is, makes an id or rolls a die asks here, so that a test can run an
hour of conversation in a second and get the same event log for the same seed.
"""

from __future__ import annotations

import asyncio
import random as _random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from datetime import UTC, datetime

import attrs

__all__ = ("Source", "new_id", "now", "outside_work", "random", "reset", "simulated", "use", "utcnow")


@attrs.define(eq=False)
class Source:
    """Where wall time and chance come from: ``epoch`` is the Unix time, in seconds, at which ``now()`` is 0."""

    epoch: Callable[[], float]
    chance: _random.Random


_system = Source(epoch=lambda: time.time() - now(), chance=_random.SystemRandom())
_source: ContextVar[Source] = ContextVar("voiceloop_clock_source", default=_system)


def now() -> float:
    """The time, in seconds, by which every wait is measured: ``anyio.current_time()``, in loop callbacks too."""
    return asyncio.get_running_loop().time()


def use(source: Source) -> Token[Source]:
    """Take time and chance from ``source`` in this context and the tasks started from it."""
    return _source.set(source)


def reset(token: Token[Source]) -> None:
    """Undo :func:`use`."""
    _source.reset(token)


def utcnow() -> datetime:
    """The current time of day in UTC: the epoch plus :func:`now`, so that it moves with virtual time."""
    return datetime.fromtimestamp(_source.get().epoch() + now(), UTC)


def random() -> float:
    """A random number in [0, 1), for jitter and sampling."""
    return _source.get().chance.random()


def new_id() -> str:
    """A new identifier: 32 lower-case hexadecimal digits."""
    return f"{_source.get().chance.getrandbits(128):032x}"


def outside_work() -> AbstractContextManager[object]:
    """Hold around every wait for a thread, a worker process or a real socket.

    On a real event loop it does nothing. On a virtual-time loop (``voiceloop.testing``) the clock stands still while
    any outside work is going on, since its duration cannot be simulated.
    """
    hold: Callable[[], AbstractContextManager[object]] | None
    hold = getattr(asyncio.get_running_loop(), "outside_work", None)
    return hold() if hold is not None else nullcontext()


def simulated() -> bool:
    """Whether the running loop's time is virtual, so that durations are no measurements."""
    return hasattr(asyncio.get_running_loop(), "outside_work")
