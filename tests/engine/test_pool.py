"""The pool: a resource that fails to open, hangs on closing, or is asked for after that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

import voiceloop as vl
from voiceloop import clock

from ..session_kit import others

pytestmark = pytest.mark.virtual_time


class Slow:
    """A resource that takes two seconds to open; ``fails`` says how often it then does not."""

    def __init__(self, fails: int = 0) -> None:
        self.opened = 0
        self._fails = fails

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Slow]:
        self.opened += 1
        await anyio.sleep(2)
        if self.opened <= self._fails:
            raise ConnectionError(f"attempt {self.opened}")
        yield self


async def test_a_failure_that_nobody_waited_for_is_not_told_to_the_next() -> None:
    resource = Slow(fails=1)
    async with vl.Pool() as pool:
        with anyio.move_on_after(1):
            await pool.get("it", resource)
        await anyio.sleep(5)
        assert await pool.get("it", resource) is resource
    assert resource.opened == 2
    assert others() == set()


async def test_who_waits_together_fails_together_and_the_next_tries_again() -> None:
    resource, failed = Slow(fails=1), list[str]()

    async def use() -> None:
        try:
            await pool.get("it", resource)
        except ConnectionError as failure:
            failed.append(str(failure))

    async with vl.Pool() as pool:
        async with anyio.create_task_group() as group:
            group.start_soon(use)
            group.start_soon(use)
        assert failed == ["attempt 1", "attempt 1"]
        assert await pool.get("it", resource) is resource


async def test_a_resource_that_hangs_on_closing_is_cancelled() -> None:
    outcome = []

    @asynccontextmanager
    async def hangs() -> AsyncIterator[int]:
        yield 1
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append("cancelled")

    async with vl.Pool() as pool:
        assert await pool.get("it", hangs) == 1
        began = clock.now()
    assert outcome == ["cancelled"]
    assert clock.now() - began <= 20
    assert others() == set()


async def test_a_resource_that_cannot_be_closed_is_named() -> None:
    released = anyio.Event()

    @asynccontextmanager
    async def never() -> AsyncIterator[int]:
        yield 1
        with anyio.CancelScope(shield=True):
            await released.wait()

    pool = vl.Pool()
    await pool.get("it", never)
    with pytest.raises(vl.VoiceloopError, match="did not stop"):
        await pool.aclose()
    released.set()
    await anyio.sleep(1)
    assert others() == set()


async def test_an_opening_that_heeds_no_cancellation_is_told_of() -> None:
    released = anyio.Event()

    @asynccontextmanager
    async def never() -> AsyncIterator[int]:
        with anyio.CancelScope(shield=True):
            await released.wait()
        yield 1

    pool = vl.Pool()
    with anyio.move_on_after(1):
        await pool.get("it", never)
    with pytest.raises(vl.VoiceloopError, match="did not close"):
        await pool.aclose()
    released.set()
    await anyio.sleep(1)
    with suppress(vl.SessionClosed):
        await pool.get("it", never)
        raise AssertionError("a closed pool opened something")
    assert others() == set()
