"""What carries requests that have one answer each, under an aiobotocore client."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from aiobotocore.awsrequest import AioAWSResponse


class Requests(abc.ABC):
    """What aiobotocore calls its HTTP session, and what voiceloop asks of it besides. Leaving it closes it."""

    @property
    @abc.abstractmethod
    def busy(self) -> int:
        """How many requests are under way, or have answers that are not read to their end."""

    @abc.abstractmethod
    async def send(self, request: Any) -> AioAWSResponse:
        """Send a request that botocore made and signed. Raises botocore's HTTPClientError and its kinds."""

    @abc.abstractmethod
    async def warm(self, url: str, connections: int = 1) -> None:
        """Have ``connections`` idle connections to ``url`` for who asks, beside those that others asked for."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close all connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
