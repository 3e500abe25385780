"""Events to JSON and back, without loss: for sockets, logs and recorded sessions.

An event becomes a dict of its fields, with its class name under ``"type"``. Bytes become base64 text, an
``AudioFormat`` and other nested values become dicts, tuples become lists; reading undoes it by the fields' types.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import attrs

from voiceloop.errors import BadInput, UnknownName
from voiceloop.events import Event

Convert: TypeAlias = Callable[[Any], Any]
_CLASSES: dict[str, type] = {cls.__name__: cls for cls in get_args(Event)}


class _Misfit(Exception):
    """A value is not of the type that its field takes; says what is allowed and what was there, not the value."""


def to_json(event: Event) -> dict[str, Any]:
    """The event as a dict of JSON values, ``"type"`` first. Raises BadInput on what is no event."""
    cls: type = type(event)
    if _CLASSES.get(cls.__name__) is not cls:
        raise BadInput(f"event={cls.__name__}: one of the classes of voiceloop.Event is allowed")
    return {"type": cls.__name__, **_codec(cls).encode(event)}


def from_json(data: Mapping[str, Any]) -> Event:
    """The event that ``data``, from :func:`to_json`, stands for; it equals the original.

    Raises UnknownName on an unknown type, and BadInput, which names the field, on fields that are unknown, missing
    or of the wrong type.
    """
    name = data.get("type") if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        raise BadInput('data: an object with the name of an event under "type" is allowed')
    if name not in _CLASSES:
        raise UnknownName("event type", name, _CLASSES)
    fields = {key: value for key, value in data.items() if key != "type"}
    try:
        return cast("Event", _codec(_CLASSES[name]).decode(fields))
    except _Misfit as error:
        raise BadInput(f"{name}{error}") from None


def dumps(event: Event) -> str:
    """The event as one line of JSON. Raises BadInput when a value in it is not JSON (NaN, or a tool's own object)."""
    data = to_json(event)
    try:
        return json.dumps(data, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"event={data['type']}: a value in it has no form in JSON ({type(error).__name__})") from None


def loads(text: str | bytes) -> Event:
    """The event in JSON ``text``, from :func:`dumps`. Raises as :func:`from_json`, and on broken JSON."""
    try:
        data = json.loads(text)
    except ValueError:
        raise BadInput("text: it is not JSON") from None
    return from_json(data)


@attrs.frozen
class _Codec:
    """Both ways for one attrs class; ``encoders`` and ``decoders`` hold only the fields that need any work."""

    cls: type
    names: tuple[str, ...]
    required: frozenset[str]
    values: Callable[[Any], tuple[Any, ...]]
    encoders: tuple[tuple[str, Convert], ...]
    decoders: Mapping[str, Convert]

    def encode(self, value: Any) -> dict[str, Any]:
        made = dict(zip(self.names, self.values(value), strict=True))
        for name, encode in self.encoders:
            made[name] = encode(made[name])
        return made

    def decode(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise _Misfit(f": an object is allowed, not {_kind(data)}")
        unknown = sorted(str(name) for name in data.keys() - self.decoders.keys())
        if unknown:
            raise _Misfit(f": unknown field {', '.join(map(repr, unknown))}; allowed are {', '.join(self.names)}")
        missing = sorted(self.required - data.keys())
        if missing:
            raise _Misfit(f": field {', '.join(map(repr, missing))} is missing")
        arguments = {}
        for name, value in data.items():
            try:
                arguments[name] = self.decoders[name](value)
            except _Misfit as error:
                raise _Misfit(f".{name}{error}") from None
        try:
            return self.cls(**arguments)
        except BadInput as error:
            raise _Misfit(f": {error}") from None


@cache
def _codec(cls: type) -> _Codec:
    hints, fields = get_type_hints(cls), attrs.fields(cls)
    names = tuple(field.name for field in fields)
    pairs = {name: _pair(hints[name]) for name in names}
    values = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return _Codec(
        cls,
        names,
        frozenset(field.name for field in fields if field.default is attrs.NOTHING),
        values,
        tuple((name, encode) for name, (encode, _) in pairs.items() if encode is not None),
        {name: decode for name, (_, decode) in pairs.items()},
    )


def _pair(hint: Any) -> tuple[Convert | None, Convert]:
    """How values of a type are written (None: as they are) and read."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return None, _checked(lambda value: value in arguments, f"one of {', '.join(map(repr, arguments))}")
    if origin in (Union, UnionType) and len(arguments) == 2 and arguments[1] is type(None):
        return _optional(*_pair(arguments[0]))
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _items(*_pair(arguments[0]))
    if hint is bytes:
        return lambda value: binascii.b2a_base64(value, newline=False).decode("ascii"), _from_base64
    if attrs.has(hint):
        codec = _codec(hint)
        return codec.encode, codec.decode
    if origin is Mapping:
        numbers = _checked(lambda value: all(map(_is_number, value.values())), "an object of numbers")
        is_object = _checked(lambda value: isinstance(value, dict), "an object")
        return dict, is_object if arguments[1] is Any else lambda value: numbers(is_object(value))
    checks: dict[Any, tuple[Callable[[Any], bool], str]] = {
        str: (lambda value: isinstance(value, str), "text"),
        bool: (lambda value: isinstance(value, bool), "true or false"),
        int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
        float: (_is_number, "a number"),
    }
    if hint not in checks:
        raise TypeError(f"no JSON form is known for fields of type {hint!r}")
    return None, _checked(*checks[hint])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked(fits: Callable[[Any], bool], allowed: str) -> Convert:
    def check(value: Any) -> Any:
        if not fits(value):
            raise _Misfit(f": {allowed} is allowed, not {_kind(value)}")
        return value

    return check


def _optional(encode: Convert | None, decode: Convert) -> tuple[Convert | None, Convert]:
    written = None if encode is None else lambda value: None if value is None else encode(value)
    return written, lambda value: None if value is None else decode(value)


def _items(encode: Convert | None, decode: Convert) -> tuple[Convert, Convert]:
    is_list = _checked(lambda value: isinstance(value, list | tuple), "a list")
    written: Convert = list if encode is None else lambda value: [encode(item) for item in value]
    return written, lambda value: tuple(decode(item) for item in is_list(value))


def _from_base64(value: Any) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError):
        raise _Misfit(f": base64 text is allowed, not {_kind(value)}") from None


def _kind(value: Any) -> str:
    """What a value is, without showing what people said."""
    names: dict[type, str] = {type(None): "null", dict: "an object", list: "a list", bool: "true or false"}
    return names.get(type(value), f"this {type(value).__name__}")


__all__ = ("dumps", "from_json", "loads", "to_json")
