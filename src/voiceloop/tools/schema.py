"""Types as the model sees them: for every type a JSON schema, and a reader that checks and converts a value."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date, datetime, time
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, Required, Union

import attrs

from voiceloop.errors import BadInput

ALLOWED = (
    "str, int, float, bool, None, Any, date, datetime, time, Literal, Enum, list, tuple, set, dict with text keys, "
    "TypedDict, attrs classes, dataclasses, and unions of these"
)


@attrs.frozen
class Shape:
    """How values of one type look: their ``schema``, ``allowed`` in words, and ``read(value, path)``.

    ``read`` returns the converted value, or raises BadInput that names the path.
    """

    schema: dict[str, Any]
    allowed: str
    read: Callable[[Any, str], Any]


@attrs.frozen
class Field:
    """One member of an object: its shape, and whether it must be there."""

    shape: Shape
    required: bool = True
    description: str = ""
    default: Any = None

    def schema(self) -> dict[str, Any]:
        """The member's own schema."""
        schema = dict(self.shape.schema)
        if not self.required and self.default is None and "anyOf" in schema:
            others = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
            schema = dict(others[0]) if len(others) == 1 else {**schema, "anyOf": others}
        if self.description:
            schema["description"] = self.description
        default = self.default
        if isinstance(default, Enum):
            default = default.value if default.value in schema.get("enum", ()) else default.name
        if default is not None and isinstance(default, str | int | float):
            schema["default"] = default
        return schema


def shape_of(annotation: Any, inside: tuple[Any, ...] = ()) -> Shape:
    """The shape of a type. ``inside``: the classes that are being described. Raises TypeError when it has none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        words = next((word for word in arguments[1:] if isinstance(word, str)), None)
        shape = shape_of(arguments[0], inside)
        return attrs.evolve(shape, schema={**shape.schema, "description": words}) if words else shape
    if origin in (Required, NotRequired):
        return shape_of(arguments[0], inside)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if origin is Literal:
        return _choice(dict(zip(map(_exact, arguments), arguments, strict=True)))
    if origin in (Union, types.UnionType):
        return _union([shape_of(argument, inside) for argument in arguments])
    kind = origin or annotation
    if isinstance(kind, type):
        if issubclass(kind, Enum):
            return _enum(kind)
        if kind in _COLLECTIONS:
            return _collection(_COLLECTIONS[kind], arguments, inside)
        if kind in (dict, Mapping):
            return _dictionary(arguments, inside)
        if typing.is_typeddict(kind) or attrs.has(kind) or dataclasses.is_dataclass(kind):
            if kind in inside:
                raise TypeError(f"{kind.__name__} contains itself")
            return _record(kind, (*inside, kind))
    raise TypeError(f"{annotation!r} cannot be described to a model; allowed: {ALLOWED}")


def shape_of_object(fields: Mapping[str, Field], make: Callable[..., Any]) -> Shape:
    """An object with exactly ``fields``; ``make(**values)`` gets those that are there. Tells all that is wrong."""
    schema = {
        "type": "object",
        "properties": {name: field.schema() for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise wrong(path, value, "an object")
        within = f"{path}." if path else ""
        values, problems = {}, []
        for name in value:
            if name not in fields:
                known = f"allowed: {', '.join(fields)}" if fields else "there are none"
                problems.append(f"{within}{name}: unknown; {known}")
        for name, field in fields.items():
            try:
                if name in value:
                    values[name] = field.shape.read(value[name], within + name)
                elif field.required:
                    problems.append(f"{within}{name}: missing; expected {field.shape.allowed}")
            except BadInput as error:
                problems.append(str(error))
        if problems:
            raise BadInput("; ".join(problems))
        try:
            return make(**values)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{path}: {error}") from error

    return Shape(schema, "an object", read)


def wrong(path: str, value: Any, allowed: str) -> BadInput:
    """The error for a value of the wrong kind. It names the kind, not the value: that may be what somebody said."""
    return BadInput(f"{path or 'arguments'}: got {_kind(value)}, expected {allowed}")


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    if type(value) in kinds:
        return kinds[type(value)]
    return "an object" if isinstance(value, Mapping) else "a list"


def _scalar(schema: dict[str, Any], allowed: str, convert: Callable[[Any], Any]) -> Shape:
    def read(value: Any, path: str) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError):
            raise wrong(path, value, allowed) from None

    return Shape(schema, allowed, read)


def _only(*kinds: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError
        return value

    return convert


def _whole(value: Any) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise TypeError


def _finite(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise TypeError


_text = {"type": "string"}
_SCALARS: dict[Any, Shape] = {
    str: _scalar(_text, "text", _only(str)),
    int: _scalar({"type": "integer"}, "a whole number", _whole),
    float: _scalar({"type": "number"}, "a number", _finite),
    bool: _scalar({"type": "boolean"}, "true or false", _only(bool)),
    None: _scalar({"type": "null"}, "null", _only(type(None))),
    type(None): _scalar({"type": "null"}, "null", _only(type(None))),
    Any: Shape({}, "any value", lambda value, path: value),
    datetime: _scalar(
        {**_text, "format": "date-time"}, "a date and time as 2031-05-28T17:30:00", datetime.fromisoformat
    ),
    date: _scalar({**_text, "format": "date"}, "a date as 2031-05-28", date.fromisoformat),
    time: _scalar({**_text, "format": "time"}, "a time as 17:30", time.fromisoformat),
}
_COLLECTIONS: dict[Any, type] = {
    list: list,
    Sequence: list,
    tuple: tuple,
    set: set,
    Set: set,
    frozenset: frozenset,
}


def _exact(value: Any) -> tuple[type, Any]:
    return type(value), value


def _choice(choices: Mapping[tuple[type, Any], Any]) -> Shape:
    """One of a few JSON values, by type and value (true is not 1), each standing for something."""
    kinds = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
    values = [value for _, value in choices]
    if bad := [value for kind, value in choices if kind not in kinds]:
        raise TypeError(f"the choice {bad[0]!r} is no text, whole number, true, false or None")
    allowed = f"one of {', '.join(json.dumps(value, ensure_ascii=False) for value in values)}"
    types_ = {kinds[kind] for kind, _ in choices}
    schema: dict[str, Any] = {"enum": values} | ({"type": types_.pop()} if len(types_) == 1 else {})

    def read(value: Any, path: str) -> Any:
        try:
            return choices[_exact(value)]
        except (KeyError, TypeError):
            got = "another text" if isinstance(value, str) else _kind(value)
            raise BadInput(f"{path}: got {got}, expected {allowed}") from None

    return Shape(schema, allowed, read)


def _enum(kind: type[Enum]) -> Shape:
    by_value = all(type(member.value) in (str, int) for member in kind)
    return _choice({_exact(member.value if by_value else member.name): member for member in kind})


def _union(shapes: Sequence[Shape]) -> Shape:
    allowed = " or ".join(shape.allowed for shape in shapes)

    def read(value: Any, path: str) -> Any:
        problems = []
        for shape in shapes:
            try:
                return shape.read(value, path)
            except BadInput as error:
                problems.append((str(error), shape))
        # Of several objects or lists the details help; else the list of what is allowed does.
        details = [text for text, shape in problems if not text.startswith(f"{path}: got")]
        raise BadInput(details[0]) if len(details) == 1 else wrong(path, value, allowed)

    return Shape({"anyOf": [shape.schema for shape in shapes]}, allowed, read)


def _collection(kind: type, arguments: Sequence[Any], inside: tuple[Any, ...]) -> Shape:
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return _row([shape_of(argument, inside) for argument in arguments if argument != ()])
    item = shape_of(arguments[0] if arguments else Any, inside)
    schema: dict[str, Any] = {"type": "array", "items": item.schema}
    if issubclass(kind, Set):
        schema["uniqueItems"] = True
    allowed = f"a list, each item {item.allowed}"

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise wrong(path, value, allowed)
        try:
            return kind(item.read(each, f"{path}[{index}]") for index, each in enumerate(value))
        except TypeError:
            raise BadInput(f"{path}: the items of a set must be text, numbers, true or false") from None

    return Shape(schema, allowed, read)


def _row(shapes: Sequence[Shape]) -> Shape:
    size = {"minItems": len(shapes), "maxItems": len(shapes)}
    allowed = f"a list of {len(shapes)}: {', '.join(shape.allowed for shape in shapes)}"

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(shapes):
            raise wrong(path, value, allowed)
        pairs = zip(shapes, value, strict=True)
        return tuple(shape.read(each, f"{path}[{index}]") for index, (shape, each) in enumerate(pairs))

    return Shape({"type": "array", "prefixItems": [shape.schema for shape in shapes], **size}, allowed, read)


def _dictionary(arguments: Sequence[Any], inside: tuple[Any, ...]) -> Shape:
    key, item = arguments or (str, Any)
    if key is not str:
        raise TypeError(f"a dictionary's keys must be str, not {key!r}: JSON has no others")
    shape = shape_of(item, inside)

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise wrong(path, value, "an object")
        return {name: shape.read(each, f"{path}.{name}") for name, each in value.items()}

    return Shape({"type": "object", "additionalProperties": shape.schema}, "an object", read)


def _record(kind: Any, inside: tuple[Any, ...]) -> Shape:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields: dict[str, Field] = {}
    if typing.is_typeddict(kind):
        for name, hint in hints.items():
            marker = typing.get_origin(hint)
            required = marker is Required or (marker is not NotRequired and name in kind.__required_keys__)
            fields[name] = Field(shape_of(hint, inside), required)
    elif attrs.has(kind):
        for field in attrs.fields(kind):
            if field.init:
                fields[field.alias] = Field(shape_of(hints[field.name], inside), field.default is attrs.NOTHING)
    else:
        for each in dataclasses.fields(kind):
            if each.init:
                required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
                fields[each.name] = Field(shape_of(hints[each.name], inside), required)
    return shape_of_object(fields, kind)
