"""The messages of the stream: what the caller's hold, and what the service sends (Amazon Nova user guide,
"Handling input events" and "Handling output events")."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from attrs import define

from voiceloop import clock
from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.exchange import Refusal

GENERIC = "Invalid input request, please fix your input and try again."
NO_DATA = "Cannot end content [{}] as no content data was received"
OPEN_CONTENT = "All contents must be closed before ending prompt"
HISTORY_OVER = "Chat history is over max limit. Trim chat history and try again."
HISTORY_FIRST = "Chat history should be sent completely before streaming audio."
TOOL_PARSING = "Tool Response parsing error"
BLOCKED = "This request has been blocked by our content filters."
INSTABILITY = "System instability detected. Please retry your request."
RESET_531 = "InternalErrorCode=531::RST_STREAM closed stream. HTTP/2 error code: NO_ERROR"
NO_EVENTS = "Timed out waiting for input events"
GAP = (
    "Timed out waiting for audio bytes or interactive content. "
    "Please ensure gaps between audio bytes and interactive content are less than {} seconds."
)
MODEL_TIMEOUT = "Model has timed out in processing the request"
STREAM_ERROR = "The system encountered an unexpected error during processing. Try your request again."

_STATUS = {"ModelTimeoutException": 408, "ModelStreamErrorException": 424, "ThrottlingException": 429}

INTERRUPTED = '{ "interrupted" : true }'
MOST_BYTES = 1_000_000
"""Of one event, decoded (InvokeModelWithBidirectionalStream, ``BidirectionalInputPayloadPart``)."""


class Invalid(Exception):
    """What the service refuses: the text of a ValidationException, without the request's id."""


class StreamFailure(Exception):
    """What ends a stream: the exception's name in the API, such as ``ModelTimeoutException``, and its text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


def decode(message: Message) -> tuple[str, Mapping[str, Any]]:
    """The name and body of the caller's event. Raises Invalid for anything that is none."""
    if message.kind != "event" or message.name != "chunk":
        raise Invalid(GENERIC)
    part = _json_object(message.payload).get("bytes")
    if not isinstance(part, str):
        raise Invalid(GENERIC)
    data = decode_base64(part)
    if len(data) > MOST_BYTES:
        raise Invalid(GENERIC)
    event = _json_object(data).get("event")
    if not isinstance(event, dict) or len(event) != 1:
        raise Invalid(GENERIC)
    name, body = next(iter(event.items()))
    if not isinstance(body, dict):
        raise Invalid(GENERIC)
    return name, body


def decode_base64(text: str) -> bytes:
    """Raises Invalid for what is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(GENERIC) from None


def _json_object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Invalid(GENERIC) from None
    if not isinstance(value, dict):
        raise Invalid(GENERIC)
    return value


def refusal(failure: StreamFailure, *, as_list: bool = False) -> Refusal:
    """The exception that ends a stream, with the id of a request before its text."""
    shown = f"Error(s):\nError 1 : {failure.text}" if as_list else failure.text
    extra: dict[str, Any] = {}
    if failure.code == "ModelStreamErrorException":
        extra = {"originalStatusCode": 500, "originalMessage": failure.text}
    return Refusal(_STATUS.get(failure.code, 400), failure.code, f"RequestId={_uuid()} : {shown}", extra)


def chunk(name: str, body: Mapping[str, Any]) -> Message:
    """One output event as a message."""
    event = json.dumps({"event": {name: body}}).encode()
    payload = b'{"bytes":"%b"}' % base64.b64encode(event)
    headers = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
    return Message(headers, payload)


def _uuid() -> str:
    digits = clock.new_id()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def new_uuid() -> str:
    """An id as the service makes them."""
    return _uuid()


@define
class Counts:
    """Tokens of one kind of direction."""

    speech: int = 0
    text: int = 0

    def json(self) -> dict[str, int]:
        return {"speechTokens": self.speech, "textTokens": self.text}


@define
class Usage:
    """Tokens of a connection so far; silence costs none."""

    input: Counts
    output: Counts

    @classmethod
    def zero(cls) -> Usage:
        return cls(Counts(), Counts())

    def add(self, delta: Usage) -> None:
        """Count ``delta`` too."""
        self.input.speech += delta.input.speech
        self.input.text += delta.input.text
        self.output.speech += delta.output.speech
        self.output.text += delta.output.text

    def json(self) -> dict[str, Any]:
        return {"input": self.input.json(), "output": self.output.json()}

    def event(self, delta: Usage) -> dict[str, Any]:
        """The body of a usageEvent, without ids, after ``delta`` was added."""
        read, written = self.input.speech + self.input.text, self.output.speech + self.output.text
        return {
            "details": {"delta": delta.json(), "total": self.json()},
            "totalInputTokens": read,
            "totalOutputTokens": written,
            "totalTokens": read + written,
        }


def usage(*, heard_ms: float = 0, read: str = "", spoken_ms: float = 0, written: str = "") -> Usage:
    """Tokens of what came in and went out: 25 for a second of speech, one for four characters of text."""
    return Usage(
        Counts(round(heard_ms / 40), -(-len(read) // 4)), Counts(round(spoken_ms / 40), -(-len(written) // 4))
    )
