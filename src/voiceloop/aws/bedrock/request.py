"""From a conversation to a request of Converse. Pure.

Source: Amazon Bedrock API reference (Converse, ConverseStream), user guide ("Using the Converse API").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import Attribute, field, frozen

from voiceloop.aws.arguments import of_kind, texts
from voiceloop.aws.bedrock.models import REASONING, Reasoning, merged, reasoning_fields
from voiceloop.conversation import ImagePart, Message, Part, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import BadInput, UnknownName
from voiceloop.interfaces import ReasonerRequest
from voiceloop.tools import Tool, plain

Block: TypeAlias = dict[str, Any]
ServiceTier: TypeAlias = Literal["priority", "default", "flex", "reserved"]
Latency: TypeAlias = Literal["standard", "optimized"]

_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_IMAGES, _IMAGE_BYTES = 20, 3_750_000  # of one request; of one picture
_STOPS = 2500
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))
_CACHE_POINT: Block = {"cachePoint": {"type": "default"}}


def _one_of(*allowed: str) -> Any:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value is not None and value not in allowed:
            raise BadInput(f"{attribute.name}={value!r}: one of {', '.join(allowed)} is allowed")

    return check


def _between(low: float, high: float) -> Any:
    def check(_: object, attribute: Attribute[Any], value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadInput(f"{attribute.name}={value!r}: a number from {low:g} to {high:g} is allowed")

    return check


def _whole(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise BadInput(f"{attribute.name}={value!r}: a whole number of at least 1, or None, is allowed")


def _stops(_: object, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    if len(value) > _STOPS or "" in value:
        raise BadInput(f"{attribute.name}: at most {_STOPS} texts that are not empty are allowed")


def _metadata(_: object, attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    good = (
        isinstance(value, Mapping)
        and len(value) <= 16
        and all(isinstance(text, str) and len(text) <= 256 for pair in value.items() for text in pair)
    )
    if not good or "" in value:
        raise BadInput(f"{attribute.name}: at most 16 pairs of text of up to 256 characters are allowed")


@frozen
class Guardrail:
    """A guardrail of Amazon Bedrock that checks what is said and what is answered.

    ``identifier``: its id or ARN. ``version``: "DRAFT" or a number. ``mode``: "sync" holds text until it is checked,
    "async" lets it through at once and may stop it afterwards. ``newest_only``: only the user's newest words are
    checked, not the whole history and the instructions. Raises BadInput.
    """

    identifier: str = field(validator=of_kind(str))
    version: str = field(default="DRAFT", validator=of_kind(str))
    mode: Literal["sync", "async"] = field(default="sync", validator=_one_of("sync", "async"))
    newest_only: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.identifier.strip():
            raise BadInput("identifier='': the id or ARN of a guardrail is needed")
        if not re.fullmatch(r"[1-9][0-9]{0,7}|DRAFT", self.version):
            raise BadInput(f"version={self.version!r}: a guardrail's version is DRAFT or a number")


@frozen(kw_only=True)
class Options:
    """How a model is asked; see :class:`voiceloop.aws.Bedrock`."""

    max_tokens: int | None = field(default=4096, validator=_whole)
    temperature: float | None = field(default=None, validator=_between(0, 1))
    top_p: float | None = field(default=None, validator=_between(0, 1))
    stop: tuple[str, ...] = field(default=(), converter=texts, validator=_stops)
    tool_choice: str = field(default="auto", validator=of_kind(str))
    reasoning: Reasoning | None = field(default=None, validator=_one_of(*REASONING))
    cache: bool = False
    guardrail: Guardrail | None = field(default=None, validator=of_kind(Guardrail))
    service_tier: ServiceTier | None = field(
        default=None, validator=_one_of("priority", "default", "flex", "reserved")
    )
    latency: Latency | None = field(default=None, validator=_one_of("standard", "optimized"))
    fields: Mapping[str, Any] = field(factory=dict, hash=False, repr=False, validator=of_kind(Mapping))
    metadata: Mapping[str, str] = field(factory=dict, hash=False, validator=_metadata)


def build(
    model: str,
    request: ReasonerRequest,
    options: Options,
    refused: Collection[str] = (),
    thoughts: Mapping[str, Sequence[Block]] | None = None,
) -> dict[str, Any]:
    """The members of a ConverseStream request.

    ``refused``: what the model does not take ("temperature", "topP", "cache", "status") and is left out.
    ``thoughts``: reasoning blocks by the id of the first tool call that they led to; they are replayed as they came.
    Raises UnknownName for a ``tool_choice`` that is no tool, BadInput for a level of reasoning the model lacks.
    """
    cache = options.cache and "cache" not in refused
    members: dict[str, Any] = {"modelId": model, "messages": _messages(request, options, refused, thoughts or {})}
    if request.instructions.strip():
        members["system"] = [{"text": request.instructions}]
    if config := _tool_config(request, options):
        members["toolConfig"] = config
    if cache:
        if place := members.get("system") or (members.get("toolConfig") or {}).get("tools"):
            place.append(_CACHE_POINT)
        members["messages"][-1]["content"].append(_CACHE_POINT)
    if inference := _inference(request, options, refused):
        members["inferenceConfig"] = inference
    fields = dict(options.fields)
    if options.reasoning is not None:
        more, own = reasoning_fields(model, options.reasoning)
        members |= more
        fields = merged(own, fields)
    if fields:
        members["additionalModelRequestFields"] = fields
    return members | _settings(options)


def _settings(options: Options) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if options.guardrail is not None:
        members["guardrailConfig"] = {
            "guardrailIdentifier": options.guardrail.identifier,
            "guardrailVersion": options.guardrail.version,
            "streamProcessingMode": options.guardrail.mode,
        }
    if options.latency is not None:
        members["performanceConfig"] = {"latency": options.latency}
    if options.service_tier is not None:
        members["serviceTier"] = {"type": options.service_tier}
    if options.metadata:
        members["requestMetadata"] = dict(options.metadata)
    return members


def _inference(request: ReasonerRequest, options: Options, refused: Collection[str]) -> dict[str, Any]:
    temperature = options.temperature if request.temperature is None else request.temperature
    config = {
        "maxTokens": options.max_tokens,
        "temperature": None if "temperature" in refused else temperature,
        "topP": None if "topP" in refused else options.top_p,
        "stopSequences": list(options.stop) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


# ---------------------------------------------------------------- messages


def _messages(
    request: ReasonerRequest,
    options: Options,
    refused: Collection[str],
    thoughts: Mapping[str, Sequence[Block]],
) -> list[Block]:
    dropped = sum(isinstance(part, ImagePart) for message in request.messages for part in message.parts) - _IMAGES
    last = len(request.messages) - 1
    messages = []
    for number, message in enumerate(request.messages):
        content: list[Block] = []
        first_call = next((part.call for part in message.parts if isinstance(part, ToolCallPart)), None)
        if first_call is not None:
            content += thoughts.get(first_call, ())
        guarded = number == last and options.guardrail is not None and options.guardrail.newest_only
        for part in message.parts:
            dropped -= isinstance(part, ImagePart)
            content.append(_block(part, refused, guarded=guarded, too_many=dropped >= 0))
        messages.append({"role": message.role, "content": content})
    return messages


def _block(part: Part, refused: Collection[str], *, guarded: bool, too_many: bool) -> Block:
    match part:
        case TextPart(text=text):
            return {"guardContent": {"text": {"text": text}}} if guarded else {"text": text}
        case ImagePart():
            return _image(part, too_many=too_many)
        case ToolCallPart(call=call, name=name, arguments=arguments):
            called = {"toolUseId": valid_id(call), "name": valid_name(name), "input": plain(arguments)}
            return {"toolUse": called}
        case ToolResultPart(call=call, result=result, error=error):
            answer: Block = {"toolUseId": valid_id(call), "content": [{"text": result}]}
            if error and "status" not in refused:
                answer["status"] = "error"
            return {"toolResult": answer}


def _image(part: ImagePart, *, too_many: bool) -> Block:
    """The picture, or words in its place where Bedrock would refuse the whole request."""
    kind = next(
        (kind for magic, kind in _MAGIC if part.data.startswith(magic)), None
    )  # what it is, not is said to be
    if too_many:
        return {"text": "(An earlier picture is no longer shown.)"}
    if kind is None:
        return {"text": "(A picture of a kind that cannot be shown; PNG, JPEG, GIF and WebP can.)"}
    if len(part.data) > _IMAGE_BYTES:
        return {"text": "(A picture that cannot be shown: it is larger than 3.75 MB.)"}
    return {"image": {"format": kind, "source": {"bytes": part.data}}}


def valid_id(call: str) -> str:
    """``call`` as an id that Converse takes; two that differ stay different."""
    return _valid(call, _NOT_IN_ID)


def valid_name(name: str) -> str:
    """``name`` as a tool's name that Converse takes."""
    return _valid(name, _NOT_IN_NAME)


def _valid(text: str, wrong: re.Pattern[str]) -> str:
    if text and len(text) <= 64 and not wrong.search(text):
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f"{wrong.sub('_', text)[:50]}_{digest}"


# ---------------------------------------------------------------- tools


def _tool_config(request: ReasonerRequest, options: Options) -> Block | None:
    """The tools. Those that only the history knows are there too: Converse wants the tools of every call it reads."""
    given = {tool.name: tool for tool in request.tools}
    specs = [_spec(tool) for tool in given.values()]
    specs += [_gone(name) for name in sorted(_called(request.messages) - given.keys())]
    choice = _choice(request, options, given)
    if not specs:
        return None
    return {"tools": specs, "toolChoice": choice} if choice else {"tools": specs}


def _called(messages: Sequence[Message]) -> set[str]:
    def names() -> Iterator[str]:
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    yield valid_name(part.name)

    return set(names())


def _choice(request: ReasonerRequest, options: Options, given: Mapping[str, Tool]) -> Block | None:
    """A call is only forced for new words: forced after its own result, it would never end."""
    last = request.messages[-1].parts
    choice = options.tool_choice
    if choice not in ("auto", "any", *given):
        raise UnknownName("tool for tool_choice", choice, given)
    if choice == "auto" or not given or any(isinstance(part, ToolResultPart) for part in last):
        return None
    if choice == "any":
        return {"any": {}}
    return {"tool": {"name": choice}}


def _spec(tool: Tool) -> Block:
    schema = plain(tool.schema)
    if schema.get("type") != "object":
        schema = {"properties": {}, **schema, "type": "object"}
    spec: Block = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description.strip():
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _gone(name: str) -> Block:
    schema = {"type": "object", "properties": {}}
    return {"toolSpec": {"name": name, "description": "No longer available.", "inputSchema": {"json": schema}}}
