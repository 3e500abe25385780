"""One session joined to one WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field

from voiceloop import clock
from voiceloop.conversation import AssistantEntry, Entry, UserEntry
from voiceloop.errors import BadInput, SessionClosed, SettingRefused, UnknownName, VoiceloopError
from voiceloop.events import Event, SessionStarted
from voiceloop.session import Session
from voiceloop.transports.websocket import messages as msg
from voiceloop.transports.websocket.endings import Outcome, Refusal
from voiceloop.transports.websocket.frames import VERSION
from voiceloop.transports.websocket.limits import Bucket, SocketLimits
from voiceloop.transports.websocket.line import Line, Socket
from voiceloop.transports.websocket.shapes import Framed, Plain, Shape

_Ask: TypeAlias = msg.Update | msg.SetMode


class Hangup:
    """Held by a server: ends a running call for a reason of the server's own, which the client is told."""

    def __init__(self) -> None:
        self.code = ""
        self.asked = anyio.Event()
        self.hurried = anyio.Event()

    def ask(self, code: Literal["draining", "replaced"], *, politely: bool = False) -> None:
        """End the call, at once or, ``politely``, after what is being said; another call may hurry that."""
        self.code = self.code or code
        self.asked.set()
        if not politely:
            self.hurried.set()


async def greeted(socket: Socket, *, limits: SocketLimits = SocketLimits()) -> msg.Start | None:
    """The client's first message: what it wants of the session that you make. None: it is gone, or was refused.

    A client that says something else, or nothing for ``limits.start`` seconds, is told and closed.
    """
    line = Line(socket, limits)
    try:
        first = await line.first()
        if first is None:
            return None
        start = msg.decode(first) if isinstance(first, str) else None
        if not isinstance(start, msg.Start):
            raise Refusal("bad-message", 'the first message must be {"type": "start", "version": 1}')
    except Refusal as refusal:
        await line.close(refusal.outcome)
        return None
    return start


async def refuse(socket: Socket, outcome: Outcome, *, limits: SocketLimits = SocketLimits()) -> Outcome:
    """Tell a client why there is no session for it, and close."""
    await Line(socket, limits).close(outcome)
    return outcome


async def converse(
    socket: Socket,
    session: Session,
    *,
    limits: SocketLimits = SocketLimits(),
    plain: bool = False,
    start: msg.Start | None = None,
    history: Sequence[Entry] = (),
    resumed: bool = False,
    hangup: Hangup | None = None,
    voices: Sequence[str] = (),
) -> Outcome:
    """Hold the conversation of an entered session over ``socket``, until either ends; then the socket is closed.

    The session takes PCM16 at 16 kHz, and nobody has taken its events yet. ``start`` is what :func:`greeted` gave,
    by which you made the session (``speak=start.speaks``); ``plain``: the client speaks the plain shape, and there is
    none. ``history``: the conversation so far, when it goes on (``resumed``). ``hangup``: to end it from outside.
    ``voices``: those that the client may change to; empty: any that the model takes.

    Never raises for what a client or a provider does: the outcome tells, and the client was told.
    """
    start = start or msg.Start()
    call = _Call(session, Line(socket, limits), Plain() if plain else Framed(), start, hangup or Hangup(), voices)
    try:
        outcome = await call.hold(history, resumed=resumed)
    except Refusal as refusal:
        outcome = refusal.outcome
    except ConnectionError:
        outcome = Outcome("disconnected")
    except VoiceloopError as failure:
        outcome = Outcome("failed", str(failure))
    await call.line.close(outcome)
    return outcome


_HANGING_UP = {
    "draining": "This server is being stopped. The conversation so far is kept.",
    "replaced": "The conversation goes on on another connection.",
}


@define(eq=False)
class _Call:
    session: Session
    line: Line
    shape: Shape
    start: msg.Start
    hangup: Hangup
    voices: Sequence[str]
    mode: msg.Mode = field(init=False)
    _ended_input: bool = field(default=False, init=False)
    _kept: int = field(default=0, init=False)
    _real_time: Bucket = field(init=False)
    _asks: MemoryObjectSendStream[_Ask] = field(init=False)

    @mode.default
    def _first_mode(self) -> msg.Mode:
        return self.start.mode

    async def hold(self, history: Sequence[Entry], *, resumed: bool) -> Outcome:
        """Until either ends. Raises what ended it, bare."""
        ends: list[Outcome | Exception] = []

        async def part(work: Callable[..., Awaitable[Outcome | None]], *arguments: object) -> None:
            try:
                end: Outcome | Exception | None = await work(*arguments)
            except Exception as error:  # noqa: BLE001 - raised below: out of the group it stays bare
                end = error
            if end is not None:
                ends.append(end)
                group.cancel_scope.cancel()

        started = await anext(self.session)
        self._asks, asked = anyio.create_memory_object_stream[_Ask](self.line.limits.asks)
        async with self._asks, asked, anyio.create_task_group() as group:
            group.start_soon(part, self.line.watch)
            await part(self._ready, started, history, resumed)
            if not ends:
                group.start_soon(part, self._listen)
                group.start_soon(part, self._change, asked)
                group.start_soon(part, self._tell)
                group.start_soon(part, self._hang_up)
        if isinstance(ends[0], Exception):
            raise ends[0]
        return ends[0]

    # ------------------------------------------------------------ to the client

    async def _ready(self, event: Event, history: Sequence[Entry], resumed: bool) -> None:
        assert isinstance(event, SessionStarted)
        a_second = event.input.rate * 2
        self._real_time = Bucket(1.1 * a_second, a_second * self.line.limits.ahead)
        ready = {
            "type": "ready",
            "version": VERSION,
            "conversation": event.conversation_id,
            "resumed": resumed,
            "model": event.model,
            "mode": self.mode,
            "input": {"rate": event.input.rate},
            "output": {"rate": event.output.rate},
            "entries": len(history),
            "history": [told for entry in history[self.start.after :] if (told := _told(entry))],
        }
        await self.line.tell(self.shape.ready(ready))
        message = self.shape.event(event)
        if message is not None:
            await self.line.send(message)

    async def _tell(self) -> Outcome:
        """Send the events, until the session ends.

        By one task: signals overtake replies in the session already, and what two tasks took could change places.
        """
        async for event in self.session:
            message = self.shape.event(event)
            if message is not None:
                await self.line.send(message)
        return self._hung_up() if self.hangup.code else Outcome("ended")

    async def _answer(self, to: str, outcome: str, text: str = "") -> None:
        answer = self.shape.answer({"type": "answer", "to": to, "outcome": outcome, "text": text})
        if answer is not None:
            await self.line.tell(answer)

    async def _hang_up(self) -> Outcome:
        await self.hangup.asked.wait()
        if not self.hangup.hurried.is_set():
            with suppress(SessionClosed):
                await self.session.end()
        await self.hangup.hurried.wait()
        return self._hung_up()

    def _hung_up(self) -> Outcome:
        return Outcome(self.hangup.code, _HANGING_UP[self.hangup.code])

    # ------------------------------------------------------------ from the client

    async def _listen(self) -> Outcome:
        while (data := await self.line.receive()) is not None:
            with suppress(SessionClosed):  # the events tell how it ended
                if isinstance(data, bytes):
                    await self._hear(data)
                else:
                    await self._obey(msg.decode(data))
        return Outcome("disconnected")

    async def _hear(self, data: bytes) -> None:
        pcm = self.shape.audio(data)
        if not self._real_time.take(len(pcm), clock.now()):
            raise Refusal("too-fast", f"audio runs over {self.line.limits.ahead:g} s ahead of real time")
        if pcm and self.mode != "chat" and not self._ended_input:
            await self.session.send_audio(pcm)

    async def _obey(self, message: msg.Message) -> None:
        match message:
            case msg.Text():
                await self._type(message)
            case msg.Played():
                self.session.played(message.turn, message.ms, stopped=message.stopped)
            case msg.EndTurn():
                await self.session.end_turn()
            case msg.EndInput():
                self._ended_input = True
                await self.session.end_input()
            case msg.Interrupt():
                await self.session.interrupt()
            case msg.Update() | msg.SetMode():
                try:
                    self._asks.send_nowait(message)
                except anyio.WouldBlock:
                    await self._answer(_NAMES[type(message)], "refused", "Too many changes wait for their answer.")
            case msg.Ping():
                await self.line.tell({"type": "pong", "n": message.n})
            case msg.Start():
                raise Refusal("bad-message", "start: it comes once, first")

    async def _type(self, message: msg.Text) -> None:
        if self.mode == "voice":
            await self._answer("text", "refused", 'The mode is "voice": no text is taken.')
            return
        if len(message.text) > msg.LONGEST:
            await self._answer("text", "refused", f"text: up to {msg.LONGEST} characters are allowed")
            return
        self._kept += len(message.text) + sum(len(image.data) for image in message.images)
        if self._kept > self.line.limits.kept:
            await self._answer("text", "refused", "This conversation holds as many pictures and words as it may.")
            return
        try:
            await self.session.send_text(message.text, images=message.images, reply=message.reply)
        except BadInput as refused:
            await self._answer("text", "refused", str(refused))

    async def _change(self, asked: MemoryObjectReceiveStream[_Ask]) -> None:
        """Change settings, one after the other; the model may take its time to answer."""
        async for ask in asked:
            try:
                outcome, text = await self._changed(ask), ""
            except (BadInput, SettingRefused) as refused:
                outcome, text = "refused", str(refused)
            except SessionClosed:
                return
            await self._answer(_NAMES[type(ask)], outcome, text)

    async def _changed(self, ask: _Ask) -> str:
        if isinstance(ask, msg.Update):
            if ask.voice is not None and self.voices and ask.voice not in self.voices:
                raise UnknownName("voice", ask.voice, self.voices)
            return await self.session.update(
                instructions=ask.instructions, voice=ask.voice, temperature=ask.temperature
            )
        outcome = "applied"
        if (ask.mode == "chat") != (self.mode == "chat"):
            outcome = await self.session.update(speak=ask.mode != "chat")
        if ask.mode == "chat":
            await self.session.end_turn()
        self.mode = ask.mode
        return outcome


_NAMES: dict[type, str] = {msg.Update: "update", msg.SetMode: "mode"}


def _told(entry: Entry) -> dict[str, str] | None:
    match entry:
        case UserEntry():
            return {"role": "user", "text": entry.text}
        case AssistantEntry():
            return {"role": "assistant", "text": entry.said if entry.heard is None else entry.heard.text}
        case _:
            return None


__all__ = ("Hangup", "converse", "greeted", "refuse")
