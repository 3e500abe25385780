"""The shared things of a process: clients, connections and worker processes, opened once and closed together."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

T = TypeVar("T")


class Resources(abc.ABC):
    """What a provider asks for anything that outlives one call. The session hands it to every provider.

    A provider is an immutable value and opens nothing by itself: what it needs (an HTTP client, a worker process)
    it takes from here, keyed so that all sessions of a pool share it.
    """

    @abc.abstractmethod
    async def get(self, key: Hashable, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """The resource under ``key``: opened on first use by entering ``open()``, and left when the pool closes.

        Concurrent callers wait for the same opening. If opening fails, the error is raised to all of them and the
        next call tries again. Raises SessionClosed when the pool is closed.
        """

    @abc.abstractmethod
    async def discard(self, key: Hashable, resource: object) -> None:
        """Leave and forget ``resource`` because it broke, if it is still under ``key``; ``get`` opens anew."""
