"""A small HTTP/1.1 server on this machine, which counts its connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from attrs import define, field, frozen


@frozen
class Asked:
    """One request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@frozen
class Told:
    """One answer. ``after``: seconds until it is sent. ``body`` None: the connection is cut instead."""

    status: int = 200
    body: bytes | None = b"{}"
    headers: dict[str, str] = field(factory=dict)
    after: float = 0.0


class Authority:
    """A certificate authority, whose certificate is in ``file``.

    ``server`` has a certificate for this machine, ``elsewhere`` one for another.
    """

    def __init__(self, folder: Path) -> None:
        made = trustme.CA()
        self.file = folder / "ca.pem"
        made.cert_pem.write_to_path(str(self.file))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)
        self.elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("elsewhere.example").configure_cert(self.elsewhere)


@define(eq=False)
class Web:
    """``connections``: how many were made, with TLS handshakes. ``asked``: all requests, in order."""

    answer: Callable[[Asked], Told]
    url: str = ""
    connections: int = 0
    asked: list[Asked] = field(factory=list)
    at_once: int = 0
    most_at_once: int = 0
    _writers: set[asyncio.StreamWriter] = field(factory=set, repr=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, repr=False)

    @property
    def open(self) -> int:
        return len(self._writers)

    async def hang_up(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for writer in list(self._writers):
            writer.close()
        await until(lambda: not self._writers)

    async def stop(self) -> None:
        """Close all connections, whatever is being answered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    told = await self._one(head, reader)
                finally:
                    self.at_once -= 1
                if told is None:
                    break
                writer.write(told)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            pass  # a cancelled handler would be reported as a failed one
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _one(self, head: bytes, reader: asyncio.StreamReader) -> bytes | None:
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, path, headers, body)
        self.asked.append(asked)
        told = self.answer(asked)
        await asyncio.sleep(told.after)
        if told.body is None:
            return None
        shown = {"content-length": str(len(told.body)), "x-amzn-RequestId": "req-1", **told.headers}
        lines = [f"HTTP/1.1 {told.status} Because", *(f"{name}: {value}" for name, value in shown.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if method == "HEAD" else told.body)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until sockets have made ``holds`` true; there is no event for it."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def web(answer: Callable[[Asked], Told], tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """Serve ``answer`` on a port of this machine."""
    served = Web(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls, backlog=512)
    port = server.sockets[0].getsockname()[1]
    served.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
    async with server:
        yield served
        await served.stop()


@asynccontextmanager
async def tunnel(allow: bool = True) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that opens tunnels (CONNECT), and where to."""
    wanted: list[str] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        where = head.split(b" ")[1].decode()
        if not allow:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        wanted.append(where)
        host, _, port = where.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)
        for each in (writer, back):
            each.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", wanted
