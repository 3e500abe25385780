"""What a tool returned, as the model is told it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Set
from datetime import date, time
from enum import Enum
from typing import Any

import attrs

RESULT_BYTES = 16_000


def render(result: Any) -> str:
    """``result`` as text for the model: text as it is, "Done." for None, else JSON; at most 16 kB, and it says so."""
    if result is None:
        return "Done."
    text = result if isinstance(result, str) else json.dumps(plain(result), ensure_ascii=False)
    data = text.encode("utf-8", "replace")
    if len(data) <= RESULT_BYTES:
        return text
    note = f" [cut: the whole result has {len(data)} bytes]"
    return data[: RESULT_BYTES - len(note)].decode("utf-8", "ignore") + note


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
        case list() | tuple():
            return [plain(item) for item in value]
        case Set():
            return sorted((plain(item) for item in value), key=repr)
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)
