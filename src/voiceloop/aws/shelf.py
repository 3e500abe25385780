"""Shared things of a pool that may be closed before it, since there can be one for every customer's keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.interfaces import Resources

T = TypeVar("T")

_MOST = 64  # things that are kept however long nobody asked for them
_IDLE = 900.0  # seconds after which more of them are closed


def _never(_: Any) -> bool:
    return False


async def shelved(
    resources: Resources,
    key: Hashable,
    open: Callable[[], AbstractAsyncContextManager[T]],
    busy: Callable[[T], bool] = _never,
) -> T:
    """As ``resources.get``; closes others that were got here, when there are many and nobody asked for them lately.

    ``busy``: whether one is in use though nobody asks for it. Ask anew for each use, rather than holding on to it.
    """
    shelf = await resources.get("voiceloop.aws.shelf", _opened)
    value = await resources.get(key, open)
    shelf.put(key, _Thing(value, busy, clock.now()))
    while (found := shelf.stale(clock.now())) is not None:
        await resources.discard(*found)
    return value


@frozen(eq=False)
class _Thing:
    value: Any
    busy: Callable[[Any], bool]
    used: float


@define(eq=False)
class _Shelf:
    """What there is, the longest unused first."""

    _things: OrderedDict[Hashable, _Thing] = field(factory=OrderedDict)

    def put(self, key: Hashable, thing: _Thing) -> None:
        self._things[key] = thing
        self._things.move_to_end(key)

    def stale(self, now: float) -> tuple[Hashable, object] | None:
        """Take the next out that shall be closed."""
        if len(self._things) <= _MOST:
            return None
        for key, thing in self._things.items():
            if now - thing.used < _IDLE:
                return None
            if not thing.busy(thing.value):
                del self._things[key]
                return key, thing.value
        return None


@asynccontextmanager
async def _opened() -> AsyncIterator[_Shelf]:
    yield _Shelf()
