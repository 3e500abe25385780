"""A supervisor's task: started here, ended there, cancelled when it does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest

from voiceloop import VoiceloopError, clock
from voiceloop.engine.supervisor import Supervisor

pytestmark = pytest.mark.virtual_time

Ready = Callable[[], None]


async def for_ever(ready: Ready) -> None:
    ready()
    await anyio.sleep_forever()


async def stubborn(ready: Ready) -> None:
    """Ends neither by itself nor, for a minute, when cancelled."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(60)


async def test_what_does_not_end_is_cancelled() -> None:
    supervisor = Supervisor("a test")
    await supervisor.start(for_ever)
    began = clock.now()
    await supervisor.end(3)
    assert (supervisor.running, clock.now() - began) == (False, 3)


async def test_what_is_not_to_be_cancelled_is_named() -> None:
    supervisor = Supervisor("a test")

    async def main(ready: Ready) -> None:
        ready()
        await stubborn(ready)

    await supervisor.start(main)
    with pytest.raises(VoiceloopError, match="a test did not stop within 3 s"):
        await supervisor.end(3)
    await anyio.sleep(60)
    assert not supervisor.running


async def test_a_cancellation_is_not_lost_to_what_does_not_stop() -> None:
    starting = asyncio.create_task(Supervisor("a test").start(stubborn))
    await asyncio.sleep(1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await starting
    assert "a test did not stop" in cancelled.value.__notes__[0]
    await asyncio.sleep(60)


async def test_a_failure_at_the_start_is_raised_bare() -> None:
    async def main(ready: Ready) -> None:
        async with anyio.create_task_group():
            raise KeyError("no")

    with pytest.raises(KeyError):
        await Supervisor("a test").start(main)
