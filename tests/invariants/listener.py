"""An independent listener: audio travels to it, is played in real time, and what it truly played is known."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import define, field

from voiceloop import AudioChunk, Interrupted, Paused, Resumed, Session, clock
from voiceloop.events import Event


@define(eq=False)
class Playback:
    """One turn at the listener: pieces of audio, each playable from its arrival, played one after the other."""

    waiting: deque[float] = field(factory=deque)
    played: float = 0.0
    paused: bool = False
    flushed: bool = False
    at: float = 0.0

    def advance(self) -> float:
        """Play until now; the ms played so far."""
        now = clock.now()
        time = (now - self.at) * 1000
        while self.waiting and time > 1e-9 and not self.paused:
            step = min(time, self.waiting[0])
            self.played, time = self.played + step, time - step
            if step >= self.waiting[0] - 1e-9:
                self.waiting.popleft()
            else:
                self.waiting[0] -= step
        self.at = now
        return self.played


@define(eq=False)
class Listener:
    """Hears ``session`` over a network of ``latency`` seconds each way.

    ``report_every``: seconds between its position reports, None: never; ``tells_stop``: whether it reports where it
    was flushed. ``lost``: every n-th regular report is lost, 0: none. ``swapped``: every other report overtakes the
    one before it.
    """

    latency: float = 0.0
    report_every: float | None = 0.1
    tells_stop: bool = True
    lost: int = 0
    swapped: bool = False
    turns: dict[int, Playback] = field(factory=dict)
    stops: dict[int, float] = field(factory=dict)
    told: dict[int, bool] = field(factory=dict)
    _reports: int = 0

    def hear(self, event: Event, session: Session) -> None:
        """``event`` left the session just now; it arrives after the latency."""
        if isinstance(event, AudioChunk | Paused | Resumed | Interrupted):
            self._later(self.latency, lambda: self._arrives(event, session))

    def _arrives(self, event: AudioChunk | Paused | Resumed | Interrupted, session: Session) -> None:
        playback = self.turns.get(event.turn)
        if playback is None:
            playback = self.turns[event.turn] = Playback(at=clock.now())
        playback.advance()
        match event:
            case AudioChunk() if not playback.flushed:
                playback.waiting.append(event.duration_ms)
            case Paused() | Resumed():
                playback.paused = isinstance(event, Paused)
            case Interrupted():
                playback.waiting.clear()
                playback.flushed = True
                self.stops[event.turn] = playback.played
                if self.tells_stop:
                    self._send(session, event.turn, playback.played, stopped=True)

    async def report(self, session: Session) -> None:
        """Report positions for ever."""
        while self.report_every is not None:
            await asyncio.sleep(self.report_every)
            for turn, playback in self.turns.items():
                before = playback.played
                if playback.advance() != before and not playback.flushed:
                    self._reports += 1
                    if not self.lost or self._reports % self.lost:
                        self._send(session, turn, playback.played, stopped=False)

    def _send(self, session: Session, turn: int, ms: float, *, stopped: bool) -> None:
        late = self.report_every or 0.0
        delay = self.latency + (late * 1.5 if self.swapped and not stopped and self._reports % 2 else 0.0)
        self.told[turn] = True
        self._later(delay, lambda: session.played(turn, ms, stopped=stopped))

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, call)
        else:
            call()

    def truth(self) -> dict[int, float]:
        """The ms of each turn that were truly played, once everything that arrived was played."""
        return {
            turn: playback.played + (0.0 if playback.paused else sum(playback.waiting))
            for turn, playback in self.turns.items()
        }
