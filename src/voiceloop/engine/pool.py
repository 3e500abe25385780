"""The pool: clients, connections and worker processes that all sessions of a process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from voiceloop.engine.supervisor import Supervisor, outlast
from voiceloop.errors import SessionClosed, VoiceloopError
from voiceloop.interfaces import Resources

T = TypeVar("T")

_CLOSE_TIMEOUT = 10.0


class Pool(Resources):
    """Shared resources: ``async with vl.Pool() as pool: ... vl.Session(..., pool=pool)``.

    Each resource is opened on first use, in a task of its own, and closed with the pool. Without a pool of their own,
    the sessions of an event loop share one that closes with the last of them.
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, _Resource] = {}
        self._discarded: set[_Resource] = set()
        self._closed = False

    async def get(self, key: Hashable, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """See :meth:`Resources.get`."""
        if self._closed:
            raise SessionClosed("the pool is closed", doing="opening a shared resource")
        if key not in self._open or self._open[key].failed:  # ... while nobody waited for it
            self._open[key] = _Resource(open)
        resource = self._open[key]
        try:
            return cast("T", await resource.value())
        except BaseException:
            if resource.failed and self._open.get(key) is resource:
                del self._open[key]
            raise

    async def discard(self, key: Hashable, resource: object) -> None:
        """See :meth:`Resources.discard`."""
        held = self._open.get(key)
        if held is not None and held.holds(resource):
            del self._open[key]
            self._discarded.add(held)
            await held.close()
            self._discarded.discard(held)

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all resources, at once rather than one after another; nothing of them remains."""
        self._closed = True
        resources = [*self._open.values(), *self._discarded]
        self._open.clear()
        for resource in resources:
            resource.leave()
        if resources:
            closing = asyncio.create_task(_close_all(resources))
            if not await outlast(closing, 4 * _CLOSE_TIMEOUT, hasten=lambda: None):
                closing.cancel()
                raise VoiceloopError("shared resources did not close", doing="closing the pool")
            closing.result()


async def _close_all(resources: list[_Resource]) -> None:
    outcomes = await asyncio.gather(*(resource.close() for resource in resources), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


class _Resource:
    """One context manager, held open by a task of its own."""

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._factory = open
        self._supervisor = Supervisor("voiceloop resource")
        self._leave = asyncio.Event()
        self._opened: asyncio.Task[None] | None = None
        self._value: object = None
        self._stands = False

    async def value(self) -> object:
        if self._opened is None:
            self._opened = asyncio.create_task(self._supervisor.start(self._hold))
        await asyncio.shield(self._opened)
        if not self._stands:
            raise SessionClosed("the pool was closed", doing="opening a shared resource")
        return self._value

    async def _hold(self, ready: Callable[[], None]) -> None:
        async with AsyncExitStack() as stack:
            self._value = await stack.enter_async_context(self._factory())
            self._stands = True
            ready()
            await self._leave.wait()

    @property
    def failed(self) -> bool:
        opened = self._opened
        return opened is not None and opened.done() and (opened.cancelled() or opened.exception() is not None)

    def holds(self, value: object) -> bool:
        return self._value is value

    def leave(self) -> None:
        self._leave.set()
        if self._opened is not None and not self._opened.done():
            self._supervisor.stop()

    async def close(self) -> None:
        self.leave()
        if self._opened is not None:
            await asyncio.gather(self._opened, return_exceptions=True)
        await self._supervisor.end(_CLOSE_TIMEOUT)


class _Shared:
    """The default pool of one event loop, and how many sessions use it."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.users = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


class SharedPool:
    """The event loop's default pool, for as long as it is entered; it closes when the last one leaves."""

    async def __aenter__(self) -> Pool:
        loop = asyncio.get_running_loop()
        shared = _shared.setdefault(loop, _Shared())
        shared.users += 1
        return shared.pool

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        shared = _shared[loop]
        shared.users -= 1
        if not shared.users:
            del _shared[loop]
            await shared.pool.aclose()
