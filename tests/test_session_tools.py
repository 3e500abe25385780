"""Tools in a conversation: every call gets one result, and audio never waits for one."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.conversation import ToolCallEntry, ToolResultEntry
from voiceloop.interfaces import ToolCall
from voiceloop.memory import InProcessMemory
from voiceloop.testing.scripted import Delay, Speak, Until

from .session_kit import LONG, cascade, ends, of, questions, talk, the

pytestmark = pytest.mark.virtual_time
OVER = Until(vl.TurnEnded)


@vl.tool
async def weather(city: str) -> str:
    """The weather."""
    await anyio.sleep(0.4)
    if city == "Atlantis":
        raise LookupError("no such place")
    return "rain"


@vl.tool(timeout=2)
async def slow() -> str:
    """Never ends."""
    await anyio.sleep(3600)
    return "never"


@vl.tool
async def hang_up(context: vl.ToolContext) -> str:
    """Hang up."""
    await context.session.end()
    return "bye"


def call(name: str, number: int = 1, /, **arguments: Any) -> ToolCall:
    return ToolCall(f"call-{number}", name, arguments)


CASES = {
    "fine": (call("weather", city="Oslo"), "rain", False, 400),
    "failing": (call("weather", city="Atlantis"), "LookupError: no such place", True, 400),
    "too slow": (call("slow"), "longer than 2 s", True, 2000),
    "unknown": (call("wether", city="Oslo"), "Known tools: weather, slow, hang_up", True, 0),
    "missing argument": (call("weather"), "city", True, 0),
    "wrong argument": (call("weather", city=3), "city", True, 0),
    "not JSON": (ToolCall("call-1", "weather", "{city"), "not JSON", True, 0),
    "JSON in text": (ToolCall("call-1", "weather", '{"city": "Oslo"}'), "rain", False, 400),
}


@pytest.mark.parametrize("case", CASES)
async def test_every_call_has_one_result(case: str) -> None:
    asked, result, error, ms = CASES[case]
    model = cascade([], [["Let me see. ", asked], "There."])
    log = await talk(["Hi", OVER], model, tools=[weather, slow, hang_up])
    called, returned = the(log, vl.ToolCalled), the(log, vl.ToolReturned)
    assert (called.call, called.turn) == (returned.call, returned.turn) == ("call-1", 1)
    assert result in returned.result
    assert (returned.error, returned.ms) == (error, pytest.approx(ms))
    assert ends(log) == [(1, "completed", "Let me see. There.")]
    last = model.reasoner.requests[1].messages[-1]  # type: ignore[attr-defined]
    [part] = last.parts
    assert (part.call, part.result, part.error) == ("call-1", returned.result, error)


async def test_calls_run_side_by_side() -> None:
    asked = [call("weather", n, city="Oslo") for n in range(3)]
    log = await talk(["Hi", OVER], cascade([], [asked, "There."]), tools=[weather])
    assert [event.ms for event in of(log, vl.ToolReturned)] == [400, 400, 400]
    assert len({event.at for event in of(log, vl.ToolReturned)}) == 1
    assert ends(log) == [(1, "completed", "There.")]


async def test_speech_plays_while_a_tool_runs() -> None:
    log = await talk(["Hi", OVER], cascade([], [[LONG, call("slow")], "There."]), tools=[slow])
    returned = the(log, vl.ToolReturned)
    assert [chunk for chunk in of(log, vl.AudioChunk) if the(log, vl.ToolCalled).at < chunk.at < returned.at]


async def test_the_result_of_an_interrupted_call_stays_in_the_history() -> None:
    model = cascade(["what now"], [[LONG, call("weather", city="Oslo")], "Good."], thinks={"token": 0.0})
    memory = InProcessMemory()
    acts = ["Hi", Until(vl.ToolCalled), vl.Session.interrupt, Delay(1), Speak(600), OVER]
    log = await talk(acts, model, tools=[weather], memory=memory, conversation_id="c")
    assert the(log, vl.ToolReturned).result == "rain"
    kept = await memory.load("c")
    assert [type(entry) for entry in kept if isinstance(entry, ToolCallEntry | ToolResultEntry)] == [
        ToolCallEntry,
        ToolResultEntry,
    ]
    parts = [part for message in model.reasoner.requests[1].messages for part in message.parts]  # type: ignore[attr-defined]
    assert [part.result for part in parts if hasattr(part, "result")] == ["rain"]


async def test_the_session_ends_though_a_tool_outlived_its_turn() -> None:
    model = cascade([], [[LONG, call("weather", city="Oslo")]], thinks={"token": 0.0})

    async def end(running: vl.Session) -> None:
        await running.interrupt()
        running.played(1, 0, stopped=True)
        await running.end_input()

    log = await talk(["Hi", Until(vl.ToolCalled), end], model, tools=[weather])
    assert the(log, vl.ToolReturned).result == "rain"
    assert the(log, vl.SessionEnded).reason == "input ended"


async def test_a_tool_may_hang_up() -> None:
    model = cascade([], [["Goodbye. ", call("hang_up")], "See you."])
    log = await talk(["Hi", Delay(60)], model, tools=[hang_up])
    assert ends(log) == [(1, "completed", "Goodbye. See you.")]
    assert the(log, vl.SessionEnded).reason == "ended"


async def test_speech_goes_on_as_a_new_utterance_once_a_tool_ran() -> None:
    """What a tool did cannot be undone, so the turn that called it stays in the history."""
    model = cascade(["yes please", "and now"], [[call("slow")], "Good."])
    second = Until(lambda event: isinstance(event, vl.TurnEnded) and event.turn == 2)
    log = await talk([Speak(600), Until(vl.ToolCalled), Speak(600), second], model, tools=[slow])
    assert len([event for event in of(log, vl.Transcript) if event.final]) == 2
    assert questions(model)[-1] == [("user", "yes please and now")]


async def test_a_model_that_calls_without_end_is_stopped() -> None:
    from itertools import count

    numbers = count()
    model = cascade([], lambda request: [call("weather", next(numbers), city="Oslo")])
    with pytest.raises(vl.ProviderMisbehaved, match="called tools 8 times"):
        await talk(["Hi", Delay(60)], model, tools=[weather])


async def test_new_tools_hold_from_the_next_reply() -> None:
    async def add(running: vl.Session) -> None:
        await running.update(tools=[weather])

    model = cascade([], ["One.", "Two."])
    await talk(["a", OVER, add, "b", OVER], model)
    assert [[tool.name for tool in request.tools] for request in model.reasoner.requests] == [[], ["weather"]]  # type: ignore[attr-defined]
