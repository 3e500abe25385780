"""Requests of Converse, judged by botocore's validator and serializer and by the emulator's rules."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws import Account, Keys
from voiceloop.aws.bedrock import Bedrock, Guardrail
from voiceloop.aws.bedrock.learnt import Learnt
from voiceloop.aws.bedrock.models import default_model
from voiceloop.aws.bedrock.request import build, valid_id
from voiceloop.conversation import (
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    history_problems,
)
from voiceloop.engine.pool import Pool
from voiceloop.errors import BadInput, UnknownName
from voiceloop.interfaces import ReasonerRequest
from voiceloop.testing.aws.converse_models import find
from voiceloop.testing.aws.converse_rules import check
from voiceloop.tools import Tool

HAIKU = "us.anthropic.claude-haiku-5-5"
NOVA = "us.amazon.nova-2-lite-v1:0"
PNG = b"\x89PNG\r\n\x1a\n"


async def _noon(**_: Any) -> str:
    return "noon"


TIME = Tool("time", "The time.", {"type": "object", "properties": {}}, _noon)
BOOK = Tool("book_room", "", {}, _noon)


def request(*messages: Message, tools: tuple[Tool, ...] = (), **more: Any) -> ReasonerRequest:
    return ReasonerRequest(messages or (user("Hello"),), Pool(), tools=tools, **more)


def user(*parts: Any) -> Message:
    return Message("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Any) -> Message:
    return Message("assistant", tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


# ---------------------------------------------------------------- random conversations

WORDS = st.text(st.characters(codec="utf-8"), max_size=12).map(lambda text: text.strip() or "x")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
IDS = st.text(min_size=1, max_size=80).map(lambda text: text.strip() or "c")
PICTURES = st.builds(
    ImagePart,
    st.sampled_from([PNG, b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF....WEBP", b"\0", b"BM"]),
    st.sampled_from(["image/png", "image/jpeg", "image/bmp"]),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages: list[Message] = []
    results: list[Any] = []
    ids = draw(st.lists(IDS, unique=True, min_size=9, max_size=9))
    for _ in range(draw(st.integers(1, 4))):
        words = [TextPart(draw(WORDS))] if not results or draw(st.booleans()) else []
        messages.append(user(*results, *words, *draw(st.lists(PICTURES, max_size=2))))
        count = draw(st.integers(0, min(3, len(ids))))
        calls = [ToolCallPart(ids.pop(), draw(IDS), draw(st.dictionaries(WORDS, VALUES))) for _ in range(count)]
        said = [TextPart(draw(WORDS))] if not calls or draw(st.booleans()) else []
        messages.append(assistant(*said, *calls))
        results = [ToolResultPart(each.call, each.name, draw(WORDS), draw(st.booleans())) for each in calls]
    words = [TextPart(draw(WORDS))] if not results or draw(st.booleans()) else []
    return (*messages, user(*results, *words))


@st.composite
def reasoners(draw: st.DrawFn) -> Bedrock:
    return Bedrock(
        draw(st.sampled_from([HAIKU, NOVA])),
        max_tokens=draw(st.none() | st.integers(1, 60_000)),
        stop=draw(st.lists(WORDS, max_size=2)),
        reasoning=draw(st.sampled_from([None, "off", "low", "high"])),
        cache=draw(st.booleans()),
        tool_choice=draw(st.sampled_from(["auto", "any"])),
        guardrail=draw(st.none() | st.builds(Guardrail, st.just("abc123"), newest_only=st.booleans())),
        latency=draw(st.sampled_from([None, "standard", "optimized"])),
        service_tier=draw(st.sampled_from([None, "default", "priority", "flex", "reserved"])),
        metadata=draw(st.dictionaries(WORDS, WORDS, max_size=3)),
    )


@cache
def _service() -> Any:
    return botocore.session.Session().get_service_model("bedrock-runtime")


def accepted(members: dict[str, Any]) -> dict[str, Any]:
    """The body that goes on the wire, after botocore's validator and the emulator's rules took it."""
    operation = _service().operation_model("ConverseStream")
    known = {name: value for name, value in members.items() if name in operation.input_shape.members}
    report = ParamValidator().validate(known, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    serialized = create_serializer("rest-json").serialize_to_request(known, operation)
    body: dict[str, Any] = json.loads(serialized["body"])
    body |= {name: value for name, value in members.items() if name not in known}
    check(body, find(members["modelId"], "us-east-1"), streaming=True)
    return body


@given(conversations(), reasoners(), st.sampled_from([(), (TIME,), (TIME, BOOK)]), st.text(max_size=5))
def test_every_valid_conversation_makes_a_request_that_bedrock_takes(
    messages: tuple[Message, ...], bedrock: Bedrock, tools: tuple[Tool, ...], instructions: str
) -> None:
    assert not [problem for problem in history_problems(messages, bedrock.history) if "blanks" not in problem]
    asked = request(*messages, tools=tools, instructions=instructions)

    body = accepted(build(bedrock.model or "", asked, bedrock))

    assert [each["role"] for each in body["messages"]] == [each.role for each in messages]
    calls = [b["toolUse"]["toolUseId"] for m in body["messages"] for b in m["content"] if "toolUse" in b]
    assert len(calls) == len(set(calls))


def test_a_request_in_full() -> None:
    call = ToolCallPart("c1", "time", {"zone": "UTC"})
    bedrock = Bedrock(
        HAIKU,
        max_tokens=100,
        top_p=0.5,
        stop=["END"],
        cache=True,
        reasoning="low",
        service_tier="priority",
        guardrail=Guardrail("abc", "2", mode="async"),
        fields={"anthropic_beta": ["x"]},
        metadata={"team": "voice"},
    )
    asked = request(
        user("When?", ImagePart(PNG, "image/png")),
        assistant("Let me see.", call),
        user(ToolResultPart("c1", "time", "broken", error=True)),
        tools=(TIME,),
        instructions="Be brief.",
        temperature=0.3,
    )
    members = build(HAIKU, asked, bedrock)

    point = {"cachePoint": {"type": "default"}}
    assert members == {
        "modelId": HAIKU,
        "system": [{"text": "Be brief."}, point],
        "messages": [
            {"role": "user", "content": [{"text": "When?"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me see."},
                    {"toolUse": {"toolUseId": "c1", "name": "time", "input": {"zone": "UTC"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "broken"}], "status": "error"}},
                    point,
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "time",
                        "description": "The time.",
                        "inputSchema": {"json": {"type": "object", "properties": {}}},
                    }
                }
            ]
        },
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.3, "topP": 0.5, "stopSequences": ["END"]},
        "outputConfig": {"effort": "low"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "guardrailConfig": {
            "guardrailIdentifier": "abc",
            "guardrailVersion": "2",
            "streamProcessingMode": "async",
        },
        "serviceTier": {"type": "priority"},
        "requestMetadata": {"team": "voice"},
    }


def test_tools_of_the_history_are_told_even_when_there_are_none_now() -> None:
    asked = request(
        user("When?"), assistant(ToolCallPart("c1", "old tool!", {})), user(ToolResultPart("c1", "old tool!", "x"))
    )
    body = accepted(build(HAIKU, asked, Bedrock()))
    (tool,) = body["toolConfig"]["tools"]
    assert tool["toolSpec"]["name"] == body["messages"][1]["content"][0]["toolUse"]["name"]


def test_a_call_is_forced_for_words_only() -> None:
    asked = (user("When?"), assistant(ToolCallPart("c1", "time", {})), user(ToolResultPart("c1", "time", "x")))
    forced = Bedrock(tool_choice="time")
    assert build(HAIKU, request(asked[0], tools=(TIME,)), forced)["toolConfig"]["toolChoice"] == {
        "tool": {"name": "time"}
    }
    assert "toolChoice" not in build(HAIKU, request(*asked, tools=(TIME,)), forced)["toolConfig"]
    with pytest.raises(UnknownName, match="book_room"):
        build(HAIKU, request(tools=(BOOK,)), forced)
    with pytest.raises(UnknownName, match=r"'time'\. Known: none"):
        build(HAIKU, request(), forced)


def test_pictures_that_bedrock_would_refuse_are_told_in_words() -> None:
    pictures = [ImagePart(PNG, "image/jpeg")] * 22
    body = accepted(build(HAIKU, request(user("Look", *pictures)), Bedrock()))
    shown = [next(iter(block)) for block in body["messages"][0]["content"]]
    assert shown == ["text"] + ["text"] * 2 + ["image"] * 20
    large = build(HAIKU, request(user("Look", ImagePart(PNG + bytes(4_000_000), "image/png"))), Bedrock())
    assert "3.75 MB" in large["messages"][0]["content"][1]["text"]


def test_reasoning_is_replayed_before_the_calls_that_it_led_to() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
    asked = request(
        user("a"),
        assistant("b", ToolCallPart("c1", "time", {}), ToolCallPart("c2", "time", {})),
        user(ToolResultPart("c1", "time", "x"), ToolResultPart("c2", "time", "y")),
        tools=(TIME,),
    )
    members = build(HAIKU, asked, Bedrock(), thoughts={"c1": (thought,)})
    assert members["messages"][1]["content"][0] == thought
    assert next(iter(members["messages"][1]["content"][1])) == "text"


def test_only_the_newest_words_are_guarded_if_asked() -> None:
    bedrock = Bedrock(guardrail=Guardrail("abc", newest_only=True))
    body = accepted(build(HAIKU, request(user("old"), assistant("yes"), user("new")), bedrock))
    assert body["messages"][0]["content"] == [{"text": "old"}]
    assert body["messages"][2]["content"] == [{"guardContent": {"text": {"text": "new"}}}]


@given(st.lists(st.text(min_size=1, max_size=90), unique=True, max_size=5))
def test_ids_stay_different(ids: list[str]) -> None:
    assert len({valid_id(each) for each in ids}) == len(ids)


@pytest.mark.parametrize(
    ("region", "prefix"),
    [
        ("us-east-1", "us"),
        ("us-gov-west-1", "us-gov"),
        ("ca-central-1", "us"),
        ("eu-north-1", "eu"),
        ("ap-northeast-1", "jp"),
        ("ap-southeast-2", "au"),
        ("ap-south-1", "global"),
        ("sa-east-1", "global"),
    ],
)
def test_the_default_model_is_a_profile_of_the_region(region: str, prefix: str) -> None:
    assert default_model(region) == f"{prefix}.anthropic.claude-haiku-5-5"


@pytest.mark.parametrize(
    ("reasoning", "model", "members"),
    [
        ("off", HAIKU, {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}),
        ("max", HAIKU, {"outputConfig": {"effort": "max"}}),
        ("off", NOVA, {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}),
        (
            "high",
            NOVA,
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
        ),
    ],
)
def test_each_family_is_told_how_much_to_think(reasoning: Any, model: str, members: dict[str, Any]) -> None:
    built = build(model, request(), Bedrock(model, reasoning=reasoning))
    assert {name: built.get(name) for name in members} == members


def test_own_fields_go_before_those_of_reasoning() -> None:
    bedrock = Bedrock(NOVA, reasoning="low", fields={"reasoningConfig": {"type": "disabled"}, "x": 1})
    assert build(NOVA, request(), bedrock)["additionalModelRequestFields"] == {
        "reasoningConfig": {"type": "disabled", "maxReasoningEffort": "low"},
        "x": 1,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": " "},
        {"max_tokens": 0},
        {"temperature": 1.5},
        {"top_p": True},
        {"reasoning": "lots"},
        {"service_tier": "gold"},
        {"latency": "low"},
        {"metadata": {str(n): "x" for n in range(17)}},
        {"timeout": 0},
        {"timeout": "20"},
        {"gap": 0},
        {"stop": ""},
        {"stop": ["a"] * 2501},
        {"stop": 5},
        {"tool_choice": None},
        {"guardrail": "abc"},
        {"fields": "thinking"},
        {"metadata": ["x"]},
        {"history": 5},
        {"backoff": 3},
        {"model": NOVA, "reasoning": "max"},
        {"model": "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "reasoning": "off"},
    ],
)
def test_values_that_are_not_allowed_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Bedrock(**wrong)


def test_one_text_that_ends_a_reply_is_one() -> None:
    assert Bedrock(stop="###").stop == ("###",)


def test_guardrails_are_checked() -> None:
    for wrong in (
        {"identifier": 5},
        {"identifier": "a", "version": 1},
        {"identifier": " "},
        {"identifier": "a", "version": "x"},
        {"identifier": "a", "mode": "x"},
    ):
        with pytest.raises(BadInput):
            Guardrail(**wrong)


@pytest.mark.parametrize(
    ("message", "config", "refused"),
    [
        ("`temperature` is deprecated for this model.", {"temperature": 0.5, "topP": 0.5}, "temperature"),
        ("`top_p` is deprecated for this model.", {"topP": 0.5}, "topP"),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            {"temperature": 0.5, "topP": 0.5},
            "topP",
        ),
        ("temperature may only be set to 1 when thinking is enabled", {"temperature": 0.5}, "temperature"),
        ("`temperature` is deprecated for this model.", {}, None),
        ("max_tokens: 900000 > 64000", {"temperature": 0.5}, None),
    ],
)
def test_refusals_are_understood_once(message: str, config: dict[str, Any], refused: str | None) -> None:
    learnt = Learnt()
    members = {"messages": [], "inferenceConfig": config}
    assert learnt.refusal(message, members) == refused
    assert learnt.refusal(message, members) is None


def test_cache_points_and_status_can_be_refused() -> None:
    members = build(HAIKU, request(), Bedrock(cache=True))
    learnt = Learnt()
    text = "You invoked an unsupported model or your request did not allow prompt caching."
    assert learnt.refusal(text, members) == "cache"
    assert "cachePoint" not in str(build(HAIKU, request(), Bedrock(cache=True), learnt.refused))
    failed = request(
        user("a"),
        assistant(ToolCallPart("c", "time", {})),
        user(ToolResultPart("c", "time", "x", error=True)),
        tools=(TIME,),
    )
    text = "This model doesn't support the status field. Remove status and try again."
    assert learnt.refusal(text, build(HAIKU, failed, Bedrock())) == "status"
    assert "status" not in str(build(HAIKU, failed, Bedrock(), learnt.refused)["messages"])


def test_keys_do_not_show() -> None:
    account = Account(region="us-east-1", keys=Keys("AKIDEXAMPLE", "secret"))
    shown = repr(Bedrock(account=account, fields={"note": "private"}))
    assert not any(hidden in shown for hidden in ("AKIDEXAMPLE", "secret", "private"))
