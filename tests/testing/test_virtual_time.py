from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from datetime import timedelta

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from voiceloop import clock
from voiceloop.testing import virtual_time as vt


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once() -> None:
    assert clock.now() == vt.START
    await anyio.sleep(3600)
    assert clock.now() == vt.START + 3600


@pytest.mark.virtual_time
async def test_deadlines_fire_at_their_time() -> None:
    with anyio.move_on_after(0.1) as scope:
        await anyio.sleep(5)
    assert scope.cancelled_caught
    assert clock.now() == pytest.approx(vt.START + 0.1)
    with pytest.raises(TimeoutError):
        with anyio.fail_after(2):
            await anyio.sleep_forever()
    assert clock.now() == pytest.approx(vt.START + 2.1)


@pytest.mark.virtual_time
async def test_sleepers_wake_in_order() -> None:
    woken: list[tuple[float, int]] = []

    async def sleeper(number: int) -> None:
        await anyio.sleep(number / 7)
        woken.append((clock.now(), number))

    async with anyio.create_task_group() as group:
        for number in (5, 3, 4, 1, 2):
            group.start_soon(sleeper, number)
    assert [number for _, number in woken] == [1, 2, 3, 4, 5]
    assert woken == sorted(woken)


@pytest.mark.virtual_time
async def test_a_thread_holds_the_clock_when_declared() -> None:
    release = threading.Event()

    async def timer() -> float:
        await anyio.sleep(0.001)
        return clock.now()

    with clock.outside_work():
        waiting = asyncio.create_task(timer())
        threading.Timer(0.02, release.set).start()
        await anyio.to_thread.run_sync(release.wait)
        assert clock.now() == vt.START
        assert not waiting.done()
    assert await waiting == pytest.approx(vt.START + 0.001)


@pytest.mark.virtual_time
async def test_executor_work_holds_the_clock_by_itself() -> None:
    waiting = asyncio.create_task(anyio.sleep(0.001))
    assert await asyncio.to_thread(lambda: time.sleep(0.02) or 7) == 7
    assert clock.now() == vt.START
    await waiting


@pytest.mark.virtual_time
async def test_a_cancelled_executor_future_lets_the_clock_go() -> None:
    release = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(None, release.wait)
    future.cancel()
    await anyio.sleep(1)
    assert clock.now() == vt.START + 1
    release.set()


@pytest.mark.virtual_time
async def test_a_subprocess_holds_the_clock_when_declared() -> None:
    with clock.outside_work():
        async with await anyio.open_process([sys.executable, "-c", "print(input())"]) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with anyio.fail_after(0.5):
                await process.stdin.send(b"hello\n")
                assert (await process.stdout.receive()).strip() == b"hello"
                await process.wait()
    assert clock.now() == vt.START


@pytest.mark.virtual_time
async def test_sockets_within_the_loop_need_no_declaration() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        async with asyncio.timeout(10):
            assert await reader.readline() == b"hello\n"
        writer.close()
    assert clock.now() == vt.START + 2


@pytest.mark.virtual_time
async def test_calls_from_threads_arrive() -> None:
    loop = asyncio.get_running_loop()
    got: asyncio.Queue[int] = asyncio.Queue()
    jobs: queue.Queue[int | None] = queue.Queue()

    def worker() -> None:
        while (job := jobs.get()) is not None:
            loop.call_soon_threadsafe(got.put_nowait, job * 2)

    thread = threading.Thread(target=worker)
    thread.start()
    for job in range(50):
        jobs.put(job)
        with clock.outside_work():
            assert await asyncio.wait_for(got.get(), 0.001) == job * 2
    jobs.put(None)
    thread.join()
    assert clock.now() == vt.START


def test_a_deadlock_is_an_error_that_names_the_tasks() -> None:
    async def stuck_one() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(stuck_one(), name="the stuck one")
        await anyio.sleep(1)
        await task

    with pytest.raises(vt.Deadlock, match=r"no timer is set") as caught:
        vt.run(main)
    assert "the stuck one: stuck_one (test_virtual_time.py:" in str(caught.value)
    assert "outside_work()" in str(caught.value)


def test_a_deadlock_leaves_finally_blocks_their_turn() -> None:
    done: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await anyio.sleep(1)
            done.append("cleaned up")

    with pytest.raises(vt.Deadlock):
        vt.run(main)
    assert done == ["cleaned up"]


def test_dead_outside_work_is_an_error() -> None:
    async def main() -> None:
        with clock.outside_work():
            await asyncio.Event().wait()

    impatient = asyncio.Runner(loop_factory=lambda: vt.VirtualTimeLoop(patience=0.01))
    with impatient as runner, pytest.raises(vt.Deadlock, match=r"no sign of life for 0\.01 real seconds"):
        runner.run(main())


@pytest.mark.virtual_time
async def test_a_spinning_task_cannot_stop_time() -> None:
    over = asyncio.create_task(anyio.sleep(1))
    while not over.done():  # noqa: ASYNC110 - spinning is what is tested
        await asyncio.sleep(0)
    assert clock.now() == pytest.approx(vt.START + 1, abs=0.002)


@pytest.mark.virtual_time
async def test_shielded_cleanup_sleeps_too() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)
        await anyio.sleep(10)
    assert clock.now() == vt.START + 10


async def a_little_life() -> list[object]:
    log: list[object] = []

    async def one(number: int) -> None:
        for _ in range(3):
            await anyio.sleep(clock.random())
            log.append((number, clock.now(), clock.utcnow(), clock.new_id()))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(one, number)
    return log


def test_the_same_seed_gives_the_same_life() -> None:
    first, second, other = vt.run(a_little_life, seed=7), vt.run(a_little_life, seed=7), vt.run(a_little_life, seed=8)
    assert first == second
    assert first != other


def test_runs_of_one_runner_share_the_clock() -> None:
    async def nap() -> float:
        await anyio.sleep(5)
        return clock.now()

    async def time_of_day() -> object:
        return clock.utcnow()

    with vt.virtual_time() as runner:
        assert runner.run(nap()) == vt.START + 5
        assert runner.run(nap()) == vt.START + 10
        assert runner.run(time_of_day()) == vt.EPOCH + timedelta(seconds=10)
    assert abs(time.time() - wall_time_after()) < 3600


def wall_time_after() -> float:
    async def wall() -> float:
        return clock.utcnow().timestamp()

    return anyio.run(wall)


def test_an_error_of_main_comes_out() -> None:
    async def main() -> None:
        await anyio.sleep(1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        vt.run(main)


# ---------------------------------------------------------------- what stands in for outside work


@pytest.mark.virtual_time
async def test_the_clock_goes_on_for_what_stands_in_for_outside_work() -> None:
    with clock.outside_work(), clock.outside_work():
        with vt.inside_work():
            await anyio.sleep(5)
        await anyio.to_thread.run_sync(time.sleep, 0.01)
    assert clock.now() == vt.START + 5


@pytest.mark.virtual_time
async def test_it_does_not_go_on_for_the_outside_work_of_others() -> None:
    seen: list[float] = []

    async def other() -> None:
        with vt.inside_work():  # holds nothing itself
            await anyio.sleep(5)
        seen.append(clock.now())

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await anyio.sleep(1)
        with clock.outside_work():
            await anyio.to_thread.run_sync(time.sleep, 0.05)
        assert clock.now() == vt.START + 1
        assert seen == []
    assert seen == [vt.START + 5]


@pytest.mark.virtual_time
async def test_a_hold_that_several_lift_is_taken_up_by_the_last_and_may_end_before() -> None:
    at: list[tuple[str, float]] = []

    async def sleep(seconds: float) -> None:
        with vt.inside_work():
            await anyio.sleep(seconds)
        at.append(("slept", clock.now() - vt.START))

    with clock.outside_work():
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, 1)
            group.start_soon(sleep, 2)
        await anyio.to_thread.run_sync(time.sleep, 0.01)
        later = asyncio.create_task(sleep(3))
        await asyncio.sleep(0)
    await anyio.sleep(1)
    await later
    await anyio.sleep(1)
    assert at == [("slept", 1), ("slept", 2), ("slept", 5)]
    assert clock.now() == vt.START + 6


async def test_in_real_time_it_does_nothing() -> None:
    with vt.inside_work():
        await anyio.lowlevel.checkpoint()
