"""The two lanes on which events leave a session, and their iterators.

The reply lane keeps its order; the signal lane overtakes it. Pacing is the tracks' (``rules.timeline``): nothing here
runs by itself, an iterator that waits is woken by what comes or by the time at which the next audio may leave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Literal, TypeAlias, TypeVar

import anyio

from voiceloop import clock
from voiceloop.engine.wake import Wake
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import ProviderMisbehaved, SlowConsumer
from voiceloop.events import BaseEvent, Event, Notice, SessionEnded, Transcript, TurnEnded
from voiceloop.rules.budgets import Limits
from voiceloop.rules.timeline import Track

E = TypeVar("E", bound=BaseEvent)
Side: TypeAlias = Literal["both", "signals", "replies"]

_LANES = {side: frozenset({side}) for side in ("signals", "replies")} | {"both": frozenset({"signals", "replies"})}


class Lanes:
    """What waits to leave. ``released(event)`` and ``drained(track)`` are called as the reply lane moves."""

    def __init__(
        self,
        *,
        watchers: Watchers,
        released: Callable[[Event], None],
        drained: Callable[[Track], None],
    ) -> None:
        self._signals: deque[Event] = deque()
        self._replies: deque[Track | TurnEnded] = deque()
        self._watchers = watchers
        watchers.trouble = lambda text: self.signal(Notice(code="observer-failed", text=text))
        self._released = released
        self._drained = drained
        self._began = clock.now()
        self._taken = dict.fromkeys(("signals", "replies"), self._began)
        self._wakes = {side: Wake() for side in ("both", "signals", "replies")}
        self._busy: frozenset[str] = frozenset()
        self._ending: SessionEnded | None = None
        self._ended = False
        self._room = Wake()

    # ------------------------------------------------------------ in

    def signal(self, event: Event) -> None:
        """Send ``event`` ahead of the reply lane. A newer partial transcript replaces one that nobody took yet."""
        if self._ending is not None:
            return
        now = clock.now()
        if not self._signals:
            self._taken["signals"] = now
        _stamped(event, self._at(now))
        if isinstance(event, Transcript) and not event.final and self._signals:
            newest = self._signals[-1]
            if isinstance(newest, Transcript) and newest.utterance == event.utterance and not newest.final:
                self._signals[-1] = event
                return
        self._signals.append(event)
        self._wakes["both"].set()
        self._wakes["signals"].set()

    def add(self, item: Track | TurnEnded) -> None:
        """Put a turn, or its end, behind what is in the reply lane."""
        if not self._replies:
            self._taken["replies"] = clock.now()
        self._replies.append(item)
        self.moved()

    def moved(self) -> None:
        """A track changed so that something may leave sooner: look again."""
        self._wakes["both"].set()
        self._wakes["replies"].set()

    def purge(self, track: Track) -> None:
        """Forget all of a turn that has not left."""
        if track in self._replies:
            self._replies.remove(track)
        self.moved()
        self._room.set()

    def close(self, event: SessionEnded) -> None:
        """Nothing more will come; ``event`` leaves last."""
        if self._ending is None:
            self._ending = event
            for item in self._replies:
                if isinstance(item, Track):
                    item.held = False
                    item.end()
            self.moved()
            self._wakes["signals"].set()

    # ------------------------------------------------------------ out

    async def next(self, side: Side) -> Event | None:
        """The next event of ``side``; None after the last. Cancelling loses nothing.

        Raises anyio.BusyResourceError while another task waits for the same lane.
        """
        lanes = _LANES[side]
        if lanes & self._busy:
            raise anyio.BusyResourceError("taking the events of")
        while True:
            if side != "replies" and self._signals:
                return self._leave(self._signals.popleft(), lanes)
            when = inf
            if side != "signals":
                got = self._next_reply()
                if isinstance(got, float):
                    when = got
                elif got is not None:
                    return self._leave(got, lanes)
            if self._ending is not None and (side == "signals" or not self._replies):
                return self._last(side, lanes)
            self._busy |= lanes
            try:
                await self._wakes[side].wait(when)
            finally:
                self._busy -= lanes
                self._taken |= dict.fromkeys(lanes, clock.now())

    def _next_reply(self) -> Event | float | None:
        now = clock.now()
        while self._replies:
            head = self._replies[0]
            if isinstance(head, TurnEnded):
                self._replies.popleft()
                return _stamped(head, self._at(now))
            piece = head.next(now)
            if piece is None or isinstance(piece, float):
                if not head.drained:
                    return piece
                self._replies.popleft()
                self._drained(head)
                continue
            self._room.set()
            return _stamped(piece, self._at(now))
        return None

    def _leave(self, event: Event, lanes: frozenset[str]) -> Event:
        now = clock.now()
        for lane in lanes:
            self._taken[lane] = now
        self._released(event)
        self._watchers.event(event)
        return event

    def _last(self, side: Side, lanes: frozenset[str]) -> Event | None:
        if side == "replies" or self._ending is None or self._ended:
            return None
        self._ended = True
        return self._leave(_stamped(self._ending, self._at(clock.now())), lanes)

    # ------------------------------------------------------------ measures

    def _at(self, now: float) -> float:
        return round(now - self._began, 6)

    @property
    def signals_waiting(self) -> int:
        """Events in the signal lane that nobody took yet."""
        return len(self._signals)

    @property
    def waiting_ms(self) -> float:
        """Audio in the reply lane that has not left."""
        return sum(item.waiting_ms for item in self._replies if isinstance(item, Track))

    def stalled_for(self, now: float) -> float:
        """How long, in seconds, something could have been taken while nobody asked."""
        waiting = {"signals": self._signals, "replies": self._replies}
        untaken = (lane for lane, items in waiting.items() if items and lane not in self._busy)
        return max((now - self._taken[lane] for lane in untaken), default=0.0)

    def check(self, now: float, limits: Limits, model: str) -> None:
        """Raises SlowConsumer when nobody takes the events, ProviderMisbehaved when ``model`` makes far too much."""
        stalled, waiting = self.stalled_for(now), self.signals_waiting
        if stalled > limits.consumer_stall or waiting > limits.signals:
            raise SlowConsumer(
                f"nobody took the session's events for {stalled:.0f} s; {waiting} are waiting",
                doing="delivering events",
                hint="Iterate over the session all the time, in a task of its own if need be; see Limits.",
            )
        made = self.waiting_ms / 1000
        if made > limits.reply_audio:
            raise ProviderMisbehaved(
                f"made {made:.0f} s of audio ahead of the listener",
                provider=model,
                doing="replying",
                hint="A link that makes its own audio awaits LinkContext.room(); see also limits.reply_audio.",
            )

    async def room(self, ahead_ms: float) -> None:
        """Wait until less than ``ahead_ms`` of audio waits in the reply lane."""
        while self.waiting_ms > ahead_ms:
            await self._room.wait()


def _stamped(event: E, at: float) -> E:
    """``event``, now leaving: sets its ``at``. Only for an event that nobody has seen; later they never change."""
    object.__setattr__(event, "at", at)
    return event
