"""Every row of the map of failures, and every exception of botocore's models, raised by the emulator and told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import anyio
import botocore.session
import pytest
from attrs import frozen

import voiceloop as vl
from voiceloop.aws.account import Access
from voiceloop.aws.fault_causes import UNKNOWN
from voiceloop.aws.fault_hints import BEDROCK, NOVA, POLLY, POLLY_STREAM, TRANSCRIBE
from voiceloop.aws.fault_table import ROWS, Row, plain
from voiceloop.aws.faults import fault_of, translated
from voiceloop.aws.wire.stream import Message, StreamRequest
from voiceloop.errors import ProviderError
from voiceloop.testing.aws import Backing, Emulator, Fault

SERVICES = {
    TRANSCRIBE: ("StartStreamTranscription",),
    BEDROCK: ("Converse", "ConverseStream", "CountTokens", NOVA),
    POLLY: ("SynthesizeSpeech", "DescribeVoices", POLLY_STREAM),
}
SERVICE_OF = {operation: service for service, operations in SERVICES.items() for operation in operations}
MODEL = "us.amazon.nova-2-lite-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Hello?"}]}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "Converse": ("converse", {"modelId": MODEL, "messages": MESSAGES}),
    "ConverseStream": ("converse_stream", {"modelId": MODEL, "messages": MESSAGES}),
    "CountTokens": ("count_tokens", {"modelId": MODEL, "input": {"converse": {"messages": MESSAGES}}}),
    "DescribeVoices": ("describe_voices", {}),
    "SynthesizeSpeech": (
        "synthesize_speech",
        {"Text": "Hello.", "VoiceId": "Joanna", "Engine": "neural", "OutputFormat": "pcm"},
    ),
}
OPTIONS = {"language-code": "en-US", "sample-rate": "16000", "media-encoding": "pcm"}
START = {"event": {"sessionStart": {"inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}}}}
CHUNK = json.dumps({"bytes": base64.b64encode(json.dumps(START).encode()).decode()}).encode()
STREAMS: dict[str, tuple[StreamRequest, Message]] = {
    "StartStreamTranscription": (
        StreamRequest(
            TRANSCRIBE,
            "transcribe",
            "StartStreamTranscription",
            "/stream-transcription",
            {f"x-amzn-transcribe-{name}": value for name, value in OPTIONS.items()},
        ),
        Message({":message-type": "event", ":event-type": "AudioEvent"}, bytes(320)),
    ),
    NOVA: (
        StreamRequest(BEDROCK, "bedrock", NOVA, "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream"),
        Message({":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}, CHUNK),
    ),
    POLLY_STREAM: (
        StreamRequest(
            POLLY,
            "polly",
            POLLY_STREAM,
            "/v1/synthesisStream",
            {"x-amzn-engine": "generative", "x-amzn-outputformat": "pcm", "x-amzn-voiceid": "Joanna"},
        ),
        Message({":message-type": "event", ":event-type": "TextEvent"}, json.dumps({"Text": "Hello. "}).encode()),
    ),
}


@frozen
class Failure:
    """What goes wrong in ``operation``, at its request or, with ``within``, after its stream has begun."""

    operation: str
    code: str
    status: int
    message: str
    within: bool = False

    @property
    def fault(self) -> Fault:
        when: dict[str, Any] = {}
        if self.operation == "ConverseStream" and self.within:
            when = {"at": 1}
        elif self.within:
            when = {"after": 2 if self.operation == NOVA else 1}  # whose answer begins with the first event
        return Fault("error", self.operation, **when, code=self.code, status=self.status, message=self.message)

    @property
    def row(self) -> Row:
        """The row that it is about."""
        status = None if self.within else self.status
        known = (SERVICE_OF[self.operation], self.operation, status, plain(self.code), self.message.lower())
        return next((row for row in ROWS if row.fits(*known)), UNKNOWN)


def of_row(row: Row) -> Iterator[Failure]:
    """The failures that ``row`` is about, in every operation that has them, at the request and in a stream."""
    for operation in row.operations or [name for service in row.services or SERVICES for name in SERVICES[service]]:
        if operation not in SERVICE_OF:
            continue  # the WebSocket, which voiceloop does not use
        for code in row.codes or ("teapot" if row.status else "validation",):
            for says in row.says or ("",):
                for within in (False, operation in STREAMS) if not row.status else (False,):
                    yield Failure(operation, f"{code}Exception", row.status or 400, f"It {says}.", within)


def modelled(operation: str) -> Iterator[Failure]:
    """The exceptions of botocore's model of the service."""
    service = SERVICE_OF[operation]
    if service == TRANSCRIBE:
        return  # botocore has it not
    model = botocore.session.get_session().get_service_model(service)
    if operation in model.operation_names:
        called = model.operation_model(operation)
        for shape in called.error_shapes:
            yield Failure(operation, shape.name, shape.metadata["error"]["httpStatusCode"], "It said no.")
        stream = called.get_event_stream_output()
        for name, shape in stream.members.items() if stream is not None else ():
            if shape.metadata.get("exception"):
                yield Failure(operation, name[0].upper() + name[1:], 400, "It said no.", within=True)


def all_of(operation: str) -> list[Failure]:
    wanted = [failure for row in ROWS for failure in of_row(row) if failure.operation == operation]
    return list(dict.fromkeys([*wanted, *modelled(operation)]))


async def fail(access: Access, failure: Failure) -> ProviderError:
    """Call the operation, in which ``failure`` strikes."""
    with pytest.raises(ProviderError) as caught:
        if failure.operation in STREAMS:
            request, message = STREAMS[failure.operation]
            async with access.stream(request) as stream:
                await stream.send(message)
                await stream.send(message)
                async for _ in stream:
                    pass
        else:
            method, options = CALLS[failure.operation]
            client = await access.client(SERVICE_OF[failure.operation])
            with translated(SERVICE_OF[failure.operation], failure.operation):
                answer = await getattr(client, method)(**options)
                async for _ in answer["stream"]:
                    pass
    return caught.value


@pytest.mark.virtual_time
@pytest.mark.parametrize("operation", SERVICE_OF)
async def test_what_the_emulator_raises_is_what_the_map_says(operation: str) -> None:
    async with Emulator(Backing.scripted(replies=["Hello to you."])) as aws, vl.Pool() as pool:
        access = await aws.account(memory=True).access(pool)
        for failure in all_of(operation):
            await anyio.sleep(1)  # no quota is in the way
            aws.faults.add(failure.fault)
            error = await fail(access, failure)
            told = fault_of(error)
            assert told is not None, failure
            assert plain(told.code) == plain(failure.code)
            assert (type(error), told.remedy, error.retryable) == (
                failure.row.error,
                failure.row.remedy,
                failure.row.retryable,
            ), failure
            assert error.hint, failure
            assert aws.calls[-1].faults == ["error"]
            assert (aws.calls[-1].status == 200) == failure.within, failure
        assert aws.faults.left == ()


@pytest.mark.parametrize("operation", SERVICE_OF)
def test_no_exception_of_the_models_is_unknown(operation: str) -> None:
    assert [failure for failure in modelled(operation) if failure.row is UNKNOWN] == []


def test_every_row_is_reached() -> None:
    reached = {id(failure.row) for row in ROWS for failure in of_row(row)}
    assert [row for row in ROWS if id(row) not in reached] == []
