"""Checks of arguments, for the kit and the emulator: a wrong one is told at once, with what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from voiceloop.errors import BadInput


def shown(value: object) -> str:
    """A value as an error names it: numbers and nothing as they are, of all else the type alone."""
    return repr(value) if value is None or isinstance(value, int | float) else type(value).__name__


def of_kind(name: str, value: object, kind: type, hint: str = "") -> None:
    """Raise BadInput unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise BadInput(f"{name}={shown(value)}: {article} {kind.__name__} is needed", hint=hint)


def number(name: str, value: object, *, least: float = 0.0, most: float = math.inf) -> None:
    """Raise BadInput unless ``value`` is a number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        allowed = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise BadInput(f"{name}={value!r}: {allowed} is allowed")


def whole(name: str, value: object, *, least: int = 0, most: float = math.inf) -> None:
    """Raise BadInput unless ``value`` is a whole number from ``least`` to ``most``."""
    number(name, value, least=least, most=most)
    if not isinstance(value, int):
        raise BadInput(f"{name}={value!r}: a whole number is needed")


def items(name: str, value: Any, kinds: tuple[type, ...], what: str) -> None:
    """Raise BadInput unless ``value`` is a list or tuple of ``kinds``, which ``what`` names in the plural."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise BadInput(f"{name}={shown(value)}: a list of {what} is needed")
    for index, item in enumerate(value):
        if not isinstance(item, kinds):
            raise BadInput(f"{name}[{index}]={shown(item)}: the list is of {what}")


def several(name: str, value: Any, kind: type, what: str) -> list[Any]:
    """The items of any iterable of ``kind`` but a text. Raises BadInput as :func:`items` does."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise BadInput(f"{name}={shown(value)}: a list of {what} is needed")
    found = list(value)
    items(name, found, (kind,), what)
    return found
