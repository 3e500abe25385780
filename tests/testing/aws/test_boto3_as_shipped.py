"""boto3 as it is shipped, pointed at the emulator by the environment alone: Polly, Converse and ConverseStream."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
import boto3
import pytest
from anyio.from_thread import start_blocking_portal
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError
from urllib3.exceptions import ProtocolError

from voiceloop.interfaces import ToolCall
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedSynthesizer

HAIKU = "us.anthropic.claude-haiku-5-5"
BOOK = {"toolSpec": {"name": "book", "inputSchema": {"json": {"type": "object"}}}}
ASKED = [{"role": "user", "content": [{"text": "Book a table"}]}]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator in a thread of its own: boto3 blocks."""
    replies = lambda request: ["One moment.", ToolCall("c1", "book", {"people": 2})] if request.tools else "For when?"  # noqa: E731
    backing = attrs.evolve(
        Backing.scripted(),
        synthesizer=ScriptedSynthesizer(0.0, 1000),
        reasoner=ScriptedReasoner(replies, 0.0, 0.0),
    )
    with start_blocking_portal() as portal:
        emulator = portal.call(lambda: Emulator(backing))
        with portal.wrap_async_context_manager(emulator):
            yield emulator


@pytest.fixture
def aws(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "that of whoever runs the tests")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    for name, value in emulator.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return emulator


@pytest.fixture
def polly(aws: Emulator) -> Iterator[Any]:
    client = boto3.client("polly")
    yield client
    client.close()


@pytest.fixture
def bedrock(aws: Emulator) -> Iterator[Any]:
    client = boto3.client("bedrock-runtime")
    yield client
    client.close()


def test_polly_speaks(polly: Any) -> None:
    asked = {"Text": "Good morning.", "VoiceId": "Joanna", "Engine": "neural"}
    answer = polly.synthesize_speech(OutputFormat="pcm", **asked)
    audio = answer["AudioStream"].read()
    assert answer["RequestCharacters"] == 13
    assert len(audio) == pytest.approx(13 * 60 * 32, abs=64)
    marks = polly.synthesize_speech(OutputFormat="json", SpeechMarkTypes=["word", "viseme"], **asked)
    lines = [json.loads(line) for line in marks["AudioStream"].iter_lines()]
    assert [line["value"] for line in lines if line["type"] == "word"] == ["Good", "morning."]


def test_polly_lists_its_voices(polly: Any) -> None:
    pages = polly.get_paginator("describe_voices").paginate(Engine="neural", LanguageCode="en-US")
    names = {voice["Id"] for page in pages for voice in page["Voices"]}
    assert {"Joanna", "Matthew", "Ruth"} <= names
    assert "Tiffany" not in names


def test_pollys_errors_have_their_classes(polly: Any) -> None:
    with pytest.raises(polly.exceptions.LexiconNotFoundException):
        polly.synthesize_speech(OutputFormat="pcm", Text="Hi", VoiceId="Joanna", LexiconNames=["none"])
    with pytest.raises(polly.exceptions.InvalidSsmlException):
        polly.synthesize_speech(OutputFormat="pcm", Text="<speak>", TextType="ssml", VoiceId="Joanna")


def test_converse(bedrock: Any) -> None:
    answer = bedrock.converse(modelId=HAIKU, messages=ASKED, system=[{"text": "Be brief."}])
    assert answer["output"]["message"]["content"][-1] == {"text": "For when?"}
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


def test_a_turn_with_a_tool_streams_and_can_be_replayed(bedrock: Any, aws: Emulator) -> None:
    tools = {"tools": [BOOK]}
    answer = bedrock.converse_stream(modelId=HAIKU, messages=ASKED, toolConfig=tools)
    events = list(answer["stream"])
    assert [next(iter(event)) for event in events][-2:] == ["messageStop", "metadata"]
    pieces: dict[int, str] = {}
    for event in events:
        if "toolUse" in (delta := event.get("contentBlockDelta", {}).get("delta", {})):
            index = event["contentBlockDelta"]["contentBlockIndex"]
            pieces[index] = pieces.get(index, "") + delta["toolUse"]["input"]
    assert [json.loads(piece) for piece in pieces.values()] == [{"people": 2}]
    whole = bedrock.converse(modelId=HAIKU, messages=ASKED, toolConfig=tools)["output"]["message"]
    result = {"toolResult": {"toolUseId": "c1", "content": [{"json": {"ok": True}}], "status": "success"}}
    again = [*ASKED, whole, {"role": "user", "content": [result]}]
    assert bedrock.converse(modelId=HAIKU, messages=again, toolConfig=tools)["stopReason"] == "tool_use"
    resource = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{HAIKU}"
    assert ("bedrock:InvokeModelWithResponseStream", resource) in aws.actions


def test_tokens_are_counted(bedrock: Any) -> None:
    counted = bedrock.count_tokens(modelId=HAIKU, input={"converse": {"messages": ASKED}})
    assert counted["inputTokens"] == math.ceil(len("Book a table") / 4)


@pytest.mark.parametrize(
    ("model", "messages", "code", "words"),
    [
        (HAIKU, [{"role": "user", "content": [{"text": " "}]}], "ValidationException", "is blank. Add text"),
        ("anthropic.claude-haiku-5-5", ASKED, "ValidationException", "on-demand throughput"),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", ASKED, "ResourceNotFoundException", "end of its life"),
    ],
)
def test_refusals(bedrock: Any, model: str, messages: Any, code: str, words: str) -> None:
    for call in (bedrock.converse, bedrock.converse_stream):
        with pytest.raises(ClientError, match=words) as caught:
            call(modelId=model, messages=messages)
        assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", "ThrottlingException"),
        ("access_denied", "AccessDeniedException"),
        ("expired_token", "ExpiredTokenException"),
        ("unavailable", "ServiceUnavailableException"),
    ],
)
def test_faults_at_the_request(bedrock: Any, aws: Emulator, kind: str, error: str) -> None:
    aws.faults.add(Fault(kind, "ConverseStream"))
    with pytest.raises(ClientError) as caught:
        bedrock.converse_stream(modelId=HAIKU, messages=ASKED)
    assert caught.value.response["Error"]["Code"] == error


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "instability"])
def test_faults_in_the_stream_are_exceptions_in_lower_camel_case(bedrock: Any, aws: Emulator, kind: str) -> None:
    aws.faults.add(Fault(kind, "ConverseStream", at=3))
    events = bedrock.converse_stream(modelId=HAIKU, messages=ASKED)["stream"]
    with closing(events), pytest.raises(EventStreamError) as caught:
        list(events)
    code = caught.value.response["Error"]["Code"]
    assert code in ("throttlingException", "serviceUnavailableException", "validationException")


@pytest.mark.parametrize(
    ("kind", "error"), [("truncate", ProtocolError), ("drop", ProtocolError), ("bad_crc", ChecksumMismatch)]
)
def test_a_broken_stream_is_seen(bedrock: Any, aws: Emulator, kind: str, error: type[Exception]) -> None:
    aws.faults.add(Fault(kind, "ConverseStream", at=3))
    events = bedrock.converse_stream(modelId=HAIKU, messages=ASKED)["stream"]
    with closing(events), pytest.raises(error):
        list(events)


@pytest.mark.parametrize("kind", ["split", "drip"])
def test_messages_cut_anywhere_are_read(bedrock: Any, aws: Emulator, kind: str) -> None:
    aws.faults.add(Fault(kind, "ConverseStream", seconds=0.0005))
    events = list(bedrock.converse_stream(modelId=HAIKU, messages=ASKED)["stream"])
    assert "metadata" in events[-1]
