"""The session's append-only log, and the valid history views made from it for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from voiceloop.events import Heard

# ---------------------------------------------------------------- messages: what a provider sees


@frozen
class TextPart:
    """Words of a message. ``confidence``: how sure the recognizer was of them, 0 to 1, when it said so."""

    text: str
    confidence: float | None = None


@frozen
class ImagePart:
    """A picture: ``data`` is an encoded file, ``media_type`` such as "image/jpeg"."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    media_type: str


@frozen
class ToolCallPart:
    """The model called tool ``name`` with ``arguments``; ``call`` is unique in the conversation."""

    call: str
    name: str
    arguments: Mapping[str, Any]


@frozen
class ToolResultPart:
    """The answer to a call: text (JSON where the tool returned a value), or an error in words."""

    call: str
    name: str
    result: str
    error: bool = False


Part: TypeAlias = TextPart | ImagePart | ToolCallPart | ToolResultPart


@frozen
class Message:
    """One side's contribution. Tool calls are in assistant messages, their results in the user message after them."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words of the message, joined by spaces."""
        return " ".join(part.text for part in self.parts if isinstance(part, TextPart))


@frozen
class HistoryLimits:
    """What a provider takes: bytes of text in all and in one message (None: no limit), and whether it takes tools."""

    total_bytes: int | None = None
    message_bytes: int | None = None
    tools: bool = True
    images: bool = True


# ---------------------------------------------------------------- entries: what the session keeps


@frozen
class UserEntry:
    """The user said or typed ``text``. ``confidence`` as in :class:`TextPart`."""

    text: str
    images: tuple[ImagePart, ...] = ()
    confidence: float | None = None
    typed: bool = False


@frozen
class AssistantEntry:
    """The assistant's words in ``turn``: all that it wrote, and once settled what the listener heard."""

    turn: int
    said: str
    heard: Heard | None = None


@frozen
class ToolCallEntry:
    """The assistant called a tool in ``turn``."""

    turn: int
    call: str
    name: str
    arguments: Mapping[str, Any]


@frozen
class ToolResultEntry:
    """A call's answer."""

    call: str
    name: str
    result: str
    error: bool = False


Entry: TypeAlias = UserEntry | AssistantEntry | ToolCallEntry | ToolResultEntry
