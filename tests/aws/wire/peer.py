"""A server for one event stream a connection, which does just what a test says. It shares no code with the client."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from amazon_transcribe.auth import Credentials
from amazon_transcribe.eventstream import EventSigner, EventStreamBuffer, EventStreamMessageSerializer
from attrs import define, field

from voiceloop import clock
from voiceloop.aws import Account, Keys

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Keys("AKIDEXAMPLE", SECRET)
EVENT = {":message-type": "event", ":event-type": "TranscriptEvent", ":content-type": "application/json"}


def frame(payload: bytes, **headers: str) -> bytes:
    """An event; other headers with ``_`` for ``-``."""
    given = {f":{name.replace('_', '-')}": value for name, value in headers.items()}
    return EventStreamMessageSerializer().serialize(given or EVENT, payload)


def exception(name: str, message: str) -> bytes:
    return frame(b'{"Message": "%s"}' % message.encode(), message_type="exception", exception_type=name)


@define(eq=False)
class Peer:
    """One accepted connection, HTTP/2 on it, and its one stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http2: h2.connection.H2Connection
    seen: list[h2.events.Event] = field(factory=list)
    body: bytearray = field(factory=bytearray)
    headers: dict[str, str] = field(factory=dict)
    acknowledges: bool = True
    gone: bool = False
    _moved: asyncio.Event = field(factory=asyncio.Event)
    _buffer: EventStreamBuffer = field(factory=EventStreamBuffer)
    _read: int = 0
    _pings: int = 0
    _acknowledged: int = 0
    _prior: bytes = b""
    _broken: Exception | None = None

    async def pump(self) -> None:
        """Take all that comes, for the life of the connection."""
        try:
            while data := await self.reader.read(65536):
                for event in self.http2.receive_data(data):
                    self._take(event)
                self.flush()
                self._moved.set()
        except (ConnectionError, ssl.SSLError):
            pass
        except h2.exceptions.ProtocolError as error:
            self._broken = error
        self.gone = True
        self._moved.set()

    def _take(self, event: h2.events.Event) -> None:
        self.seen.append(event)
        match event:
            case h2.events.RequestReceived():
                self.headers = dict(event.headers)
                self._prior = bytes.fromhex(self.headers["authorization"].rpartition("Signature=")[2])
            case h2.events.PingAckReceived():
                self._acknowledged = int.from_bytes(event.ping_data, "big")
            case h2.events.DataReceived():
                self.body += event.data
                if self.acknowledges:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, 1)

    async def until(self, done: Callable[[], Any]) -> Any:
        """Wait for something; its value."""
        with anyio.fail_after(math.inf if clock.simulated() else 10):
            while not (value := done()):
                if self._broken is not None:
                    raise self._broken
                self._moved.clear()
                await self._moved.wait()
        return value

    async def saw(self, kind: type[Any]) -> Any:
        """The first event of that kind."""
        return await self.until(lambda: next((event for event in self.seen if isinstance(event, kind)), None))

    async def request(self) -> dict[str, str]:
        return (await self.saw(h2.events.RequestReceived)) and self.headers

    async def message(self) -> bytes:
        """The next event's payload, its signature checked; empty for the end of the client's side."""
        outer = await self.until(self._outer)
        when = datetime.fromtimestamp(outer.headers[":date"] / 1000, UTC)
        scope = self.headers["authorization"].partition("Credential=")[2].split(",")[0].split("/")
        signer = EventSigner(scope[3], scope[2], lambda: when)
        expected = signer.sign(outer.payload, self._prior, Credentials("AKIDEXAMPLE", SECRET))
        assert outer.headers[":chunk-signature"] == expected[":chunk-signature"]
        self._prior = outer.headers[":chunk-signature"]
        if not outer.payload:
            return b""
        inner = EventStreamBuffer()
        inner.add_data(outer.payload)
        return bytes(next(inner).payload)

    @property
    def left(self) -> bool:
        """The client said goodbye."""
        return any(isinstance(event, h2.events.ConnectionTerminated) for event in self.seen)

    def _outer(self) -> Any:
        self._buffer.add_data(bytes(self.body[self._read :]))
        self._read = len(self.body)
        return next(self._buffer, None)

    def flush(self) -> None:
        if not self.writer.is_closing():
            self.writer.write(self.http2.data_to_send())

    def respond(self, status: int = 200, *, end: bool = False, **headers: str) -> None:
        fields = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.http2.send_headers(1, fields, end_stream=end)
        self.flush()

    async def send(self, data: bytes, *, end: bool = False, split: int = 16384) -> None:
        """Send bytes of the response, as the client makes room for them."""
        rest = data
        while rest:
            room = await self.until(lambda: self.gone or max(self.http2.local_flow_control_window(1), 0))
            if self.gone:
                return
            part, rest = rest[: min(room, split)], rest[min(room, split) :]
            self.http2.send_data(1, part, end_stream=end and not rest)
            self.flush()
        await self.writer.drain()

    async def settle(self) -> None:
        """Wait until the client has seen all that was sent; virtual time stands still meanwhile."""
        self._pings += 1
        with clock.outside_work():
            self.http2.ping(self._pings.to_bytes(8, "big"))
            self.flush()
            await self.until(lambda: self._acknowledged >= self._pings)

    def end(self) -> None:
        self.http2.end_stream(1)
        self.flush()

    def reset(self, code: h2.errors.ErrorCodes) -> None:
        self.http2.reset_stream(1, code)
        self.flush()

    async def leave(self) -> None:
        """Wait until the client is gone."""
        await self.until(lambda: self.gone)


Script = Callable[[Peer], Awaitable[None]]


@define(eq=False)
class Server:
    """Where the peers are."""

    url: str
    ca_file: str
    peers: list[Peer] = field(factory=list)
    came: asyncio.Event = field(factory=asyncio.Event)

    async def peer(self) -> Peer:
        """The first connection."""
        with anyio.fail_after(math.inf if clock.simulated() else 10):
            await self.came.wait()
        return self.peers[0]

    def account(self, **settings: Any) -> Account:
        given = {"region": "us-east-1", "keys": KEYS, "endpoints": {"": self.url}, "ca_bundle": self.ca_file}
        return Account(**{**given, **settings})


@asynccontextmanager
async def serving(
    script: Script,
    authority: Any,
    *,
    host: str = "127.0.0.1",
    alpn: tuple[str, ...] = ("h2",),
    settings: dict[h2.settings.SettingCodes, int] | None = None,
) -> AsyncIterator[Server]:
    """A server whose every connection runs ``script``; what a script raises is raised at the end."""
    running: list[asyncio.Task[None]] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.certificate.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        http2.local_settings = h2.settings.Settings(client=False, initial_values=settings or {})
        http2.initiate_connection()
        peer = Peer(reader, writer, http2)
        server.peers.append(peer)
        server.came.set()
        peer.flush()
        running.append(asyncio.create_task(_run(script, peer)))

    listening = await asyncio.start_server(connected, host, 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    server = Server(f"https://{f'[{host}]' if ':' in host else host}:{port}", str(authority.ca_file))
    try:
        yield server
    finally:
        listening.close()
        for task in running:
            task.cancel()
        with clock.outside_work():
            outcomes = await asyncio.gather(*running, return_exceptions=True)
            await listening.wait_closed()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _run(script: Script, peer: Peer) -> None:
    pumping = asyncio.create_task(peer.pump())
    try:
        await script(peer)
    except h2.exceptions.ProtocolError:
        if not peer.left:  # it may be gone before the script is through
            raise
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
        peer.writer.transport.abort()
