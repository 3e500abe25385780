"""What a client may say in JSON: each kind of message as a value, read strictly."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
from attrs import Attribute, field, frozen

from voiceloop.conversation import ImagePart
from voiceloop.errors import BadInput
from voiceloop.transports.websocket.endings import Refusal
from voiceloop.transports.websocket.frames import VERSION

M = TypeVar("M")
Mode: TypeAlias = Literal["chat+voice", "voice", "chat"]
MODES: tuple[Mode, ...] = ("chat+voice", "voice", "chat")

LONGEST = 20_000  # characters of text
_IMAGES = 8
_LARGEST = 2**53


class _Misfit(BadInput):
    """Says which field is wrong and what is allowed; never what was there."""


# ---------------------------------------------------------------- what a field may hold


def _allowed(fits: bool, name: str, allowed: str) -> None:
    if not fits:
        raise _Misfit(f"{name}: {allowed} is allowed")


def _text(most: int | None = None, *, least: int = 0) -> Any:
    allowed = f"text of {least} to {most} characters" if least else f"text of up to {most} characters"

    def check(message: object, attribute: Attribute[str], value: object) -> None:
        _allowed(isinstance(value, str), attribute.name, "text" if most is None else allowed)
        assert isinstance(value, str)
        _allowed(least <= len(value) and (most is None or len(value) <= most), attribute.name, allowed)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Misfit(
                f"{attribute.name}: it has half of a surrogate pair; whole characters are allowed"
            ) from None

    return check


def _flag(message: object, attribute: Attribute[bool], value: object) -> None:
    _allowed(isinstance(value, bool), attribute.name, "true or false")


def _count(message: object, attribute: Attribute[int], value: object) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    _allowed(fits, attribute.name, "a whole number from 0")


def _number(least: float, most: float) -> Any:
    def check(message: object, attribute: Attribute[float], value: object) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        _allowed(fits, attribute.name, f"a number from {least:g} to {most:g}")

    return check


def _one_of(*names: str) -> Any:
    def check(message: object, attribute: Attribute[str], value: object) -> None:
        _allowed(isinstance(value, str) and value in names, attribute.name, f"one of {', '.join(map(repr, names))}")

    return check


def _version(message: object, attribute: Attribute[int], value: object) -> None:
    _allowed(type(value) is int and value == VERSION, attribute.name, f"version {VERSION}")


def _maybe(check: Any) -> Any:
    return attrs.validators.optional(check)


def _images(value: object) -> tuple[ImagePart, ...]:
    _allowed(
        isinstance(value, list | tuple) and len(value) <= _IMAGES, "images", f"a list of up to {_IMAGES} pictures"
    )
    return tuple(_image(item) for item in value)  # type: ignore[attr-defined]


def _image(item: object) -> ImagePart:
    allowed = 'objects with "media_type" ("image/jpeg", "image/png", "image/webp" or "image/gif") and "data" (base64)'
    _allowed(isinstance(item, dict) and set(item) == {"media_type", "data"}, "images", allowed)
    assert isinstance(item, dict)
    media_type, data = item["media_type"], item["data"]
    known = media_type in ("image/jpeg", "image/png", "image/webp", "image/gif")
    _allowed(isinstance(media_type, str) and known and isinstance(data, str), "images", allowed)
    try:
        return ImagePart(base64.b64decode(data, validate=True), media_type)
    except (binascii.Error, ValueError):
        raise _Misfit(f"images: {allowed} is allowed") from None


# ---------------------------------------------------------------- the messages


@frozen
class Keys:
    """AWS credentials for one session; no part of them shows in a repr."""

    access_key: str = field(repr=False, validator=_text(256, least=1))
    secret_key: str = field(repr=False, validator=_text(256, least=1))
    session_token: str | None = field(default=None, repr=False, validator=_maybe(_text(8192, least=1)))
    region: str | None = field(default=None, validator=_maybe(_text(64, least=1)))


def _keys(value: object) -> Keys | None:
    if value is None or isinstance(value, Keys):
        return value
    _allowed(isinstance(value, dict), "keys", "null or an object")
    assert isinstance(value, dict)
    return _build(Keys, value)


@frozen
class Start:
    """What the client wants; the first message. ``speaks``: whether the session is to speak."""

    version: int = field(default=VERSION, validator=_version)
    conversation: str | None = field(default=None, validator=_maybe(_text(64, least=1)))
    after: int = field(default=0, validator=_count)
    stack: str | None = field(default=None, validator=_maybe(_text(64, least=1)))
    persona: str | None = field(default=None, validator=_maybe(_text(64, least=1)))
    instructions: str | None = field(default=None, repr=False, validator=_maybe(_text(LONGEST)))
    voice: str | None = field(default=None, validator=_maybe(_text(64, least=1)))
    temperature: float | None = field(default=None, validator=_maybe(_number(0, 1)))
    mode: Mode = field(default="chat+voice", validator=_one_of(*MODES))
    turns: Literal["auto", "manual"] = field(default="auto", validator=_one_of("auto", "manual"))
    greet: bool = field(default=False, validator=_flag)
    keys: Keys | None = field(default=None, converter=_keys)

    @property
    def speaks(self) -> bool:
        """Whether the mode has a voice."""
        return self.mode != "chat"


@frozen
class Text:
    """The user typed ``text``, with pictures or without. Longer than LONGEST it can be read, to be refused."""

    text: str = field(repr=False, validator=_text())
    images: tuple[ImagePart, ...] = field(default=(), repr=False, converter=_images)
    reply: bool = field(default=True, validator=_flag)


@frozen
class Played:
    """The player is at ``ms`` of ``turn``."""

    turn: int = field(validator=_count)
    ms: float = field(validator=_number(0, 1e9))
    stopped: bool = field(default=False, validator=_flag)


@frozen
class EndTurn:
    """The user's turn is over."""


@frozen
class EndInput:
    """No more input will come."""


@frozen
class Interrupt:
    """Stop what the assistant says."""


@frozen
class Update:
    """Change settings of the running session; None leaves one as it is."""

    instructions: str | None = field(default=None, repr=False, validator=_maybe(_text(LONGEST)))
    voice: str | None = field(default=None, validator=_maybe(_text(64, least=1)))
    temperature: float | None = field(default=None, validator=_maybe(_number(0, 1)))


@frozen
class SetMode:
    """Change the mode of the running session."""

    mode: Mode = field(validator=_one_of(*MODES))


@frozen
class Ping:
    """Answered with the same ``n``."""

    n: int = field(validator=_count)


Message: TypeAlias = Start | Text | Played | EndTurn | EndInput | Interrupt | Update | SetMode | Ping

_KINDS: dict[str, type[Message]] = {
    "start": Start,
    "text": Text,
    "played": Played,
    "end_turn": EndTurn,
    "end_input": EndInput,
    "interrupt": Interrupt,
    "update": Update,
    "mode": SetMode,
    "ping": Ping,
}


# ---------------------------------------------------------------- reading


def decode(data: str) -> Message:
    """The message in JSON ``data``. Raises Refusal ("bad-message"), which names the field, not what was in it."""
    try:
        content = json.loads(data, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Refusal("bad-message", "a text message that is not JSON") from None
    name = content.pop("type", None) if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise Refusal("bad-message", f'an object with "type" is allowed: one of {", ".join(_KINDS)}')
    try:
        if name == "start" and "version" not in content:
            raise _Misfit("its field 'version' is missing")
        return _build(_KINDS[name], content)
    except _Misfit as misfit:
        raise Refusal("bad-message", f"{name}: {misfit}") from None


def _build(cls: type[M], content: Mapping[str, Any]) -> M:
    fields = {each.name: each for each in attrs.fields(cls)}  # type: ignore[arg-type]
    if content.keys() - fields.keys():
        raise _Misfit(f"it has an unknown field; allowed are {', '.join(fields) or 'none'}")
    missing = [name for name, each in fields.items() if each.default is attrs.NOTHING and name not in content]
    if missing:
        raise _Misfit(f"its field {missing[0]!r} is missing")
    return cls(**content)


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


__all__ = (
    "LONGEST",
    "MODES",
    "EndInput",
    "EndTurn",
    "Interrupt",
    "Keys",
    "Message",
    "Mode",
    "Ping",
    "Played",
    "SetMode",
    "Start",
    "Text",
    "Update",
    "decode",
)
