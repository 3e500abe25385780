"""From a conversation to the body of a chat completion. Pure.

Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from voiceloop.conversation import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.interfaces import ReasonerRequest
from voiceloop.tools import Tool, plain

Body: TypeAlias = dict[str, Any]

OPTIONAL = frozenset({"stream_options", "max_tokens", "temperature", "system", "alternate", "images"})
"""What a server may not take: members of the body, a system message, words of the user after results, pictures."""

UNSEEN = "(A picture that this model cannot see.)"
BETWEEN = "One moment."
_OWN_CLOUDS = ("openai.com", "openai.azure.com")  # where max_tokens is the older name, and newer models refuse it


def build(
    model: str,
    request: ReasonerRequest,
    *,
    base_url: str,
    max_tokens: int | None = None,
    temperature: float | None = None,
    options: Mapping[str, Any] | None = None,
    refused: Collection[str] = (),
) -> Body:
    """The body of a request for a streamed reply.

    ``refused``: those of :data:`OPTIONAL` that the server does not take; they are left out or put in another way.
    """
    body: Body = {"model": model, "messages": _messages(request, refused), "stream": True}
    if "stream_options" not in refused:
        body["stream_options"] = {"include_usage": True}
    if max_tokens is not None:
        newer = any(_host(base_url).endswith(cloud) for cloud in _OWN_CLOUDS) != ("max_tokens" in refused)
        body["max_completion_tokens" if newer else "max_tokens"] = max_tokens
    temperature = temperature if request.temperature is None else request.temperature
    if temperature is not None and "temperature" not in refused:
        body["temperature"] = temperature
    if request.tools:
        body["tools"] = [_spec(tool) for tool in request.tools]
    return body | dict(options or {})


def used(body: Body) -> set[str]:
    """Which of :data:`OPTIONAL` are in ``body``."""
    messages = body["messages"]
    found: set[str] = {name for name in ("stream_options", "temperature") if name in body}
    if "max_tokens" in body or "max_completion_tokens" in body:
        found.add("max_tokens")
    if messages[0]["role"] == "system":
        found.add("system")
    if any(message["role"] == "tool" for message in messages):
        found.add("alternate")
    if any(isinstance(message["content"], list) for message in messages):
        found.add("images")
    return found


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _messages(request: ReasonerRequest, refused: Collection[str]) -> list[Body]:
    messages: list[Body] = []
    for message in request.messages:
        told = _assistant(message) if message.role == "assistant" else _user(message, refused)
        # Templates that want the roles to alternate do not count calls and their results, and so see no answer
        # between what the user said before them and what after.
        if "alternate" in refused and len(told) > 1 and told[0]["role"] == "tool":
            told.insert(-1, {"role": "assistant", "content": BETWEEN})
        messages += told
    instructions = request.instructions.strip()
    if instructions and "system" not in refused:
        messages.insert(0, {"role": "system", "content": instructions})
    elif instructions:
        first = messages[0]  # a history starts with words of the user
        first["content"] = _after(instructions, first["content"])
    return messages


def _after(text: str, content: Any) -> Any:
    if isinstance(content, str):
        return f"{text}\n\n{content}"
    return [{"type": "text", "text": text}, *content]


def _assistant(message: Message) -> list[Body]:
    # Templates that look into the content expect text, even if there is none.
    told: Body = {"role": "assistant", "content": message.text}
    if calls := [_called(part) for part in message.parts if isinstance(part, ToolCallPart)]:
        told["tool_calls"] = calls
    return [told]


def _called(part: ToolCallPart) -> Body:
    arguments = json.dumps(plain(part.arguments), ensure_ascii=False)
    return {"id": part.call, "type": "function", "function": {"name": part.name, "arguments": arguments}}


def _user(message: Message, refused: Collection[str]) -> list[Body]:
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    told: list[Body] = [{"role": "tool", "tool_call_id": part.call, "content": part.result} for part in results]
    content = [_part(part, refused) for part in message.parts if isinstance(part, TextPart | ImagePart)]
    if all(part["type"] == "text" for part in content):
        text = " ".join(part["text"] for part in content)
        return [*told, {"role": "user", "content": text}] if text else told
    return [*told, {"role": "user", "content": content}]


def _part(part: TextPart | ImagePart, refused: Collection[str]) -> Body:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if "images" in refused:
        return {"type": "text", "text": UNSEEN}
    url = f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _spec(tool: Tool) -> Body:
    schema = plain(tool.schema)
    if schema.get("type") != "object":
        schema = {"properties": {}, **schema, "type": "object"}
    function: Body = {"name": tool.name, "parameters": schema}
    if tool.description.strip():
        function["description"] = tool.description
    return {"type": "function", "function": function}
