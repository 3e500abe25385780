"""What Bedrock's Converse operations refuse, with the service's own words. Pure: a body in, a Refusal or nothing out.

The rules are those of the Bedrock API reference (Converse, ConverseStream, ContentBlock, ToolResultBlock) and of the
errors that the service is known to answer with.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from voiceloop.testing.aws.converse_models import Model
from voiceloop.testing.aws.exchange import Refusal

Json: TypeAlias = Mapping[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALL = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_GUARDRAIL = re.compile(r"[a-z0-9]+|arn:aws[a-z-]*:bedrock:[a-z0-9-]{1,20}:\d{12}:guardrail/[a-z0-9]+")
_BLOCKS = {"text", "image", "document", "video", "audio", "toolUse", "toolResult", "reasoningContent"}
_BLOCKS |= {"cachePoint", "guardContent", "citationsContent", "searchResult"}
_RESULT_BLOCKS = {"text", "json", "image", "document", "video", "searchResult"}
_FORMATS = {
    "image": ("png", "jpeg", "gif", "webp"),
    "document": ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"),
    "video": ("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"),
    "audio": ("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "pcm", "webm"),
}
_MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8", "webp": b"RIFF"}
_MOST = {"image": (20, 3_750_000), "document": (5, 4_500_000)}
_CACHE_POINTS = 4


def check(body: Json, model: Model, *, streaming: bool) -> None:
    """Refuse ``body`` if Bedrock would. Raises Refusal: ValidationException, or SerializationException for values of
    another type than the field's."""
    try:
        _check(body, model, streaming)
    except (AttributeError, KeyError, TypeError) as error:
        raise Refusal(400, "SerializationException", "Unexpected value type in payload") from error


def _check(body: Json, model: Model, streaming: bool) -> None:
    _system(body.get("system"))
    messages = _list(body, "messages", "")
    _messages(messages)
    for index, message in enumerate(messages):
        _content(message, f"messages.{index}", model)
    _tools(body.get("toolConfig"), model)
    _tool_turns(messages, model)
    if "toolConfig" not in body and any(_ids(m, "toolUse") or _ids(m, "toolResult") for m in messages):
        raise invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    if messages[-1]["role"] == "assistant" and not model.prefill:
        raise _by_model(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    _inference(body.get("inferenceConfig"), model)
    _thinking(body, model)
    _settings(body, streaming)
    _cache_points(body)


def invalid(message: str) -> Refusal:
    """A ValidationException."""
    return Refusal(400, "ValidationException", message)


def _by_model(message: str) -> Refusal:
    return invalid(f"The model returned the following errors: {message}")


def _constraint(value: object, path: str, wanted: str) -> Refusal:
    return invalid(
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must {wanted}"
    )


def _list(body: Json, name: str, path: str) -> Sequence[Any]:
    value = body.get(name, ())
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _serialization(f"{path}{name}")
    return value


def _serialization(path: str) -> Refusal:
    return Refusal(400, "SerializationException", f"Unexpected value type in payload at {path}")


# ---------------------------------------------------------------- messages


def _system(system: Any) -> None:
    for index, block in enumerate(system or ()):
        if "text" in block and not str(block["text"]).strip():
            raise invalid(
                f"The text field in the SystemContentBlock object at system.{index} is blank. Add text to the text "
                "field, and try again."
            )


def _messages(messages: Sequence[Any]) -> None:
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise _serialization(f"messages.{index}")
        if message.get("role") not in ("user", "assistant"):
            wanted = "satisfy enum value set: [user, assistant]"
            raise _constraint(message.get("role"), f"messages.{index + 1}.member.role", wanted)
    if not messages or messages[0]["role"] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )
    for index in range(1, len(messages)):
        if messages[index]["role"] == messages[index - 1]["role"]:
            raise invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation "
                "alternates between user and assistant roles and try again."
            )


def _content(message: Json, path: str, model: Model) -> None:
    content = _list(message, "content", f"{path}.")
    if not content:
        raise invalid(
            f"The content field in the Message object at {path} is empty. Add a ContentBlock object to the content "
            "field and try again."
        )
    for index, block in enumerate(content):
        _block(block, f"{path}.content.{index}", message["role"], model)
    kinds = [next(iter(block)) for block in content]
    for kind, (most, _) in _MOST.items():
        if kinds.count(kind) > most:
            raise invalid(f"The number of {kind} blocks at {path}.content exceeds the limit of {most}.")
    if "document" in kinds and "text" not in kinds:
        raise invalid("A text block must be included when using documents.")


def _block(block: Any, path: str, role: str, model: Model) -> None:
    if not isinstance(block, Mapping) or len(block) != 1 or not set(block) <= _BLOCKS:
        raise invalid(
            f"The ContentBlock object at {path} must set one of the following keys: {', '.join(sorted(_BLOCKS))}."
        )
    kind, value = next(iter(block.items()))
    if role == "user" and kind in ("toolUse", "reasoningContent"):
        raise invalid(f"User messages cannot contain {kind} content blocks, but one is at {path}.")
    if role == "assistant" and kind in ("toolResult", "image", "document", "video", "audio"):
        raise invalid(f"Assistant messages cannot contain {kind} content blocks, but one is at {path}.")
    match kind:
        case "text":
            _text(value, "ContentBlock", path)
        case "image" | "document" | "video" | "audio":
            _media(kind, value, f"{path}.{kind}")
        case "toolUse":
            _tool_use(value, f"{path}.toolUse")
        case "toolResult":
            _tool_result(value, f"{path}.toolResult")
        case "reasoningContent" if set(value) not in ({"reasoningText"}, {"redactedContent"}):
            raise invalid(f"The ReasoningContentBlock object at {path} must set one key.")
        case "cachePoint" if not model.cached:
            raise invalid("This model does not support prompt caching.")


def _text(value: Any, kind: str, path: str) -> None:
    if not isinstance(value, str):
        raise _serialization(path)
    if not value.strip():
        raise invalid(
            f"The text field in the {kind} object at {path} is blank. Add text to the text field, and try again."
        )


def _media(kind: str, value: Json, path: str) -> None:
    if value.get("format") not in _FORMATS[kind]:
        raise _constraint(value.get("format"), f"{path}.format", f"satisfy enum value set: {_FORMATS[kind]}")
    source = value.get("source", {})
    if len(source) != 1:
        raise invalid(f"The source at {path} must set one key.")
    if "bytes" not in source:
        return
    try:
        data = base64.b64decode(source["bytes"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _serialization(f"{path}.source.bytes") from None
    most = _MOST.get(kind, (0, 25_000_000))[1]
    if not 0 < len(data) <= most:
        raise invalid(f"The {kind} at {path} has {len(data)} bytes; from 1 to {most} are allowed.")
    if kind == "image" and not data.startswith(_MAGIC[value["format"]]):
        raise _by_model("The provided image does not match the specified image format.")


# ---------------------------------------------------------------- tools


def _tool_use(value: Json, path: str) -> None:
    _pattern(_CALL, value.get("toolUseId"), f"{path}.toolUseId")
    _pattern(_NAME, value.get("name"), f"{path}.name")
    if not isinstance(value.get("input"), Mapping):
        raise invalid(
            f"The format of the value at {path}.input is invalid. Provide a json object for the field and try again."
        )


def _tool_result(value: Json, path: str) -> None:
    _pattern(_CALL, value.get("toolUseId"), f"{path}.toolUseId")
    content = _list(value, "content", f"{path}.")
    if value.get("status", "success") not in ("success", "error"):
        raise _constraint(value["status"], f"{path}.status", "satisfy enum value set: [success, error]")
    if not content and value.get("status") == "error":
        raise invalid(f"The content field at {path} cannot be empty when status value is error.")
    for index, block in enumerate(content):
        where = f"{path}.content.{index}"
        if len(block) != 1 or not set(block) <= _RESULT_BLOCKS:
            raise invalid(f"The ToolResultContentBlock object at {where} must set one key.")
        if "text" in block:
            _text(block["text"], "ToolResultContentBlock", where)
        if "json" in block and not isinstance(block["json"], Mapping):
            raise invalid(
                f"The format of the value at {where}.json is invalid. Provide a json object for the field and try "
                "again."
            )
        if "image" in block:
            _media("image", block["image"], f"{where}.image")


def _pattern(pattern: re.Pattern[str], value: Any, path: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _constraint(value, path, f"satisfy regular expression pattern: {pattern.pattern}")


def _ids(message: Json, kind: str) -> list[str]:
    return [block[kind]["toolUseId"] for block in message["content"] if kind in block]


def _tool_turns(messages: Sequence[Json], model: Model) -> None:
    asked: list[str] = []
    for index, message in enumerate(messages):
        path = f"messages.{index}.content"
        answered = _ids(message, "toolResult")
        if missing := [call for call in asked if call not in answered]:
            raise invalid(f"Expected toolResult blocks at {path} for the following Ids: {', '.join(missing)}")
        if len(answered) > len(asked) or len(set(answered)) < len(answered):
            raise invalid(
                f"The number of toolResult blocks at {path} exceeds the number of toolUse blocks of previous turn."
            )
        if answered and model.anthropic:
            _results_first(message, index, answered)
        asked = _ids(message, "toolUse")
        if len(set(asked)) < len(asked):
            raise invalid(f"The toolUse blocks at {path} contain duplicate Ids: {', '.join(sorted(set(asked)))}")
        if asked and not model.prefill:
            _calls_last(message, index)
    if asked:
        ids = ", ".join(asked)
        raise invalid(f"Expected toolResult blocks at messages.{len(messages)}.content for the following Ids: {ids}")


def _results_first(message: Json, index: int, answered: Sequence[str]) -> None:
    if any("toolResult" not in block for block in message["content"][: len(answered)]):
        raise _by_model(
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(answered)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )


def _calls_last(message: Json, index: int) -> None:
    kinds = [next(iter(block)) for block in message["content"]]
    if "text" in kinds[kinds.index("toolUse") :]:
        raise _by_model(f"messages.{index}: text content blocks cannot follow `tool_use` blocks in a message.")


def _tools(config: Any, model: Model) -> None:
    if config is None:
        return
    tools = _list(config, "tools", "toolConfig.")
    if not tools:
        raise _constraint("[]", "toolConfig.tools", "have length greater than or equal to 1")
    names = list(_tool_names(tools))
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise invalid(f"The toolConfig.tools field contains duplicate tool names: {', '.join(repeated)}")
    choice = config.get("toolChoice")
    if choice is None:
        return
    if len(choice) != 1 or not set(choice) <= {"auto", "any", "tool"}:
        raise invalid("The ToolChoice object at toolConfig.toolChoice must set one of: auto, any, tool.")
    if "tool" in choice and choice["tool"].get("name") not in names:
        raise invalid("The tool at toolConfig.toolChoice.tool is not in toolConfig.tools.")
    if "auto" not in choice and model.thinking == "always":
        raise _by_model("Thinking may not be enabled when tool_choice forces tool use.")


def _tool_names(tools: Sequence[Json]) -> Iterator[str]:
    for index, tool in enumerate(tools):
        path = f"toolConfig.tools.{index}"
        if len(tool) != 1 or not set(tool) <= {"toolSpec", "systemTool", "cachePoint"}:
            raise invalid(f"The Tool object at {path} must set one of: toolSpec, systemTool, cachePoint.")
        if "toolSpec" not in tool:
            continue
        spec = tool["toolSpec"]
        _pattern(_NAME, spec.get("name"), f"{path}.toolSpec.name")
        if "description" in spec and not spec["description"]:
            raise _constraint("", f"{path}.toolSpec.description", "have length greater than or equal to 1")
        schema = spec.get("inputSchema", {}).get("json")
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            raise invalid(f"The value at {path}.toolSpec.inputSchema.json.type must be one of the following: object.")
        yield spec["name"]


# ---------------------------------------------------------------- settings


def _inference(config: Any, model: Model) -> None:
    config = config or {}
    tokens = config.get("maxTokens")
    if tokens is not None and tokens < 1:
        raise _constraint(tokens, "inferenceConfig.maxTokens", "have value greater than or equal to 1")
    if tokens is not None and tokens > model.tokens:
        raise invalid(
            f"The maximum tokens you requested exceeds the model limit of {model.tokens}. Try again with a maximum "
            f"tokens value that is lower than {model.tokens}."
        )
    for name in ("temperature", "topP"):
        if name in config and not 0 <= config[name] <= 1:
            raise _constraint(config[name], f"inferenceConfig.{name}", "have value between 0 and 1")
    if len(config.get("stopSequences", ())) > 2500:
        raise _constraint("...", "inferenceConfig.stopSequences", "have length less than or equal to 2500")
    if model.sampling == "one" and {"temperature", "topP"} <= set(config):
        raise _by_model("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _thinking(body: Json, model: Model) -> None:
    fields = body.get("additionalModelRequestFields") or {}
    if model.sampling == "refused":
        given = {**(body.get("inferenceConfig") or {}), **fields}
        for name, native in (
            ("temperature", "temperature"),
            ("topP", "top_p"),
            ("top_p", "top_p"),
            ("top_k", "top_k"),
        ):
            if name in given:
                raise _by_model(f"`{native}` is deprecated for this model.")
    thinking = fields.get("thinking")
    if thinking is None or not model.anthropic:
        return
    if model.thinking == "always" and thinking.get("type") == "disabled":
        raise _by_model("`thinking.type.disabled` is not supported for this model.")
    if "budget_tokens" in thinking and model.sampling == "refused":
        raise _by_model('`thinking.budget_tokens` is not supported for this model. Use `thinking.type: "adaptive"`.')


def _settings(body: Json, streaming: bool) -> None:
    guardrail = body.get("guardrailConfig")
    if guardrail is not None:
        _pattern(_GUARDRAIL, guardrail.get("guardrailIdentifier"), "guardrailConfig.guardrailIdentifier")
        _pattern(
            re.compile(r"[1-9]\d{0,7}|DRAFT"), guardrail.get("guardrailVersion"), "guardrailConfig.guardrailVersion"
        )
        _one_of(guardrail, "trace", ("enabled", "disabled", "enabled_full"), "guardrailConfig")
        if streaming:
            _one_of(guardrail, "streamProcessingMode", ("sync", "async"), "guardrailConfig")
    _one_of(body.get("performanceConfig") or {}, "latency", ("standard", "optimized"), "performanceConfig")
    _one_of(body.get("serviceTier") or {}, "type", ("priority", "default", "flex", "reserved"), "serviceTier")
    efforts = ("low", "medium", "high", "xhigh", "max")
    _one_of(body.get("outputConfig") or {}, "effort", efforts, "outputConfig")
    metadata = body.get("requestMetadata")
    if metadata is not None and not 1 <= len(metadata) <= 16:
        raise _constraint(len(metadata), "requestMetadata", "have from 1 to 16 entries")
    if len(body.get("additionalModelResponseFieldPaths") or ()) > 10:
        raise _constraint("...", "additionalModelResponseFieldPaths", "have length less than or equal to 10")


def _one_of(config: Json, name: str, allowed: Sequence[str], path: str) -> None:
    if name in config and config[name] not in allowed:
        raise _constraint(config[name], f"{path}.{name}", f"satisfy enum value set: [{', '.join(allowed)}]")


def _cache_points(body: Json) -> None:
    tools = (body.get("toolConfig") or {}).get("tools", ())
    blocks = [*tools, *(body.get("system") or ())]
    blocks += [block for message in body["messages"] for block in message["content"]]
    points = [block["cachePoint"] for block in blocks if "cachePoint" in block]
    for point in points:
        _one_of({"type": None, **point}, "type", ("default",), "cachePoint")
        _one_of(point, "ttl", ("5m", "1h"), "cachePoint")
    if len(points) > _CACHE_POINTS:
        raise invalid(
            f"You have exceeded the maximum number of cachePoint blocks ({_CACHE_POINTS}) for a single request."
        )
