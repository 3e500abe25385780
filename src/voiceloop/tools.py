"""Tools: plain typed functions that the model may call. Schema and validation; execution is the engine's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

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
