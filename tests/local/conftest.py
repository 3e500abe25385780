"""Fixtures for the local engines: shared things for one test, and a look at what is left of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from voiceloop.interfaces import Resources


class SmallPool(Resources):
    """Resources of one test: no counting, no own task."""

    def __init__(self) -> None:
        self._open: dict[Hashable, tuple[object, AsyncExitStack]] = {}
        self._lock = anyio.Lock()

    async def get(self, key: Hashable, open: Callable[[], AbstractAsyncContextManager[Any]]) -> Any:
        async with self._lock:
            if key not in self._open:
                stack = AsyncExitStack()
                self._open[key] = await stack.enter_async_context(open()), stack
            return self._open[key][0]

    async def discard(self, key: Hashable, resource: object) -> None:
        async with self._lock:
            if key in self._open and self._open[key][0] is resource:
                await self._open.pop(key)[1].aclose()

    async def aclose(self) -> None:
        while self._open:
            await self._open.popitem()[1][1].aclose()


def open_files() -> set[tuple[str, str]]:
    """The file descriptors of this process and what they are."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add((entry.name, os.readlink(entry)))
        except FileNotFoundError:
            continue
    return found


def children() -> set[int]:
    """The processes started by this one that are still there, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return found


@pytest.fixture
async def resources() -> AsyncIterator[SmallPool]:
    """A pool; when the test is over, no process and no file may be left of it."""
    files, processes = open_files(), children()
    pool = SmallPool()
    yield pool
    await pool.aclose()
    assert children() == processes
    left = {what for number, what in open_files() - files if "pipe" in what}
    assert not left
