"""A simulated user: speaks, waits, types and listens by a timeline, and keeps the session's event log."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop import events as ev
from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.errors import SessionClosed
from voiceloop.testing.scripted.sound import silence, tone
from voiceloop.testing.scripted.steps import Delay

if TYPE_CHECKING:
    from voiceloop.session import Session


@frozen
class Speak:
    """The user makes ``ms`` of sound, the next utterance of the recognizer's script."""

    ms: float


@frozen
class Until:
    """The user is silent until an event comes that is of class ``event``, or that ``event`` says True of.

    Then they are silent for ``after`` more seconds. Only events since the step before count. Raises TimeoutError when
    none came within ``limit`` seconds.
    """

    event: type[ev.BaseEvent] | Callable[[ev.Event], bool]
    after: float = 0.0
    limit: float = 60.0


Act: TypeAlias = Speak | Until | Delay | str | bytes | Callable[["Session"], Awaitable[object]]


@define(eq=False)
class ScriptedCaller:
    """Does the ``acts`` in order, sending audio all the while in frames of ``frame_ms``, as a microphone does.

    An act is ``Speak(ms)``, silence (``Delay(seconds)``), ``Until(event)``, text to type, audio to send (bytes), or
    an async function of the session. After the last, input ends. The caller's player plays what comes ``latency``
    seconds after it came, pauses and flushes as told, and reports its position every ``report_ms`` (None: never).

    ::

        caller = ScriptedCaller([Speak(800), Until(AudioChunk, after=0.5), Speak(600), Until(TurnEnded)])
        async with Session(model) as session:
            events = await caller.talk(session)

    ``log``: the events so far; ``listened``: ms of each turn that were truly played.
    """

    acts: Sequence[Act]
    frame_ms: float = 20
    report_ms: float | None = 100
    latency: float = 0.0
    format: AudioFormat = field(default=PCM16_16K, kw_only=True)
    log: list[ev.Event] = field(init=False, factory=list)
    _players: dict[int, _Player] = field(init=False, factory=dict)
    _next_frame: float = field(init=False, default=0.0)

    @property
    def listened(self) -> dict[int, float]:
        """Milliseconds of each turn that the caller's player has played."""
        return {turn: player.position() for turn, player in self._players.items()}

    async def talk(self, session: Session) -> list[ev.Event]:
        """Hold the conversation until the session ends; its events. Raises what the session raises."""
        failures: list[Exception] = []

        async def bare(work: Callable[[Session], Awaitable[None]]) -> None:
            try:
                await work(session)
            except Exception as error:  # noqa: BLE001 - raised below: out of the group it stays bare
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(bare, self._act)
            group.start_soon(self._report, session)
            await bare(self._listen)
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]
        return self.log

    # ------------------------------------------------------------ speaking

    async def _act(self, session: Session) -> None:
        self._next_frame = clock.now()
        with suppress(SessionClosed):
            for act in self.acts:
                match act:
                    case Speak(ms):
                        await self._send(session, tone(ms, self.format))
                    case Delay(seconds):
                        await self._send(session, silence(seconds * 1000, self.format))
                    case bytes():
                        await self._send(session, act)
                    case str():
                        await session.send_text(act)
                    case Until():
                        await self._until(session, act)
                    case _:
                        await act(session)
            await session.end_input()

    async def _send(self, session: Session, sound: bytes) -> None:
        """Send ``sound`` frame by frame in real time; a last short frame is sent as it is."""
        size = self.format.bytes_of(self.format.samples_in(self.frame_ms))
        for at in range(0, len(sound), size):
            frame = sound[at : at + size]
            self._next_frame += self.format.ms(self.format.samples(frame)) / 1000
            wait = self._next_frame - clock.now()
            if wait > 0:
                await anyio.sleep(wait)
            await session.send_audio(frame)

    async def _until(self, session: Session, step: Until) -> None:
        quiet = silence(self.frame_ms, self.format)
        seen, deadline = len(self.log), clock.now() + step.limit
        while not any(self._matches(step, event) for event in self.log[seen:]):
            if clock.now() > deadline:
                wanted = getattr(step.event, "__name__", step.event)
                last = ", ".join(type(event).__name__ for event in self.log[-5:])
                raise TimeoutError(f"no {wanted} within {step.limit:g} s; the last events were {last or 'none'}")
            seen = len(self.log)
            await self._send(session, quiet)
        await self._send(session, silence(step.after * 1000, self.format))

    @staticmethod
    def _matches(step: Until, event: ev.Event) -> bool:
        return isinstance(event, step.event) if isinstance(step.event, type) else step.event(event)

    # ------------------------------------------------------------ listening

    async def _listen(self, session: Session) -> None:
        async for event in session:
            self.log.append(event)
            self._play(event, session)

    def _play(self, event: ev.Event, session: Session) -> None:
        match event:
            case ev.AudioChunk():
                self._players.setdefault(event.turn, _Player(self.latency)).add(event.duration_ms)
            case ev.Paused() | ev.Resumed() if event.turn in self._players:
                self._players[event.turn].hold(isinstance(event, ev.Paused))
            case ev.Interrupted() if event.turn in self._players:
                player = self._players[event.turn]
                player.flush()
                if self.report_ms is not None:
                    session.played(event.turn, player.position(), stopped=True)
            case _:
                pass

    async def _report(self, session: Session) -> None:
        while self.report_ms is not None:
            await anyio.sleep(self.report_ms / 1000)
            for turn, player in list(islice(reversed(self._players.items()), 2)):  # those before play no more
                if player.moved():
                    session.played(turn, player.position())


@define(eq=False)
class _Player:
    """How much of a turn was played: audio waits in a queue, which drains in real time unless held."""

    _latency: float
    _played: float = 0.0
    _queue: float = 0.0
    _since: float = field(factory=clock.now)
    _held: bool = False
    _told: float = math.nan

    def position(self) -> float:
        """The ms that were played by now."""
        now = clock.now()
        if now > self._since:
            if not self._held:
                ms = min(self._queue, (now - self._since) * 1000)
                self._played += ms
                self._queue -= ms
            self._since = now
        return round(self._played, 3)

    def add(self, ms: float) -> None:
        """More audio came."""
        self.position()
        if not self._queue:
            self._since = max(self._since, clock.now() + self._latency)
        self._queue += ms

    def hold(self, held: bool) -> None:
        """Stop playing, or go on."""
        self.position()
        self._held = held

    def flush(self) -> None:
        """Forget what was not played."""
        self.position()
        self._queue = 0.0

    def moved(self) -> bool:
        """Whether the position changed since the last call."""
        before, self._told = self._told, self.position()
        return before != self._told
