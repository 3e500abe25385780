"""From espeak's events to visemes and words, while the audio is still being made. Pure."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from voiceloop.local._shapes import Shape, Shapes
from voiceloop.local._text import words
from voiceloop.visemes import SILENCE, viseme_of_ipa

_STRESS = "ˈˌ"
_PUNCTUATION = "，。、！？；：…“”‘’（）《》「」 "
_STOPS = frozenset("pbtdkɡgcɟqʈɖʔ")
_CLOSURE = 50.0  # ms: the longest closure looked for before the release of a stop
_STEP = 2.5
_QUIET = 250  # of 32768


@frozen
class SpokenSpan:
    """Characters ``start`` to ``end`` of the text, spoken from ``ms`` until ``end_ms``."""

    start: int
    end: int
    ms: float
    end_ms: float | None = None


@define(eq=False)
class Marks:
    """Marks of one piece of text, whose audio grows in ``pcm``; times in ms from its first sample.

    espeak tells of a stop at its release and puts the closure into what went before: here a stop begins with the
    quiet before its release. The latest shapes and the latest word are held back, since what follows may change them.
    """

    text: str
    rate: int
    pcm: array[int]
    _word: SpokenSpan | None = field(default=None, init=False)
    _expected: deque[tuple[int, int]] = field(init=False)
    _shapes: Shapes = field(factory=Shapes, init=False)
    _words: list[SpokenSpan] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._expected = deque(words(self.text))

    @property
    def settled(self) -> float:
        """All marks before this time have been given by :meth:`take`, once it has been called."""
        shapes = self._shapes.settled
        return min(shapes, self._word.ms) if self._word is not None else shapes

    def take(self) -> tuple[list[Shape], list[SpokenSpan]]:
        """The shapes and words that are settled since the last call."""
        words, self._words = self._words, []
        return self._shapes.take(), words

    def word(self, sample: int, position: int) -> None:
        """espeak begins a word, or a part of one, at character ``position`` of the text."""
        ms = self._ms(sample)
        while position < len(self.text) and self.text[position].isspace():
            position += 1  # seen after abbreviations
        missed = self._missed(position)
        if self._expected and self._expected[0][0] <= position:
            self._end_word(ms, missed)
            self._word = SpokenSpan(*self._expected.popleft(), ms)
        elif (word := self._word) is not None and self._divides(word, position):
            inside = self.text[word.start : position].rstrip(_PUNCTUATION)
            self._word = evolve(word, end=word.start + len(inside))
            self._end_word(ms, ())
            self._word = SpokenSpan(position, word.end, ms)

    def _missed(self, position: int) -> list[tuple[int, int]]:
        """The words before ``position`` of which espeak did not tell, but for signs that are not spoken."""
        missed = []
        while self._expected and self._expected[0][1] <= position:
            missed.append(self._expected.popleft())
        return [(start, end) for start, end in missed if any(map(str.isalnum, self.text[start:end]))]

    def phoneme(self, sample: int, ipa: str) -> None:
        """espeak begins a phoneme at ``sample``, of which the audio is there; an empty one is a pause."""
        code = viseme_of_ipa(ipa)
        ms = self._ms(sample)
        bare = ipa.strip(_STRESS)
        if self._word is not None:
            paused = self._word.end_ms if self._word.end_ms is not None else ms
            self._word = evolve(self._word, end_ms=paused if code == SILENCE else None)
        latest = self._shapes.latest
        if bare[:1] in _STOPS and latest is not None and latest.code != SILENCE:
            ms = max(self._closure(sample), latest.ms)
        self._shapes.begin(bare, ms)

    def finish(self) -> None:
        """The audio is complete: settle what was held back."""
        end = self._ms(len(self.pcm))
        self._shapes.finish(end)
        self._end_word(end, self._missed(len(self.text)))

    def _end_word(self, ms: float, missed: Sequence[tuple[int, int]]) -> None:
        """End the word that is being spoken; the ``missed`` ones after it get their share of its time."""
        word, self._word = self._word, None
        spans = [*([(word.start, word.end)] if word is not None else []), *missed]
        at = word.ms if word is not None else 0.0
        end = word.end_ms if word is not None and word.end_ms is not None else ms
        each = (end - at) / max(1, sum(stop - start for start, stop in spans))
        for start, stop in spans:
            self._words.append(SpokenSpan(start, stop, at, at + each * (stop - start)))
            at += each * (stop - start)

    def _divides(self, word: SpokenSpan, position: int) -> bool:
        # scripts without blanks between words: each part that espeak tells of is a word
        return word.start < position < word.end and self.text[position].isalpha() and self.text[position] >= "\u0e00"

    def _closure(self, release: int) -> float:
        """Where the quiet begins that ends at sample ``release``, in ms."""
        step = round(_STEP * self.rate / 1000)
        first = max(0, release - round(_CLOSURE * self.rate / 1000))
        start = release
        while start - step >= first:
            stretch = self.pcm[start - step : start]
            if max(stretch) > _QUIET or min(stretch) < -_QUIET:
                break
            start -= step
        return self._ms(start)

    def _ms(self, sample: int) -> float:
        return sample * 1000 / self.rate
