"""HTTP/1.1, by h11: plain requests on kept connections, and the way to a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import h11

from voiceloop.testing.aws.asked import Asked
from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost, Refusal
from voiceloop.testing.aws.frames import Chunk, as_bytes
from voiceloop.testing.aws.line import Break, Line
from voiceloop.testing.aws.server import Wires
from voiceloop.testing.aws.settings import Settings
from voiceloop.testing.aws.signatures import Head

_MOST_BODY = 32 * 1024 * 1024
_PROCEED = h11.InformationalResponse(status_code=100, headers=[])
_WRONG_PROTOCOL = Refusal(400, "BadRequestException", "HTTP/2 is required for this operation.")


async def serve_http1(wires: Wires, desk: Desk, settings: Settings, number: int) -> None:
    """Answer one request after the other until the caller goes, or is idle for too long. Raises ConnectionLost."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    while True:
        line, request = Http1Line(connection, wires), None
        try:
            with anyio.move_on_after(settings.keep_alive):
                request = await _next(connection, wires)
            if not isinstance(request, h11.Request):
                return
            head = _head(request)
            if "websocket" in head.fields.get("upgrade", "").lower():
                from voiceloop.testing.aws.websocket import serve_websocket

                await serve_websocket(head, request, connection.trailing_data[0], wires, desk, number)
                return
            body = await _body(connection, wires)
        except (h11.RemoteProtocolError, UnicodeDecodeError):
            await _bad_request(connection, line)
            return
        stream = desk.stream_service(head.method, head.path)
        if stream is not None:
            await desk.refuse(Asked(stream.service, stream.operation), _WRONG_PROTOCOL, line, number)
        else:
            await desk.plain(head, body, line, number)
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


def _head(request: h11.Request) -> Head:
    pairs = tuple((name.decode("ascii"), value.decode("utf-8")) for name, value in request.headers)
    return Head(request.method.decode("ascii"), request.target.decode("ascii"), pairs)


async def _next(connection: h11.Connection, wires: Wires) -> object:
    """The next event of the caller."""
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        if connection.they_are_waiting_for_100_continue:
            await wires.send(lambda: connection.send(_PROCEED) or b"")
        connection.receive_data(await wires.receive())


async def _body(connection: h11.Connection, wires: Wires) -> bytes:
    body = bytearray()
    while True:
        event = await _next(connection, wires)
        match event:
            case h11.Data(data=data):
                body += data
                if len(body) > _MOST_BODY:
                    raise ConnectionLost
            case h11.EndOfMessage():
                return bytes(body)
            case _:
                raise ConnectionLost


async def _bad_request(connection: h11.Connection, line: Http1Line) -> None:
    if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        await line.head(400, {"content-length": "0", "connection": "close"})
        await line.finish()


class Http1Line(Line):
    """One response; without a content-length it is chunked."""

    def __init__(self, connection: h11.Connection, wires: Wires) -> None:
        self._h11 = connection
        self._wires = wires

    async def gone(self) -> None:
        while data := await self._wires.receive():
            self._h11.receive_data(data)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        await self._send(h11.Response(status_code=status, headers=list(headers.items())))

    async def data(self, chunk: Chunk) -> None:
        await self._send(h11.Data(data=as_bytes(chunk)))

    async def finish(self) -> None:
        if self._h11.our_state is h11.SEND_BODY:
            await self._send(h11.EndOfMessage())

    async def break_off(self, how: Break) -> None:
        if how != "goaway":
            await self._wires.close()

    async def _send(self, event: h11.Event) -> None:
        try:
            await self._wires.send(lambda: self._h11.send(event) or b"")
        except h11.LocalProtocolError as error:
            raise ConnectionLost from error
