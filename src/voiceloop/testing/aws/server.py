"""The TLS port: takes connections, and hands each to the protocol that was agreed on."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSAttribute, TLSStream

from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost
from voiceloop.testing.aws.settings import Settings

_HANDSHAKE = 10.0

BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)
"""What anyio and the system raise when the peer is gone."""


class Wires:
    """One connection's bytes. Raises ConnectionLost when the peer is gone, or takes nothing for too long."""

    def __init__(self, stream: ByteStream, patience: float) -> None:
        self._stream = stream
        self._patience = patience
        self._sending = anyio.Lock()

    async def receive(self) -> bytes:
        """More bytes; empty at the end."""
        try:
            return await self._stream.receive(65_536)
        except anyio.EndOfStream:
            return b""
        except BROKEN as error:
            raise ConnectionLost from error

    async def send(self, make: Callable[[], bytes]) -> None:
        """Send what ``make`` gives once it is this call's turn, so that no two pieces overtake each other."""
        async with self._sending:
            data = make()
            if not data:
                return
            try:
                with anyio.fail_after(self._patience):
                    await self._stream.send(data)
            except (TimeoutError, *BROKEN) as error:
                await self.close()
                raise ConnectionLost from error

    async def close(self) -> None:
        """Close without a word."""
        await anyio.aclose_forcefully(self._stream)


@asynccontextmanager
async def listen(
    desk: Desk, context: ssl.SSLContext, port: int, settings: Settings, number: Callable[[], int]
) -> AsyncIterator[int]:
    """Serve on 127.0.0.1 and yield the port. Leaving closes every connection."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)

    async def connected(stream: SocketStream) -> None:
        try:
            with anyio.fail_after(_HANDSHAKE):
                tls = await TLSStream.wrap(stream, server_side=True, ssl_context=context, standard_compatible=False)
        except (ssl.SSLError, TimeoutError, *BROKEN):
            await anyio.aclose_forcefully(stream)
            return
        wires = Wires(tls, settings.send)
        try:
            await _serve(tls.extra(TLSAttribute.alpn_protocol, None), wires, desk, settings, number())
        except ConnectionLost:
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await wires.close()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, connected)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def _serve(protocol: str | None, wires: Wires, desk: Desk, settings: Settings, number: int) -> None:
    if protocol == "h2":
        from voiceloop.testing.aws.http2 import Http2Connection

        await Http2Connection(wires, desk, settings, number).serve()
    else:
        from voiceloop.testing.aws.http1 import serve_http1

        await serve_http1(wires, desk, settings, number)
