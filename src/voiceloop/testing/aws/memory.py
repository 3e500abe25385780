"""From a voiceloop provider to the emulated services without sockets: for virtual time.

Messages of event streams pass as values; there are no bytes to sign, so no signatures are checked of them, but keys
and their expiry are. Where a fault needs bytes, they pass through amazon-transcribe's codec.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import unquote

import anyio
from attrs import define, field, frozen

from voiceloop.aws.account import Access, Credentials
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest, Wire
from voiceloop.aws.wire.trouble import Trouble
from voiceloop.errors import ProviderError
from voiceloop.testing.aws.asked import Asked
from voiceloop.testing.aws.desk import EVENT_STREAM, Desk
from voiceloop.testing.aws.exchange import Caller, ConnectionLost, Refusal
from voiceloop.testing.aws.frames import BadFrame, Chunk, Decoder, as_bytes
from voiceloop.testing.aws.pipe import Pipe, PipeLine
from voiceloop.testing.aws.signatures import check_expiry

if TYPE_CHECKING:
    from voiceloop.aws.wire.requests import Requests

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]

_MOST_SENT = 64


@frozen(eq=False)
class MemoryWire(Wire):
    """A wire to the services of one emulator. ``spawn`` starts a task that the emulator owns."""

    _desk: Desk
    _spawn: Spawn
    _connection: Callable[[], int]

    def open(
        self, request: StreamRequest, access: Access, deadlines: Deadlines
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open a stream, as :meth:`Wire.open` says."""
        return self._open(request, access, deadlines)

    @asynccontextmanager
    async def _open(self, request: StreamRequest, access: Access, deadlines: Deadlines) -> AsyncIterator[EventStream]:
        credentials = await access.credentials()
        link = _Link(Trouble(request.service, request.operation, "the emulator"), request, deadlines)
        number = self._connection()
        over, scope = anyio.Event(), anyio.CancelScope()

        async def serve() -> None:
            try:
                with scope, suppress(ConnectionLost):
                    await self._answer(link, credentials, access.region, number)
            finally:
                link.lose()
                over.set()

        self._spawn(serve)
        try:
            yield link
        finally:
            link.leave()
            with anyio.CancelScope(shield=True), anyio.move_on_after(deadlines.close):
                await over.wait()
            scope.cancel()

    def requests(self) -> Requests:
        """What carries plain requests, as :meth:`Wire.requests` says."""
        from voiceloop.testing.aws.memory_http import MemoryRequests

        return MemoryRequests(self._desk, self._spawn, self._connection())

    async def _answer(self, link: _Link, credentials: Credentials, region: str, number: int) -> None:
        line = PipeLine(link)
        try:
            keys = self._desk.ring.find(credentials.access_key, credentials.token)
        except Refusal as refusal:
            await self._desk.refuse(Asked(link.request.service, link.request.operation), refusal, line, number)
            return
        headers = {name.lower(): value for name, value in link.request.headers.items()}
        messages = _Inward(link, lambda: check_expiry(keys))
        caller = Caller(keys.access_key, region, number)
        await self._desk.direct(unquote(link.request.path), headers, caller, messages, line)


@define(eq=False)
class _Link(Pipe, EventStream):
    """Both directions of one stream, as its caller sees it."""

    trouble: Trouble
    request: StreamRequest
    deadlines: Deadlines
    sent: deque[Message] = field(factory=deque)
    begun: bool = False
    ending: bool = False
    _broken: Callable[[], ProviderError] | None = None
    _decoder: Decoder | None = None
    _decoded: deque[Message] = field(factory=deque)

    async def send(self, message: Message) -> None:
        await self._within(
            lambda: len(self.sent) < _MOST_SENT or self.answer.over, self.deadlines.send, "sending an event"
        )
        if self.answer.over:
            raise self._failure()
        self.begun = True
        self.sent.append(message)
        self.notify()

    async def end(self) -> None:
        self.ending = True
        self.notify()

    async def response(self) -> Mapping[str, str]:
        doing = "waiting for the response"
        await self._within(lambda: self.begun or self.ending or self._answered, None, doing)
        await self._within(lambda: self._answered, self.deadlines.headers, doing)
        if self.answer.status == 200:
            return self.answer.headers
        if self.answer.status is not None:
            await self._within(lambda: self.answer.over, self.deadlines.headers, "reading the response")
        raise self._failure()

    def __aiter__(self) -> AsyncIterator[Message]:
        return _Outward(self)

    async def receive(self) -> Message | None:
        """The next message; None at the end of the stream."""
        await self.response()
        while True:
            if self._decoded:
                return self._checked(self._decoded.popleft())
            if self._broken is not None:
                raise self._broken()
            await self._within(
                lambda: bool(self.answer.coming) or self.answer.over, self.deadlines.idle, "waiting for an event"
            )
            if self.answer.coming:
                self._take(self.answer.coming.popleft())
                self.notify()
            elif self.answer.ended and (self._decoder is None or self._decoder.whole):
                return None
            else:
                raise self._failure()

    @property
    def _answered(self) -> bool:
        return self.answer.status is not None or self.answer.lost

    def _take(self, chunk: Chunk) -> None:
        if isinstance(chunk, Message) and self._decoder is None:
            self._decoded.append(chunk)
            return
        self._decoder = self._decoder or Decoder()
        try:
            self._decoded.extend(self._decoder.feed(as_bytes(chunk)))
        except BadFrame as error:
            broken = error
            self._broken = lambda: self.trouble.nonsense(broken)

    def _checked(self, message: Message) -> Message:
        if message.kind != "event":
            self._broken = lambda: self.trouble.told(message)
            raise self._broken()
        return message

    def _failure(self) -> ProviderError:
        """Why nothing more can be sent or received."""
        if self._broken is not None:
            return self._broken()
        if self.answer.status not in (None, 200):
            body = b"".join(as_bytes(chunk) for chunk in self.answer.coming)
            return self.trouble.answered(self.answer.status, self.answer.headers, body)
        last = self.answer.coming[-1] if self.answer.coming else None
        if isinstance(last, Message) and last.kind != "event":
            return self.trouble.told(last)
        return self.trouble.ended() if self.answer.ended else self.trouble.lost(None, None)

    async def _within(self, condition: Callable[[], bool], seconds: float | None, doing: str) -> None:
        try:
            with anyio.fail_after(seconds):
                await self.until(condition)
        except TimeoutError:
            raise self.trouble.late(f"nothing happened while {doing}", seconds or 0.0) from None


@define(eq=False)
class _Outward:
    """Iterates over what the service sends."""

    _link: _Link

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._link.receive()
        if message is None:
            raise StopAsyncIteration
        return message


@define(eq=False)
class _Inward:
    """Iterates over what the caller sends."""

    _link: _Link
    _check: Callable[[], None]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        link = self._link
        await link.until(lambda: link.sent or link.left or link.ending)
        if not link.sent:
            raise ConnectionLost if link.left else StopAsyncIteration
        self._check()
        message = link.sent.popleft()
        link.notify()
        return message


__all__ = ("EVENT_STREAM", "MemoryWire")
