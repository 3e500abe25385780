"""What the caller asked for, checked: the values behind its events, and the checks of their settings.

Source: Amazon Nova user guide, "Handling input events", and the schema of each event there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from voiceloop.testing.aws.nova.events import GENERIC, Invalid
from voiceloop.testing.aws.nova.profile import NOVA_SONIC, NovaLimits, voices_of

RATES = (8_000, 16_000, 24_000)
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@frozen
class SessionStarted:
    """sessionStart: the sensitivity is HIGH, MEDIUM or LOW."""

    max_tokens: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    sensitivity: str = "MEDIUM"


@frozen
class ToolSpec:
    """A tool that the caller offers."""

    name: str
    description: str
    schema: Mapping[str, Any]


@frozen
class PromptStarted:
    """promptStart. ``choice``: "auto", "any", or ``("tool", name)``."""

    prompt: str
    voice: str
    rate: int
    tools: tuple[ToolSpec, ...] = ()
    choice: str | tuple[str, str] = "auto"


@frozen
class System:
    """The system prompt, or a speech prompt (SYSTEM_SPEECH)."""

    text: str
    role: str = "SYSTEM"


@frozen
class History:
    """A message of an earlier conversation; role USER or ASSISTANT."""

    role: str
    text: str


@frozen
class AudioOpened:
    """The caller opened an AUDIO block of ``rate`` Hz."""

    rate: int


@frozen
class Audio:
    """Input audio: whole samples of 16 bits."""

    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")


@frozen
class AudioClosed:
    """The caller closed its AUDIO block, which ends the user's turn."""


@frozen
class UserText:
    """Interactive text. ``live``: audio was open when it came, so that it gets a reply."""

    text: str
    live: bool = True


@frozen
class ToolAnswered:
    """The result of a tool use, a JSON object."""

    use: str
    content: str


@frozen
class PromptEnded:
    """promptEnd."""


@frozen
class SessionEnded:
    """sessionEnd."""


Asked: TypeAlias = (
    SessionStarted
    | PromptStarted
    | System
    | History
    | AudioOpened
    | Audio
    | AudioClosed
    | UserText
    | ToolAnswered
    | PromptEnded
    | SessionEnded
)


def refuse() -> Invalid:
    """The refusal whose text says nothing in particular."""
    return Invalid(GENERIC)


def require(condition: bool) -> None:
    """Refuse unless ``condition``."""
    if not condition:
        raise refuse()


def text_of(body: Mapping[str, Any], name: str) -> str:
    """The member ``name``, text that is not empty."""
    value = body.get(name)
    require(isinstance(value, str) and value != "")
    return str(value)


def object_of(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The member ``name``, an object."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise refuse()
    return value


def session_started(body: Mapping[str, Any], model: str) -> SessionStarted:
    """Check sessionStart."""
    settings = object_of(body, "inferenceConfiguration") if "inferenceConfiguration" in body else {}
    most = settings.get("maxTokens")
    require(most is None or (_is_int(most) and most >= 1))
    top_p, temperature = (_fraction(settings.get(name)) for name in ("topP", "temperature"))
    sensitivity = "MEDIUM"
    if "turnDetectionConfiguration" in body:
        require(model != NOVA_SONIC)
        sensitivity = text_of(object_of(body, "turnDetectionConfiguration"), "endpointingSensitivity")
        require(sensitivity in ("HIGH", "MEDIUM", "LOW"))
    return SessionStarted(most, top_p, temperature, sensitivity)


def prompt_started(body: Mapping[str, Any], model: str, limits: NovaLimits) -> PromptStarted:
    """Check promptStart."""
    prompt = text_of(body, "promptName")
    require(object_of(body, "textOutputConfiguration").get("mediaType") == "text/plain")
    audio = object_of(body, "audioOutputConfiguration")
    voice = text_of(audio, "voiceId")
    require(voice in voices_of(model))
    tools: tuple[ToolSpec, ...] = ()
    choice: str | tuple[str, str] = "auto"
    if "toolConfiguration" in body:
        configuration = object_of(body, "toolConfiguration")
        tools = _tools(configuration, limits)
        choice = _choice(configuration, {tool.name for tool in tools}, model)
    if "toolUseOutputConfiguration" in body:
        require(object_of(body, "toolUseOutputConfiguration").get("mediaType") == "application/json")
    else:
        require(not tools)
    return PromptStarted(prompt, voice, lpcm_rate(audio), tools, choice)


def lpcm_rate(settings: Mapping[str, Any]) -> int:
    """Check an audio configuration, input or output; its rate in Hz."""
    rate = settings.get("sampleRateHertz")
    require(settings.get("mediaType") == "audio/lpcm")
    require(_is_int(rate) and rate in RATES)
    require(settings.get("sampleSizeBits") == 16 and settings.get("channelCount") == 1)
    require(settings.get("encoding", "base64") == "base64" and settings.get("audioType", "SPEECH") == "SPEECH")
    return int(str(rate))


def _tools(configuration: Mapping[str, Any], limits: NovaLimits) -> tuple[ToolSpec, ...]:
    listed = configuration.get("tools")
    if not isinstance(listed, list):
        raise refuse()
    tools: list[ToolSpec] = []
    for entry in listed:
        require(isinstance(entry, dict))
        spec = object_of(entry, "toolSpec")
        name = text_of(spec, "name")
        require(_TOOL_NAME.fullmatch(name) is not None and name not in {tool.name for tool in tools})
        schema = object_of(spec, "inputSchema").get("json")
        tools.append(ToolSpec(name, str(spec.get("description", "")), _schema(schema, limits)))
    return tuple(tools)


def _schema(schema: Any, limits: NovaLimits) -> Mapping[str, Any]:
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError:
            raise refuse() from None
    else:
        require(limits.schema_objects)
    if not isinstance(schema, dict):
        raise refuse()
    return schema


def _choice(configuration: Mapping[str, Any], names: set[str], model: str) -> str | tuple[str, str]:
    if "toolChoice" not in configuration:
        return "auto"
    choice = object_of(configuration, "toolChoice")
    require(model != NOVA_SONIC and len(choice) == 1)
    kind = next(iter(choice))
    require(kind in ("auto", "any", "tool"))
    if kind != "tool":
        return kind
    name = text_of(object_of(choice, "tool"), "name")
    require(name in names)
    return (kind, name)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fraction(value: Any) -> float | None:
    if value is None:
        return None
    require(isinstance(value, int | float) and not isinstance(value, bool))
    require(0 <= value <= 1)
    return float(value)
