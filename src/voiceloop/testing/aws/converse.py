"""The emulated Bedrock runtime: Converse, ConverseStream and CountTokens, answered by any reasoner."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn

import anyio

from voiceloop import clock, conversation
from voiceloop.aws.wire.stream import Message
from voiceloop.conversation import ImagePart, Part, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import ProviderError
from voiceloop.interfaces import ReasonerRequest, Resources
from voiceloop.testing.aws.converse_models import Model, find, resources
from voiceloop.testing.aws.converse_reply import Event, Writer, signature, tokens, whole
from voiceloop.testing.aws.converse_rules import Json, check, invalid
from voiceloop.testing.aws.exchange import Caller, Refusal, Request, Response, RestService
from voiceloop.testing.aws.frames import encode
from voiceloop.tools import Tool

if TYPE_CHECKING:
    from voiceloop.testing.aws.stage import Stage

_PATH = re.compile(r"/model/(?P<model>.+)/(?P<call>converse|converse-stream|count-tokens)")
_OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}
_ACTIONS = {
    "Converse": "bedrock:InvokeModel",
    "ConverseStream": "bedrock:InvokeModelWithResponseStream",
    "CountTokens": "bedrock:CountTokens",
}
_LOOKBACK = 20
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Converse(RestService):
    """Converse, ConverseStream and CountTokens, answered by the reasoner of ``stage``.

    A streamed body yields one whole event-stream message at a time. A failure of the reasoner is a
    modelStreamErrorException in the stream, or a ModelErrorException of Converse.
    """

    service = "bedrock-runtime"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._cache = PromptCache()

    def operation(self, method: str, path: str) -> str | None:
        """See :meth:`RestService.operation`."""
        found = _PATH.fullmatch(path)
        return _OPERATIONS[found["call"]] if found and method == "POST" else None

    def actions(self, request: Request) -> tuple[tuple[str, str], ...]:
        """See :meth:`RestService.actions`: the model, the profile before it, and the guardrail."""
        model, operation = _asked(request)
        region = request.caller.region
        actions = [(_ACTIONS[operation], arn) for arn in resources(model, region, self._stage.account)]
        guardrail = _object(request.body).get("guardrailConfig")
        if isinstance(guardrail, Mapping) and operation != "CountTokens":
            name = str(guardrail.get("guardrailIdentifier", ""))
            arn = (
                name
                if name.startswith("arn:")
                else f"arn:aws:bedrock:{region}:{self._stage.account}:guardrail/{name}"
            )
            actions.append(("bedrock:ApplyGuardrail", arn))
        return tuple(actions)

    async def answer(self, request: Request) -> Response:
        """See :meth:`RestService.answer`."""
        name, operation = _asked(request)
        model = find(name, request.caller.region)
        body = _object(request.body)
        if operation == "CountTokens":
            return _json({"inputTokens": _count(body, model)})
        check(body, model, streaming=operation == "ConverseStream")
        _signed_thoughts(body)
        events = self._events(body, model, request.caller)
        if operation == "ConverseStream":
            return Response(headers={"content-type": "application/vnd.amazon.eventstream"}, body=_frames(events))
        try:
            async with aclosing(events):
                collected = [event async for event in events]
        except ProviderError as error:
            raise Refusal(424, "ModelErrorException", _failure(error), {"originalStatusCode": 500}) from error
        content, reason = whole(collected)
        message = {"role": "assistant", "content": content}
        return _json({"output": {"message": message}, "stopReason": reason, **collected[-1][1]})

    async def _events(self, body: Json, model: Model, caller: Caller) -> AsyncGenerator[Event]:
        began = clock.now()
        usage = self._cache.usage(body, model, caller.access_key)
        config = body.get("inferenceConfig") or {}
        calls = {b["toolUse"]["toolUseId"] for m in body["messages"] for b in m["content"] if "toolUse" in b}
        most, stops = config.get("maxTokens", model.tokens), config.get("stopSequences") or ()
        writer = Writer(_thinks(body, model), most, stops, calls, _new_call)
        async with self._stage.backing.reasoner.reply(_request(body, self._stage.resources)) as items:
            await anyio.sleep_until(began + self._stage.backing.first_token)
            for event in writer.begin():
                yield event
            async for item in items:
                for event in writer.item(item):
                    yield event
                if writer.done:
                    break
        for event in writer.end(guarded="guardrailConfig" in body):
            yield event
        usage["outputTokens"] = writer.written
        usage["totalTokens"] = sum(usage.values())
        metrics = {"latencyMs": round((clock.now() - began) * 1000)}
        yield "metadata", {"usage": usage, "metrics": metrics}


def _asked(request: Request) -> tuple[str, str]:
    """The model id as it was given, and the operation."""
    found = _PATH.fullmatch(request.path)
    if found is None:
        raise Refusal(404, "UnknownOperationException", "")
    return found["model"], _OPERATIONS[found["call"]]


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "SerializationException", "The request body is not a JSON object")
    return value


def _json(value: Json) -> Response:
    return Response(headers={"content-type": "application/json"}, body=json.dumps(value).encode())


def _count(body: Json, model: Model) -> int:
    asked = body.get("input", {})
    if set(asked) != {"converse"}:
        raise invalid("The input of CountTokens must set the key converse; invokeModel is not emulated.")
    check(asked["converse"], model, streaming=False)
    return sum(size for size, _ in _prompt(asked["converse"]))


async def _frames(events: AsyncGenerator[Event]) -> AsyncIterator[bytes]:
    try:
        async with aclosing(events):
            async for name, event in events:
                padding = _PADDING[: int(clock.random() * len(_PADDING))]
                yield _frame("event", name, {**event, "p": padding})
    except ProviderError as error:
        words = {"message": _failure(error), "originalStatusCode": 500, "originalMessage": type(error).__name__}
        yield _frame("exception", "modelStreamErrorException", words)


def _frame(kind: str, name: str, payload: Json) -> bytes:
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return encode(Message(headers, json.dumps(payload).encode()))


def _failure(error: ProviderError) -> str:
    return f"The model behind the emulator failed: {type(error).__name__}"


def _new_call() -> str:
    return f"tooluse_{clock.new_id()[:22]}"


# ---------------------------------------------------------------- reasoning


def _thinks(body: Json, model: Model) -> bool:
    fields = body.get("additionalModelRequestFields") or {}
    asked = (fields.get("thinking") or fields.get("reasoningConfig") or {}).get("type")
    return model.thinking == "always" or (
        model.thinking != "never"
        and (asked in ("enabled", "adaptive") or (model.thinking == "default" and not asked))
    )


def _signed_thoughts(body: Json) -> None:
    """A thought that is replayed must be as it was written."""
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(message["content"]):
            thought = block.get("reasoningContent", {}).get("reasoningText")
            if thought is not None and thought.get("signature") != signature(str(thought.get("text"))):
                where = f"messages.{index}.content.{number}"
                raise invalid(
                    f"The model returned the following errors: {where}: Invalid `signature` in `thinking` block"
                )


# ---------------------------------------------------------------- to the reasoner


def _request(body: Json, resources: Resources) -> ReasonerRequest:
    calls: dict[str, str] = {}
    messages = tuple(conversation.Message(m["role"], tuple(_parts(m["content"], calls))) for m in body["messages"])
    specs = [tool["toolSpec"] for tool in (body.get("toolConfig") or {}).get("tools", ()) if "toolSpec" in tool]
    return ReasonerRequest(
        messages=messages,
        resources=resources,
        instructions="\n".join(block["text"] for block in body.get("system") or () if "text" in block),
        tools=tuple(Tool(s["name"], s.get("description", ""), s["inputSchema"]["json"], _elsewhere) for s in specs),
        temperature=(body.get("inferenceConfig") or {}).get("temperature"),
    )


async def _elsewhere(**_: Any) -> NoReturn:
    raise NotImplementedError("the caller of Converse runs the tools")


def _parts(content: Sequence[Json], calls: dict[str, str]) -> list[Part]:
    parts: list[Part] = []
    for block in content:
        match next(iter(block.items())):
            case "text", str(text):
                parts.append(TextPart(text))
            case "image", {"format": kind, "source": {"bytes": data}}:
                parts.append(ImagePart(base64.b64decode(data), f"image/{kind}"))
            case "toolUse", call:
                calls[call["toolUseId"]] = call["name"]
                parts.append(ToolCallPart(call["toolUseId"], call["name"], call["input"]))
            case "toolResult", result:
                name = calls.get(result["toolUseId"], "")
                failed = result.get("status") == "error"
                parts.append(ToolResultPart(result["toolUseId"], name, _told(result["content"]), failed))
    return parts


def _told(content: Sequence[Json]) -> str:
    told = (block["text"] if "text" in block else json.dumps(block.get("json", {})) for block in content)
    return " ".join(told) or "Done."


# ---------------------------------------------------------------- tokens


class PromptCache:
    """What cache points kept, by caller and model, for five minutes or an hour since it was last read.

    A cache point reads what was kept up to it. With Claude also what was kept up to one of the blocks before it, the
    longest first, so that it may move on with the conversation (Bedrock user guide, "Prompt caching", "Simplified
    cache management for Claude models": about 20 blocks).
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], tuple[float, float]] = {}

    def usage(self, body: Json, model: Model, caller: str) -> dict[str, int]:
        """The input side of a request's usage; the prefix up to its last cache point is kept from now on."""
        size = read = last = 0
        seen = hashlib.sha256()
        ends: list[tuple[tuple[str, str, str], int]] = []  # where each block ends, and how many tokens that makes
        points: list[tuple[tuple[str, str, str], float]] = []
        for tokens_of, block in _prompt(body):
            if "cachePoint" not in block:
                size += tokens_of
                seen.update(json.dumps(block, sort_keys=True).encode())
                ends.append(((caller, model.id, seen.hexdigest()), size))
            elif ends and model.cached and size >= model.cached:
                last = size
                read = max(read, self._found(ends[-_LOOKBACK if model.anthropic else -1 :]))
                points.append((ends[-1][0], 3600.0 if block["cachePoint"].get("ttl") == "1h" else 300.0))
        for key, keeps in points:
            self._kept[key] = (clock.now() + keeps, keeps)
        usage = {"inputTokens": size - last, "outputTokens": 0}
        if model.cached:
            usage |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": last - read}
        return usage

    def _found(self, ends: Sequence[tuple[tuple[str, str, str], int]]) -> int:
        """How many tokens up to the last of ``ends`` that is kept; it is kept on."""
        for key, size in reversed(ends):
            until, keeps = self._kept.get(key, (0.0, 0.0))
            if until > clock.now():
                self._kept[key] = (clock.now() + keeps, keeps)
                return size
        return 0


def _prompt(body: Json) -> list[tuple[int, Json]]:
    """Every block of the prompt in the order in which a model reads it, with its tokens."""
    blocks: list[Json] = list((body.get("toolConfig") or {}).get("tools", ()))
    blocks += body.get("system") or ()
    blocks += [block for message in body["messages"] for block in message["content"]]
    return [(_tokens(block), block) for block in blocks]


def _tokens(block: Json) -> int:
    if "text" in block:
        return tokens(block["text"])
    if "cachePoint" in block:
        return 0
    if "image" in block:
        return 1500
    return tokens(json.dumps(block))
