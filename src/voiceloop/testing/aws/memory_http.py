"""Plain requests of an aiobotocore client to the emulated services without sockets: for virtual time.

Requests are botocore's own, signatures are checked, and answers come piece by piece. Only the age of a signature is
not checked: botocore signs by the system's clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from attrs import define, field
from botocore.exceptions import ConnectionClosedError

from voiceloop.aws.wire.requests import Requests
from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost
from voiceloop.testing.aws.frames import as_bytes
from voiceloop.testing.aws.line import Break
from voiceloop.testing.aws.pipe import Pipe, PipeLine
from voiceloop.testing.aws.signatures import Head
from voiceloop.testing.virtual_time import inside_work


@define(eq=False)
class MemoryRequests(Requests):
    """aiobotocore's HTTP session to the services of one emulator. ``spawn`` starts a task that the emulator owns."""

    _desk: Desk
    _spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
    _connection: int
    _pipes: WeakSet[Pipe] = field(factory=WeakSet)

    @property
    def busy(self) -> int:
        """See :meth:`Requests.busy`."""
        return sum(1 for pipe in self._pipes if not (pipe.left or pipe.answer.over))

    async def send(self, request: Any) -> AioAWSResponse:
        """See :meth:`Requests.send`."""
        pipe = Pipe()
        self._pipes.add(pipe)
        head = _head(request)

        async def serve() -> None:
            try:
                with suppress(ConnectionLost):
                    body = request.body or b""
                    await self._desk.plain(head, body, _Http1Line(pipe), self._connection, fresh=False)
            finally:
                pipe.lose()

        self._spawn(serve)
        answer = pipe.answer
        try:
            with inside_work():
                await pipe.until(lambda: answer.status is not None or answer.over)
        except BaseException:
            pipe.leave()
            raise
        if answer.status is None:
            raise ConnectionClosedError(endpoint_url=request.url)
        return AioAWSResponse(request.url, answer.status, dict(answer.headers), _Body(request.url, pipe))

    async def warm(self, url: str, connections: int = 1) -> None:
        """See :meth:`Requests.warm`: there is nothing to open."""

    async def close(self) -> None:
        """See :meth:`Requests.close`."""
        for pipe in self._pipes:
            pipe.leave()


def _head(request: Any) -> Head:
    """The head of a request as the wire would have it."""
    url = urlsplit(request.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    pairs = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    return Head(request.method, target, tuple({"host": url.netloc, **pairs}.items()))


class _Http1Line(PipeLine):
    """The service's end of an HTTP/1.1 exchange, which can only end properly or with its connection."""

    async def break_off(self, how: Break) -> None:
        if how != "goaway":
            self._pipe.lose()


@define(eq=False)
class _Body:
    """The body of an answer, as aiobotocore reads it: aiohttp's response and its ``content`` in one."""

    url: str
    _pipe: Pipe
    _rest: bytes = b""

    @property
    def content(self) -> Self:
        return self

    async def read(self, amount: int = -1) -> bytes:
        """At most ``amount`` bytes, none at the end; all of them where it is negative. Raises aiohttp.ClientError."""
        read = self._rest or await self._next()
        if amount < 0:
            while more := await self._next():
                read += more
            amount = len(read)
        self._rest = read[amount:]
        return read[:amount]

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """The pieces as they come. Raises aiohttp.ClientError."""
        while chunk := await self._next():
            yield chunk, True

    async def _next(self) -> bytes:
        pipe = self._pipe
        with inside_work():
            await pipe.until(lambda: pipe.answer.coming or pipe.answer.over or pipe.left)
        if pipe.left:
            raise aiohttp.ClientConnectionError("Connection closed")
        if pipe.answer.coming:
            chunk = as_bytes(pipe.answer.coming.popleft())
            pipe.notify()
            return chunk
        if pipe.answer.lost:
            raise aiohttp.ClientPayloadError("Response payload is not completed")
        return b""

    def close(self) -> None:
        """Leave the rest unread."""
        self._pipe.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


__all__ = ("MemoryRequests",)
