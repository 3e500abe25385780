"""Tool turns: single, parallel, chained, with speech around them, silent, and what the reasoner is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voiceloop.interfaces import ToolCall
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.nova import NovaProfile
from voiceloop.testing.scripted import Delay

from .nova_kit import Client, audio_start, calling, is_final_end, opening, service, tool

pytestmark = pytest.mark.virtual_time

USER = "TEXT USER FINAL 'book a room' PARTIAL_TURN"
TOOLS = ("weather", "time")


def scripted(*replies: Any) -> Backing:
    return Backing.scripted(["book a room", "tomorrow"], replies)


def spoken(text: str, stop: str = "END_TURN") -> list[str]:
    return [f"TEXT ASSISTANT SPECULATIVE '{text}' PARTIAL_TURN", f"AUDIO ASSISTANT {stop}"]


async def asked(client: Client, count: int = 1) -> list[str]:
    """Speak, until the model asked for ``count`` tools; their ids."""
    await client.open(TOOLS)
    await client.speak(600)
    await client.until("toolUse", count)
    return [body["toolUseId"] for body in client.named("toolUse")]


def order(client: Client) -> list[str]:
    """The blocks, but for FINAL texts of the assistant."""
    return [line for line in client.blocks() if not line.startswith("TEXT ASSISTANT FINAL")]


async def test_one_call_and_its_result() -> None:
    engines = scripted([ToolCall("1", "weather", {"city": "Oslo"})], "Sunny.")
    async with service(engines) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.quiet(3000)
        assert order(client)[-1] == """TOOL TOOL '{"city": "Oslo"}' TOOL_USE"""
        await client.answer(use, '{"result": "sun"}')
        await client.until(is_final_end)
    assert order(client) == [USER, """TOOL TOOL '{"city": "Oslo"}' TOOL_USE""", *spoken("Sunny.")]
    (body,) = client.named("toolUse")
    assert (body["toolName"], body["role"]) == ("weather", "TOOL")
    (recorded,) = nova.connections[0].uses
    assert (recorded.use, recorded.name, recorded.result) == (use, "weather", '{"result": "sun"}')
    assert [(one.use, one.content) for one in nova.connections[0].results] == [(use, '{"result": "sun"}')]
    call, result = engines.reasoner.requests[1].messages[1:]  # type: ignore[attr-defined]
    assert call.parts[0].arguments == {"city": "Oslo"}
    assert (result.parts[0].result, result.parts[0].error) == ("sun", False)


@pytest.mark.parametrize(
    ("content", "result", "error"),
    [
        ('{"result": {"a": 1}}', '{"a": 1}', False),
        ('{"error": "no"}', "no", True),
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 2}', False),
    ],
)
async def test_what_the_reasoner_is_told(content: str, result: str, error: bool) -> None:
    engines = scripted([ToolCall("1", "weather", {})], "Sunny.")
    async with service(engines) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.answer(use, content)
        await client.until(is_final_end)
    part = engines.reasoner.requests[1].messages[-1].parts[0]  # type: ignore[attr-defined]
    assert (part.result, part.error) == (result, error)


async def test_parallel_calls_are_answered_after_the_last_result() -> None:
    calls = [ToolCall("1", "weather", {}), ToolCall("2", "time", {})]
    async with service(scripted(calls, "Sunny at nine.")) as nova, calling(nova) as client:
        first, second = await asked(client, 2)
        await client.answer(second, "{}")
        await client.quiet(2000)
        assert order(client) == [USER, "TOOL TOOL '{}' TOOL_USE", "TOOL TOOL '{}' TOOL_USE"]
        await client.answer(first, "{}")
        await client.until(is_final_end)
    assert order(client)[3:] == spoken("Sunny at nine.")


async def test_chained_calls() -> None:
    async with (
        service(scripted([ToolCall("1", "weather", {})], [ToolCall("2", "time", {})], "Sunny at nine.")) as nova,
        calling(nova) as client,
    ):
        (first,) = await asked(client)
        await client.answer(first, "{}")
        await client.until("toolUse", 2)
        await client.answer(client.named("toolUse")[1]["toolUseId"], "{}")
        await client.until(is_final_end)
        await client.close()
    assert order(client) == [USER, *["TOOL TOOL '{}' TOOL_USE"] * 2, *spoken("Sunny at nine.")]
    assert nova.connections[0].ended == "closed"


async def test_speech_before_and_after_a_call() -> None:
    reply = ["Let me see. ", ToolCall("1", "weather", {}), "One moment."]
    async with service(scripted(reply, "Sunny.")) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.until(is_final_end, 2)
        await client.answer(use, "{}")
        await client.until(is_final_end, 3)
    assert order(client) == [
        USER,
        *spoken("Let me see.", "PARTIAL_TURN"),
        "TOOL TOOL '{}' TOOL_USE",
        *spoken("One moment.", "PARTIAL_TURN"),
        *spoken("Sunny."),
    ]
    finals = [line for line in client.blocks() if line.startswith("TEXT ASSISTANT FINAL")]
    assert [line.rpartition(" ")[2] for line in finals] == ["PARTIAL_TURN", "PARTIAL_TURN", "END_TURN"]


async def test_a_result_that_comes_while_the_preamble_is_spoken() -> None:
    reply = [ToolCall("1", "weather", {}), "One moment, it is coming soon."]
    async with service(scripted(reply, "Sunny.")) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.answer(use, "{}")
        await client.until(is_final_end, 2)
    assert order(client)[2:] == [*spoken("One moment, it is coming soon.", "PARTIAL_TURN"), *spoken("Sunny.")]


async def test_a_filler() -> None:
    profile = NovaProfile(filler="One moment.")
    engines = scripted([ToolCall("1", "weather", {})], "Sunny.")
    async with service(engines, profile=profile) as nova, calling(nova) as client:
        await asked(client)
        await client.until(is_final_end)
    assert order(client)[2:] == spoken("One moment.", "PARTIAL_TURN")


async def test_a_silent_model_answers_only_after_the_result() -> None:
    reply = ["Let me see. ", ToolCall("1", "weather", {}), "One moment."]
    engines = scripted(reply, "Sunny.")
    profile = NovaProfile(tools="silent", filler="Well.")
    async with service(engines, profile=profile) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.speak(600)
        await client.quiet(3000)
        expected = [USER, "TOOL TOOL '{}' TOOL_USE", "TEXT USER FINAL 'tomorrow' PARTIAL_TURN"]
        assert order(client) == expected
        await client.answer(use, "{}")
        await client.until(is_final_end)
        await client.quiet(3000)
    assert order(client) == [*expected, *spoken("Sunny.")]


async def test_the_user_may_speak_on_while_a_tool_runs() -> None:
    engines = scripted([ToolCall("1", "weather", {})], "Tomorrow then.", "Sunny.")
    async with service(engines) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.turn()
        await client.answer(use, '{"result": "sun"}')
        await client.until(is_final_end, 2)
    assert order(client)[2:] == [
        "TEXT USER FINAL 'tomorrow' PARTIAL_TURN",
        *spoken("Tomorrow then."),
        *spoken("Sunny."),
    ]
    assert "sun" in str(engines.reasoner.requests[2].messages[-1].parts)  # type: ignore[attr-defined]


async def test_a_tool_survives_an_interruption() -> None:
    reply = ["Let me see what the weather is. ", ToolCall("1", "weather", {})]
    engines = scripted(reply, "Tomorrow then.", "Sunny.")
    async with service(engines) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.turn()
        await client.answer(use, '{"result": "sun"}')
        await client.until(lambda seen: is_final_end(seen) and "Sunny." in client.blocks()[-1])
    assert any(line.endswith("INTERRUPTED") for line in client.blocks())


async def test_a_tool_survives_an_interruption_of_what_follows_it() -> None:
    reply = [ToolCall("1", "weather", {}), "One moment, I am looking for what the weather will be like."]
    engines = scripted(reply, "Tomorrow then.", "Sunny.")
    async with service(engines, profile=NovaProfile(speed=1.0)) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.quiet(500)
        await client.speak(600)
        await client.until(lambda seen: is_final_end(seen) and "Tomorrow" in client.blocks()[-1])
        await client.answer(use, '{"result": "sun"}')
        await client.until(lambda seen: is_final_end(seen) and "Sunny." in client.blocks()[-1])
    assert any(line.endswith("INTERRUPTED") for line in client.blocks())


async def test_a_result_waits_until_another_answer_is_written() -> None:
    later = ["Tomorrow it is. ", Delay(2.0), "So be it."]
    engines = scripted([ToolCall("1", "weather", {})], later, "Sunny.")
    async with service(engines) as nova, calling(nova) as client:
        (use,) = await asked(client)
        await client.speak(600)
        await client.until("audioOutput")
        await client.answer(use, '{"result": "sun"}')
        await client.quiet(1000)
        assert len(engines.reasoner.requests) == 2  # type: ignore[attr-defined]
        await client.until(is_final_end, 3)
    assert order(client)[3:] == [
        *spoken("Tomorrow it is.", "PARTIAL_TURN"),
        *spoken("So be it."),
        *spoken("Sunny."),
    ]


async def test_double_encoded_arguments() -> None:
    calls = [ToolCall("1", "weather", {"city": "Oslo"})]
    async with service(scripted(calls), profile=NovaProfile(double_encoded=True)) as nova, calling(nova) as client:
        await asked(client)
    (body,) = client.named("toolUse")
    assert json.loads(json.loads(body["content"])) == {"city": "Oslo"}


async def test_audio_may_end_the_stream_while_a_tool_is_pending() -> None:
    profile = NovaProfile(audio_while_tool_pending=False)
    async with service(scripted([ToolCall("1", "weather", {})]), profile=profile) as nova, calling(nova) as client:
        await client.open(TOOLS)
        await client.speak(600)
        await client.quiet(500)
        await client.until("toolUse")
        await client.quiet(260)
        assert not client.over.is_set()
        await client.quiet(100)
        assert await client.ended() == "Invalid input request, please fix your input and try again."


@pytest.mark.parametrize("choice", [{"any": {}}, {"tool": {"name": "time"}}])
async def test_a_forced_tool_is_called_first(choice: dict[str, Any]) -> None:
    engines = scripted("Good day.", "It is nine.")
    async with service(engines) as nova, calling(nova) as client:
        listed = {"tools": [tool("time"), tool("weather")], "toolChoice": choice}
        await client.send(*opening(TOOLS, toolConfiguration=listed), audio_start())
        await client.speak(600)
        await client.until("toolUse")
        (body,) = client.named("toolUse")
        assert body["toolName"] == "time"
        await client.answer(body["toolUseId"], '{"result": 9}')
        await client.until(is_final_end)
    assert order(client)[2:] == spoken("It is nine.")
    offered = [[one.name for one in request.tools] for request in engines.reasoner.requests]  # type: ignore[attr-defined]
    assert offered == [["time"] if "tool" in choice else ["time", "weather"], ["time", "weather"]]


async def test_a_hanging_prompt_ends_with_a_tool_pending() -> None:
    async with service(scripted([ToolCall("1", "weather", {})])) as nova, calling(nova) as client:
        await asked(client)
        await client.close()
    assert client.outline()[-1] == "completionEnd"
    assert nova.connections[0].uses[0].result is None
