"""What the connection that serves owes: an answer to speech, to words, to what it was told, the end of a reply."""

from __future__ import annotations

from attrs import define, field

from voiceloop.aws.nova.leg import Leg
from voiceloop.aws.nova.pump import Shared
from voiceloop.aws.nova.utterances import Heard
from voiceloop.rules.hush import Owed, Unheard

_BEHIND = 1.0
"""A connection that is given input of so long ago, in s, cannot have answered yet."""

_LAST_DOUBTS = 2
"""The last connection there is has time to speak, as if it had been doubted so often before."""


@define(eq=False)
class Debts:
    """Kept over all connections. ``unheard``: speech that was taken up in no way, as the session's detector hears it.

    ``doubts``: how many silent connections proved to live, one after another; ``dead``: how many did not.
    """

    shared: Shared
    unheard: Unheard = field(init=False)
    doubts: int = 0
    dead: int = 0
    _since: float = 0.0
    _detects: bool = False
    _speaking: bool = False
    _paused: float = 0.0
    _behind: float = 0.0
    _handed: tuple[int, float] = (0, 0.0)
    _excused: str = ""

    @unheard.default
    def _unheard(self) -> Unheard:
        return Unheard(self.shared.model.input_rate)

    def attend(self, speaking: bool, leg: Leg | None, now: float) -> None:
        """The session's detector says that the user speaks, or no longer does."""
        self._note(leg)
        if speaking:
            self._detects = True
            self._since = now if self.unheard.start is None else self._since
            self.unheard.begins(self.shared.ring.end, now)
        else:
            self.unheard.pauses(self.shared.ring.end, now)
            self._paused = now if self._speaking else self._paused
        self._speaking = speaking

    def hand_over(self, leg: Leg | None, now: float) -> None:
        """The user's turn is over by hand: they spoke since the last one was, if nobody has told of it yet."""
        ring, (sample, before), self._handed = self.shared.ring, self._handed, (self.shared.ring.end, now)
        self._note(leg)
        if self.unheard.start is None and (leg is None or leg.signs.took_at <= before):
            self._since = now
            self.unheard.begins(max(sample, ring.start), now)
            self.unheard.pauses(ring.end, now)
        self._paused = now

    def _note(self, leg: Leg | None) -> None:
        if leg is not None and self.unheard.start is not None and leg.signs.took_at >= self._since:
            self.unheard.taken()

    def untaken(self, leg: Leg, now: float, within: float) -> int | None:
        """The first sample of speech that was not taken up, if it ended within so many seconds, or goes on."""
        self._note(leg)
        return self.unheard.start if self._speaking or now - self.unheard.at <= within else None

    def silent(self, leg: Leg, now: float, *, last: bool = False) -> bool:
        """Whether ``leg`` is silent for too long. ``last``: there will be no other."""
        within = self.shared.model.waits.unmoved
        return self._owed(leg, now).silent(now, within, self.doubts + (_LAST_DOUBTS if last else 0))

    def _owed(self, leg: Leg, now: float) -> Owed:
        self._note(leg)
        turns, pump, line = leg.turns, leg.pump, leg.connection
        if pump is None or line is None or turns.tools:
            return Owed(now)
        stuck = pump.sending_at if pump.sending_at and now - pump.sending_at > _BEHIND else None
        if stuck is None and self.shared.ring.end - line.sent > _BEHIND * line.rate:
            self._behind = now
        over, reply = self.unheard.over(now), turns.reply
        told = pump.told_at if pump.told_at > leg.signs.heard_at else turns.asked.since if turns.asked else None
        return Owed(
            max(leg.signs.heard_at, self._behind),
            speech=None if over is None else over[0],
            words=self._words(turns.user.heard),
            reply=reply.changed if reply is not None and reply.open else None,
            told=min((at for at in (told, stuck) if at is not None), default=None),
        )

    def _words(self, heard: Heard | None) -> float | None:
        if heard is None or heard.item == self._excused or self._speaking:
            return None
        if heard.texts or heard.over:
            return heard.at
        handed = heard.start is not None and heard.start * self.shared.model.input_rate / 1000 < self._handed[0]
        return max(heard.at, self._paused) if handed or self._detects else None

    def replaced(self, leg: Leg, *, silent: bool) -> None:
        """``leg`` serves no longer."""
        if leg.turns.replied:
            self.dead = 0
        if not silent:
            self.doubts = max(0, self.doubts - 1)

    def judge(self, leg: Leg, current: Leg | None) -> None:
        """``leg``, which was replaced for its silence, has ended: did it live? Then it owed nothing."""
        if not leg.signs.closed:
            self.doubts, self.dead = 0, self.dead + 1
            return
        self.doubts, self.dead = self.doubts + 1, 0
        self.unheard.taken()
        heard = None if current is None else current.turns.user.heard
        self._excused = "" if heard is None else heard.item
