"""What carries one response, seen by the services' side."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Literal, TypeAlias

import anyio

from voiceloop.testing.aws.frames import Chunk

Break: TypeAlias = Literal["cut", "reset", "goaway", "drop"]
"""How a response breaks off: it just ends; its stream is reset; the connection is said to close (the stream goes on);
the connection is gone."""


class Line(abc.ABC):
    """An HTTP/2 stream, an HTTP/1.1 exchange, a WebSocket, or memory. Raises ConnectionLost when nobody is there."""

    async def gone(self) -> None:
        """Wait until the caller is gone, where that can be noticed without sending anything."""
        await anyio.sleep_forever()

    @abc.abstractmethod
    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the response's status and headers."""

    @abc.abstractmethod
    async def data(self, chunk: Chunk) -> None:
        """Send a part of the body; waits until the caller takes it."""

    @abc.abstractmethod
    async def finish(self) -> None:
        """End the response."""

    @abc.abstractmethod
    async def break_off(self, how: Break) -> None:
        """Break the response off; unless ``how`` is ``goaway``, nothing more can be sent."""
