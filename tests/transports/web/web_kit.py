"""A server on real sockets, for one test, and clients of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from attrs import define, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import voiceloop as vl
from voiceloop.presets import Stack, Voice
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurns
from voiceloop.transports.web import LobbyLimits, create_app, serve
from voiceloop.transports.websocket import SocketLimits, frames

_TURNS = ScriptedTurns()
HELLO = {"type": "start", "version": 1}


def scripted(replies: Any = (), said: Any = (), **parts: Any) -> Stack:
    """A stack of scripted parts. Every session begins with the first of ``said``; replies go round."""
    model = vl.Cascade(
        ScriptedRecognizer(said),
        ScriptedReasoner(replies, cycle=True, first_token=0.02),
        ScriptedSynthesizer(**parts),
    )
    return Stack("scripted", "Scripted", "For tests.", model, voices=(Voice("ann", "Ann"), Voice("bob", "Bob")))


@define
class Running:
    """Where the server is, and its app."""

    url: str
    app: Any

    @property
    def socket(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def lobby(self) -> Any:
        return self.app.state.lobby


@asynccontextmanager
async def running(
    *stacks: Stack,
    limits: SocketLimits = SocketLimits(),
    keeping: LobbyLimits = LobbyLimits(),
    turns: Any = _TURNS,
    **options: Any,
) -> AsyncIterator[Running]:
    """The server of the package, on a free port of this machine; it stops with the block."""
    app = create_app(
        stacks or (scripted(["Hello there."]),),
        socket_limits=limits,
        limits=keeping,
        turns=turns,
        **options,
    )
    ready = anyio.Event()
    url = ""

    def began(address: str) -> None:
        nonlocal url
        url = address
        ready.set()

    async with anyio.create_task_group() as group:

        async def run() -> None:
            await serve(app, port=0, limits=limits, on_ready=began)

        group.start_soon(run)
        with anyio.fail_after(20):
            await ready.wait()
        yield Running(url, app)
        group.cancel_scope.cancel()


@define
class Client:
    """A client of the protocol, that keeps all it gets."""

    socket: ClientConnection
    got: list[bytes | dict[str, Any]] = field(factory=list)

    async def put(self, message: dict[str, Any] | str | bytes) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def take(self) -> bytes | dict[str, Any]:
        data = await self.socket.recv()
        message = json.loads(data) if isinstance(data, str) else data
        self.got.append(message)
        return message

    async def until(self, kind: str, within: float = 20.0) -> dict[str, Any]:
        """The next message of a kind."""
        with anyio.fail_after(within):
            while True:
                message = await self.take()
                if isinstance(message, dict) and message["type"] == kind:
                    return message

    async def closed(self, within: float = 20.0) -> tuple[int, str]:
        """How the server closed, once it has."""
        with anyio.fail_after(within), suppress(ConnectionClosed):
            while True:
                data = await self.socket.recv()
                self.got.append(json.loads(data) if isinstance(data, str) else data)
        return self.socket.close_code or 0, self.socket.close_reason or ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.got if isinstance(message, dict) and message["type"] == kind]

    @property
    def audio(self) -> list[frames.Frame]:
        return [frames.decode(message, kind=frames.REPLY) for message in self.got if isinstance(message, bytes)]


@asynccontextmanager
async def client(
    server: Running, path: str = "ws", start: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client that has said ``start`` (an empty dict: the usual one; None: nothing yet)."""
    # Without a bound on what waits to be taken: behind it the server's close would wait, too.
    async with connect(server.socket + path, compression=None, max_queue=None, **options) as socket:
        talking = Client(socket)
        if start is not None:
            await talking.put({**HELLO, **start})
            await talking.until("ready")
        yield talking


async def empty(server: Running, within: float = 15.0) -> None:
    """Wait until the server has no connection left."""
    with anyio.fail_after(within):
        await server.lobby.empty()
