"""A connection: TCP, perhaps through a proxy's tunnel, and TLS on it."""

from __future__ import annotations

import abc
import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import anyio

from voiceloop.aws.wire.proxy import ProxyUnreachable, Tunnel, TunnelRefused
from voiceloop.aws.wire.tls import Tls
from voiceloop.aws.wire.wake import Wake

_GOODBYE = 1.0  # seconds in which what is still to be sent may go, once the connection is closed


class Listener(abc.ABC):
    """Who uses a link. It is called from the event loop, whether or not any task waits, and must not block."""

    @abc.abstractmethod
    def heard(self, data: bytes) -> None:
        """Plain bytes came."""

    @abc.abstractmethod
    def writable(self) -> None:
        """The link takes bytes again."""

    @abc.abstractmethod
    def lost(self, error: BaseException | None) -> None:
        """The connection is gone; called once."""


class Link(asyncio.Protocol):
    """One TLS connection. Made by :meth:`open`; ``writable`` is whether it takes more bytes without piling them up.

    A protocol of asyncio's rather than a stream that is read from: what comes is looked at even when no task waits
    for it, so that pings are answered, and no task is needed for that.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._tunnel: Tunnel | None = None
        self._tls: Tls | None = None
        self._moved, self._gone = Wake(), False
        self._error: BaseException | None = None
        self.writable = True

    async def open(self, host: str, port: int, context: ssl.SSLContext, proxy: str | None) -> str | None:
        """Connect; the protocol that ALPN chose. Raises OSError, SSLError, TunnelRefused, BadInput for the proxy."""
        tunnel = Tunnel(proxy, host, port) if proxy else None
        at = (tunnel.host, tunnel.port) if tunnel else (host, port)
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, *at)
        except OSError as error:
            if tunnel is None:
                raise
            raise ProxyUnreachable(tunnel, error) from error
        if tunnel is not None:
            self._tunnel = tunnel
            self._put(tunnel.request())
            await self._step(lambda: tunnel.open)
        self._tls = tls = Tls(context, host)
        self._put(tls.output())
        await self._step(lambda: tls.established)
        return tls.protocol

    def write(self, data: bytes) -> None:
        """Send bytes; does nothing when the connection is gone."""
        if self._tls is not None and self._tls.established:
            self._tls.send(data)
            self._put(self._tls.output())

    async def close(self) -> None:
        """Close the connection and wait until it is. Not to be cancelled."""
        if self._transport is None or self._gone:
            return
        with anyio.CancelScope(shield=True):
            if self._tls is not None and self._tls.established:
                self._tls.close()
                self._put(self._tls.output())
            self._transport.close()
            with anyio.move_on_after(_GOODBYE):
                await self._until(lambda: self._gone)
            if not self._gone:
                self._transport.abort()
                await self._until(lambda: self._gone)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            await self._moved.wait()

    async def _step(self, done: Callable[[], bool]) -> None:
        """A step of opening."""
        await self._until(lambda: done() or self._error is not None)
        if self._error is not None:
            raise self._error

    def _put(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            if self._tls is not None:
                self._decrypt(self._tls, data)
            elif self._tunnel is not None:
                self._tunnel.receive(data)
        except (ssl.SSLError, TunnelRefused) as error:
            self._break(error)
        self._moved.tell()

    def _decrypt(self, tls: Tls, data: bytes) -> None:
        plain = tls.receive(data)
        self._put(tls.output())
        if plain:
            self._listener.heard(plain)
        if tls.ended and self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._listener.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = self._error or exc or ConnectionResetError("the peer closed the connection")
        self._gone = True
        self._moved.tell()
        self._listener.lost(self._error)

    def _break(self, error: BaseException) -> None:
        self._error = error
        if self._transport is not None:
            if self._tls is not None:
                self._put(self._tls.output())  # an alert says why
            self._transport.close()
