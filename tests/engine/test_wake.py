"""The engine's smallest waits."""

from __future__ import annotations

import asyncio

import pytest

from voiceloop import clock
from voiceloop.engine.wake import Timers, Wake

pytestmark = pytest.mark.virtual_time


async def test_a_flag_set_before_the_wait_is_not_lost() -> None:
    wake = Wake()
    wake.set()
    await wake.wait()
    began = clock.now()
    await wake.wait(began + 5)
    assert clock.now() == began + 5


async def test_a_cancelled_wait_leaves_the_flag_up() -> None:
    wake = Wake()
    waiting = asyncio.create_task(wake.wait())
    await asyncio.sleep(0)
    wake.set()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    began = clock.now()
    await wake.wait(began + 5)
    assert clock.now() == began


async def test_all_who_wait_are_woken() -> None:
    wake = Wake()
    waiting = [asyncio.create_task(wake.wait()) for _ in range(3)]
    await asyncio.sleep(1)
    wake.set()
    await asyncio.gather(*waiting)


async def test_deadlines_fall_due_in_order_and_can_be_moved() -> None:
    timers, calls = Timers(), []
    running = asyncio.create_task(timers.run())
    now = clock.now()
    for name, after in (("b", 2.0), ("a", 1.0), ("gone", 1.5), ("c", 9.0)):
        timers.set(name, now + after, lambda name=name: calls.append((name, clock.now() - now)))  # type: ignore[misc]
    await asyncio.sleep(0.5)
    timers.set("c", now + 3.0, lambda: calls.append(("c", clock.now() - now)))
    timers.clear("gone")
    timers.clear("never known")
    await asyncio.sleep(10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert calls == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
