"""When each piece of a reply leaves: audio paced and re-framed, its marks just before it, late ones marked late."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Literal, TypeAlias

import attrs
from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.events import AudioChunk, ReplyText, TurnStarted, Viseme, Word
from voiceloop.rules.playout import Playhead

Visemes: TypeAlias = Literal["off", "prompt", "synced"]
Piece: TypeAlias = TurnStarted | ReplyText | Viseme | Word | AudioChunk

_LONGEST_CHUNK_MS = 100
_TICK = 1e-6


@frozen
class Pacing:
    """How audio is let out: ``lead`` seconds ahead of the listener (None: at once), in chunks of exactly ``chunk_ms``
    (None: as it came, at most 100 ms), waiting up to ``mark_wait`` seconds for marks still to come."""

    format: AudioFormat
    lead: float | None = 0.6
    chunk_ms: int | None = None
    mark_wait: float = 0.08
    frame: int = field(init=False)
    """Samples in a chunk: exactly with ``chunk_ms``, else at most."""

    @frame.default
    def _frame(self) -> int:
        return self.format.samples_in(self.chunk_ms or _LONGEST_CHUNK_MS)


@define(eq=False)
class Track:
    """One turn on its way out: fed with what the model makes, asked for what may leave now. ``held`` stops it.

    ``opening`` leaves first; text leaves at once, audio when :class:`Pacing` lets it, its marks just before it.
    What feeds it returns whether something may leave sooner than :meth:`next` said.
    """

    turn: int
    pacing: Pacing
    playhead: Playhead
    opening: TurnStarted | None = None
    held: bool = False
    ended: bool = False
    released: int = 0
    made: int = 0
    _texts: deque[ReplyText] = field(factory=deque)
    _audio: bytearray = field(factory=bytearray)
    _arrivals: deque[tuple[int, float]] = field(factory=deque)
    _marks: list[tuple[float, int, Viseme | Word]] = field(factory=list)
    _marks_until_ms: float = 0.0
    _count: int = 0

    def text(self, text: str, start: int) -> bool:
        """More of the reply's text."""
        if text:
            self._texts.append(ReplyText(turn=self.turn, text=text, start=start))
        return bool(text)

    def audio(self, pcm: bytes, now: float) -> bool:
        """More of the reply's audio, in the session's output format."""
        if not pcm:
            return False
        chunk_was_short = self.made - self.released < self.pacing.frame
        self._audio += pcm
        self.made += self.pacing.format.samples(pcm)
        self._arrivals.append((self.made, now))
        return chunk_was_short

    def mark(self, mark: Viseme | Word) -> bool:
        """A mark, in any order."""
        self._count += 1
        heapq.heappush(self._marks, (mark.ms, self._count, mark))
        return self.ended or mark.ms < self.pacing.format.ms(self.released)

    def marks_until(self, ms: float) -> bool:
        """All marks before ``ms`` have been given."""
        chunk_lacked_marks = self._marks_until_ms < self.pacing.format.ms(self.released + self.pacing.frame)
        self._marks_until_ms = max(self._marks_until_ms, ms)
        return chunk_lacked_marks

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._marks_until_ms = float("inf")

    @property
    def made_ms(self) -> float:
        """How much audio was made so far."""
        return self.pacing.format.ms(self.made)

    @property
    def waiting_ms(self) -> float:
        """How much audio has not left yet."""
        return self.pacing.format.ms(max(0, self.made - self.released))

    @property
    def drained(self) -> bool:
        """All that will ever come has left."""
        return self.ended and not (self.opening or self._audio or self._texts or self._marks)

    def next(self, now: float) -> Piece | float | None:
        """What may leave at ``now``; or the time to ask again; or None: not before something else happens."""
        if self.held:
            return None
        if self.opening is not None:
            opening, self.opening = self.opening, None
            return opening
        if self._texts:
            return self._texts.popleft()
        samples = self._ready()
        if not samples:
            return self._last_mark() if self.ended and not self._audio else self._late_mark()
        starts_ms, ends_ms = (self.pacing.format.ms(n) for n in (self.released, self.released + samples))
        when = self._release_at(ends_ms - starts_ms, ends_ms, now)
        if when > now + _TICK:
            return self._late_mark() or when
        return self._mark_before(ends_ms, starts_ms) or self._chunk(samples, ends_ms - starts_ms, now)

    def _ready(self) -> int:
        samples = self.made - self.released
        if samples >= self.pacing.frame:
            return self.pacing.frame
        if self.pacing.chunk_ms and not self.ended:
            return 0
        return self.pacing.frame if self.pacing.chunk_ms and samples > 0 else max(samples, 0)

    def _release_at(self, duration_ms: float, ends_ms: float, now: float) -> float:
        when = now
        if self.pacing.lead is not None:
            ahead = self.playhead.ahead_ms(now)
            if ahead > 0 and ahead + duration_ms > self.pacing.lead * 1000:
                when += min(ahead, ahead + duration_ms - self.pacing.lead * 1000) / 1000
        if ends_ms > self._marks_until_ms:
            needed = min(self.made, self.pacing.format.samples_in(ends_ms))
            arrived = next((at for made, at in self._arrivals if made >= needed), now)
            when = max(when, arrived + self.pacing.mark_wait)
        return when

    def _chunk(self, samples: int, duration_ms: float, now: float) -> AudioChunk:
        form = self.pacing.format
        size = form.bytes_of(samples)
        pcm = bytes(self._audio[:size])
        del self._audio[:size]
        if len(pcm) < size:
            pcm += form.silence(samples - form.samples(pcm))
        start, self.released = self.released, self.released + samples
        while self._arrivals and self._arrivals[0][0] <= self.released:
            self._arrivals.popleft()
        self.playhead.deliver(duration_ms, now)
        return AudioChunk(turn=self.turn, pcm=pcm, format=form, start=start)

    def _mark_before(self, ends_ms: float, starts_ms: float) -> Viseme | Word | None:
        if self._marks and self._marks[0][0] < ends_ms:
            mark = heapq.heappop(self._marks)[2]
            return attrs.evolve(mark, late=True) if mark.ms < starts_ms else mark
        return None

    def _late_mark(self) -> Viseme | Word | None:
        return self._mark_before(self.pacing.format.ms(self.released), self.pacing.format.ms(self.released))

    def _last_mark(self) -> Viseme | Word | None:
        if not self._marks:
            return None
        mark, end_ms = heapq.heappop(self._marks)[2], self.pacing.format.ms(self.released)
        return attrs.evolve(mark, ms=min(mark.ms, end_ms), late=mark.ms < end_ms)
