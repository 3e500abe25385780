"""HTTP/2, by the h2 library: event streams both ways, and plain requests too."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import anyio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from anyio.abc import TaskGroup
from attrs import define, field
from hyperframe.frame import GoAwayFrame

from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost
from voiceloop.testing.aws.frames import Chunk, as_bytes
from voiceloop.testing.aws.line import Break, Line
from voiceloop.testing.aws.server import Wires
from voiceloop.testing.aws.settings import Settings
from voiceloop.testing.aws.signatures import Head

_MOST_STREAMS = 128
_MOST_BODY = 32 * 1024 * 1024
_LINGER = 1.0


class Http2Connection:
    """One connection: reads until the caller is gone, and runs a task for each request."""

    def __init__(self, wires: Wires, desk: Desk, settings: Settings, number: int) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._wires = wires
        self._desk = desk
        self._window = settings.window
        self._number = number
        self._streams: dict[int, Http2Stream] = {}
        self._farewell = b""

    async def serve(self) -> None:
        """Serve until the caller closes the connection, or breaks the protocol."""
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                codes.INITIAL_WINDOW_SIZE: self._window,
                codes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS,
                codes.MAX_HEADER_LIST_SIZE: 65_536,
            },
        )
        self._h2.initiate_connection()
        await self.flush()
        async with anyio.create_task_group() as group:
            await self._read(group)
            for stream in self._streams.values():
                stream.lose()
            with anyio.move_on_after(_LINGER), suppress(ConnectionLost):
                await self.flush()
            group.cancel_scope.cancel()

    async def _read(self, group: TaskGroup) -> None:
        """Take what comes. What callers do wrong ends the connection, as h2 says."""
        try:
            while data := await self._wires.receive():
                for event in self._h2.receive_data(data):
                    self._happened(event, group)
                await self.flush()
        except ConnectionLost:
            pass
        except (h2.exceptions.ProtocolError, UnicodeDecodeError, ValueError):
            with anyio.move_on_after(_LINGER), suppress(ConnectionLost):
                await self.flush()

    def _happened(self, event: h2.events.Event, group: TaskGroup) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event, group)
            case h2.events.DataReceived(stream_id=int(number), data=data, flow_controlled_length=length):
                stream = self._streams.get(number)
                if stream is None:
                    self.acknowledge(number, length or 0)
                else:
                    stream.body.put(data or b"", length or 0)
            case h2.events.StreamEnded(stream_id=int(number)) if number in self._streams:
                self._streams[number].body.end()
            case h2.events.StreamReset(stream_id=int(number)) if number in self._streams:
                self._streams[number].lose()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in self._streams.values():
                    stream.wake()

    def _begin(self, event: h2.events.RequestReceived, group: TaskGroup) -> None:
        assert event.stream_id is not None
        pairs = [(str(name), str(value)) for name, value in event.headers or ()]
        special = {name: value for name, value in pairs if name.startswith(":")}
        headers = [(name, value) for name, value in pairs if not name.startswith(":")]
        if "host" not in dict(headers):
            headers.append(("host", special.get(":authority", "")))
        head = Head(special.get(":method", ""), special.get(":path", ""), tuple(headers))
        stream = Http2Stream(self, event.stream_id)
        self._streams[event.stream_id] = stream
        group.start_soon(self._answer, head, stream)

    async def _answer(self, head: Head, stream: Http2Stream) -> None:
        try:
            with suppress(ConnectionLost):
                if self._desk.stream_service(head.method, head.path) is not None:
                    await self._desk.events(head, stream.body, stream, self._number)
                else:
                    await self._desk.plain(head, await stream.body.whole(), stream, self._number)
        finally:
            del self._streams[stream.number]
            self.forget(stream)

    def forget(self, stream: Http2Stream) -> None:
        """Nothing reads the stream any more: give back the window of what was not read."""
        for length in stream.body.rest():
            self.acknowledge(stream.number, length)

    def acknowledge(self, number: int, length: int) -> None:
        """The caller may send ``length`` more bytes."""
        with suppress(h2.exceptions.ProtocolError, KeyError):  # the stream, or the whole connection, is over
            self._h2.acknowledge_received_data(length, number)

    def room(self, number: int) -> int:
        """How many bytes the caller takes now. Raises ConnectionLost."""
        try:
            return min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost from error

    async def headers(self, number: int, pairs: list[tuple[str, str]]) -> None:
        """Send a response's headers."""
        try:
            self._h2.send_headers(number, pairs)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost from error
        await self.flush()

    async def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send data that fits the window."""
        try:
            self._h2.send_data(number, data, end_stream=end)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost from error
        await self.flush()

    async def reset(self, number: int) -> None:
        """Send RST_STREAM."""
        try:
            self._h2.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost from error
        await self.flush()

    async def go_away(self, last: int) -> None:
        """Send GOAWAY, gracefully: h2 itself would let the open streams die with it."""
        self._farewell += GoAwayFrame(0, last_stream_id=last, error_code=0).serialize()
        await self.flush()

    async def close(self) -> None:
        """Close the connection without a word."""
        await self._wires.close()
        for stream in self._streams.values():
            stream.lose()

    async def flush(self) -> None:
        """Send what h2 has to send."""
        await self._wires.send(self._outgoing)

    def _outgoing(self) -> bytes:
        farewell, self._farewell = self._farewell, b""
        data: bytes = self._h2.data_to_send()
        return data + farewell


class Http2Stream(Line):
    """One request and its response."""

    def __init__(self, connection: Http2Connection, number: int) -> None:
        self.number = number
        self.body = Body(self)
        self._connection = connection
        self._lost = False
        self._ended = False
        self._changed = anyio.Event()

    def wake(self) -> None:
        """The window may have changed."""
        self._changed.set()
        self._changed = anyio.Event()

    def lose(self) -> None:
        """The caller has given up."""
        self._lost = True
        self.body.lose()
        self.wake()

    async def gone(self) -> None:
        while not self._lost:
            await self._changed.wait()

    async def took(self, length: int) -> None:
        """The service has read so many bytes of the body."""
        self._connection.acknowledge(self.number, length)
        await self._connection.flush()

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._check()
        pairs = [(":status", str(status)), *((name.lower(), value) for name, value in headers.items())]
        await self._connection.headers(self.number, pairs)

    async def data(self, chunk: Chunk) -> None:
        rest = memoryview(as_bytes(chunk))
        while rest:
            self._check()
            room = self._connection.room(self.number)
            if room <= 0:
                await self._changed.wait()
                continue
            await self._connection.data(self.number, bytes(rest[:room]))
            rest = rest[room:]

    async def finish(self) -> None:
        if not self._ended:
            self._check()
            self._ended = True
            await self._connection.data(self.number, b"", end=True)

    async def break_off(self, how: Break) -> None:
        match how:
            case "cut":
                await self.finish()
            case "reset":
                self._ended = True
                await self._connection.reset(self.number)
            case "goaway":
                await self._connection.go_away(self.number)
            case "drop":
                await self._connection.close()

    def _check(self) -> None:
        if self._lost or self._ended:
            raise ConnectionLost


@define(eq=False)
class Body:
    """What the caller sends; bounded by the window that it gets."""

    _stream: Http2Stream
    _pieces: deque[tuple[bytes, int]] = field(factory=deque)
    _ended: bool = False
    _lost: bool = False
    _more: anyio.Event = field(factory=anyio.Event)

    def put(self, data: bytes, length: int) -> None:
        """``data`` has come, which took ``length`` bytes of the window."""
        self._pieces.append((data, length))
        self._more.set()

    def end(self) -> None:
        """The caller has ended its side."""
        self._ended = True
        self._more.set()

    def lose(self) -> None:
        """The caller is gone."""
        self._lost = True
        self._more.set()

    def rest(self) -> list[int]:
        """Forget what was not read; the window that it took."""
        lengths = [length for _, length in self._pieces]
        self._pieces.clear()
        return lengths

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._lost:
                raise ConnectionLost
            if self._ended:
                raise StopAsyncIteration
            self._more = anyio.Event()
            await self._more.wait()
        data, length = self._pieces.popleft()
        await self._stream.took(length)
        return data

    async def whole(self) -> bytes:
        """All of it. Raises ConnectionLost when it is more than any service takes."""
        body = bytearray()
        async for data in self:
            body += data
            if len(body) > _MOST_BODY:
                raise ConnectionLost
        return bytes(body)
