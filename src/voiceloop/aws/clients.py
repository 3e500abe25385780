"""Pooled clients of the request-and-answer services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from voiceloop.aws.account import Access


@frozen(eq=False)
class Client:
    """A service's client and the connections under it."""

    boto: Any
    connections: Any


@asynccontextmanager
async def open_client(access: Access, service: str) -> AsyncIterator[Client]:
    """Make a client of ``service``; its connections close when it is left."""
    raise NotImplementedError
    yield
