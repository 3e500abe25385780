"""The one place through which every request passes, whatever carried it: routed, checked, counted, answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from email.utils import format_datetime
from typing import Any, Self, cast

import anyio
import anyio.to_thread
from attrs import define, field

from voiceloop import clock
from voiceloop.aws.wire.stream import Message
from voiceloop.engine.supervisor import bare
from voiceloop.errors import VoiceloopError
from voiceloop.testing.aws.asked import Asked, identify
from voiceloop.testing.aws.exchange import (
    Caller,
    ConnectionLost,
    Exchange,
    QueryService,
    Refusal,
    Request,
    Response,
    RestService,
    StreamService,
    UncleanEnd,
    asking,
    form,
)
from voiceloop.testing.aws.faults import Faults, FaultyLine
from voiceloop.testing.aws.frames import BadFrame, Decoder, decode
from voiceloop.testing.aws.line import Line
from voiceloop.testing.aws.record import Call, Record, denial
from voiceloop.testing.aws.signatures import BEARER, Chain, Head, Keyring, verify
from voiceloop.testing.aws.stage import Service
from voiceloop.testing.aws.words import SIGNING_NAMES, Words, words_of

EVENT_STREAM = "application/vnd.amazon.eventstream"


@define(eq=False)
class Desk:
    """Answers requests by the services, after signature, permission and faults.

    ``failures``: errors of the services themselves, which no caller can mend; leaving the emulator raises them.
    """

    services: Sequence[Service]
    ring: Keyring
    record: Record
    faults: Faults
    failures: list[Exception] = field(factory=list)

    def stream_service(self, method: str, path: str) -> StreamService | None:
        """The service that answers with an event stream both ways, if this is its request."""
        streams = (service for service in self.services if isinstance(service, StreamService))
        return next((service for service in streams if service.matches(method, path)), None)

    def rest_service(self, head: Head, body: bytes) -> tuple[RestService, str] | None:
        """The service and operation of a plain request."""
        asked = form(dict(head.pairs), body) if head.path == "/" else {}
        for service in self.services:
            if isinstance(service, QueryService):
                if asked.get("Version") == service.version and asked.get("Action") in service.operations:
                    return service, asked["Action"]
            elif isinstance(service, RestService):
                operation = service.operation(head.method, head.path)
                if operation is not None:
                    return service, operation
        return None

    async def refuse(self, asked: Asked, refusal: Refusal, line: Line, connection: int) -> None:
        """Record a request that no service gets to see, and answer it with an error."""
        call = self.record.begin(asked.service, asked.operation, connection)
        words = words_of(asked.service, asked.protocol)
        call.error, call.message, call.status = refusal.code, refusal.message, refusal.status
        call.over = True
        await _answer(line, words.http(refusal))

    async def unknown(self, head: Head, body: bytes, line: Line, connection: int) -> None:
        """Refuse a request that has no service here, by its name in AWS. Raises ConnectionLost."""
        if (head.method, head.target, "authorization" in head.fields) == ("GET", "/", False):
            await _answer(line, words_of("").http(Asked("", "GET /").refusal(())))  # opens a connection for later
            return
        with clock.outside_work():
            asked = await anyio.to_thread.run_sync(identify, head, body)
        await self.refuse(asked, asked.refusal({service.service for service in self.services}), line, connection)

    async def plain(self, head: Head, body: bytes, line: Line, connection: int, *, fresh: bool = True) -> None:
        """Answer one plain request. ``fresh``: its signature may not be old. Raises ConnectionLost."""
        found = self.rest_service(head, body)
        if found is None:
            await self.unknown(head, body, line, connection)
            return
        service, operation = found
        call = self.record.begin(service.service, operation, connection)
        faulty = self._watched(line, call)

        async def work() -> None:
            seal = verify(head, body, SIGNING_NAMES[service.service], self.ring, connection, fresh=fresh)
            asking.set(seal.caller.access_key)
            request = Request(head.method, head.path, dict(head.pairs), head.fields, body, seal.caller)
            actions = service.actions(request)
            self._authorise(call, faulty, seal.caller, (*actions, BEARER) if seal.bearer else actions)
            await faulty.request()
            response = await service.answer(request)
            call.status = response.status
            await _answer(faulty, response)

        await self._conclude(call, faulty, work)

    async def events(
        self, head: Head, chunks: AsyncIterator[bytes], line: Line, connection: int, *, signed: bool = True
    ) -> None:
        """Answer one event stream. ``chunks``: the request's body; ``signed``: its events are (over HTTP/2)."""
        service = self.stream_service(head.method, head.path)
        assert service is not None
        call = self.record.begin(service.service, service.operation, connection)
        faulty = self._watched(line, call)

        async def work() -> None:
            seal = verify(head, None, SIGNING_NAMES[service.service], self.ring, connection)
            wrong = words_of(service.service).wrong
            messages = _Frames(chunks, Chain.of(seal, wrong) if signed else None, wrong)
            options = head.fields if signed else {name.lower(): value for name, value in head.pairs}
            await self._converse(call, service, Open(head.path, options, seal.caller, messages, faulty, call))

        await self._conclude(call, faulty, work)

    async def direct(
        self, path: str, headers: Mapping[str, str], caller: Caller, messages: AsyncIterator[Message], line: Line
    ) -> None:
        """Answer one event stream that came without bytes and signatures; its caller's keys are checked."""
        service = self.stream_service("POST", path)
        if service is None:
            await self.unknown(Head("POST", path, ()), b"", line, caller.connection)
            return
        call = self.record.begin(service.service, service.operation, caller.connection)
        faulty = self._watched(line, call)

        async def work() -> None:
            await self._converse(call, service, Open(path, headers, caller, messages, faulty, call))

        await self._conclude(call, faulty, work)

    def _watched(self, line: Line, call: Call) -> FaultyLine:
        return FaultyLine(line, self.faults.plan(call.operation, call.faults), words_of(call.service))

    def _authorise(self, call: Call, line: FaultyLine, caller: Caller, actions: Sequence[tuple[str, str]]) -> None:
        action, resource = actions[0] if actions else ("", "*")
        line.denial = denial(self.record.account, action, resource)
        self.record.authorise(call, caller, actions)

    async def _converse(self, call: Call, service: StreamService, exchange: Open) -> None:
        asking.set(exchange.caller.access_key)
        self._authorise(call, exchange.line, exchange.caller, service.actions(exchange.path))
        await exchange.line.request()
        await service.serve(exchange)
        await exchange.finish()

    async def _conclude(self, call: Call, line: FaultyLine, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``, and turn whatever it raises into what a caller of AWS sees. Raises ConnectionLost."""
        words = words_of(call.service)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - each kind is answered; what is a bug is kept and raised at the end
            failure = bare(error)
            refusal = self._refusal(failure, words)
            if refusal is None:
                call.error = "connection lost"
                raise failure from None
            call.error, call.message = refusal.code, refusal.message
            await self._refused(call, line, words, refusal)
        finally:
            call.over = True

    def _refusal(self, failure: BaseException, words: Words) -> Refusal | None:
        """What a caller is told of ``failure``; None when nobody is there to be told."""
        match failure:
            case Refusal():
                return words.own(failure)
            case UncleanEnd():
                return Refusal(400, words.wrong, "The stream ended without its end frame.")
            case ConnectionLost():
                return None
            case Exception() if not isinstance(failure, VoiceloopError):
                self.failures.append(failure)
        return words.broken

    async def _refused(self, call: Call, line: FaultyLine, words: Words, refusal: Refusal) -> None:
        """An HTTP error, or the end of what has begun."""
        if line.begun is None:
            call.status = refusal.status
            await _answer(line.line, words.http(refusal))
        elif line.begun == EVENT_STREAM:
            await line.last_words(words.event(refusal))
        else:
            await line.line.break_off("drop")


@define(eq=False)
class Open(Exchange):
    """An event stream that is being answered."""

    path: str
    headers: Mapping[str, str]
    caller: Caller
    messages: AsyncIterator[Message]
    line: FaultyLine
    call: Call
    ended: bool = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await anext(self.messages)
        await self.line.received()
        return message

    async def respond(self, headers: Mapping[str, str]) -> None:
        self.call.status = 200
        await self.line.head(200, {"content-type": EVENT_STREAM, **_told_by_all(), **dict(headers)})

    async def send(self, message: Message) -> None:
        await self.line.data(message)

    async def finish(self) -> None:
        if not self.ended:
            self.ended = True
            await self.line.finish()


@define(eq=False)
class _Frames:
    """The caller's messages out of the bytes of a body: both checksums and every signature checked."""

    _chunks: AsyncIterator[bytes]
    _chain: Chain | None
    _wrong: str
    _decoder: Decoder = field(factory=Decoder)
    _ready: list[Message] = field(factory=list)
    _broken: Refusal | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Cancelled, it loses nothing."""
        while True:
            while self._ready:
                message = self._opened(self._ready.pop(0))
                if message is not None:
                    return message
            if self._broken is not None:
                raise self._broken
            try:
                data = await anext(self._chunks)
            except StopAsyncIteration:
                self._check_end()
                raise
            try:
                for frame in self._decoder.feed(data):
                    self._ready.append(frame)
            except BadFrame as error:
                self._broken = self._refusal(error)

    def _opened(self, frame: Message) -> Message | None:
        if self._chain is None:
            return frame
        payload = self._chain.open(frame)
        try:
            return decode(payload) if payload else None
        except BadFrame as error:
            raise self._refusal(error) from error

    def _check_end(self) -> None:
        if not self._decoder.whole:
            raise Refusal(400, self._wrong, "The stream ended in the middle of a message.")
        if self._chain is not None and not self._chain.ended:
            raise UncleanEnd

    def _refusal(self, error: BadFrame) -> Refusal:
        return Refusal(400, self._wrong, f"The event stream message could not be decoded: {error}")


async def _answer(line: Line, response: Response) -> None:
    """Send a whole response."""
    headers = {**_told_by_all(), **dict(response.headers)}
    if isinstance(response.body, bytes):
        await line.head(response.status, {**headers, "content-length": str(len(response.body))})
        if response.body:
            await line.data(response.body)
    else:
        await line.head(response.status, headers)
        async with AsyncExitStack() as stack:
            if hasattr(response.body, "aclose"):
                await stack.enter_async_context(aclosing(cast("Any", response.body)))
            async for chunk in response.body:
                await line.data(chunk)
    await line.finish()


def _told_by_all() -> dict[str, str]:
    """What every answer of AWS begins with."""
    return {"date": format_datetime(clock.utcnow(), usegmt=True), "x-amzn-requestid": clock.new_id()}
