"""The sessions of a server: how many there are, which conversation each holds, and how they end with the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.errors import BadInput
from voiceloop.interfaces import Memory
from voiceloop.memory import InProcessMemory
from voiceloop.transports.websocket import Hangup, Outcome, Refusal

_REPLACED = 15.0
_HURRY = 5.0


@frozen
class LobbyLimits:
    """``sessions``: how many at once. ``resume``: seconds for which a conversation is kept after its connection.

    ``drain``: seconds for which sessions may go on once the server stops; then each finishes its sentence.
    ``session``: the most seconds of one session, ``idle``: seconds without a word of either side after which it
    ends (None: no limit). ``conversations``: how many are kept.
    """

    sessions: int = 100
    resume: float = 600.0
    drain: float = 30.0
    session: float | None = 3600.0
    idle: float | None = 600.0
    conversations: int = 1000

    def __attrs_post_init__(self) -> None:
        for name in ("sessions", "resume", "drain", "session", "idle", "conversations"):
            value = getattr(self, name)
            if value is None and name in ("session", "idle"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise BadInput(f"limits.{name}={value!r}: a number above 0 is allowed")


@define(eq=False)
class Seat:
    """A running connection: its ``conversation``, whether that is an earlier one, and how to end it."""

    hangup: Hangup
    conversation: str = ""
    resumed: bool = False
    left: anyio.Event = field(factory=anyio.Event)


class Lobby:
    """Seats connections, up to a limit, and remembers their conversations for a while, in this process."""

    def __init__(self, limits: LobbyLimits) -> None:
        self.limits = limits
        self.memory: Memory = InProcessMemory(conversations=limits.conversations)
        self.draining = False
        self.opened = 0
        self.ends: Counter[str] = Counter()
        self._seats: set[Seat] = set()
        self._holders: dict[str, Seat] = {}
        self._left: dict[str, float] = {}

    @property
    def seated(self) -> int:
        """Connections at this moment."""
        return len(self._seats)

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[Seat]:
        """A seat for one connection. Raises Refusal: "draining", or "full"."""
        if self.draining:
            raise Refusal("draining", "This server is being stopped. Try again in a moment.")
        if len(self._seats) >= self.limits.sessions:
            raise Refusal("full", "All places are taken. Try again later.")
        seat = Seat(Hangup())
        self._seats.add(seat)
        self.opened += 1
        try:
            yield seat
        finally:
            self._seats.discard(seat)
            if self._holders.get(seat.conversation) is seat:
                del self._holders[seat.conversation]
                self._left[seat.conversation] = clock.now()
            seat.left.set()

    async def take(self, seat: Seat, conversation: str | None) -> None:
        """Give ``seat`` this conversation, if it is known, else a new one. Ends the connection that held it."""
        await self._forget()
        while conversation is not None and (holder := self._holders.get(conversation)) is not None:
            holder.hangup.ask("replaced")
            with anyio.move_on_after(_REPLACED) as patience:
                await holder.left.wait()
            if patience.cancelled_caught:
                conversation = None
        if conversation is not None and self._left.pop(conversation, None) is not None:
            seat.conversation, seat.resumed = conversation, True
        else:
            seat.conversation = clock.new_id()
        self._holders[seat.conversation] = seat

    async def _forget(self) -> None:
        """Forget conversations that nobody came back to."""
        now = clock.now()
        late = [each for each, left in self._left.items() if now - left > self.limits.resume]
        spare = len(self._left) - len(late) - self.limits.conversations
        late += [each for each in self._left if each not in late][: max(0, spare)]
        for conversation in late:
            del self._left[conversation]
            await self.memory.forget(conversation)

    def ended(self, outcome: Outcome) -> None:
        """Count how a connection ended."""
        self.ends[outcome.code] += 1

    async def drain(self) -> None:
        """Take nobody more, and wait until all have left: they may go on for a while, then they are hung up on."""
        self.draining = True
        for within, politely in ((self.limits.drain, True), (_HURRY, False)):
            with anyio.move_on_after(within):
                await self.empty()
                return
            for seat in self._seats:
                seat.hangup.ask("draining", politely=politely)
        with anyio.move_on_after(_HURRY):
            await self.empty()

    async def empty(self) -> None:
        """Wait until nobody is connected."""
        while self._seats:
            await next(iter(self._seats)).left.wait()


__all__ = ("Lobby", "LobbyLimits", "Seat")
