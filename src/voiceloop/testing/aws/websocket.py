"""WebSocket, by wsproto: Transcribe's other way in. Messages are binary and not signed; the URL was."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Self

import anyio
import h11
from attrs import define, field
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost, Refusal
from voiceloop.testing.aws.frames import Chunk, as_bytes
from voiceloop.testing.aws.line import Break, Line
from voiceloop.testing.aws.server import Wires
from voiceloop.testing.aws.signatures import Head

_MOST_WAITING = 64
_MOST_MESSAGE = 16 * 1024 * 1024
_LINGER = 1.0


async def serve_websocket(
    head: Head, request: h11.Request, early: bytes, wires: Wires, desk: Desk, number: int
) -> None:
    """Answer the upgrade and the stream behind it; the connection ends with it.

    Raises ConnectionLost, and RemoteProtocolError of h11 when the request is no proper one for a WebSocket.
    """
    connection = WSConnection(ConnectionType.SERVER)
    line = WebSocketLine(connection, wires)
    try:
        connection.initiate_upgrade_connection(_fields(request), head.target)
        if early:
            connection.receive_data(early)
        next(connection.events(), None)  # the upgrade itself, which the desk answers
    except RemoteProtocolError as error:
        raise h11.RemoteProtocolError(str(error)) from error
    if desk.stream_service(head.method, head.path) is None:
        await desk.unknown(head, b"", line, number)
        return
    inbox = _Inbox()
    async with anyio.create_task_group() as group:
        group.start_soon(_read, connection, wires, line, inbox)
        try:
            await desk.events(head, inbox, line, number, signed=False)
            with anyio.move_on_after(_LINGER):
                await inbox.closed.wait()
        except ConnectionLost:
            pass
        finally:
            group.cancel_scope.cancel()


def _fields(request: h11.Request) -> list[tuple[bytes, bytes]]:
    """The fields of an upgrade, with Connection on one line (RFC 9110, 5.3): wsproto reads the last line only."""
    fields = [(name.lower(), value) for name, value in request.headers]
    if sum(name == b"sec-websocket-key" for name, _ in fields) > 1:  # RFC 6455, 11.3.1
        raise h11.RemoteProtocolError("there is more than one Sec-WebSocket-Key")
    connection = b", ".join(value for name, value in fields if name == b"connection")
    return [*(field for field in fields if field[0] != b"connection"), (b"connection", connection)]


async def _read(connection: WSConnection, wires: Wires, line: WebSocketLine, inbox: _Inbox) -> None:
    """Take what comes, until the caller closes or breaks the protocol."""
    try:
        while True:
            for event in connection.events():
                match event:
                    case BytesMessage(data=data, message_finished=finished):
                        await inbox.add(bytes(data), finished)
                    case TextMessage():
                        inbox.refuse()
                    case Ping():
                        await line.send(event.response())
                    case CloseConnection():
                        return
            data = await wires.receive()
            connection.receive_data(data or None)
            if not data:
                return
    except (ConnectionLost, RemoteProtocolError, LocalProtocolError):
        pass
    finally:
        inbox.lose()


@define(eq=False)
class _Inbox:
    """The caller's binary messages, as an iterator."""

    closed: anyio.Event = field(factory=anyio.Event)
    _waiting: deque[bytes] = field(factory=deque)
    _partial: bytearray = field(factory=bytearray)
    _refused: bool = False
    _changed: anyio.Event = field(factory=anyio.Event)

    async def add(self, data: bytes, finished: bool) -> None:
        self._partial += data
        if len(self._partial) > _MOST_MESSAGE:
            raise ConnectionLost
        if finished:
            while len(self._waiting) >= _MOST_WAITING:
                await self._wait()
            self._waiting.append(bytes(self._partial))
            self._partial.clear()
            self._notify()

    def refuse(self) -> None:
        self._refused = True
        self._notify()

    def lose(self) -> None:
        self.closed.set()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _wait(self) -> None:
        await self._changed.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._waiting:
            if self._refused:
                raise Refusal(400, "BadRequestException", "Unexpected WebSocket frame received.")
            if self.closed.is_set():
                raise ConnectionLost
            await self._wait()
        data = self._waiting.popleft()
        self._notify()
        return data


class WebSocketLine(Line):
    """The response: the upgrade, or an HTTP refusal; then one binary message for each event."""

    def __init__(self, connection: WSConnection, wires: Wires) -> None:
        self._connection = connection
        self._wires = wires
        self._refusing = False

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._refusing = status != 200
        if self._refusing:
            await self.send(RejectConnection(status_code=status, headers=pairs, has_body=True))
        else:
            await self.send(AcceptConnection(extra_headers=[pair for pair in pairs if pair[0] != b"content-type"]))

    async def data(self, chunk: Chunk) -> None:
        data = as_bytes(chunk)
        await self.send(RejectData(data=data, body_finished=False) if self._refusing else BytesMessage(data=data))

    async def finish(self) -> None:
        await self.send(RejectData(data=b"", body_finished=True) if self._refusing else CloseConnection(code=1000))

    async def break_off(self, how: Break) -> None:
        match how:
            case "cut":
                await self.finish()
            case "reset" | "drop":
                await self._wires.close()

    async def send(self, event: Event) -> None:
        """Send one event of the protocol. Raises ConnectionLost."""
        try:
            await self._wires.send(lambda: self._connection.send(event))
        except LocalProtocolError as error:
            raise ConnectionLost from error
