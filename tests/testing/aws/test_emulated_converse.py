"""The emulated Converse: what it streams, what it refuses and with which words, what it counts."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import clock
from voiceloop.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.engine.pool import Pool
from voiceloop.errors import ProviderUnavailable
from voiceloop.interfaces import Stop, TextDelta, ToolCall
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.converse import Converse
from voiceloop.testing.aws.converse_models import find
from voiceloop.testing.aws.converse_reply import Writer, whole
from voiceloop.testing.aws.exchange import Caller, Refusal, Request
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.scripted import Fail, ScriptedReasoner

HAIKU = "us.anthropic.claude-haiku-5-5"
SONNET_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n123").decode()
BOOK = {"toolSpec": {"name": "book", "description": "Book.", "inputSchema": {"json": {"type": "object"}}}}


def service(*replies: Any, first_token: float = 0.0) -> tuple[Converse, ScriptedReasoner]:
    backing = Backing.scripted(replies=replies, first_token=first_token)
    assert isinstance(backing.reasoner, ScriptedReasoner)
    return Converse(Stage(backing, Pool(), Timers(), Settings(), Faults())), backing.reasoner


def request(body: Mapping[str, Any], *, model: str = NOVA, call: str = "converse-stream") -> Request:
    caller = Caller("AKIA", region="us-east-1")
    return Request("POST", f"/model/{model}/{call}", {}, {}, json.dumps(body).encode(), caller)


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def use(call: str, name: str = "book", **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call, "name": name, "input": arguments}}


def result(call: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {
        "toolResult": {
            "toolUseId": call,
            "content": [{"text": c} if isinstance(c, str) else c for c in content],
            **more,
        }
    }


async def stream(
    converse: Converse, body: Mapping[str, Any], *, model: str = NOVA
) -> list[tuple[str, dict[str, Any]]]:
    """The events as botocore's own parser reads them."""
    response = await converse.answer(request(body, model=model))
    assert response.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert isinstance(response.body, AsyncIterator)
    events = []
    async for chunk in response.body:
        buffer = EventStreamBuffer()
        buffer.add_data(chunk)
        [message] = list(buffer)
        kind = message.headers[":message-type"]
        payload = json.loads(message.payload)
        payload.pop("p", None)
        events.append((message.headers[f":{kind}-type"], payload))
    return events


async def refused(body: Mapping[str, Any], *, model: str = NOVA, call: str = "converse-stream") -> str:
    converse, reasoner = service("Yes.")
    with pytest.raises(Refusal) as caught:
        await converse.answer(request(body, model=model, call=call))
    assert not reasoner.requests
    assert (caught.value.status, caught.value.code) == (400, "ValidationException")
    return caught.value.message


# ---------------------------------------------------------------- streams


async def test_text_has_no_start_and_metadata_is_last() -> None:
    converse, _ = service("For when?")
    events = await stream(converse, {"messages": [user("Book a room")], "system": [{"text": "Be brief."}]})
    usage = events[-1][1]["usage"]
    assert events[:-1] == [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "For"}, "contentBlockIndex": 0}),
        ("contentBlockDelta", {"delta": {"text": " when?"}, "contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]
    assert events[-1][0] == "metadata"
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert usage["inputTokens"] == 6


async def test_a_tool_call_comes_as_fragments() -> None:
    calls = [ToolCall("c1", "book", {"day": "Friday", "people": 2}), ToolCall("c2", "book", {})]
    converse, reasoner = service(["One moment.", *calls])
    body = {"messages": [user("Book")], "toolConfig": {"tools": [BOOK]}}
    events = await stream(converse, body)
    starts = [event for name, event in events if name == "contentBlockStart"]
    assert [start["contentBlockIndex"] for start in starts] == [1, 2]
    assert starts[0]["start"] == {"toolUse": {"toolUseId": "c1", "name": "book"}}
    fragments = {1: [], 2: []}
    for name, event in events:
        if name == "contentBlockDelta" and event["contentBlockIndex"]:
            fragments[event["contentBlockIndex"]].append(event["delta"]["toolUse"]["input"])
    assert len(fragments[1]) > 3
    assert json.loads("".join(fragments[1])) == calls[0].arguments
    assert fragments[2] == [""]
    assert events[-2] == ("messageStop", {"stopReason": "tool_use"})
    assert reasoner.requests[0].tools[0].name == "book"


async def test_the_reasoner_sees_the_conversation() -> None:
    converse, reasoner = service("Done.")
    turns = [
        user("Book", {"image": {"format": "png", "source": {"bytes": PIXEL}}}),
        assistant("One moment.", use("c1", day="Friday")),
        user(result("c1", {"json": {"ok": True}}), result("c2", "no", status="error"), "Hurry"),
    ]
    turns[1]["content"].append(use("c2"))
    body = {"messages": turns, "toolConfig": {"tools": [BOOK]}, "inferenceConfig": {"temperature": 0.5}}
    await stream(converse, body)
    [seen] = reasoner.requests
    assert seen.temperature == 0.5
    assert [message.role for message in seen.messages] == ["user", "assistant", "user"]
    assert seen.messages[0].parts[1].media_type == "image/png"  # type: ignore[union-attr]
    assert seen.messages[1] == Message(
        "assistant",
        (TextPart("One moment."), ToolCallPart("c1", "book", {"day": "Friday"}), ToolCallPart("c2", "book", {})),
    )
    assert seen.messages[2].parts == (
        ToolResultPart("c1", "book", '{"ok": true}'),
        ToolResultPart("c2", "book", "no", error=True),
        TextPart("Hurry"),
    )


async def test_converse_answers_whole() -> None:
    converse, _ = service(["Yes.", ToolCall("c1", "book", {"day": "Friday"})])
    body = {"messages": [user("Book")], "toolConfig": {"tools": [BOOK]}}
    response = await converse.answer(request(body, call="converse"))
    assert isinstance(response.body, bytes)
    answer = json.loads(response.body)
    assert answer["output"]["message"]["content"] == [{"text": "Yes."}, use("c1", day="Friday")]
    assert answer["stopReason"] == "tool_use"
    assert answer["usage"]["outputTokens"] > 0


async def test_a_model_that_thinks_says_so_first_and_its_thought_may_be_replayed_unchanged() -> None:
    converse, _ = service("Yes.", "Yes.")
    body: dict[str, Any] = {"messages": [user("Book")]}
    answer = await converse.answer(request(body, model=HAIKU, call="converse"))
    assert isinstance(answer.body, bytes)
    thought, text = json.loads(answer.body)["output"]["message"]["content"]
    assert text == {"text": "Yes."}
    body["messages"] += [{"role": "assistant", "content": [thought, text]}, user("Go on")]
    await converse.answer(request(body, model=HAIKU, call="converse"))
    thought["reasoningContent"]["reasoningText"]["text"] += "!"
    with pytest.raises(Refusal, match="Invalid `signature` in `thinking` block"):
        await converse.answer(request(body, model=HAIKU, call="converse"))
    body["additionalModelRequestFields"] = {"thinking": {"type": "disabled"}}
    del body["messages"][1:]
    events = await stream(converse, body, model=HAIKU)
    assert not [event for _, event in events if "reasoningContent" in event.get("delta", {})]


async def test_what_is_cached_is_written_once_and_then_read() -> None:
    converse, _ = service("Yes.")
    system = [{"text": "Be brief. " * 2000}, {"cachePoint": {"type": "default"}}]
    body = {"messages": [user("Book")], "system": system}
    first = (await stream(converse, body))[-1][1]["usage"]
    second = (await stream(converse, {**body, "messages": [user("Cancel")]}))[-1][1]["usage"]
    assert first["cacheWriteInputTokens"] == second["cacheReadInputTokens"] == 5000
    assert first["cacheReadInputTokens"] == second["cacheWriteInputTokens"] == 0
    assert first["inputTokens"] == 1
    counted = await converse.answer(request({"input": {"converse": body}}, call="count-tokens"))
    assert isinstance(counted.body, bytes)
    assert json.loads(counted.body) == {"inputTokens": 5001}


POINT = {"cachePoint": {"type": "default"}}


@pytest.mark.parametrize(
    ("model", "blocks", "read"), [(HAIKU, 1, 4875), (HAIKU, 18, 4875), (HAIKU, 19, 3750), (NOVA, 1, 3750)]
)
async def test_a_cache_point_that_moves_on_with_the_conversation(model: str, blocks: int, read: int) -> None:
    """Claude looks back at about 20 blocks; others read what was kept at a cache point that is there again."""
    converse, _ = service("Yes.")
    system = [{"text": "word " * 3000}, POINT]
    asked = "turn " * 900
    first = {"messages": [user(asked, POINT)], "system": system}
    written = (await stream(converse, first, model=model))[-1][1]["usage"]
    assert written["cacheWriteInputTokens"] == 4875
    later = [user(asked), assistant("ok"), user(*["and " * 100] * blocks, POINT)]
    usage = (await stream(converse, {"messages": later, "system": system}, model=model))[-1][1]["usage"]
    assert usage["cacheReadInputTokens"] == read
    assert usage["cacheWriteInputTokens"] == 4876 + 100 * blocks - read
    assert usage["inputTokens"] == 0


async def test_too_few_tokens_are_not_cached() -> None:
    converse, _ = service("Yes.")
    body = {"messages": [user("Book")], "system": [{"text": "Short."}, {"cachePoint": {"type": "default"}}]}
    usage = (await stream(converse, body))[-1][1]["usage"]
    assert usage["cacheReadInputTokens"] == usage["cacheWriteInputTokens"] == 0


@pytest.mark.virtual_time(seed=0)
async def test_the_first_token_takes_its_time() -> None:
    converse, _ = service("Yes.", first_token=0.35)
    began = clock.now()
    events = await stream(converse, {"messages": [user("Book")]})
    assert clock.now() - began == pytest.approx(0.35)
    assert events[-1][1]["metrics"]["latencyMs"] == 350


async def test_a_failing_reasoner_ends_the_stream_with_an_exception() -> None:
    failure = Fail(ProviderUnavailable("away", provider="scripted"))
    converse, _ = service(["Well", failure])
    events = await stream(converse, {"messages": [user("Book")]})
    assert events[-1][0] == "modelStreamErrorException"
    assert events[-1][1]["originalStatusCode"] == 500
    with pytest.raises(Refusal) as caught:
        await converse.answer(request({"messages": [user("Book")]}, call="converse"))
    assert (caught.value.status, caught.value.code) == (424, "ModelErrorException")


async def test_who_stops_listening_cuts_the_reply() -> None:
    converse, reasoner = service("A long reply, of many words.")
    response = await converse.answer(request({"messages": [user("Book")]}))
    async for _ in response.body:  # type: ignore[union-attr]
        break
    await response.body.aclose()  # type: ignore[union-attr]
    assert reasoner.outcomes == ["cut"]


@pytest.mark.parametrize(
    ("config", "text", "reason"),
    [
        ({"maxTokens": 2}, "One two", "max_tokens"),
        ({"stopSequences": ["three fo", "six"]}, "One two ", "stop_sequence"),
        ({"stopSequences": ["seven"]}, "One two three four five", "end_turn"),
    ],
)
async def test_a_reply_ends_at_its_length_or_a_stop_sequence(config: Any, text: str, reason: str) -> None:
    converse, _ = service("One two three four five")
    events = await stream(converse, {"messages": [user("Count")], "inferenceConfig": config})
    said = "".join(e["delta"]["text"] for n, e in events if n == "contentBlockDelta")
    assert said == text
    assert events[-2][1] == {"stopReason": reason}


@given(
    texts=st.lists(st.text("ab ", max_size=6), max_size=8),
    stops=st.lists(st.text("ab", min_size=1, max_size=3), max_size=2),
)
def test_no_stop_sequence_is_ever_written(texts: Sequence[str], stops: Sequence[str]) -> None:
    writer = Writer(False, 10_000, stops, set(), lambda: "x")
    events = [*writer.begin()]
    for text in texts:
        events += writer.item(TextDelta(text))
    events += [*writer.item(Stop("end")), *writer.end()]
    blocks, reason = whole(events)
    said = "".join(block["text"] for block in blocks)
    everything = "".join(texts)
    cut = min((everything.find(stop) for stop in stops if stop in everything), default=None)
    assert said == everything[:cut]
    assert reason == ("end_turn" if cut is None else "stop_sequence")


# ---------------------------------------------------------------- refusals

WITH_TOOLS = {"toolConfig": {"tools": [BOOK]}}
CALLED = [user("Book"), assistant(use("c1"), use("c2"))]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": []}, "A conversation must start with a user message."),
        ({"messages": [assistant("Hi")]}, "A conversation must start with a user message."),
        ({"messages": [user("a"), user("b")]}, "must alternate between user and assistant roles."),
        ({"messages": [{"role": "user", "content": []}]}, "object at messages.0 is empty. Add a ContentBlock object"),
        ({"messages": [user("a"), assistant(" \n"), user("b")]}, "object at messages.1.content.0 is blank. Add text"),
        ({"messages": [user("a")], "system": [{"text": ""}]}, "SystemContentBlock object at system.0 is blank."),
        ({"messages": [user({"text": "a", "image": {}})]}, "must set one of the following keys"),
        ({"messages": [user({"words": "a"})]}, "must set one of the following keys"),
        ({"messages": [user(use("c1"))], **WITH_TOOLS}, "User messages cannot contain toolUse"),
        (
            {"messages": [*CALLED, user(result("c1", "x"))], **WITH_TOOLS},
            "messages.2.content for the following Ids: c2",
        ),
        ({"messages": [*CALLED, user("Well?")], **WITH_TOOLS}, "Expected toolResult blocks at messages.2.content"),
        ({"messages": CALLED, **WITH_TOOLS}, "Expected toolResult blocks at messages.2.content"),
        ({"messages": [user(result("c1", "x"))], **WITH_TOOLS}, "exceeds the number of toolUse blocks"),
        (
            {"messages": [*CALLED, user(result("c1", "x"), result("c1", "x"), result("c2", "y"))], **WITH_TOOLS},
            "exceeds the number of toolUse blocks",
        ),
        ({"messages": [*CALLED, user(result("c1", "x"), result("c2", "y"))]}, "The toolConfig field must be defined"),
        ({"messages": [user("a"), assistant(use("c 1"))], **WITH_TOOLS}, "regular expression pattern"),
        (
            {"messages": [*CALLED, user(result("c1", ""), result("c2", "y"))], **WITH_TOOLS},
            "toolResult.content.0 is blank",
        ),
        (
            {"messages": [*CALLED, user(result("c1", status="error"), result("c2", "y"))], **WITH_TOOLS},
            "The content field at messages.2.content.0.toolResult cannot be empty when status value is error.",
        ),
        (
            {"messages": [*CALLED, user(result("c1", {"json": [1]}), result("c2", "y"))], **WITH_TOOLS},
            "messages.2.content.0.toolResult.content.0.json is invalid. Provide a json object",
        ),
        ({"messages": [user("a")], "toolConfig": {"tools": []}}, "toolConfig.tools"),
        ({"messages": [user("a")], "toolConfig": {"tools": [BOOK, BOOK]}}, "duplicate tool names: book"),
        (
            {
                "messages": [user("a")],
                "toolConfig": {"tools": [{"toolSpec": {"name": "x", "inputSchema": {"json": {}}}}]},
            },
            "inputSchema.json.type must be one of the following: object.",
        ),
        ({"messages": [user("a")], "toolConfig": {"tools": [BOOK], "toolChoice": {"none": {}}}}, "toolChoice"),
        ({"messages": [user("a")], "inferenceConfig": {"temperature": 1.5}}, "inferenceConfig.temperature"),
        ({"messages": [user("a")], "inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"messages": [user("a")], "inferenceConfig": {"maxTokens": 64_001}}, "exceeds the model limit of 64000"),
        ({"messages": [user("a", {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}})]}, "does not match"),
        ({"messages": [user(*[{"image": {"format": "png", "source": {"bytes": PIXEL}}}] * 21)]}, "limit of 20"),
        (
            {"messages": [user({"document": {"format": "txt", "name": "n", "source": {"text": "a"}}})]},
            "A text block must be included when using documents.",
        ),
        ({"messages": [user("a", *[{"cachePoint": {"type": "default"}}] * 5)]}, "maximum number of cachePoint"),
        ({"messages": [user("a")], "serviceTier": {"type": "fast"}}, "serviceTier.type"),
        ({"messages": [user("a")], "guardrailConfig": {"guardrailIdentifier": "abc"}}, "guardrailVersion"),
        ({"messages": [user("a")], "requestMetadata": {}}, "requestMetadata"),
    ],
)
async def test_what_is_refused_with_the_services_words(body: Any, words: str) -> None:
    assert words in await refused(body)
    assert words in await refused(body, call="converse")


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        (HAIKU, {"inferenceConfig": {"temperature": 0.5}}, "errors: `temperature` is deprecated for this model."),
        (HAIKU, {"inferenceConfig": {"topP": 0.5}}, "errors: `top_p` is deprecated for this model."),
        (HAIKU, {"additionalModelRequestFields": {"top_k": 5}}, "errors: `top_k` is deprecated for this model."),
        (
            HAIKU,
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 9}}},
            "budget_tokens",
        ),
        (SONNET_45, {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}}, "cannot both be specified"),
        (
            "us.anthropic.claude-opus-5-5",
            {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
            "disabled",
        ),
        (
            "us.anthropic.claude-sonnet-5-5",
            {"toolConfig": {"tools": [BOOK], "toolChoice": {"any": {}}}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (HAIKU, {"messages": [user("a"), assistant("I ")]}, "does not support assistant message prefill."),
        (
            HAIKU,
            {"messages": [user("a"), assistant(use("c1"), "and"), user(result("c1", "x"))], **WITH_TOOLS},
            "text content blocks cannot follow `tool_use` blocks",
        ),
        (
            HAIKU,
            {"messages": [user("a"), assistant(use("c1")), user("so", result("c1", "x"))], **WITH_TOOLS},
            "`tool_use` ids were found without `tool_result` blocks immediately after: c1.",
        ),
        (
            "anthropic.claude-haiku-5-5",
            {},
            "with on-demand throughput isn’t supported. Retry your request with the ID",
        ),
        ("us.anthropic.claude-9", {}, "The provided model identifier is invalid."),
        ("eu.anthropic.claude-haiku-5-5", {}, "The provided model identifier is invalid."),
    ],
)
async def test_what_a_model_refuses(model: str, more: Any, words: str) -> None:
    assert words in await refused({"messages": [user("a")], **more}, model=model)


async def test_some_models_go_on_from_what_they_are_given() -> None:
    converse, _ = service("ndeed.")
    body = {"messages": [user("a"), assistant("I")]}
    events = await stream(converse, body, model=SONNET_45)
    assert events[-2][1] == {"stopReason": "end_turn"}


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"messages": 5}', b'{"messages": [{"role": "user", "content": [{"toolResult": 5}]}]}']
)
async def test_a_body_of_another_shape_is_refused(body: bytes) -> None:
    converse, _ = service("Yes.")
    asked = Request("POST", f"/model/{NOVA}/converse", {}, {}, body, Caller("AKIA"))
    with pytest.raises(Refusal) as caught:
        await converse.answer(asked)
    assert (caught.value.status, caught.value.code) == (400, "SerializationException")


# ---------------------------------------------------------------- models


def test_models_are_found_by_id_profile_and_arn() -> None:
    for name in (
        HAIKU,
        "global.anthropic.claude-haiku-5-5",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{HAIKU}",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/emulated0001",
    ):
        assert find(name, "us-east-1").id == "anthropic.claude-haiku-5-5"
    assert find("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "us-east-1").bare
    with pytest.raises(Refusal, match="identifier is invalid"):
        find(f"arn:aws:bedrock:us-west-2:123456789012:inference-profile/{HAIKU}", "us-east-1")
    with pytest.raises(Refusal) as caught:
        find("us.anthropic.claude-3-5-haiku-20241022-v1:0", "us-east-1")
    assert (caught.value.status, caught.value.code) == (404, "ResourceNotFoundException")


def test_routes_and_rights() -> None:
    converse, _ = service()
    assert converse.operation("POST", f"/model/{HAIKU}/converse-stream") == "ConverseStream"
    assert converse.operation("GET", f"/model/{HAIKU}/converse") is None
    assert converse.operation("POST", f"/model/{HAIKU}/invoke") is None
    body = {"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}
    assert set(converse.actions(request(body, model=HAIKU))) == {
        (
            "bedrock:InvokeModelWithResponseStream",
            f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{HAIKU}",
        ),
        ("bedrock:InvokeModelWithResponseStream", "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-5-5"),
        ("bedrock:ApplyGuardrail", "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc"),
    }
    nova = request({}, model="amazon.nova-lite-v1:0", call="converse")
    assert converse.actions(nova) == (
        ("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"),
    )
