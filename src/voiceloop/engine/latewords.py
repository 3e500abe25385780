"""Speech that brought no words: they may still come. If they do not, it is told."""

from __future__ import annotations

import math
from collections.abc import Callable

from voiceloop import clock
from voiceloop.engine.wake import Timers

_LATE = 4.0
"""How long after it was dropped for want of words, in seconds, speech may still turn out to have had some."""

_RECOVERY = 30.0
"""How long a recognizer that connects anew may take to, in seconds: by then one that cannot has failed."""

_WORTH_TELLING_MS = 500.0
"""Shorter speech is more likely a noise."""


class LateWords:
    """``until``: till then words may come of speech that was dropped for want of them.

    ``tell()`` is called when none came of speech worth telling of, and then not again before some words have come.
    """

    def __init__(self, timers: Timers, tell: Callable[[], None]) -> None:
        self._timers = timers
        self._tell = tell
        self._until = -math.inf
        self._dropped = -math.inf
        self._recovering = False
        self._owed = False
        self._told = False

    @property
    def until(self) -> float:
        """See above."""
        return max(self._until, self._dropped + _RECOVERY) if self._recovering else self._until

    def dropped(self, speech_ms: float) -> None:
        """So much speech was dropped."""
        self._dropped, self._until = clock.now(), clock.now() + _LATE
        self._owed = self._owed or speech_ms >= _WORTH_TELLING_MS
        self._wait()

    def expect(self) -> None:
        """An utterance was committed whose words do not reach to the end of speech: the rest may still come."""
        self._until = max(self._until, clock.now() + _LATE)

    def came(self, *, words: bool) -> None:
        """The recognizer has told of words, or that there were none."""
        self._owed = False
        self._told = self._told and not words

    def recovering(self, now_recovering: bool) -> None:
        """Whether the recognizer is connecting anew: what was said meanwhile is told when it has."""
        if self._recovering and not now_recovering and clock.now() < self.until:
            self._until = max(self._until, min(clock.now() + _LATE, self._dropped + _RECOVERY))
            self._wait()
        self._recovering = now_recovering

    def close(self) -> None:
        """No more words will come."""
        self._timers.clear("late words")
        owed, self._owed = self._owed, False
        if owed and not self._told:
            self._told = True
            self._tell()

    def _wait(self) -> None:
        self._timers.set("late words", self._until, self._look)

    def _look(self) -> None:
        if clock.now() < self.until:
            self._timers.set("late words", self.until, self._look)
        else:
            self.close()
