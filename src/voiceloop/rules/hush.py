"""When a service that answers of its own accord has fallen silent, though something is to be answered.

While neither it nor the user speaks, nothing tells whether such a service still lives. So its silence counts from
when it owes something. It may owe nothing after all: what the session's detector took for speech may have been noise,
which services ignore. Whoever replaces a silent connection learns from how it ends whether it lived, and waits longer
the next time if it did.
"""

from __future__ import annotations

from attrs import define, frozen

_MOST = 4


@frozen
class Owed:
    """What is owed, each as the time from which on it is, in s on one clock (None: nothing of the kind).

    ``life``: when anything last came. ``speech``: the end of speech that was taken up in no way. ``words``: when the
    service last told of what the user said, without a reply since. ``reply``: when something last came of a reply
    that is not complete. ``told``: when the service was last given something that it has to answer.
    """

    life: float
    speech: float | None = None
    words: float | None = None
    reply: float | None = None
    told: float | None = None

    def silent(self, now: float, within: float, doubts: int = 0) -> bool:
        """Whether it is silent for too long: ``within`` seconds, and twice as long for each of the ``doubts``, up to
        four: silent connections that proved to live."""
        since = [at for at in (self.speech, self.words, self.reply, self.told) if at is not None]
        return bool(since) and now - max(self.life, min(since)) >= within * 2.0 ** min(doubts, _MOST)


@define
class Unheard:
    """The user's speech, as the session's detector hears it, of which the service told nothing so far.

    ``rate`` of the input in Hz. ``least``: seconds of speech, in one piece or several, below which it may be a noise.
    ``pause``: seconds after which a pause ends speech: longer than services wait for the end of a turn, since some
    tell nothing before. ``start`` and ``end``: its first and last sample so far (None: there is none). ``at``: when
    it last ended.
    """

    rate: int
    least: float = 0.5
    pause: float = 2.5
    start: int | None = None
    end: int = 0
    at: float = 0.0
    _began: int | None = None
    _voiced: int = 0
    _over: tuple[float, int] | None = None

    def begins(self, sample: int, now: float) -> None:
        """The user speaks, from ``sample`` on."""
        self._over = self.over(now)
        self.start = sample if self.start is None else self.start
        self._began = sample if self._began is None else self._began

    def pauses(self, sample: int, now: float) -> None:
        """They pause, at ``sample``."""
        if self._began is not None:
            self._voiced += sample - self._began
            self._began, self.end, self.at = None, sample, now

    def taken(self) -> None:
        """The service told of it."""
        self.start = self._began = self._over = None
        self._voiced = 0

    def over(self, now: float) -> tuple[float, int] | None:
        """When the first of it ended that counts, and with which sample; None: it goes on, or is too little."""
        if self._over is not None or self.start is None:
            return self._over
        ended = self._began is None and now - self.at >= self.pause
        return (self.at, self.end) if ended and self._voiced >= self.least * self.rate else None
