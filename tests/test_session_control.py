"""Steering a session: changing its settings, ending it, calls that are cancelled or come at odd moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.interfaces import (
    Command,
    Link,
    LinkContext,
    LinkEvent,
    ModelCapabilities,
    Settings,
    SpeechModel,
    ToolCall,
    Update,
)
from voiceloop.memory import InProcessMemory
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedCaller,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedTurns,
    Speak,
)

from .session_kit import LONG, cascade, collect, ends, of, others, session, the, until

pytestmark = pytest.mark.virtual_time

OWNS = ModelCapabilities(owns_turns=True, can_cut=False, says=False)


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("after_speech", [True, False])
async def test_ending_what_has_ended_does_nothing(after_speech: bool) -> None:
    log: list[vl.Event] = []
    async with session(cascade([], [LONG])) as running:
        await running.send_text("Hi")
        await until(running, vl.AudioChunk, log)
        await running.end()
        await running.end(after_speech=after_speech)
        await collect(running, log)
        await running.end(after_speech=after_speech)
    await running.end(after_speech=after_speech)
    assert the(log, vl.SessionEnded).reason == "ended"
    assert ends(log)[0][1] == ("completed" if after_speech else "interrupted")


async def test_ending_what_has_failed_does_nothing() -> None:
    with pytest.raises(vl.ProviderUnavailable):
        async with session(cascade([], [Fail()])) as running:
            await running.send_text("Hi")
            await anyio.sleep(1)
            await running.end()
            await collect(running, [])


class Late(InProcessMemory):
    """Takes a second to load, and then fails."""

    async def load(self, conversation: str) -> Sequence[Any]:
        await anyio.sleep(1)
        raise vl.VoiceloopError("gone")


async def test_calls_while_entering_or_after_that_failed_are_told_so() -> None:
    running = session(cascade(), memory=Late())
    entering = asyncio.create_task(running.__aenter__())
    await asyncio.sleep(0.5)
    for call in (running.send_text("Hi"), running.end(), running.__anext__()):
        with pytest.raises(vl.BadInput, match="not been entered"):
            await call
    with pytest.raises(vl.VoiceloopError, match="gone"):
        await entering
    with pytest.raises(vl.BadInput, match="not been entered"):
        await running.__anext__()


async def test_an_answer_that_begins_late_after_the_end_of_the_input_is_spoken_to_its_end() -> None:
    model = ScriptedSpeechModel([LONG * 2], ScriptedRecognizer(["yes please"]), OWNS, turn_after=20)
    async with vl.Session(model, turns=ScriptedTurns()) as running:
        log = await ScriptedCaller([Speak(600), Delay(10)]).talk(running)
    assert_log(log)
    assert ends(log) == [(1, "completed", LONG * 2)]
    assert the(log, vl.SessionEnded).reason == "input ended"


# ---------------------------------------------------------------- settings


def slow_to_change(seconds: float) -> ScriptedSpeechModel:
    return ScriptedSpeechModel(on={Update: Delay(seconds)})


class Taker(SpeechModel, Link):
    """A model that takes two seconds for a command, and tells which it took."""

    name = "taker"
    capabilities = ModelCapabilities()

    def __init__(self) -> None:
        self.taken: list[Command] = []

    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        yield self

    async def send_audio(self, pcm: bytes) -> None:
        pass

    async def send(self, command: Command) -> None:
        await anyio.sleep(2)
        self.taken.append(command)

    def __aiter__(self) -> AsyncIterator[LinkEvent]:
        return self

    async def __anext__(self) -> LinkEvent:
        await anyio.sleep_forever()
        raise StopAsyncIteration


async def test_a_change_that_nobody_waits_for_any_more_is_withdrawn() -> None:
    """What the model took is what the session says."""
    model, log = Taker(), list[vl.Event]()
    async with vl.Session(model, turns="manual") as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        with anyio.move_on_after(1):
            await running.update(voice="one")
        with anyio.move_on_after(0):
            await running.update(voice="two")
        assert await running.update(temperature=0.5) == "applied"
        await anyio.sleep(10)
        await running.end()
    settings = Settings(temperature=0.5)
    assert model.taken == [Update(settings=settings, changed=frozenset({"temperature"}))]
    assert [event.settings for event in of(log, vl.SettingApplied)] == [("temperature",)]
    assert others() == set()


async def test_a_change_that_takes_too_long_is_refused_and_not_made() -> None:
    model = slow_to_change(5.0)
    async with vl.Session(model, turns="manual", limits=vl.Limits(connect=2)) as running:
        with pytest.raises(vl.SettingRefused, match="within 2 s"):
            await running.update(voice="one")
        await anyio.sleep(5)
        assert model.contexts[0].settings().voice is None


async def test_a_model_that_breaks_on_a_change_is_named() -> None:
    model = ScriptedSpeechModel(on={Update: Fail(RuntimeError("a bug"))})
    async with vl.Session(model, turns="manual") as running:
        with pytest.raises(vl.ProviderMisbehaved, match="scripted speech model"):
            await running.update(voice="one")


async def test_a_change_under_way_when_the_session_ends_is_told_so() -> None:
    async with vl.Session(ScriptedSpeechModel(on={Update: Hang()}), turns="manual") as running:
        changes = [asyncio.create_task(running.update(voice=name)) for name in ("one", "two")]
        await anyio.sleep(1)
        await running.end()
        for change in changes:
            with pytest.raises(vl.SessionClosed):
                await change


# ---------------------------------------------------------------- from inside, and wrongly


async def test_a_tool_call_of_the_session_does_not_wait_for_itself() -> None:
    """A tool may change settings and end the session that runs it."""

    @vl.tool
    async def whisper(context: vl.ToolContext) -> str:
        """Whisper."""
        await context.session.update(voice="soft")
        await context.session.end()
        await context.session.end()
        return "done"

    log: list[vl.Event] = []
    async with session(cascade([], [[ToolCall("1", "whisper", {})], "Bye."]), tools=[whisper]) as running:
        await running.send_text("Whisper, please")
        await collect(running, log)
    assert the(log, vl.ToolReturned).result == "done"
    assert ends(log) == [(1, "completed", "Bye.")]


NUMBERS_AND_KINDS = {
    "viseme_wait": None,
    "instructions": None,
    "speak": "yes",
    "eager": 1,
    "conversation_id": 7,
}


@pytest.mark.parametrize("name", NUMBERS_AND_KINDS)
def test_arguments_of_the_wrong_kind_are_refused_by_name(name: str) -> None:
    value = NUMBERS_AND_KINDS[name]
    with pytest.raises(vl.BadInput, match=f"{name}={value!r}: "):
        session(cascade(), **{name: value})
