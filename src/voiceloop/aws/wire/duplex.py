"""Event streams both ways on HTTP/2: one connection for each, as Transcribe asks for."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn
from urllib.parse import urlsplit

import anyio

from voiceloop import clock
from voiceloop.aws.account import Access
from voiceloop.aws.wire.frames import Encoder
from voiceloop.aws.wire.http2 import WINDOW, Http2, ProtocolError
from voiceloop.aws.wire.inbox import Inbox
from voiceloop.aws.wire.link import Link, Listener
from voiceloop.aws.wire.proxy import TunnelRefused
from voiceloop.aws.wire.signing import EventSigner, authority, sign_request
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest, Wire
from voiceloop.aws.wire.tls import ALPN, shared_context
from voiceloop.aws.wire.trouble import Reason, Trouble
from voiceloop.aws.wire.wake import Wake
from voiceloop.aws.wire.watch import Watch
from voiceloop.errors import BadInput, ProviderError

_AGENT = "voiceloop"
_MOST_REFUSAL = 64 * 1024  # bytes of the body of an HTTP error


class Http2Wire(Wire):
    """Carries each event stream on an HTTP/2 connection of its own, over TLS."""

    def open(
        self, request: StreamRequest, access: Access, deadlines: Deadlines
    ) -> AbstractAsyncContextManager[EventStream]:
        return _open(request, access, deadlines)


@asynccontextmanager
async def _open(request: StreamRequest, access: Access, deadlines: Deadlines) -> AsyncIterator[EventStream]:
    endpoint = access.endpoint(request.service)
    if not endpoint.startswith("https://"):
        raise BadInput(f"the endpoint {endpoint!r} of {request.service} has to begin with https://")
    channel = _Channel(deadlines, Trouble(request.service, request.operation, authority(endpoint)))
    try:
        yield await _begin(channel, request, access)
    finally:
        await channel.close()


async def _begin(channel: _Channel, request: StreamRequest, access: Access) -> EventStream:
    """Connect, and send the request."""
    endpoint = access.endpoint(request.service)
    credentials = await access.credentials()
    context = await shared_context(access.resources, access.ca_bundle, ALPN)
    await channel.connect(endpoint, context, access.proxy(endpoint))
    signed = sign_request(request, endpoint, access.region, credentials, agent=_AGENT)
    channel.begin(signed.headers)
    return _Stream(channel, EventSigner(credentials.secret_key, access.region, request.signs_as, signed.signature))


class _Channel(Listener):
    """A connection with one HTTP/2 stream on it: bytes out, messages in."""

    def __init__(self, deadlines: Deadlines, trouble: Trouble) -> None:
        self._link = Link(self)
        self.inbox = Inbox(self._took, trouble)
        self._http2 = Http2()
        self._watch = Watch(deadlines, self._late, lambda: self.inbox.waiting >= WINDOW // 2)
        self._deadlines, self._trouble = deadlines, trouble
        self._refusal = b""
        self._moved = Wake()
        self._left = False

    async def connect(self, endpoint: str, context: ssl.SSLContext, proxy: str | None) -> None:
        """Connect, and see that HTTP/2 is spoken."""
        where = urlsplit(endpoint)
        try:
            with clock.outside_work(), anyio.fail_after(self._deadlines.connect):
                chosen = await self._link.open(where.hostname or "", where.port or 443, context, proxy)
        except TimeoutError as error:
            raise self._trouble.late("no connection", self._deadlines.connect) from error
        except (OSError, TunnelRefused) as error:
            raise self._trouble.unreachable(error) from error
        if chosen != ALPN:
            raise self._trouble.no_http2(chosen)

    def begin(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send the request."""
        self._http2.request(headers)
        self._flush()
        self._watch.start()

    async def write(self, data: bytes) -> bool:
        """Send bytes as the peer makes room for them. False: the stream was over before they were sent."""
        self._watch.asked()
        rest = memoryview(data)
        try:
            while True:
                while rest and (room := self._room()) > 0:
                    self._http2.send(rest[:room])
                    rest = rest[room:]
                self._flush()  # before waiting: the peer makes room only for what it has seen
                if not rest:
                    return True
                if not await self._wait_for_room():
                    return False
        except BaseException:
            self._fail(self._trouble.cut)  # the peer waits for the rest of an event that never comes
            raise

    def end(self) -> None:
        """End our side."""
        self._http2.end()
        self._flush()
        self._watch.ended()

    async def response(self) -> Mapping[str, str]:
        """The headers of the 200 response."""
        self._watch.asked()
        while self._http2.status != 200:
            if self.inbox.over:
                self.inbox.tell()
                raise self._why()
            await self._moved.wait()
        return self._http2.headers

    async def too_late(self) -> NoReturn:
        """Raise why nothing can be sent any more; the receiver is told first."""
        with anyio.move_on_after(self._deadlines.close):
            await self.inbox.told()
        raise self._why()

    async def close(self) -> None:
        """Reset what has not ended and close the connection."""
        self.inbox.end(self._trouble.closed)
        self._watch.stop()
        self._http2.give_up()
        self._http2.close()
        self._flush()
        self._left = True
        self._moved.tell()
        await self._link.close()

    def heard(self, data: bytes) -> None:
        if self._left:
            return
        try:
            parts = self._http2.receive(data)
        except ProtocolError as broken:
            error = broken
            self._fail(lambda: self._trouble.nonsense(error))
            return
        self._watch.heard(progress=bool(parts))
        for part, cost in parts:
            if self._http2.status == 200:
                self.inbox.put(part, cost)
            else:
                self._refusal = (self._refusal + part)[:_MOST_REFUSAL]
                self._http2.taken(cost)
        self._conclude()
        self._flush()
        self._moved.tell()

    def writable(self) -> None:
        self._moved.tell()

    def lost(self, error: BaseException | None) -> None:
        self._over(self._refused if self._is_refused() else lambda: self._trouble.lost(error, self._http2.goodbye))

    def _conclude(self) -> None:
        """After all that came was put into the inbox: is the answer there, is it over?"""
        http2 = self._http2
        if http2.status is not None:
            self._watch.answered()
        if self._is_refused():
            self._watch.ended()  # the rest of the error's body is due
            if http2.ended or http2.reset is not None:
                self._over(self._refused)
        elif http2.ended:
            self.inbox.finish()
        elif http2.reset is not None:
            code = http2.reset
            self._over(lambda: self._trouble.reset(code))
        elif http2.unserved:
            self._fail(lambda: self._trouble.unserved(http2.goodbye or ""))
        if self.inbox.over:
            self._watch.stop()

    def _is_refused(self) -> bool:
        return self._http2.status not in (None, 200)

    def _refused(self) -> ProviderError:
        return self._trouble.answered(self._http2.status or 0, self._http2.headers, self._refusal)

    def _why(self) -> ProviderError:
        return (self.inbox.why or self._trouble.ended)()

    def _room(self) -> int:
        return self._http2.room if self._link.writable else 0

    async def _wait_for_room(self) -> bool:
        """False: the stream is over."""
        with anyio.move_on_after(self._deadlines.send):
            while self._room() <= 0 and not self.inbox.over:
                await self._moved.wait()
            return not self.inbox.over
        late = functools.partial(
            self._trouble.late, "the service took nothing of what was sent", self._deadlines.send
        )
        self._fail(late)
        raise late()

    def _took(self, count: int) -> None:
        """Bytes of the window are consumed."""
        if self.inbox.waiting + count >= WINDOW // 2:
            self._watch.heard(progress=True)  # it may not have been able to send
        self._http2.taken(count)
        self._flush()

    def _late(self, what: str, seconds: float) -> None:
        self._fail(self._refused if self._is_refused() else lambda: self._trouble.late(what, seconds))

    def _fail(self, why: Reason) -> None:
        """Something is wrong with the stream: reset it."""
        self._over(why)
        self._http2.give_up()
        self._flush()

    def _over(self, why: Reason) -> None:
        self.inbox.end(why)
        self._watch.stop()
        self._moved.tell()

    def _flush(self) -> None:
        data = self._http2.output()
        if data:
            self._link.write(data)


class _Stream(EventStream):
    """A channel whose messages are signed."""

    def __init__(self, channel: _Channel, signer: EventSigner) -> None:
        self._channel, self._signer, self._encoder = channel, signer, Encoder()
        self._turn = asyncio.Lock()  # events are signed in the order in which they are sent
        self._said_end = False

    async def send(self, message: Message) -> None:
        async with self._turn:
            if self._said_end:
                raise RuntimeError("nothing can be sent after end()")
            if not self._channel.inbox.over:
                frame = self._signer.sign(self._encoder.encode(message))
                if await self._channel.write(frame):
                    return
            await self._channel.too_late()

    async def end(self) -> None:
        async with self._turn:
            if self._said_end or self._channel.inbox.over:
                return
            self._said_end = True
            if await self._channel.write(self._signer.end()):
                self._channel.end()
            elif self._channel.inbox.why is not None:
                await self._channel.too_late()

    async def response(self) -> Mapping[str, str]:
        return await self._channel.response()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        return await self._channel.inbox.get()
