"""Tools: plain typed functions that the model may call. Schema and validation; execution is the engine's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable, Mapping, Set
from datetime import date, time
from enum import Enum
from typing import Any

import attrs
from attrs import frozen


@frozen
class Tool:
    """A function the model may call; made by :func:`tool`.

    ``schema`` is the JSON schema of its arguments (an object). ``timeout`` in seconds bounds one call.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    call: Callable[..., Awaitable[Any]]
    timeout: float = 30.0


def plain(value: Any) -> Any:
    """``value`` as JSON has it: attrs, dataclasses, enums, dates, sets and tuples become objects, text and lists."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(plain(key)): plain(item) for key, item in value.items()}
        case list() | tuple() | Set():
            return [plain(item) for item in value]
        case date() | time():
            return value.isoformat()
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)
