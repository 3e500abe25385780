"""A server of spoken conversations: ``python web_server.py KIND`` prints its address and process as JSON, and serves.

"voiceloop" is the app of ``voiceloop serve`` without the page; "hand" the least program on the same web server.
``/measured`` tells how old frames of audio were when the recognizer had them, in ms.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import uvicorn
from by_hand import Audio, ByHand
from callers import sent_at
from providers import FIRST_AUDIO_S, SPEED, TimedListening, TimedReasoner, until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import voiceloop as vl
from voiceloop import clock
from voiceloop.interfaces import (
    Clause,
    ListenConfig,
    Listening,
    Recognizer,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
)
from voiceloop.presets import Stack
from voiceloop.testing.scripted import ScriptedTurns
from voiceloop.testing.scripted.sound import pieces
from voiceloop.transports.web import LobbyLimits, create_app, serve
from voiceloop.transports.websocket import frames

MS_PER_CHAR = 30.0
_UP: list[float] = []


def _heard(pcm: bytes) -> None:
    """Note how old a frame is, if it says so."""
    sent = sent_at(pcm)
    if sent:
        _UP.append((clock.now() - sent) * 1000)


class StampedRecognizer(Recognizer):
    """Notes when audio came, and says the same of every stretch that is loud."""

    name = "timed recognizer"

    def open(self, config: ListenConfig) -> AbstractAsyncContextManager[Listening]:
        return StampedListening()


class StampedListening(TimedListening):
    async def send_audio(self, pcm: bytes) -> None:
        _heard(pcm)
        await super().send_audio(pcm)


class StampedSynthesizer(Synthesizer):
    """Speaks with visemes and words; the first sample of a clause holds the time at which it was there."""

    name = "timed synthesizer"
    capabilities = SynthesizerCapabilities(marks=frozenset({"viseme", "word"}))

    def speak(self, clause: Clause, config: SpeakConfig | None) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        return StampedSpeech(clause.text, config)


class StampedSpeech:
    """A clause as it comes, in chunks of 100 ms."""

    def __init__(self, text: str, config: SpeakConfig | None) -> None:
        want = config.want if config else frozenset()
        self._pieces = pieces(text, vl.PCM16_24K, want, MS_PER_CHAR)

    async def __aenter__(self) -> AsyncIterator[Speech]:
        return self._items(clock.now() + FIRST_AUDIO_S)

    async def __aexit__(self, *error: object) -> None:
        pass

    async def _items(self, began: float) -> AsyncIterator[Speech]:
        for number, piece in enumerate(self._pieces):
            due = began + number * 0.1 / SPEED
            await until(due)
            for mark in piece.marks:
                yield mark
            yield SpeechAudio(stamped(due) + piece.audio.pcm[8:])


def stamped(due: float) -> bytes:
    """Four samples that hold a time."""
    return round(due * 1e6).to_bytes(8, "little")


def by_voiceloop() -> Starlette:
    """What ``voiceloop serve`` runs, on providers of known timing."""
    model = vl.Cascade(StampedRecognizer(), TimedReasoner(), StampedSynthesizer())
    stack = Stack("timed", "Timed", "For measuring.", model)
    return create_app([stack], turns=ScriptedTurns(silent_ms=60), limits=LobbyLimits(sessions=1000), page=False)


def by_hand() -> Starlette:
    """Audio in and out, and nothing else."""

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await socket.send_text('{"type":"ready"}')
        session: Any = ByHand(StampedSynthesizer())  # type: ignore[arg-type]
        async with session, anyio.create_task_group() as group:
            group.start_soon(_answer, socket, session)
            try:
                while True:
                    message = await socket.receive()
                    if message["type"] == "websocket.disconnect":
                        break
                    if message.get("bytes"):
                        pcm = frames.decode(message["bytes"]).pcm
                        _heard(pcm)
                        await session.send_audio(pcm)
            finally:
                group.cancel_scope.cancel()

    return Starlette(routes=[WebSocketRoute("/ws", talk)])


async def _answer(socket: WebSocket, session: ByHand) -> None:
    turn, start = 0, 0
    async for event in session:
        if isinstance(event, Audio):
            start = start if event.turn == turn else 0
            turn = event.turn
            try:
                await socket.send_bytes(frames.encode(frames.Frame(frames.REPLY, turn, start, event.pcm)))
            except WebSocketDisconnect:
                return
            start += len(event.pcm) // 2


async def _serve_by_hand(app: Starlette) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", ws_per_message_deflate=False, access_log=False, log_level="warning"
    )
    _ready(f"http://127.0.0.1:{listening.getsockname()[1]}/")
    await uvicorn.Server(config).serve(sockets=[listening])


def _ready(url: str) -> None:
    print(json.dumps({"url": url, "process": os.getpid()}), flush=True)


async def _measured(request: Request) -> JSONResponse:
    return JSONResponse(_UP)


KINDS: dict[str, Callable[[], Starlette]] = {"hand": by_hand, "voiceloop": by_voiceloop}


async def main(kind: str) -> None:
    app = KINDS[kind]()
    app.routes.append(Route("/measured", _measured))
    if kind == "hand":
        await _serve_by_hand(app)
    else:
        await serve(app, port=0, on_ready=_ready)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--profile", help="write a profile to this file")
    options = parser.parse_args()
    if options.profile:
        import cProfile

        with cProfile.Profile() as profile:
            anyio.run(main, options.kind)
        profile.dump_stats(options.profile)
    else:
        anyio.run(main, options.kind)
