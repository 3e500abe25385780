"""The line between a caller and a session: a steady stream of sound each way, as on a telephone, all recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

import anyio
import numpy as np
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import AudioFormat, PlaybackBuffer
from voiceloop.cli.recorder import Recorder, Sounding
from voiceloop.cli.view import Moment, View
from voiceloop.errors import SessionClosed
from voiceloop.events import (
    AudioChunk,
    Event,
    Interrupted,
    Paused,
    ReplyText,
    Resumed,
    TurnEnded,
    TurnStarted,
    Viseme,
)
from voiceloop.session import Session

FRAME_MS = 20
_REPORT_FRAMES = 5
_NOISE = 8  # of 32768: the faint noise of a quiet room, so that silence is never digital


@define(eq=False)
class Player:
    """The caller's loudspeaker: plays replies as they come, pauses and stops as told, and knows what was heard."""

    format: AudioFormat
    mouth: str = field(default="sil", init=False)
    _buffer: PlaybackBuffer = field(init=False)
    _turns: dict[int, int] = field(factory=dict, init=False)
    _visemes: dict[int, list[tuple[float, str]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._buffer = PlaybackBuffer(self.format)

    def take(self, event: Event) -> None:
        """Do what an event asks of a player."""
        match event:
            case AudioChunk():
                self._turns.setdefault(event.turn, 0)
                self._buffer.push(event.pcm, event.turn)
            case Viseme():
                self._visemes.setdefault(event.turn, []).append((event.ms, event.code))
            case Paused():
                self._buffer.pause()
            case Resumed():
                self._buffer.resume()
            case Interrupted():
                self._buffer.flush()
                self._buffer.resume()
            case TurnEnded():
                self._turns.pop(event.turn, None)
                self._visemes.pop(event.turn, None)
            case _:
                pass

    @property
    def playing(self) -> bool:
        """Whether something waits to be heard."""
        return self._buffer.waiting > 0

    def heard_ms(self, turn: int) -> float:
        """How much of ``turn`` was played."""
        return self._buffer.played(turn).ms

    def play(self, samples: int) -> tuple[bytes, list[Sounding]]:
        """The next sound, and whose it is."""
        pcm = self._buffer.pull(samples)
        pieces: list[Sounding] = []
        offset = 0
        for turn, before in self._turns.items():
            now = self._buffer.played(turn).samples
            if now > before:
                ms = self.format.ms
                pieces.append(Sounding(turn, ms(before), ms(offset), ms(now - before)))
                offset += now - before
                self._turns[turn] = now
        self.mouth = self._shape(pieces[-1]) if pieces else "sil"
        return pcm, pieces

    def _shape(self, piece: Sounding) -> str:
        end = piece.ms + piece.duration_ms
        return next((code for ms, code in reversed(self._visemes.get(piece.turn, ())) if ms < end), "sil")


@define(eq=False)
class Line:
    """One call: ``async with Session(...) as session: await line.hold(session, caller)``.

    ``began``: when the session began, on ``clock.now()``; before the connection stands, it is silent.
    The caller is an async function of the line, which speaks, waits and listens; when it returns, the input ends. The
    session must take the recorder's formats. ``turn``: the assistant's newest turn; ``reply``: its text so far.
    ``late``: by how many s, at worst, a frame missed its time because the machine was busy.
    """

    recorder: Recorder
    view: View
    began: float = field(factory=clock.now)
    player: Player = field(init=False)
    turn: int = field(default=0, init=False)
    reply: str = field(default="", init=False)
    late: float = field(default=0.0, init=False)
    over: bool = field(default=False, init=False)
    _ended: TurnEnded | None = field(default=None, init=False)
    _mouth: PlaybackBuffer = field(init=False)
    _noise: np.random.Generator = field(init=False)
    _ticked: anyio.Event = field(factory=anyio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.player = Player(self.recorder.assistant)
        self._mouth = PlaybackBuffer(self.recorder.user)
        self._noise = np.random.default_rng(7)

    # ------------------------------------------------------------ what a caller does

    async def say(self, pcm: bytes) -> None:
        """Say ``pcm``, and return when it was said."""
        self._mouth.push(pcm, 0)
        await self.until(lambda: not self._mouth.waiting)

    async def wait(self, seconds: float) -> None:
        """Be silent for that long."""
        when = clock.now() + seconds
        await self.until(lambda: clock.now() >= when)

    async def until(self, done: Callable[[], bool], *, patience: float | None = None) -> bool:
        """Listen until ``done()``; not when the session is over, nor after ``patience`` s of silence on the line."""
        since = clock.now()
        while not done():
            now = clock.now()
            since = now if self.player.playing else since
            if self.over or (patience is not None and now - since > patience):
                return False
            await self._ticked.wait()
        return True

    @property
    def quiet(self) -> bool:
        """Whether the assistant has finished its newest turn."""
        ended = self._ended
        finished = ended is not None and ended.turn == self.turn and ended.reason in ("completed", "failed")
        return finished and not self.player.playing

    # ------------------------------------------------------------ the call

    async def hold(self, session: Session, caller: Callable[[Line], Awaitable[None]]) -> None:
        """Hold the call until the session ends. Raises what the session or the caller raises."""
        failures: list[Exception] = []

        async def bare(work: Awaitable[None]) -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - raised below: out of the group it stays bare
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(bare, self._tick(session))
            group.start_soon(bare, self._call(session, caller))
            await bare(self._listen(session))
            self.over = True
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _call(self, session: Session, caller: Callable[[Line], Awaitable[None]]) -> None:
        await caller(self)
        with suppress(SessionClosed):
            await session.end_input()

    async def _listen(self, session: Session) -> None:
        async for event in session:
            self.recorder.event(event)
            self.player.take(event)
            match event:
                case TurnStarted():
                    self.turn, self.reply = event.turn, ""
                case ReplyText():
                    self.reply += event.text
                case TurnEnded():
                    self._ended = event
                case Interrupted():
                    session.played(event.turn, self.player.heard_ms(event.turn), stopped=True)
                case _:
                    pass
            self.view.event(event)

    async def _tick(self, session: Session) -> None:
        """Every 20 ms, also when the machine was late: a frame said, a frame heard."""
        said, heard = (form.samples_in(FRAME_MS) for form in (self.recorder.user, self.recorder.assistant))
        self.recorder.heard(self.recorder.assistant.silence(heard))
        connected = clock.now()
        with suppress(SessionClosed):
            for number in count(1):
                at = self.began + number * FRAME_MS / 1000
                await anyio.sleep_until(at)
                if at > connected:
                    self.late = max(self.late, clock.now() - at)
                if number % _REPORT_FRAMES == 0 and self.turn:
                    session.played(self.turn, self.player.heard_ms(self.turn))
                frame = self._frame(said)
                self.recorder.said(frame)
                await session.send_audio(frame, at=at)
                sound, pieces = self.player.play(heard)
                self.recorder.heard(sound, pieces)
                reply_ms = self.player.heard_ms(self.turn)
                self.view.moment(Moment(at - self.began, frame, sound, self.player.mouth, reply_ms))
                self._ticked.set()
                self._ticked = anyio.Event()

    def _frame(self, samples: int) -> bytes:
        speech = np.frombuffer(self._mouth.pull(samples), "<i2").astype(np.int32)
        noisy = speech + self._noise.integers(-_NOISE, _NOISE + 1, samples)
        frame: bytes = noisy.clip(-32768, 32767).astype("<i2").tobytes()
        return frame
