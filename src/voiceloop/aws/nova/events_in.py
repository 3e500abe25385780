"""What comes back: output events as small values (Amazon Nova 2 user guide, "Handling output events").

Tolerant: unknown events give None, missing fields have defaults. ``userSpeechStart`` and ``userSpeechEnd`` are in no
document, but are sent.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from voiceloop.aws.wire.stream import Message
from voiceloop.errors import ProviderMisbehaved

PROVIDER = "Amazon Nova Sonic"

Kind: TypeAlias = Literal["TEXT", "AUDIO", "TOOL"]
_KINDS: tuple[Kind, ...] = ("TEXT", "AUDIO", "TOOL")


@frozen
class BlockStarted:
    """A block of content begins. ``stage``: "SPECULATIVE" (about to be spoken), "FINAL" (was spoken), or ""."""

    content: str
    kind: Kind
    role: str = ""
    stage: str = ""


@frozen
class BlockEnded:
    """A block is complete; ``stop``: "PARTIAL_TURN", "END_TURN", "INTERRUPTED", "TOOL_USE" or ""."""

    content: str
    kind: Kind | None = None
    stop: str = ""


@frozen
class TextCame:
    """Text of a block."""

    content: str
    text: str = field(repr=lambda text: f"<{len(text)} characters>")
    role: str = ""


@frozen
class AudioCame:
    """Audio of a block: PCM at the rate that was asked for."""

    content: str
    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")


@frozen
class ToolUsed:
    """The model calls a tool."""

    content: str
    call: str
    name: str
    arguments: Mapping[str, Any] | str = field(repr=False)


@frozen
class BargedIn:
    """The model says that the user interrupted it."""

    content: str


@frozen
class SpeechStarted:
    """The user began to speak, at ``ms`` of the audio sent on this connection (None: not said)."""

    ms: float | None


@frozen
class SpeechEnded:
    """The user stopped speaking, at ``ms`` of the audio sent on this connection (None: not said)."""

    ms: float | None


@frozen
class Used:
    """Tokens used on this connection: ``delta`` since the last event where it is told, and ``total``, by unit."""

    delta: Mapping[str, float] | None
    total: Mapping[str, float]


@frozen
class Completed:
    """The completion is over."""


OutputEvent: TypeAlias = (
    BlockStarted
    | BlockEnded
    | TextCame
    | AudioCame
    | ToolUsed
    | BargedIn
    | SpeechStarted
    | SpeechEnded
    | Used
    | Completed
)


def decode(message: Message) -> OutputEvent | None:
    """The event that ``message`` holds; None for one that does not matter here, or that is not known.

    Raises ProviderMisbehaved for what is not JSON.
    """
    try:
        outer = json.loads(message.payload)
        event = json.loads(b64decode(outer["bytes"]))["event"]
        name, body = next(iter(event.items()))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        if message.name not in ("chunk", ""):
            return None
        raise ProviderMisbehaved(
            "sent an event that is not JSON", provider=PROVIDER, doing="listening to the model", retryable=True
        ) from None
    made = _DECODERS.get(name)
    return made(body) if made is not None and isinstance(body, dict) else None


def _started(body: Mapping[str, Any]) -> OutputEvent | None:
    kind = _kind(body)
    if kind is None:
        return None
    fields = _object(body.get("additionalModelFields"))
    return BlockStarted(_text(body, "contentId"), kind, _text(body, "role"), _text(fields, "generationStage"))


def _ended(body: Mapping[str, Any]) -> OutputEvent:
    return BlockEnded(_text(body, "contentId"), _kind(body), _text(body, "stopReason"))


def _came(body: Mapping[str, Any]) -> OutputEvent:
    content, text = _text(body, "contentId"), _text(body, "content")
    if "interrupted" in text and _object(text).get("interrupted") is True:
        return BargedIn(content)
    return TextCame(content, text, _text(body, "role"))


def _audio(body: Mapping[str, Any]) -> OutputEvent | None:
    try:
        return AudioCame(_text(body, "contentId"), b64decode(_text(body, "content")))
    except binascii.Error:
        raise ProviderMisbehaved(
            "sent audio that is not base64", provider=PROVIDER, doing="listening to the model", retryable=True
        ) from None


def _tool(body: Mapping[str, Any]) -> OutputEvent:
    return ToolUsed(
        _text(body, "contentId"), _text(body, "toolUseId"), _text(body, "toolName"), _arguments(body.get("content"))
    )


def _arguments(content: object) -> Mapping[str, Any] | str:
    """Arguments are JSON in a string, now and then in another string around it; none at all is an empty object."""
    value = content
    for _ in range(3):
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            break
        if not value.strip():
            return {}
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    if value is None:
        return {}
    return content if isinstance(content, str) else json.dumps(content)


def _used(body: Mapping[str, Any]) -> OutputEvent:
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    delta = details.get("delta")
    return Used(_tokens(delta) if isinstance(delta, dict) else None, _tokens(details.get("total")))


def _tokens(counts: object) -> dict[str, float]:
    made: dict[str, float] = {}
    for way in ("input", "output"):
        side = counts.get(way) if isinstance(counts, dict) else None
        for kind in ("speech", "text"):
            count = side.get(f"{kind}Tokens") if isinstance(side, dict) else None
            if isinstance(count, int | float) and count:
                made[f"{way}_{kind}_tokens"] = count
    return made


def _offset(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    def of(body: Mapping[str, Any]) -> float | None:
        value = body.get(name)
        return float(value) if isinstance(value, int | float) else None

    return of


_START = _offset("inputAudioOffsetMs")


def _kind(body: Mapping[str, Any]) -> Kind | None:
    return next((kind for kind in _KINDS if body.get("type") == kind), None)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _object(text: object) -> Mapping[str, Any]:
    """A JSON object that stands in a string, or as itself; anything else is an empty one."""
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            return {}
    return text if isinstance(text, dict) else {}


_DECODERS: dict[str, Callable[[Mapping[str, Any]], OutputEvent | None]] = {
    "contentStart": _started,
    "contentEnd": _ended,
    "textOutput": _came,
    "audioOutput": _audio,
    "toolUse": _tool,
    "usageEvent": _used,
    "completionEnd": lambda body: Completed(),
    "userSpeechStart": lambda body: SpeechStarted(_START(body)),
    "userSpeechEnd": lambda body: SpeechEnded(_START(body)),
}
