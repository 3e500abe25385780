"""Waking tasks: all that wait, and nobody by another one's end."""

from __future__ import annotations

import asyncio

import pytest

from voiceloop.aws.wire.wake import Wake

pytestmark = pytest.mark.virtual_time


async def waiting(wake: Wake, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(wake.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_that_wait_are_woken_once() -> None:
    wake = Wake()
    wake.tell()  # nobody waited: it is not remembered
    tasks = await waiting(wake, 3)
    wake.tell()
    await asyncio.wait(tasks, timeout=1)
    assert all(task.done() for task in tasks)
    [late] = await waiting(wake, 1)
    await asyncio.sleep(1)
    assert not late.done()
    wake.tell()
    await late


async def test_one_that_is_cancelled_ends_no_others_wait() -> None:
    wake = Wake()
    gone, stays = await waiting(wake, 2)
    gone.cancel()
    wake.tell()  # before the cancelled one has run
    await asyncio.wait((gone, stays), timeout=1)
    assert gone.cancelled()
    assert stays.done()
    gone, stays = await waiting(wake, 2)
    gone.cancel()
    await asyncio.sleep(1)
    assert not stays.done()
    wake.tell()
    await stays
