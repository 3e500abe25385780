"""A WebSocket in memory, and a client that uses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

import voiceloop as vl
from voiceloop import event_json
from voiceloop.events import AudioChunk, BaseEvent, Event
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurns
from voiceloop.transports.websocket import Outcome, converse, frames

SHORT = 10.0


@define(eq=False)
class Pipe:
    """The server's end of a socket in memory; the client takes ``room`` messages before it has to read.

    ``takes``: seconds that each message takes to be sent.
    """

    room: float = float("inf")
    takes: float | None = None
    inbox: list[bytes | str | None] = field(factory=list)
    sent: list[bytes | str] = field(factory=list)
    closed: tuple[int, str] | None = None
    gone: bool = False
    _moved: anyio.Event = field(factory=anyio.Event)

    def _move(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    # the server's side

    async def receive(self) -> bytes | str | None:
        while not self.inbox:
            if self.gone:
                return None
            await self._moved.wait()
        return self.inbox.pop(0)

    async def send(self, data: bytes | str) -> None:
        assert self.closed is None, "sent after closing"
        while len(self.sent) >= self.room:
            await self._moved.wait()
        if self.takes is not None:
            await anyio.sleep(self.takes)
        if self.gone:
            raise ConnectionResetError
        self.sent.append(data)
        self._move()

    async def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = code, reason
        self._move()

    # the client's side

    def put(self, message: bytes | str | dict[str, Any] | None) -> None:
        self.inbox.append(json.dumps(message) if isinstance(message, dict) else message)
        self._move()

    def leave(self) -> None:
        self.gone = True
        self._move()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.sent if isinstance(data, str)]

    @property
    def audio(self) -> list[frames.Frame]:
        return [frames.decode(data, kind=frames.REPLY) for data in self.sent if isinstance(data, bytes)]

    @property
    def events(self) -> list[Event]:
        """The session's events as they came, audio among them."""
        found: list[Event] = []
        for data in self.sent:
            if isinstance(data, bytes):
                frame = frames.decode(data, kind=frames.REPLY)
                at = found[-1].at if found else 0.0
                found.append(
                    AudioChunk(at=at, turn=frame.turn, pcm=frame.pcm, format=vl.PCM16_24K, start=frame.start)
                )
            elif json.loads(data)["type"][0].isupper():
                found.append(event_json.loads(data))
        return found

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    async def until(self, found: Callable[[], object], within: float = 60.0) -> None:
        with anyio.fail_after(within):
            while not found():
                await self._moved.wait()

    async def told(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The ``count``-th message of a kind."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


def model(said: Any = (), replies: Any = (), **parts: Any) -> vl.Cascade:
    return vl.Cascade(
        ScriptedRecognizer(said), ScriptedReasoner(replies), ScriptedSynthesizer(**parts.pop("speaks", {})), **parts
    )


@define(eq=False)
class Conversing:
    """A running conversation: the client's end, the session, and how it ended, once it has."""

    pipe: Pipe
    session: vl.Session
    outcome: Outcome | None = None
    over: anyio.Event = field(factory=anyio.Event)

    async def end(self) -> Outcome:
        with anyio.fail_after(60):
            await self.over.wait()
        assert self.outcome is not None
        return self.outcome


@asynccontextmanager
async def conversing(
    speech_model: Any, *, pipe: Pipe | None = None, options: dict[str, Any] | None = None, **arguments: Any
) -> AsyncIterator[Conversing]:
    """A session on a pipe; it is left when the block is, whoever ended it."""
    pipe = pipe or Pipe()
    session = vl.Session(speech_model, **{"turns": ScriptedTurns(), **(options or {})})
    call = Conversing(pipe, session)

    async def hold() -> None:
        try:
            async with session:
                call.outcome = await converse(pipe, session, **arguments)
        except vl.VoiceloopError:  # told in the outcome
            assert call.outcome is not None
        call.over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(hold)
        yield call
        pipe.leave()
        with anyio.fail_after(60):
            await call.over.wait()


def kinds(events: list[Event], *wanted: type[BaseEvent]) -> list[str]:
    return [type(event).__name__ for event in events if isinstance(event, wanted)]


def spoken(ms: float, start: int = 0, *, sound: Callable[[float], bytes]) -> list[bytes]:
    """``ms`` of input in frames of 20 ms."""
    pcm = sound(ms)
    size = 640
    return [
        frames.encode(frames.Frame(frames.INPUT, 0, start + at // 2, pcm[at : at + size]))
        for at in range(0, len(pcm), size)
    ]
