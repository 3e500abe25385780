"""ChatCompletions against a server on a loopback port: what it asks, what it reads, and that it leaves nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest

import openai
import voiceloop as vl
from voiceloop.conversation import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import BadInput, ProviderError
from voiceloop.interfaces import ReasonerItem, ReasonerRequest, ReasonerUsage, Stop, TextDelta, ToolCall
from voiceloop.openai import ChatCompletions, find_server
from voiceloop.rules.backoff import Backoff
from voiceloop.testing.conformance import check_reasoner
from voiceloop.testing.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurns
from voiceloop.tools import Tool

from .model_server import WAIT, ModelServer, called, chunk, refused, said

QUICK = Backoff(first=0.0, attempts=3)
HELLO = (Message("user", (TextPart("Hello"),)),)


async def _noon(**_: Any) -> str:
    return "noon"


TIME = Tool("time", "The time.", {"type": "object", "properties": {"zone": {"type": "string"}}}, _noon)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def pool() -> AsyncIterator[vl.Pool]:
    async with vl.Pool() as pool:
        yield pool


def asked(server: ModelServer, model: str | None = "llama", **more: Any) -> ChatCompletions:
    return ChatCompletions(model, base_url=server.url, **{"backoff": QUICK, **more})


async def reply(
    reasoner: ChatCompletions, pool: vl.Pool, messages: Sequence[Message] = HELLO, **more: Any
) -> list[ReasonerItem]:
    async with reasoner.reply(ReasonerRequest(tuple(messages), pool, **more)) as items:
        return [item async for item in items]


def words(items: Sequence[ReasonerItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


# ---------------------------------------------------------------- the contract


async def test_it_keeps_the_contract_of_a_reasoner() -> None:
    async with ModelServer(said("Good ", "day.")).running() as server:
        await check_reasoner(lambda: asked(server))


async def test_a_reply_with_its_usage_and_reason(pool: vl.Pool) -> None:
    async with ModelServer(said("Good ", "day.")).running() as server:
        items = await reply(asked(server), pool, instructions="Be kind.", temperature=0.3)
        assert items == [
            TextDelta("Good "),
            TextDelta("day."),
            ReasonerUsage({"input_tokens": 20.0, "output_tokens": 4.0, "cache_read_tokens": 10.0}),
            Stop("end"),
        ]
        assert server.requests == [
            {
                "model": "llama",
                "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": 4096,
                "temperature": 0.3,
            }
        ]


async def test_tools_in_parallel_and_their_results(pool: vl.Pool) -> None:
    calls = [ToolCall("call_1", "time", {"zone": "Zürich"}), ToolCall("call_2", "time", {})]
    wanted = called(("call_1", "time", {"zone": "Zürich"}), ("call_2", "time", {}), text="Wait.")
    async with ModelServer(wanted, said("It is noon.")).running() as server:
        items = await reply(asked(server), pool, tools=(TIME,))
        assert items == [TextDelta("Wait."), *calls, Stop("tools")]

        parts = (TextPart("Wait."), *(ToolCallPart(c.call, c.name, c.arguments) for c in calls))  # type: ignore[arg-type]
        results = tuple(ToolResultPart(c.call, c.name, "noon") for c in calls)
        later = (*HELLO, Message("assistant", parts), Message("user", (*results, TextPart("Well?"))))
        assert words(await reply(asked(server), pool, later, tools=(TIME,))) == "It is noon."
    first, second = server.requests
    assert first["tools"][0]["function"]["parameters"] == TIME.schema
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool", "tool", "user"]
    told = second["messages"][1]
    assert [(each["id"], json.loads(each["function"]["arguments"])) for each in told["tool_calls"]] == [
        ("call_1", {"zone": "Zürich"}),
        ("call_2", {}),
    ]
    assert second["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "noon"}


async def test_pictures_are_in_the_request(pool: vl.Pool) -> None:
    async with ModelServer(said("A cat.")).running() as server:
        message = Message("user", (TextPart("What is it?"), ImagePart(b"\x89PNG", "image/png")))
        await reply(asked(server), pool, [message])
        url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
        assert server.requests[0]["messages"][0]["content"] == [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]


async def test_options_go_into_the_body_as_they_are(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes.")).running() as server:
        await reply(asked(server, max_tokens=None, options={"seed": 7, "max_completion_tokens": 9}), pool)
        assert server.requests[0]["seed"] == 7
        assert server.requests[0]["max_completion_tokens"] == 9
        assert "max_tokens" not in server.requests[0]


async def test_without_a_model_the_first_that_talks_is_asked_and_listed_once(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes."), models=("nomic-embed-text", "qwen")).running() as server:
        asking = asked(server, None)
        await asking.prepare(pool)
        for _ in range(2):
            await reply(asking, pool)
        assert {request["model"] for request in server.requests} == {"qwen"}
        assert server.listed == 1


# ---------------------------------------------------------------- connections


async def test_one_connection_serves_one_reply_after_another(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes.")).running() as server:
        for _ in range(3):
            await reply(asked(server), pool)
        async with asked(server).reply(ReasonerRequest(HELLO, pool)) as items:
            async for item in items:
                if isinstance(item, Stop):
                    break
        await reply(asked(server), pool)
        assert len(server.peers) == 1


async def test_a_connection_is_open_before_it_is_needed(pool: vl.Pool) -> None:
    async with ModelServer(said("Yes.")).running() as server:
        for _ in range(2):
            await asked(server).prepare(pool)
        await reply(asked(server), pool)
        assert (server.listed, len(server.peers)) == (1, 1)
    with pytest.raises(ProviderError, match="no server at"):
        await ChatCompletions(base_url="http://127.0.0.1:9/v1").prepare(pool)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_leaving_early_closes_the_connection_at_once(cancelled: bool, pool: vl.Pool) -> None:
    async with ModelServer([chunk({"content": "Well"}), WAIT]).running() as server:
        with anyio.CancelScope() as scope:
            async with asked(server).reply(ReasonerRequest(HELLO, pool)) as items:
                assert await anext(items) == TextDelta("Well")
                if cancelled:
                    scope.cancel()
                    await anext(items)
        with anyio.fail_after(5):
            await server.gone.wait()


async def test_cancelling_before_an_answer_closes_the_connection_at_once(pool: vl.Pool) -> None:
    async with ModelServer([WAIT]).running() as server:
        with anyio.move_on_after(0.3) as scope:
            await reply(asked(server), pool)
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            await server.gone.wait()


# ---------------------------------------------------------------- keys


async def test_the_key_of_the_environment_goes_to_its_server_alone(
    pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with ModelServer(said("Yes.")).running() as server:
        await reply(asked(server), pool)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        await reply(ChatCompletions("llama"), pool)
        await reply(asked(server, api_key="sk-other"), pool)
        assert server.keys == [None, "sk-secret", "sk-other"]


def test_a_key_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sk-secret" not in repr(ChatCompletions("m", api_key="sk-secret"))
    with pytest.raises(BadInput) as caught:
        ChatCompletions("m", api_key="sk-secret\n")
    assert "sk-secret" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk secret")
    with pytest.raises(BadInput, match="OPENAI_API_KEY") as caught:
        ChatCompletions("m")
    assert "sk secret" not in str(caught.value)


async def test_a_server_is_found_and_is_sent_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with ModelServer(models=()).running() as empty, ModelServer().running() as server:
        usual = ("http://127.0.0.1:9/v1", empty.url, server.url)
        assert await find_server(environ={}, usual=usual, timeout=5.0) == server.url
        assert await find_server(environ={"OPENAI_BASE_URL": server.url + "/"}, usual=(), timeout=5.0) == server.url
        for elsewhere in ("https://example.com/v1", "http://[broken", "?"):
            assert await find_server(environ={"OPENAI_BASE_URL": elsewhere}, usual=()) is None
        assert server.keys == [None, None]


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model": " llama"}, "model"),
        ({"model": None}, "OpenAI's own"),
        ({"base_url": "127.0.0.1:11434"}, "base_url"),
        ({"base_url": "ftp://host/v1"}, "base_url"),
        ({"base_url": "http://user:secret@host/v1"}, "base_url"),
        ({"base_url": "http://host/v1?key=secret"}, "base_url"),
        ({"base_url": 5}, "base_url"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"timeout": 0}, "timeout"),
        ({"options": {"stream": False}}, "stream"),
        ({"options": {"messages": []}}, "messages"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named) as caught:
        ChatCompletions(**{"model": "llama", **arguments})
    assert "secret" not in str(caught.value)


def test_the_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ChatCompletions("gpt").base_url == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1/")
    assert ChatCompletions().base_url == "http://127.0.0.1:11434/v1"
    assert ChatCompletions() == ChatCompletions()
    assert hash(ChatCompletions()) == hash(ChatCompletions())


# ---------------------------------------------------------------- what servers do not take


LEARNT = [
    ("stream_options", refused(400, "Unrecognized request argument supplied: stream_options")),
    (
        "stream_options",
        refused(422, "[{'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]"),
    ),
    ("max_tokens", refused(400, "Unsupported parameter: 'max_tokens' is not supported with this model.")),
    ("temperature", refused(400, "Unsupported value: 'temperature' does not support 0.3 with this model.")),
]


@pytest.mark.parametrize(("member", "refusal"), LEARNT)
async def test_what_is_not_taken_is_left_out_from_then_on(member: str, refusal: Any, pool: vl.Pool) -> None:
    async with ModelServer(refusal, said("Yes.")).running() as server:
        for _ in range(2):
            assert words(await reply(asked(server), pool, temperature=0.3)) == "Yes."
        assert [member in request for request in server.requests] == [True, False, False]
        assert ("max_completion_tokens" in server.requests[-1]) == (member == "max_tokens")


async def test_a_template_without_a_system_role_gets_the_instructions_with_the_first_words(pool: vl.Pool) -> None:
    async with ModelServer(
        refused(500, "Jinja Exception: System role not supported"), said("Yes.")
    ).running() as server:
        await reply(asked(server), pool, instructions="Be kind.")
        assert server.requests[-1]["messages"] == [{"role": "user", "content": "Be kind.\n\nHello"}]


async def test_a_template_that_wants_the_roles_to_alternate_gets_an_answer_between(pool: vl.Pool) -> None:
    told = "Jinja Exception: After the optional system message, conversation roles must alternate"
    history = (
        *HELLO,
        Message("assistant", (ToolCallPart("c1", "time", {}),)),
        Message("user", (ToolResultPart("c1", "time", "noon"), TextPart("And?"))),
    )
    async with ModelServer(refused(500, told), said("Yes.")).running() as server:
        await reply(asked(server), pool, history)
        roles = [message["role"] for message in server.requests[-1]["messages"]]
        assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_model_without_eyes_is_told_so(pool: vl.Pool) -> None:
    told = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    message = Message("user", (TextPart("What is it?"), ImagePart(b"\x89PNG", "image/png")))
    async with ModelServer(refused(500, told), said("I do not know.")).running() as server:
        await reply(asked(server), pool, [message])
        content = server.requests[-1]["messages"][0]["content"]
        assert content == "What is it? (A picture that this model cannot see.)"


async def test_what_was_not_sent_is_not_left_out_later(pool: vl.Pool) -> None:
    refusal = refused(400, "temperature, images and the system role are not supported")
    async with ModelServer(refusal, said("Yes.")).running() as server:
        with pytest.raises(ProviderError):
            await reply(asked(server), pool)
        await reply(asked(server), pool, temperature=0.3, instructions="Be kind.")
        assert server.requests[-1]["temperature"] == 0.3
        assert server.requests[-1]["messages"][0]["role"] == "system"


async def test_a_refusal_that_stays_is_raised_and_not_asked_for_ever(pool: vl.Pool) -> None:
    async with ModelServer(refused(400, "stream_options and temperature are unsupported")).running() as server:
        with pytest.raises(ProviderError):
            await reply(asked(server), pool, temperature=0.3)
        assert len(server.requests) == 3


# ---------------------------------------------------------------- a whole session


async def test_a_session_that_calls_a_tool() -> None:
    @vl.tool
    async def opening(day: str) -> str:
        """When it opens."""
        return f"nine on {day}"

    answers = called(("call_1", "opening", {"day": "Monday"})), said("At nine ", "on Monday.")
    async with ModelServer(*answers).running() as server:
        model = vl.Cascade(ScriptedRecognizer(), asked(server), ScriptedSynthesizer())
        async with vl.Session(
            model, turns=ScriptedTurns(), tools=[opening], instructions="Be brief.", lead=None
        ) as session:
            await session.send_text("When do you open?")
            await session.end_input()
            events = [event async for event in session]
    assert [(each.name, each.result) for each in events if isinstance(each, vl.ToolReturned)] == [
        ("opening", "nine on Monday")
    ]
    assert [each.said for each in events if isinstance(each, vl.TurnEnded)] == ["At nine on Monday."]
    assert server.requests[-1]["messages"][-1]["content"] == "nine on Monday"
    assert any(isinstance(each, vl.Usage) for each in events)


# ---------------------------------------------------------------- a client that we did not write


async def test_the_official_client_understands_the_same_server() -> None:
    """So what the tests above are judged by is what OpenAI's own client takes for a streamed turn with tools."""
    tool = {"type": "function", "function": {"name": "time", "parameters": dict(TIME.schema)}}
    answers = called(("call_1", "time", {"zone": "UTC"})), said("It is ", "noon.")
    async with (
        ModelServer(*answers, key="sk-test").running() as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="sk-test") as client,
    ):
        messages: list[Any] = [{"role": "user", "content": "What time is it?"}]
        async with client.chat.completions.stream(model="llama", messages=messages, tools=[tool]) as stream:
            completion = await stream.get_final_completion()
        message = completion.choices[0].message
        assert message.tool_calls is not None
        call = message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("time", {"zone": "UTC"})
        messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "noon"}]
        async with client.chat.completions.stream(model="llama", messages=messages, tools=[tool]) as stream:
            completion = await stream.get_final_completion()
        assert completion.choices[0].message.content == "It is noon."
        assert [model.id async for model in client.models.list()] == ["llama", "qwen"]
