"""Entering, leaving and being cancelled: nothing is left, whoever cancels what and when."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

import voiceloop as vl
from voiceloop.conversation import AssistantEntry, Entry, UserEntry
from voiceloop.interfaces import Observer, ToolCall
from voiceloop.memory import InProcessMemory
from voiceloop.testing.scripted import Delay, Hang, Speak, Until

from .session_kit import LONG, cascade, collect, ends, of, others, questions, session, talk, the, until

pytestmark = pytest.mark.virtual_time


async def test_entered_in_one_task_and_left_in_another() -> None:
    running = session(cascade([], ["Good."]))
    await asyncio.create_task(running.__aenter__())
    await running.send_text("Hi")
    log: list[vl.Event] = []
    await asyncio.create_task(until(running, vl.TurnEnded, log))
    await asyncio.create_task(running.__aexit__(None, None, None))
    assert others() == set()
    assert ends(log) == [(1, "completed", "Good.")]


async def test_leaving_closes_politely_even_when_nobody_listens() -> None:
    async with session(cascade([], [LONG])) as running:
        await running.send_text("Hi")
        await anyio.sleep(0.5)
    assert others() == set()


@pytest.mark.parametrize("native", [True, False])
async def test_cancelled_while_entering(native: bool) -> None:
    running = session(cascade([], [], hears={"on_open": Hang()}))
    if native:
        task = asyncio.create_task(running.__aenter__())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with anyio.move_on_after(0.5) as scope:
            await running.__aenter__()
        assert scope.cancelled_caught
    assert others() == set()


@pytest.mark.parametrize("native", [True, False])
async def test_cancelled_in_the_body(native: bool) -> None:
    async def body() -> None:
        async with session(cascade([], [LONG])) as running:
            await running.send_text("Hi")
            await collect(running, [])

    if native:
        task = asyncio.create_task(body())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with anyio.move_on_after(1) as scope:
            await body()
        assert scope.cancelled_caught
    assert others() == set()


class SlowMemory(InProcessMemory):
    """Takes its time to keep something."""

    async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
        await anyio.sleep(2)
        await super().append(conversation, entries, after=after)


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_cancelled_while_leaving(times: int) -> None:
    memory = SlowMemory()

    async def body() -> None:
        async with session(cascade([], ["Good."]), memory=memory, conversation_id="c") as running:
            await running.send_text("Hi")
            await until(running, vl.TurnStarted)

    task = asyncio.create_task(body())
    await asyncio.sleep(1)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert others() == set()
    assert type((await memory.load("c"))[0]) is UserEntry


async def test_an_outer_timeout_while_leaving() -> None:
    async def body() -> None:
        async with session(cascade([], ["Good."]), memory=SlowMemory()) as running:
            await running.send_text("Hi")
            await until(running, vl.TurnStarted)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await body()
    assert others() == set()


async def test_a_tool_that_ignores_cancellation_is_named() -> None:
    @vl.tool
    async def stubborn() -> str:
        """Ignore everything."""
        with anyio.CancelScope(shield=True):
            await anyio.sleep(8)
        return "done"

    model = cascade([], [[ToolCall("1", "stubborn", {})], "Good."])
    async with session(model, tools=[stubborn]) as running:
        await running.send_text("Hi")
        await until(running, vl.ToolCalled)
    assert others() == set()


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.send_audio(bytes(640)),
        lambda s: s.send_text("Hi"),
        lambda s: s.say("Hi"),
        lambda s: s.greet(),
        lambda s: s.interrupt(),
        lambda s: s.end_turn(),
        lambda s: s.end_input(),
        lambda s: s.update(speak=False),
    ],
)
async def test_calls_after_the_end(call) -> None:  # type: ignore[no-untyped-def]
    async with session(cascade()) as running:
        await running.end()
        await collect(running, [])
        with pytest.raises(vl.SessionClosed) as closed:
            await call(running)
        assert not isinstance(closed.value, vl.SessionFailed)
    with pytest.raises(vl.SessionClosed):
        await call(running)


async def test_a_session_is_entered_once() -> None:
    running = session(cascade())
    async with running:
        with pytest.raises(vl.BadInput, match="entered once"):
            await running.__aenter__()
    with pytest.raises(vl.BadInput, match="entered once"):
        await running.__aenter__()


async def test_nothing_is_left_to_the_garbage_collector() -> None:
    for _ in range(3):
        await talk(
            [Speak(600), Until(vl.AudioChunk, after=0.3), Speak(600), Delay(3)],
            cascade(["yes please", "no"], [LONG, "Good."]),
        )
    gc.collect()
    assert others() == set()


# ---------------------------------------------------------------- memory


async def test_a_conversation_goes_on_in_another_session() -> None:
    memory = InProcessMemory()
    await talk(
        ["My name is Ann", Until(vl.TurnEnded)], cascade([], ["Hello Ann."]), memory=memory, conversation_id="c"
    )
    again = cascade([], ["You are Ann."])
    log = await talk(["Who am I", Until(vl.TurnEnded)], again, memory=memory, conversation_id="c")
    assert the(log, vl.SessionStarted).conversation_id == "c"
    assert questions(again) == [[("user", "My name is Ann"), ("assistant", "Hello Ann."), ("user", "Who am I")]]
    kinds = [type(entry) for entry in await memory.load("c")]
    assert kinds == [UserEntry, AssistantEntry, UserEntry, AssistantEntry]


async def test_what_is_kept_is_what_was_heard() -> None:
    memory = InProcessMemory()
    acts = ["Hi", Until(vl.AudioChunk, after=1.5), vl.Session.interrupt, Delay(2)]
    log = await talk(acts, cascade([], [LONG]), memory=memory, conversation_id="c")
    entry = (await memory.load("c"))[1]
    assert isinstance(entry, AssistantEntry)
    assert entry.said == LONG
    assert entry.heard == the(log, vl.TurnEnded).heard
    assert entry.heard is not None
    assert entry.heard.text != LONG


class BrokenMemory(InProcessMemory):
    async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
        raise vl.VoiceloopError("the disk is full")


async def test_a_memory_that_fails_is_a_notice() -> None:
    log = await talk(["Hi", Until(vl.TurnEnded), Delay(1)], cascade([], ["Good."]), memory=BrokenMemory())
    assert "memory-failed" in [notice.code for notice in of(log, vl.Notice)]
    assert the(log, vl.SessionEnded).reason == "input ended"


class HangingMemory(InProcessMemory):
    async def load(self, conversation: str) -> Sequence[Entry]:
        await anyio.sleep_forever()
        return ()


async def test_a_memory_that_hangs_on_loading_fails_the_session() -> None:
    with pytest.raises(vl.VoiceloopError, match="HangingMemory"):
        async with session(cascade(), memory=HangingMemory()):
            raise AssertionError("entered")
    assert others() == set()


# ---------------------------------------------------------------- observers


class Watcher(Observer):
    """Remembers what it is told; raises where it is asked to."""

    def __init__(self, raises: str = "") -> None:
        self.seen: list[vl.Event] = []
        self.heard = bytearray()
        self.closed = 0
        self.raises = raises

    def event(self, event: vl.Event) -> None:
        self.seen.append(event)
        if self.raises == "event" and isinstance(event, vl.TurnStarted):
            raise RuntimeError("a bug")

    def input(self, pcm: bytes, start: int) -> None:
        assert start == len(self.heard) // 2
        self.heard += pcm
        if self.raises == "input":
            raise RuntimeError("a bug")

    def close(self) -> None:
        self.closed += 1


async def test_an_observer_sees_what_the_iterator_yields() -> None:
    watcher = Watcher()
    log = await talk([Speak(600), Until(vl.TurnEnded)], cascade(["yes please"], ["Good."]), observers=[watcher])
    assert watcher.seen == log
    assert len(watcher.heard) > 600 * 32
    assert watcher.closed == 1


@pytest.mark.parametrize("where", ["event", "input"])
async def test_an_observer_that_raises_is_told_nothing_more(where: str) -> None:
    broken, watcher = Watcher(where), Watcher()
    log = await talk(
        [Speak(600), Until(vl.TurnEnded)], cascade(["yes please"], ["Good."]), observers=[broken, watcher]
    )
    assert [notice.code for notice in of(log, vl.Notice)] == ["observer-failed"]
    assert ends(log) == [(1, "completed", "Good.")]
    assert watcher.seen == log
    assert len(broken.seen) < len(log)


# ---------------------------------------------------------------- the pool


class Opened:
    """A shared resource that counts."""

    def __init__(self) -> None:
        self.open = 0
        self.times = 0

    @asynccontextmanager
    async def __call__(self):  # type: ignore[no-untyped-def]
        self.open += 1
        self.times += 1
        try:
            yield self
        finally:
            self.open -= 1


async def _use(running: vl.Session, opened: Opened) -> None:
    [config] = running._parts.model.recognizer.opened  # type: ignore[attr-defined]
    assert await config.resources.get("it", opened) is opened


async def test_sessions_share_a_pool_that_closes_with_the_last() -> None:
    opened = Opened()
    async with session(cascade()) as first:
        await _use(first, opened)
        async with session(cascade()) as second:
            await _use(second, opened)
        assert (opened.open, opened.times) == (1, 1)
    assert opened.open == 0
    async with session(cascade()) as third:
        await _use(third, opened)
        assert opened.times == 2
    assert opened.open == 0
    assert others() == set()


async def test_a_pool_of_ones_own_outlives_its_sessions() -> None:
    opened = Opened()
    async with vl.Pool() as pool:
        async with session(cascade(), pool=pool) as running:
            await _use(running, opened)
        assert opened.open == 1
    assert opened.open == 0
    assert others() == set()
    with suppress(vl.SessionClosed):
        await pool.get("it", opened)
        raise AssertionError("a closed pool opened something")
