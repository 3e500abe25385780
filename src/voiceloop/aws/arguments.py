"""What several providers take as an argument, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voiceloop.errors import BadInput


def texts(given: str | Iterable[str]) -> tuple[str, ...]:
    """One text or several, as a tuple. Raises BadInput for what is none."""
    if isinstance(given, str):
        return (given,)
    listed = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(each, str) for each in listed):
        raise BadInput(f"{given!r} is neither a text nor several texts")
    return listed


def of_kind(kind: type) -> Any:
    """A validator of attrs: a value of ``kind``, or None where that is the default. Raises BadInput."""

    def check(_: object, attribute: Any, value: object) -> None:
        if not (isinstance(value, kind) or (value is None and attribute.default is None)):
            raise BadInput(f"{attribute.name} must be of type {kind.__name__}, not {type(value).__name__}")

    return check
