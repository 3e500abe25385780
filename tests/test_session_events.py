"""Taking events: one lane or two, broken off, cancelled, slow."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

import voiceloop as vl
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import Speak, tone

from .session_kit import LONG, cascade, collect, of, order, session, the, until

pytestmark = pytest.mark.virtual_time


async def test_the_lanes_apart_hold_everything_once() -> None:
    signals: list[vl.Event] = []
    replies: list[vl.Event] = []

    async def take(lane, into: list[vl.Event]) -> None:  # type: ignore[no-untyped-def]
        async for event in lane:
            into.append(event)  # noqa: PERF401 - seen from outside as it grows

    async with session(cascade([], [LONG, "Good."])) as running, anyio.create_task_group() as group:
        group.start_soon(take, running.signals(), signals)
        group.start_soon(take, running.replies(), replies)
        await running.send_text("Hi")
        await anyio.sleep(2)
        await running.send_text("Stop")
        await anyio.sleep(2)
        await running.end_input()
    assert {type(event) for event in replies} == {
        vl.TurnStarted, vl.ReplyText, vl.Viseme, vl.Word, vl.AudioChunk, vl.TurnEnded
    }  # fmt: skip
    assert order(signals, vl.SessionStarted, vl.Interrupted, vl.SessionEnded) == [
        "SessionStarted", "Interrupted", "SessionEnded"
    ]  # fmt: skip
    assert [event.turn for event in of(replies, vl.TurnEnded)] == [1, 2]


async def test_a_blocked_reply_lane_delays_no_interruption() -> None:
    async with session(cascade([], [LONG])) as running, anyio.create_task_group() as group:
        replies, signals = running.replies(), running.signals()
        at: list[float] = []

        async def slow() -> None:
            async for _ in replies:
                await anyio.sleep(0.1)

        async def fast() -> None:
            async for event in signals:
                if isinstance(event, vl.Interrupted):
                    at.append(event.at)  # noqa: PERF401

        group.start_soon(slow)
        group.start_soon(fast)
        await running.send_text("Hi")
        await anyio.sleep(3.05)
        await running.interrupt()
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert at == [pytest.approx(3.05)]
        await running.end()


@pytest.mark.parametrize("second", ["both", "signals", "replies"])
async def test_one_taker_at_a_time(second: str) -> None:
    async with session(cascade()) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, [])
        await anyio.sleep(0.1)
        lane = {"both": running, "signals": running.signals(), "replies": running.replies()}[second]
        with pytest.raises(anyio.BusyResourceError):
            await anext(lane)
        await running.end()


async def test_the_lanes_do_not_disturb_each_other() -> None:
    async with session(cascade()) as running, anyio.create_task_group() as group:
        group.start_soon(until, running.signals(), vl.SessionEnded)
        await anyio.sleep(0.1)
        with anyio.move_on_after(0.1) as waiting:
            await anext(running.replies())
        assert waiting.cancelled_caught
        await running.end()


async def test_iterating_goes_on_after_a_break() -> None:
    log: list[vl.Event] = []
    async with session(cascade([], ["It is ten past five."])) as running:
        await running.send_text("Hi")
        await running.end_input()
        while not of(log, vl.SessionEnded):
            async for event in running:
                log.append(event)
                break
    assert_log(log)


async def test_a_cancelled_wait_loses_nothing() -> None:
    log: list[vl.Event] = []
    async with session(cascade([], [LONG])) as running:
        await running.send_text("Hi")
        await running.end_input()
        while not of(log, vl.SessionEnded):
            with anyio.move_on_after(0.013):
                log.append(await running.__anext__())
    assert_log(log)
    assert the(log, vl.TurnEnded).heard.text == LONG


async def test_partials_nobody_took_are_one() -> None:
    async with session(cascade(["one two three four five six"], ["Good."])) as running:
        for _ in range(80):
            await running.send_audio(tone(20))
            await anyio.sleep(0.02)
        log: list[vl.Event] = []
        with anyio.move_on_after(0.01):
            await collect(running, log)
        assert len(of(log, vl.Transcript)) == 1
        assert len(the(log, vl.Transcript).text.split()) >= 5


async def test_slow_takers_get_everything_in_order() -> None:
    log: list[vl.Event] = []
    async with session(cascade([], ["It is ten past five."])) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log, 0.2)
        await running.send_text("Hi")
        await running.end_input()
    assert_log(log)


async def test_the_end_is_told_once() -> None:
    async with session(cascade()) as running:
        await running.end_input()
        log: list[vl.Event] = []
        await collect(running, log)
        await collect(running, log)
    assert len(of(log, vl.SessionEnded)) == 1


async def test_events_can_be_taken_after_leaving() -> None:
    async with session(cascade([], [LONG])) as running:
        await running.send_text("Hi")
        await anyio.sleep(0.2)
    log: list[vl.Event] = []
    await collect(running, log)
    assert type(log[0]) is vl.SessionStarted
    assert the(log, vl.SessionEnded).reason == "closed"


async def test_the_time_of_an_event_is_when_it_left() -> None:
    assert Speak(1).ms == 1
    async with session(cascade([], ["Good."])) as running:
        await running.send_text("Hi")
        await anyio.sleep(5)
        started = await until(running, vl.TurnStarted)
        assert started.at == 5
