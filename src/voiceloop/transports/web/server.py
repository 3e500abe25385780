"""Runs the app on uvicorn: binds, tells its address, and drains before it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voiceloop.errors import BadInput
from voiceloop.transports.web.lobby import Lobby
from voiceloop.transports.websocket import SocketLimits

# Bytes that the system holds for a client: what lies there no interruption can call back.
_UNDERWAY = 65_536
_SHUTDOWN = 5


class _Http(H11Protocol):
    """Sends at once, and ends a connection that sends no whole request ``within`` seconds."""

    within = 10.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        # asyncio does it for sockets of its own making alone; without it a short message waits for the client's
        # acknowledgement of the one before, which may take 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._waiting = self.loop.call_later(self.within, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().handle_websocket_upgrade(event)

    def _give_up(self) -> None:
        asked: Any = self.cycle
        if asked is None:
            self.transport.abort()


class _WebSocket(WebSocketsSansIOProtocol):
    """Ends a connection that is over, and whose client does not take what is left for it ``within`` seconds."""

    within = 10.0
    _leaving: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._leaving = self.loop.call_later(self.within, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM or Ctrl-C lets sessions finish first; a second one ends them, a third asks nobody."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self.stopping, self.hurried = asyncio.Event(), asyncio.Event()
        self._on_ready = on_ready
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn, to begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn for SIGTERM and SIGINT."""
        self.force_exit = self.hurried.is_set()
        self._loop.call_soon_threadsafe((self.hurried if self.stopping.is_set() else self.stopping).set)

    async def stopped(self, lobby: Lobby) -> None:
        """Wait until it is told to stop, and then until all have left, or it is told again."""
        await self.stopping.wait()
        async with anyio.create_task_group() as group:

            async def hurry() -> None:
                await self.hurried.wait()
                group.cancel_scope.cancel()

            group.start_soon(hurry)
            await lobby.drain()
            group.cancel_scope.cancel()


async def serve(
    app: Starlette,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    cert: Path | None = None,
    key: Path | None = None,
    limits: SocketLimits = SocketLimits(),
    on_ready: Callable[[str], object] = lambda url: None,
) -> None:
    """Run ``app``, made by :func:`create_app`, until SIGTERM or Ctrl-C; then drain.

    ``port`` 0: any that is free. ``cert`` and ``key``: PEM files, for https. ``on_ready`` gets the address once it
    answers. Raises BadInput when the address cannot be bound, or a file cannot be used.
    """
    lobby: Lobby = app.state.lobby
    config = uvicorn.Config(
        app,
        http=type("Http", (_Http,), {"within": limits.start}),
        ws=type("WebSocket", (_WebSocket,), {"within": limits.send}),
        ws_max_size=max(limits.text, limits.frame) + 1,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",  # above it uvicorn writes addresses, and with them tokens
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=4 * lobby.limits.sessions + 200,
        timeout_graceful_shutdown=_SHUTDOWN,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise BadInput(f"cert={str(cert)!r}, key={str(key)!r}: {error}") from error
    listening = _bind(host, port)
    try:
        url = _url(listening, host, secure=cert is not None)
        server = Server(config, lambda: on_ready(url))
        async with anyio.create_task_group() as group:

            async def run() -> None:
                with anyio.CancelScope(shield=True):  # once begun, it has to end in order
                    await server.serve(sockets=[listening])
                group.cancel_scope.cancel()

            group.start_soon(run)
            try:
                await server.stopped(lobby)
            finally:
                server.should_exit = True
    finally:
        listening.close()


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise BadInput(f"port={port}: 0 to 65535 are allowed")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(address[:2], family=family, backlog=256, dualstack_ipv6=both)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDERWAY)  # connections take it over
    except OSError as error:
        raise BadInput(
            f"host={host!r}, port={port}: cannot be bound ({error.strerror or error})",
            hint="Choose another with --port; 0 takes any that is free.",
        ) from error
    return listening


def _url(listening: socket.socket, host: str, *, secure: bool) -> str:
    address, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, host if ":" not in host else f"[{host}]")
    return f"http{'s' if secure else ''}://{shown}:{port}/"


__all__ = ("Server", "serve")
