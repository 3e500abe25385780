"""The page, served on loopback with real sessions behind it, by a server that tests can cut off and bring back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

import voiceloop.transports.web as web_room
from voiceloop import Session
from voiceloop.events import Event
from voiceloop.interfaces import Observer, SpeechModel
from voiceloop.memory import InProcessMemory
from voiceloop.transports.websocket import Outcome, Start, converse, greeted, refuse

PAGE = Path(next(iter(web_room.__path__))) / "page"
POLICY = "default-src 'self'"
OFFER = {
    "stacks": [
        {
            "id": "local",
            "label": "This machine",
            "about": "A small bot with fixed rules, offline: no language model.",
            "keys": "optional",
            "free": True,
            "voice": "en-us",
            "voices": [{"id": "en-us", "label": "American"}, {"id": "en-gb", "label": "British"}],
        },
        {"id": "far", "label": "Far away", "about": "Not to be had.", "keys": "none"},
        {
            "id": "rules",
            "label": "Rules",
            "about": "It has rules. They are fixed.",
            "keys": "none",
            "personas": False,
        },
        {"id": "keyed", "label": "With keys", "about": "Needs keys.", "keys": "required"},
    ],
    "personas": [
        {"id": "assistant", "label": "Assistant", "instructions": "You help."},
        {"id": "pirate", "label": "Pirate", "instructions": "You are a pirate.", "voices": {"local": "en-gb"}},
    ],
}


class _Socket:
    """An aiohttp WebSocket as the adapter wants it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str | None:
        message = await self._socket.receive()
        return message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def send(self, data: bytes | str) -> None:
        await (self._socket.send_bytes(data) if isinstance(data, bytes) else self._socket.send_str(data))

    async def close(self, code: int, reason: str) -> None:
        with suppress(ConnectionError):
            await self._socket.close(code=code, message=reason.encode())


class _Watch(Observer):
    """Keeps the session's events."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def event(self, event: Event) -> None:
        self._events.append(event)


class PageServer:
    """Runs in a thread of its own; ``events`` has what every session yielded, ``starts`` what clients asked for."""

    def __init__(self, make_model: Callable[[], SpeechModel], **settings: Any) -> None:
        self._make_model, self._settings = make_model, settings
        self.events: list[Event] = []
        self.starts: list[Start] = []
        self.memory = InProcessMemory()
        self.port = 0
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self._do(self._start())

    def stop(self) -> None:
        """As when the process dies: nothing listens any more, and connections break."""
        self._do(self._stop())

    def cut(self) -> None:
        """Break the connections that stand; new ones are taken."""
        self._do(self._cut())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ------------------------------------------------------------ on the loop

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _start(self) -> None:
        app = web.Application(middlewares=[_with_policy])
        app.router.add_get("/", self._index)
        app.router.add_get("/ws", self._converse)
        app.router.add_get("/api/settings", self._offer)
        app.router.add_static("/", PAGE)
        self._runner = web.AppRunner(app, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._cut()
        await self._runner.cleanup()

    async def _cut(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.SERVICE_RESTART)

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _offer(self, _request: web.Request) -> web.Response:
        return web.json_response(OFFER)

    async def _converse(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            start = await greeted(_Socket(socket))
            if start is not None:
                await self._hold(socket, start)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _hold(self, socket: web.WebSocketResponse, start: Start) -> None:
        self.starts.append(start)
        if start.stack == "far":
            await refuse(_Socket(socket), Outcome("refused", "It is too far away."))
            return
        history = await self.memory.load(start.conversation) if start.conversation else ()
        session = Session(
            self._make_model(),
            instructions=start.instructions or "",
            speak=start.speaks,
            turns=start.turns,
            conversation_id=start.conversation if history else None,
            memory=self.memory,
            observers=[_Watch(self.events)],
            **self._settings,
        )
        async with session:
            if start.greet:
                await session.greet()
            await converse(_Socket(socket), session, start=start, history=history, resumed=bool(history))


@web.middleware
async def _with_policy(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = POLICY
    return response
