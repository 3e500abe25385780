"""What is sent: each input event, built as the service wants it (Amazon Nova 2 user guide, "Handling input events").

An event is one JSON object, UTF-8; :func:`message` puts it into an event-stream message.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from voiceloop.aws.wire.stream import Message
from voiceloop.tools import Tool

_HEADERS = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
_PLAIN = {"mediaType": "text/plain"}


def message(event: bytes) -> Message:
    """``event`` as the inner message of a signed frame."""
    return Message(_HEADERS, b'{"bytes":"' + b64encode(event) + b'"}')


def _event(name: str, body: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": {name: body}}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@frozen
class Inference:
    """How the model writes: ``endpointing`` "HIGH", "MEDIUM" or "LOW" is how soon a pause ends a turn."""

    max_tokens: int
    top_p: float
    temperature: float
    endpointing: str | None = None


@frozen
class Speaking:
    """What the model speaks with: its voice, the rate of its audio in Hz, and the tools it may call.

    ``choice``: "auto", "any", or the name of the tool it has to call.
    """

    voice: str
    rate: int
    tools: tuple[Tool, ...] = ()
    choice: str | None = None


def session_start(how: Inference) -> bytes:
    """Opens the session."""
    body: dict[str, Any] = {
        "inferenceConfiguration": {"maxTokens": how.max_tokens, "topP": how.top_p, "temperature": how.temperature}
    }
    if how.endpointing is not None:
        body["turnDetectionConfiguration"] = {"endpointingSensitivity": how.endpointing}
    return _event("sessionStart", body)


def prompt_start(prompt: str, how: Speaking) -> bytes:
    """Opens the prompt, which lasts as long as the session: voice, rates and tools cannot change after it."""
    body: dict[str, Any] = {
        "promptName": prompt,
        "textOutputConfiguration": _PLAIN,
        "audioOutputConfiguration": {**_lpcm(how.rate), "voiceId": how.voice},
    }
    if how.tools:
        tools: dict[str, Any] = {"tools": [{"toolSpec": _tool(tool)} for tool in how.tools]}
        if how.choice is not None:
            known = how.choice in ("auto", "any")
            tools["toolChoice"] = {how.choice: {}} if known else {"tool": {"name": how.choice}}
        body["toolUseOutputConfiguration"] = {"mediaType": "application/json"}
        body["toolConfiguration"] = tools
    return _event("promptStart", body)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description or tool.name,
        "inputSchema": {"json": json.dumps(tool.schema, ensure_ascii=False)},
    }


def _lpcm(rate: int) -> dict[str, Any]:
    return {
        "mediaType": "audio/lpcm",
        "sampleRateHertz": rate,
        "sampleSizeBits": 16,
        "channelCount": 1,
        "encoding": "base64",
        "audioType": "SPEECH",
    }


def text_block(
    prompt: str, content: str, role: str, text: str, *, interactive: bool, most: int | None = None
) -> Iterator[bytes]:
    """A block of text, whole: ``role`` "SYSTEM", "USER" or "ASSISTANT"; pieces of at most ``most`` bytes.

    ``interactive`` only for what the model is to answer: history sent that way is answered again.
    """
    yield _event(
        "contentStart",
        {
            "promptName": prompt,
            "contentName": content,
            "type": "TEXT",
            "interactive": interactive,
            "role": role,
            "textInputConfiguration": _PLAIN,
        },
    )
    for piece in pieces(text, most):
        yield _event("textInput", {"promptName": prompt, "contentName": content, "content": piece})
    yield content_end(prompt, content)


def pieces(text: str, most: int | None) -> Sequence[str]:
    """``text`` in pieces of at most ``most`` bytes of UTF-8, cut at a space where there is one."""
    if most is None or len(text.encode("utf-8", "replace")) <= most:
        return (text,)
    made: list[str] = []
    rest = text.encode("utf-8", "replace")
    while len(rest) > most:
        cut = rest.rfind(b" ", 1, most) + 1 or len(rest[:most].decode("utf-8", "ignore").encode())
        made.append(rest[:cut].decode("utf-8", "ignore"))
        rest = rest[cut:]
    if rest:
        made.append(rest.decode("utf-8", "ignore"))
    return made


def tool_block(prompt: str, content: str, call: str, result: str) -> Iterator[bytes]:
    """A tool's result, whole. ``result`` is the text of one JSON object; see :func:`tool_result`."""
    yield _event(
        "contentStart",
        {
            "promptName": prompt,
            "contentName": content,
            "interactive": False,
            "type": "TOOL",
            "role": "TOOL",
            "toolResultInputConfiguration": {
                "toolUseId": call,
                "type": "TEXT",
                "textInputConfiguration": _PLAIN,
            },
        },
    )
    yield _event("toolResult", {"promptName": prompt, "contentName": content, "content": result})
    yield content_end(prompt, content)


def tool_result(result: str, *, error: bool) -> str:
    """A result as the only form that is taken: the text of a JSON object (plain prose is refused)."""
    if not error:
        try:
            value = json.loads(result)
        except (ValueError, RecursionError):
            value = result
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
        return json.dumps({"result": value}, ensure_ascii=False)
    return json.dumps({"error": result}, ensure_ascii=False)


def audio_start(prompt: str, content: str, rate: int) -> bytes:
    """Opens a block of the user's audio: PCM at ``rate`` Hz."""
    return _event(
        "contentStart",
        {
            "promptName": prompt,
            "contentName": content,
            "type": "AUDIO",
            "interactive": True,
            "role": "USER",
            "audioInputConfiguration": _lpcm(rate),
        },
    )


@frozen
class AudioFrames:
    """Builds the events of one audio block, many a second: by joining bytes, with no JSON encoder."""

    _before: bytes

    @classmethod
    def of(cls, prompt: str, content: str) -> AudioFrames:
        """For the block ``content``."""
        head = _event("audioInput", {"promptName": prompt, "contentName": content, "content": ""})
        return cls(head[: -len(b'"}}}')])

    def event(self, pcm: bytes) -> bytes:
        """``pcm``, whole samples, as one event."""
        return self._before + b64encode(pcm) + b'"}}}'

    def message(self, pcm: bytes) -> Message:
        """``pcm``, whole samples, as one message."""
        return message(self.event(pcm))


def content_end(prompt: str, content: str) -> bytes:
    """Closes a block, which must have had data."""
    return _event("contentEnd", {"promptName": prompt, "contentName": content})


def prompt_end(prompt: str) -> bytes:
    """Closes the prompt; all its blocks are closed by then."""
    return _event("promptEnd", {"promptName": prompt})


def session_end() -> bytes:
    """Closes the session."""
    return _event("sessionEnd", {})
