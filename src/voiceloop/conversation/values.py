"""The values: messages, which a provider sees, and entries, which the session keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import Attribute, field, frozen

from voiceloop.errors import BadInput
from voiceloop.events import Heard

SMALLEST_LIMIT = 64
_PICTURE = re.compile(r"image/[A-Za-z0-9.+-]{1,64}")

# ---------------------------------------------------------------- messages: what a provider sees


@frozen
class TextPart:
    """Words of a message. ``confidence``: how sure the recognizer was of them, 0 to 1, when it said so."""

    text: str
    confidence: float | None = None


@frozen
class ImagePart:
    """A picture: ``data`` is an encoded file, ``media_type`` such as "image/jpeg". Raises BadInput."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    media_type: str

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.data, bytes) or not self.data:
            given = "empty" if isinstance(self.data, bytes) else f"of type {type(self.data).__name__}"
            raise BadInput(
                f"data must be the bytes of a picture's file; it is {given}",
                hint='As in ImagePart(Path("cat.png").read_bytes(), "image/png").',
            )
        if not isinstance(self.media_type, str) or not _PICTURE.fullmatch(self.media_type):
            given = repr(self.media_type) if isinstance(self.media_type, str) else type(self.media_type).__name__
            raise BadInput(f"media_type must be a picture's, such as 'image/png', not {given}")


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


def _large_enough(limits: HistoryLimits, attribute: Attribute[int | None], value: int | None) -> None:
    if value is not None and value < SMALLEST_LIMIT:
        raise BadInput(f"{attribute.name}={value!r}: at least {SMALLEST_LIMIT} bytes, or None for no limit")


@frozen
class HistoryLimits:
    """What a provider takes: bytes of text in all and in one message (None: no limit), and whether it takes tools.

    Bytes are those of the text in UTF-8, of results, and of a call's name and arguments as JSON; pictures do not
    count. Raises BadInput for a limit below 64 bytes.
    """

    total_bytes: int | None = field(default=None, validator=_large_enough)
    message_bytes: int | None = field(default=None, validator=_large_enough)
    tools: bool = True
    images: bool = True


NO_LIMITS = HistoryLimits()

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
    """The assistant's words in ``turn``: all that it wrote, and once settled what the listener heard.

    A turn that writes again after a tool call has several, in order: each holds its own part of what was said, and of
    what was heard (``heard.ms`` and the rest are the whole turn's in each).
    """

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
