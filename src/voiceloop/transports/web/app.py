"""The Starlette app: a page to talk on, the WebSocket behind it, and what an operator wants to know."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from voiceloop import clock
from voiceloop.engine.pool import Pool
from voiceloop.errors import BadInput, VoiceloopError
from voiceloop.interfaces import TurnDetector
from voiceloop.rules.budgets import Idle, Limits
from voiceloop.session import Session
from voiceloop.transports.web.files import Page
from voiceloop.transports.web.guard import Guard
from voiceloop.transports.web.lobby import Lobby, LobbyLimits, Seat
from voiceloop.transports.web.offers import PERSONAS, Offers, Persona, Stack, Wanted
from voiceloop.transports.web.socket import StarletteSocket
from voiceloop.transports.websocket import Outcome, Refusal, SocketLimits, Start, converse, greeted, refuse

log = logging.getLogger("voiceloop.web")

_STILL_THERE = "Are you still there?"
_ASK = "The user has been silent for a long time. Ask in one short sentence whether they are still there."


def create_app(
    stacks: Sequence[Stack],
    *,
    personas: Iterable[Persona] = PERSONAS,
    secret: str | None = None,
    origins: Iterable[str] = (),
    hosts: Iterable[str] | None = None,
    limits: LobbyLimits = LobbyLimits(),
    socket_limits: SocketLimits = SocketLimits(),
    turns: TurnDetector | None = None,
    page: bool = True,
) -> Starlette:
    """An ASGI app with a page to talk on, and its WebSocket at ``/ws`` and ``/sonic``; see "WebSocket protocol".

    ``stacks``: what the assistant may run on, the usual one first, such as those of :mod:`voiceloop.presets`.
    ``personas``: who it may be. ``secret``: what callers must know, or have a token of. ``origins``: pages of other
    servers that may connect; ``hosts``: names by which this one may be called (None: any). ``limits``: of all
    sessions, ``socket_limits``: of each connection. ``turns``: what hears when the user speaks. ``page=False``:
    without the page.

    ``app.state.lobby.drain()`` takes no more sessions and waits for those that run. Run it on one process: sessions
    and conversations are kept in it. Raises BadInput.
    """
    server = _Server(
        Offers(tuple(stacks), tuple(personas)),
        Guard(secret, frozenset(origins), hosts),
        Lobby(limits),
        socket_limits,
        turns,
    )
    routes: list[BaseRoute] = [
        Route("/health", server.health),
        Route("/status", server.status),
        Route("/api/settings", server.settings),
        Route("/api/token", server.token, methods=["POST"]),
        WebSocketRoute("/ws", server.socket),
        WebSocketRoute("/sonic", server.socket),
        WebSocketRoute("/{path:path}", _no_socket),
    ]
    if page:
        routes.append(Mount("/", Page()))
    app = Starlette(routes=routes, lifespan=server.lifespan)
    app.add_middleware(_Named, guard=server.guard)
    app.state.lobby = server.lobby
    app.state.guard = server.guard
    return app


class _Named:
    """Answers only to names that are its own: no other name can be bound to this address by a page."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and self._guard.allows_host(hosts[0]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()
        else:
            await _json({"error": "this server is not called by that name"}, 421)(scope, receive, send)


@define(eq=False)
class _Server:
    offers: Offers
    guard: Guard
    lobby: Lobby
    limits: SocketLimits
    turns: TurnDetector | None
    _pool: Pool | None = field(default=None, init=False)
    _began: float | None = field(default=None, init=False)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Keep what sessions share open for as long as the server runs."""
        self._began = clock.now()
        async with Pool() as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    # ------------------------------------------------------------ for operators and pages

    async def health(self, request: Request) -> Response:
        """Whether new sessions are taken."""
        if self.lobby.draining:
            return _json({"status": "draining"}, 503)
        return _json({"status": "ok"})

    async def status(self, request: Request) -> Response:
        """Counts, for those who know the secret."""
        if not self._known(request):
            return _unauthorized()
        return _json(
            {
                "status": "draining" if self.lobby.draining else "ok",
                "sessions": self.lobby.seated,
                "limit": self.lobby.limits.sessions,
                "opened": self.lobby.opened,
                "ended": dict(self.lobby.ends),
                "uptime": None if self._began is None else round(clock.now() - self._began, 1),
            }
        )

    async def settings(self, request: Request) -> Response:
        """What a page can offer; nothing of it is secret."""
        return _json({**self.offers.told(), "secret": self.guard.secret is not None})

    async def token(self, request: Request) -> Response:
        """A token for the secret."""
        if self.guard.secret is None:
            return _json({"error": "this server has no secret: connect without a token"}, 404)
        if not self._known(request):
            return _unauthorized()
        return _json({"token": self.guard.token(), "seconds": self.guard.token_seconds})

    def _known(self, request: Request) -> bool:
        return self.guard.knows(request.headers.get("authorization"))

    # ------------------------------------------------------------ sessions

    async def socket(self, socket: WebSocket) -> None:
        """One connection, from its opening to its end."""
        if not self.guard.allows_origin(socket.headers.get("origin"), socket.headers.get("host")):
            log.info("a page of another origin was refused")
            await socket.close()
            return
        await socket.accept()
        number, began = self.lobby.opened + 1, clock.now()
        line = StarletteSocket(socket)
        plain = socket.url.path.endswith("/sonic") or socket.query_params.get("plain") == "1"
        try:
            self._admit(socket)
            async with self.lobby.seat() as seat:
                outcome = await self._seated(line, seat, plain=plain)
        except Refusal as refusal:
            outcome = await refuse(line, refusal.outcome, limits=self.limits)
        except VoiceloopError as failure:
            outcome = await refuse(line, Outcome("failed", str(failure)), limits=self.limits)
        self.lobby.ended(outcome)
        log.info("connection %d ended after %.1f s: %s", number, clock.now() - began, outcome.code)
        if outcome.code == "failed":
            log.warning("connection %d: %s", number, outcome.text)

    def _admit(self, socket: WebSocket) -> None:
        known = self.guard.knows(socket.headers.get("authorization"))
        if not (known or self.guard.accepts(socket.query_params.get("token"))):
            raise Refusal("unauthorized", "A token is needed, or this one is wrong or too old.")

    async def _seated(self, socket: StarletteSocket, seat: Seat, *, plain: bool) -> Outcome:
        start = Start(greet=True) if plain else await greeted(socket, limits=self.limits)
        if start is None:
            return Outcome("disconnected")
        try:
            wanted = self.offers.wanted(start)
        except BadInput as wrong:
            raise Refusal("refused", str(wrong)) from None
        await self.lobby.take(seat, start.conversation)
        if start.keys is not None and wanted.stack.keys != "none":
            async with Pool() as own:  # what is opened with a user's keys ends with their session
                return await self._session(socket, seat, start, wanted, own, plain=plain)
        return await self._session(socket, seat, start, wanted, self._pool, plain=plain)

    async def _session(
        self, socket: StarletteSocket, seat: Seat, start: Start, wanted: Wanted, pool: Pool | None, *, plain: bool
    ) -> Outcome:
        outcome: Outcome | None = None
        try:
            async with self._made(seat, start, wanted, pool) as session:
                if start.greet and not seat.resumed:
                    await _greet(session, wanted)
                outcome = await converse(
                    socket,
                    session,
                    limits=self.limits,
                    plain=plain,
                    start=start,
                    history=await self.lobby.memory.load(seat.conversation),
                    resumed=seat.resumed,
                    hangup=seat.hangup,
                    voices=[voice.name for voice in wanted.stack.voices],
                )
        except BadInput as wrong:
            if outcome is None:
                raise Refusal("refused", str(wrong)) from None
        except VoiceloopError as failure:
            if outcome is None:
                raise
            log.warning("leaving a session: %s", failure)
        assert outcome is not None
        return outcome

    def _made(self, seat: Seat, start: Start, wanted: Wanted, pool: Pool | None) -> Session:
        limits = self.lobby.limits
        says = wanted.model.capabilities.says
        idle = None
        if limits.idle is not None:
            ask = {"say": _STILL_THERE} if says else {"prompt": _ASK}
            idle = Idle(after=limits.idle / 2, times=1, then_end=True, **ask)
        return Session(
            wanted.model,
            instructions=wanted.instructions,
            tools=wanted.stack.tools,
            voice=wanted.voice,
            temperature=start.temperature,
            speak=start.speaks,
            turns="manual" if start.turns == "manual" else self.turns or "auto",
            idle=idle,
            conversation_id=seat.conversation,
            memory=self.lobby.memory,
            limits=Limits(session=limits.session),
            pool=pool,
        )


async def _greet(session: Session, wanted: Wanted) -> None:
    if wanted.stack.hello is not None and wanted.model.capabilities.says:
        await session.say(wanted.stack.hello)
    elif wanted.model.capabilities.text_input:
        await session.greet()


async def _no_socket(socket: WebSocket) -> None:
    """404 for a WebSocket at any other address; 403 where the server can answer nothing else."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(_json({"error": "no WebSocket is here: /ws and /sonic are"}, 404))
    else:
        await socket.close()


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


def _unauthorized() -> Response:
    response = _json({"error": "the secret is needed: Authorization: Bearer SECRET"}, 401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


__all__ = ("create_app",)
