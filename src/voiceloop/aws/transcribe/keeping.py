"""When a connection has had its day, when it seems to be deaf, and whether to try another one.

Pure: no I/O, and every time is given.
"""

from __future__ import annotations

import math

from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.aws.faults import fault_of
from voiceloop.aws.transcribe.sending import level
from voiceloop.errors import ProviderError, ProviderTimeout
from voiceloop.rules.backoff import Backoff

# A stream ends after 4 hours. Source: Amazon Transcribe developer guide, "Guidelines and quotas".
_OLD, _TOO_OLD = 13_800.0, 14_340.0  # s: from the first on, the next quiet moment; at the second, whatever goes on
_BEFORE_EXPIRY = 300.0, 60.0  # s before credentials end, the same two
_YOUNG = 60.0  # s in which no connection is old

_OPENING, _REOPENING = Backoff(attempts=5), Backoff(most=2.0, attempts=1000)
_RENEWALS = 2  # connections with credentials that the service then calls expired
_OUTAGE = 25.0  # s without a word from the service, after which a stream that stood is given up: audio is kept for 30
_PROVEN, _PROVEN_IN_SILENCE = 30.0, 1.0  # s after which a connection counts as one that worked

# Silence in real time brings the final of what was said. A stream ends 15 s after the last audio, in the service's
# own words then.
_LET_GO = 0.2  # s without audio before silence is sent, when the user paused
_PAUSE = 1.0  # the same in the midst of speech
_PAUSE_MS = 1000.0  # of audio after which the user has gone on, or is silent for all to hear
_PIECES = 1.5  # pieces of audio that may be late by so much of their length
_AHEAD = 1.0  # s by which silence may run ahead of the clock when somebody waits for a final
_FINISH_MS, _FINISH_MOST_MS = 2000.0, 10_000.0  # of such silence, and as long as a segment is unfinished
_KEEP_ALIVE = 5.0  # s from then on
SILENCE_MS = 100.0
"""How much silence goes in one message."""

_LOUD = -45.0  # dBFS: speech, for a service that says nothing at all
_PATIENCE_MS, _LONGEST_PATIENCE_MS = 5000.0, 160_000.0  # of loud audio


@frozen
class Age:
    """When a connection has to make room for a new one, on the clock."""

    old: float
    too_old: float

    @classmethod
    def of(cls, now: float, lives: float | None) -> Age:
        """A connection that begins now, with credentials that live for so many seconds more (None: for ever)."""
        old, too_old = _OLD, _TOO_OLD
        if lives is not None:
            old, too_old = min(old, lives - _BEFORE_EXPIRY[0]), min(too_old, lives - _BEFORE_EXPIRY[1])
        return cls(now + max(old, _YOUNG), now + max(too_old, _YOUNG))

    def over(self, now: float, *, quiet: bool) -> bool:
        """Whether it is time. ``quiet``: no segment of speech would be torn."""
        return now >= (self.old if quiet else self.too_old)


@define(eq=False)
class Lull:
    """For how long to wait for audio before silence is sent in its place.

    When the user paused and no more audio comes (a button was let go), silence goes out at once, as far ahead of the
    clock as audio may be, so that the final of the last words comes soon.
    """

    _piece: float = field(default=0.0, init=False)  # s of audio that were given at once
    _pause_ms: float = field(default=0.0, init=False)  # of audio that may come before a pause is over
    _silent_ms: float = field(default=math.inf, init=False)  # sent since the last audio
    _until: float = field(default=-math.inf, init=False)  # the time on the clock to which all that was sent reaches

    def given(self, ms: float) -> None:
        """Audio came in one piece."""
        self._piece = ms / 1000
        self._pause_ms = 0.0 if self._silent_ms else max(0.0, self._pause_ms - ms)

    def paused(self) -> None:
        """The user paused, in what was given so far."""
        self._pause_ms = _PAUSE_MS

    def sent(self, ms: float, now: float, *, silence: bool) -> None:
        """Audio or silence went out at ``now``."""
        self._silent_ms = self._silent_ms + ms if silence else 0.0
        self._until = max(self._until + ms / 1000, now)

    def patience(self, now: float, *, unfinished: bool) -> float:
        """Seconds from the last message on. ``unfinished``: a segment awaits its final."""
        if self._silent_ms >= (_FINISH_MOST_MS if unfinished else _FINISH_MS):
            return _KEEP_ALIVE
        if not self._silent_ms:
            return min(_PAUSE, max(_LET_GO, _PIECES * self._piece)) if self._pause_ms else _PAUSE
        real_time = SILENCE_MS / 1000
        return min(real_time, max(0.0, self._until - now - _AHEAD)) if self._pause_ms else real_time


@define(eq=False)
class Persistence:
    """Counts failures in a row, and says how long to wait before the next connection."""

    _failed: int = 0
    _since: float = 0.0

    def works(self) -> None:
        """The service has said something."""
        self._failed = 0

    def wait(self, error: ProviderError, opened: float, now: float, *, stood: bool, chance: float) -> float:
        """Seconds to wait after ``error`` ended a connection of ``opened``. ``stood``: there was one that worked.

        Raises ``error`` when another connection would not help.
        """
        fault = fault_of(error)
        renews = fault is not None and fault.remedy == "renew credentials"
        if not (error.retryable or renews):
            raise error
        silence = isinstance(error, ProviderTimeout) and fault is not None  # the service's own: it had no audio
        if now - opened >= (_PROVEN_IN_SILENCE if silence else _PROVEN):
            self._failed = 0
        if not self._failed:
            self._since = now
        self._failed += 1
        delay = (_REOPENING if stood else _OPENING).delay(self._failed, chance)
        if delay is None or now + delay - self._since > _OUTAGE or (renews and self._failed > _RENEWALS):
            raise error
        return delay


class Deaf(ProviderTimeout):
    """The service takes loud audio and says nothing at all."""


@define(eq=False)
class Attention:
    """Notices a connection that has gone deaf. What is loud may not be speech, so patience grows with each one."""

    format: AudioFormat
    _patience_ms: float = field(default=_PATIENCE_MS, init=False)
    _loud_ms: float = field(default=0.0, init=False)
    _since: float | None = field(default=None, init=False)  # when loud audio was first sent

    def sent(self, pcm: bytes, now: float) -> None:
        """More audio was sent. Raises Deaf when a new connection should be tried."""
        if level(pcm, self.format) > _LOUD:
            self._since = now if self._since is None else self._since
            self._loud_ms += self.format.ms(self.format.samples(pcm))
        if self._since is not None and min(self._loud_ms, (now - self._since) * 1000) >= self._patience_ms:
            self._patience_ms = min(2 * self._patience_ms, _LONGEST_PATIENCE_MS)
            raise Deaf("says nothing", provider="Amazon Transcribe", doing="listening", retryable=True)

    def heard(self) -> None:
        """The service has said something."""
        self._patience_ms = _PATIENCE_MS
        self.restart()

    def restart(self) -> None:
        """A new connection."""
        self._loud_ms, self._since = 0.0, None
