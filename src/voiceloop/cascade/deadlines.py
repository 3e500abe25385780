"""How long a cascade waits for its providers."""

from __future__ import annotations

import math
from typing import Any

from attrs import field, frozen

from voiceloop.errors import BadInput


def _seconds(instance: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise BadInput(f"deadlines.{attribute.name}={value!r}: a number of seconds above 0 is allowed")


def _steps(instance: object, attribute: Any, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"deadlines.{attribute.name}={value!r}: a whole number from 1 is allowed")


@frozen
class Deadlines:
    """How long a cascade waits for its providers, in seconds, and how often a reply may call tools in a row.

    ``first_token`` and ``first_audio``: from a request to the first of its answer; ``token_gap`` and ``audio_gap``:
    between two pieces of it. They are the last resort and fail the reply: a provider that is to try again by itself
    gives up an attempt earlier, at less than half the time. ``tool_steps``: requests of one reply that call tools.
    Raises BadInput.
    """

    first_token: float = field(default=20.0, validator=_seconds)
    token_gap: float = field(default=15.0, validator=_seconds)
    first_audio: float = field(default=10.0, validator=_seconds)
    audio_gap: float = field(default=10.0, validator=_seconds)
    tool_steps: int = field(default=8, validator=_steps)
