"""What the listener has heard: the playhead of one turn, and the text behind a position."""

from __future__ import annotations

import re
from bisect import bisect_right
from math import inf

from attrs import define, field, frozen

from voiceloop.events import Heard

WITHOUT_REPORTS_MS = 300.0
"""How wrong an estimate may be when the player never reported: network and player buffer."""

ROUNDING_MS = 1.0
"""Players report ms, and may round them: one that is this close to the end of what it was given is at the end."""

_MS_PER_CHARACTER = 65.0
"""The pace of speech assumed for text whose audio has not ended yet."""


@define
class Playhead:
    """Where playback of one turn stands: reported by the player, or estimated from what was delivered when.

    Times are seconds, positions ms of the turn's audio. The position never exceeds what was delivered, nor the time
    since the first delivery, and stands still in underruns and pauses. ``paced=False``: the audio goes to a file, and
    what is delivered counts as heard.
    """

    paced: bool = True
    delivered_ms: float = 0.0
    reported: bool = False
    stopped: bool = False
    _first: float | None = None
    _ends: float = 0.0
    _paused_left: float | None = None
    _reported_at: float = 0.0
    _reported_ms: float = 0.0
    _moved: tuple[float, float] = (-inf, 0.0)  # to where the player moved last, and when

    def deliver(self, duration_ms: float, now: float) -> None:
        """More audio left for the listener."""
        if self._first is None:
            self._first = now
        if self._reported_ms >= self.delivered_ms:
            self._moved = self._reported_ms, now
        self.delivered_ms += duration_ms
        if self._paused_left is not None:
            self._paused_left += duration_ms
        else:
            self._ends = max(self._ends, now) + duration_ms / 1000

    def pause(self, now: float) -> None:
        """The listener was told to pause."""
        if self._paused_left is None:
            self._paused_left = self.ahead_ms(now)

    def resume(self, now: float) -> None:
        """Playback goes on where it stopped."""
        if self._paused_left is not None:
            self._ends, self._paused_left = now + self._paused_left / 1000, None
            self._moved = self._reported_ms, now

    def report(self, ms: float, now: float, *, stopped: bool = False) -> None:
        """The player is at ``ms``; ``stopped``: and will play no more of this turn. Nothing counts after that."""
        if not stopped and ms < self._reported_ms:
            return  # overtaken by a later report
        if self.stopped or self._first is None:
            return
        ms = max(0.0, min(ms, self.delivered_ms, (now - self._first) * 1000 if self.paced else ms))
        if self.delivered_ms - ms < ROUNDING_MS:
            ms = self.delivered_ms
        left = self.delivered_ms - ms
        if self._paused_left is not None:
            self._paused_left = left
        else:
            self._ends = now + left / 1000
        if ms - self._moved[0] >= ROUNDING_MS or not self.reported:
            self._moved = ms, now
        self.reported, self._reported_at, self._reported_ms = True, now, ms
        if stopped:
            self.stopped, self._paused_left = True, left

    def stop(self, now: float) -> None:
        """The player plays no more, from where it was reported to be."""
        self.report(self._reported_ms, now, stopped=True)

    def position_ms(self, now: float) -> float:
        """How much of the turn's audio was played by ``now``."""
        return self.delivered_ms - self.ahead_ms(now)

    def ahead_ms(self, now: float) -> float:
        """How much of what was delivered is still to be played."""
        if not self.paced and not self.stopped:
            return 0.0
        if self._paused_left is not None:
            return self._paused_left
        return max(0.0, min(self.delivered_ms, (self._ends - now) * 1000))

    def still(self, now: float) -> float:
        """For how many seconds the player, by its reports, has not moved though it has audio and is not paused."""
        waits = self._paused_left is not None or self.stopped or not self.paced
        if waits or not self.reported or self._reported_ms >= self.delivered_ms:
            return 0.0
        return now - self._moved[1]

    def ends_at(self) -> float:
        """When all that was delivered will have been played, if nothing pauses it."""
        return self._ends

    @property
    def certain_of_all(self) -> bool:
        """Whether it is known, not estimated, that all that was delivered was played."""
        return not self.paced or (self.reported and self._reported_ms >= self.delivered_ms)

    def uncertainty_ms(self, now: float) -> float:
        """How far :meth:`position_ms` may be off."""
        if (self.stopped and self.reported) or self.certain_of_all:
            return 0.0
        return max(0.0, now - self._reported_at) * 1000 if self.reported else WITHOUT_REPORTS_MS


@frozen
class SpokenAt:
    """Characters ``start`` to ``end`` of the reply are spoken from ``ms`` to ``end_ms`` (None: not known yet)."""

    start: int
    end: int
    ms: float
    end_ms: float | None = None


@define
class Script:
    """What a turn says, and when: its text, its words' times where the voice tells them, else its clauses'.

    ``shown``: how many characters of the text have left. ``told``: what the model itself says it spoke.
    """

    said: str = ""
    shown: int = 0
    words: list[SpokenAt] = field(factory=list)
    spans: list[SpokenAt] = field(factory=list)
    complete: bool = False
    speaks: bool = True
    told: str | None = None

    def at_most_told(self, text: str) -> str:
        """The prefix ``text`` of an interrupted reply; without word times cut to what the model says it spoke."""
        if self.told is None or self.words:
            return text
        said, told = self.said.split(), self.told.split()
        if said[: len(told)] != told or len(text.split()) <= len(told):
            return text
        return text[: [word.end() for word in re.finditer(r"\S+", text)][len(told) - 1]] if told else ""

    def spoken(self) -> list[tuple[str, float]]:
        """The words and when each is spoken, in ms; spread evenly where the voice tells no times."""
        if self.words:
            return [(self.said[word.start : word.end], word.ms) for word in self.words]
        return [
            (self.said[span.start + match.start() : span.start + match.end()], span.ms + match.start() * pace)
            for span in self.spans
            for pace in (_pace(span),)
            for match in re.finditer(r"\S+", self.said[span.start : span.end])
        ]

    def heard(self, position_ms: float, total_ms: float) -> tuple[str, bool]:
        """The prefix of ``said`` that was heard at ``position_ms`` of ``total_ms``, and whether it is exact.

        A word counts as heard once it was played to its end. Without word times the text of a clause is taken to be
        spoken evenly. Monotone in the position.
        """
        if not self.speaks:
            return self.said[: self.shown], True
        if self.complete and position_ms >= total_ms - 1e-6:
            return self.said, True
        if self.words:
            return self.said[: self._words_end(position_ms, total_ms)], True
        return self.said[: self._proportional_end(position_ms, total_ms)], False

    def _words_end(self, position_ms: float, total_ms: float) -> int:
        at = bisect_right(self.words, position_ms, key=lambda word: word.ms) - 1
        if at < 0:
            return 0
        word = self.words[at]
        if word.end_ms is not None:
            ends = word.end_ms
        else:
            ends = self.words[at + 1].ms if at + 1 < len(self.words) else total_ms
        if position_ms < ends - 1e-6:
            at -= 1
        return self._with_punctuation(max((w.end for w in self.words[: at + 1]), default=0)) if at >= 0 else 0

    def _proportional_end(self, position_ms: float, total_ms: float) -> int:
        end = 0
        for span in self.spans:
            if position_ms <= span.ms:
                break
            ends = span.end_ms
            if ends is None:
                ends = max(total_ms, span.ms + (span.end - span.start) * _MS_PER_CHARACTER)
            share = min(1.0, (position_ms - span.ms) / max(ends - span.ms, 1.0))
            end = max(end, span.start + int((span.end - span.start) * share))
        return self._whole_words(end)

    def _whole_words(self, end: int) -> int:
        if 0 < end < len(self.said) and not self.said[end].isspace():
            cut = max(self.said.rfind(" ", 0, end), self.said.rfind("\n", 0, end))
            return max(cut, 0)
        return end

    def _with_punctuation(self, end: int) -> int:
        while end < len(self.said) and not (self.said[end].isspace() or self.said[end].isalnum()):
            end += 1
        return end


def _pace(span: SpokenAt) -> float:
    if span.end_ms is None:
        return _MS_PER_CHARACTER
    return (span.end_ms - span.ms) / max(span.end - span.start, 1)


def heard(script: Script, playhead: Playhead, now: float, *, total_ms: float) -> Heard:
    """What was heard of a turn by ``now``, and how well it is known; ``total_ms``: audio made for it so far."""
    position = playhead.position_ms(now)
    text, exact = script.heard(position, total_ms)
    uncertainty = playhead.uncertainty_ms(now)
    known = playhead.stopped or not playhead.paced or position >= total_ms - 1e-6  # else the player went on since
    certain = not script.speaks or (exact and known and uncertainty == 0.0)
    return Heard(
        text=text,
        ms=round(position, 3),
        basis="measured" if certain else "estimated",
        uncertainty_ms=0.0 if certain else round(max(uncertainty, 0.0 if exact else WITHOUT_REPORTS_MS), 3),
    )
