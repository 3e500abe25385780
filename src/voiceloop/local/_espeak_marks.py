"""From espeak's events to visemes and words, while the audio is still being made. Pure."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from voiceloop.local._espeak_text import words
from voiceloop.visemes import SILENCE, glide_of_ipa, viseme_of_ipa

_STRESS = "ˈˌ"
_PUNCTUATION = "，。、！？；：…“”‘’（）《》「」 "
_STOPS = frozenset("pbtdkɡgcɟqʈɖʔ")
_CLOSURE = 50.0  # ms: the longest closure looked for before the release of a stop
_STEP = 2.5
_QUIET = 250  # of 32768
_SHORTEST = 20.0  # ms: a shape that lasts less is not seen; closed lips are
_GLIDE = 160.0  # ms: a diphthong at least this long ends in a shape of its own


@frozen
class Shape:
    """A mouth shape from ``ms`` until ``end_ms``, and the phoneme that it is for."""

    code: str
    ms: float
    end_ms: float
    ipa: str


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
    _held: deque[Shape] = field(factory=deque, init=False)
    _word: SpokenSpan | None = field(default=None, init=False)
    _expected: deque[tuple[int, int]] = field(init=False)
    _shapes: list[Shape] = field(factory=list, init=False)
    _words: list[SpokenSpan] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._expected = deque(words(self.text))

    @property
    def settled(self) -> float:
        """All marks before this time have been given by :meth:`take`, once it has been called."""
        shapes = self._held[0].ms if self._held else 0.0
        return min(shapes, self._word.ms) if self._word is not None else shapes

    def take(self) -> tuple[list[Shape], list[SpokenSpan]]:
        """The shapes and words that are settled since the last call."""
        taken = self._shapes, self._words
        self._shapes, self._words = [], []
        return taken

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
        if bare[:1] in _STOPS and self._held and self._held[-1].code != SILENCE:
            ms = max(self._closure(sample), self._held[-1].ms)
        self._begin(Shape(code, ms, ms, bare))

    def finish(self) -> None:
        """The audio is complete: settle what was held back."""
        end = self._ms(len(self.pcm))
        if len(self._held) > 1 and self._is_short(self._held[-1], end):
            self._held.pop()
        while self._held:
            self._settle(end)
        self._end_word(end, self._missed(len(self.text)))

    def _begin(self, shape: Shape) -> None:
        held = self._held
        if not held:
            if shape.ms >= _SHORTEST and shape.code != SILENCE:
                held.append(Shape(SILENCE, 0.0, 0.0, ""))
            else:
                shape = evolve(shape, ms=0.0)
        elif self._is_short(held[-1], shape.ms):
            short = held.pop()
            shape = shape if held else evolve(shape, ms=short.ms)
        else:
            self._glide(held[-1], shape.ms)
        if not held or held[-1].code != shape.code:
            held.append(shape)
        while len(held) > 2:
            self._settle(0.0)

    def _glide(self, last: Shape, end: float) -> None:
        glide = glide_of_ipa(last.ipa) if end - last.ms >= _GLIDE else None
        if glide is not None and glide != last.code:
            self._held.append(Shape(glide, last.ms + 0.6 * (end - last.ms), end, last.ipa))

    def _settle(self, end: float) -> None:
        shape = self._held.popleft()
        self._shapes.append(evolve(shape, end_ms=self._held[0].ms if self._held else end))

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

    def _is_short(self, shape: Shape, end: float) -> bool:
        return end - shape.ms < _SHORTEST and shape.code != "p"

    def _ms(self, sample: int) -> float:
        return sample * 1000 / self.rate
