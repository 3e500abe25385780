"""From a row of phonemes to mouth shapes worth showing, while the row is still growing. Pure."""

from __future__ import annotations

from collections import deque

from attrs import define, evolve, field, frozen

from voiceloop.visemes import SILENCE, glide_of_ipa, viseme_of_ipa

_SHORTEST = 20.0  # ms: a shape that lasts less is not seen; closed lips are
_GLIDE = 160.0  # ms: a diphthong at least this long ends in a shape of its own


@frozen
class Shape:
    """A mouth shape from ``ms`` until ``end_ms``, and the phoneme that it is for; empty: none."""

    code: str
    ms: float
    end_ms: float
    ipa: str


@define(eq=False)
class Shapes:
    """Mouth shapes that follow each other without a gap from 0 on. The latest two may still change, and are held."""

    _held: deque[Shape] = field(factory=deque, init=False)
    _done: list[Shape] = field(factory=list, init=False)

    @property
    def settled(self) -> float:
        """All shapes before this time have been given by :meth:`take`, once it has been called."""
        return self._held[0].ms if self._held else 0.0

    @property
    def latest(self) -> Shape | None:
        """The shape that goes on."""
        return self._held[-1] if self._held else None

    def begin(self, ipa: str, ms: float) -> None:
        """A phoneme begins at ``ms``; an empty one is a pause."""
        shape = Shape(viseme_of_ipa(ipa), ms, ms, ipa)
        held = self._held
        if not held:
            if ms >= _SHORTEST and shape.code != SILENCE:
                held.append(Shape(SILENCE, 0.0, 0.0, ""))
            else:
                shape = evolve(shape, ms=0.0)
        elif self._is_short(held[-1], ms):
            short = held.pop()
            shape = shape if held else evolve(shape, ms=short.ms)
        else:
            self._glide(held[-1], ms)
        if not held or held[-1].code != shape.code:
            held.append(shape)
        while len(held) > 2:
            self._settle(0.0)

    def finish(self, end: float) -> None:
        """Nothing follows: the last shape lasts until ``end``."""
        if len(self._held) > 1 and self._is_short(self._held[-1], end):
            self._held.pop()
        while self._held:
            self._settle(end)

    def take(self) -> list[Shape]:
        """The shapes that are settled since the last call."""
        taken, self._done = self._done, []
        return taken

    def _glide(self, last: Shape, end: float) -> None:
        glide = glide_of_ipa(last.ipa) if end - last.ms >= _GLIDE else None
        if glide is not None and glide != last.code:
            self._held.append(Shape(glide, last.ms + 0.6 * (end - last.ms), end, last.ipa))

    def _settle(self, end: float) -> None:
        shape = self._held.popleft()
        self._done.append(evolve(shape, end_ms=self._held[0].ms if self._held else end))

    def _is_short(self, shape: Shape, end: float) -> bool:
        return end - shape.ms < _SHORTEST and shape.code != "p"
