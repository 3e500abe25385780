"""Positions in the user's audio against the clock, also where audio is missing."""

from __future__ import annotations

from math import inf

from attrs import define, field

_ROUNDING = 1e-6


@define
class InputTime:
    """Positions in the input, in ms from its first sample; times in seconds. Made at the time ``captured``.

    ``ms``: how much has arrived. ``taken_ms``: how much of it the model has taken, which may lag behind a recording.
    Silence that a detector was given for missing input is no part of it.
    """

    captured: float
    ms: float = field(default=0.0, init=False)
    taken_ms: float = field(default=0.0, init=False)
    _taken: float = field(default=-inf, init=False)
    _arrived: float = field(init=False)
    _fed_ms: float = field(default=0.0, init=False)
    _fed_before_ms: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._arrived = self.captured

    def arrive(self, duration_ms: float, captured: float, now: float) -> None:
        """``duration_ms`` more came, whose last sample was ``captured`` then."""
        self.ms += duration_ms
        self.captured, self._arrived = captured, now
        self._fed_before_ms = self._fed_ms

    def take(self, behind_ms: float, now: float) -> None:
        """The model has taken all but the last ``behind_ms``."""
        self.taken_ms, self._taken = self.ms - behind_ms, now

    def wall(self, ms: float) -> float:
        """When ``ms`` of the input was captured."""
        return self.captured - (self.ms - ms) / 1000

    def had(self, ms: float) -> float:
        """When the model had taken ``ms`` of the input, if it takes it at the pace of speech."""
        return self._taken - (self.taken_ms - ms) / 1000

    def since_ms(self, ms: float, now: float, *, had: float = -inf) -> float:
        """How long ago ``ms`` of the input was captured, and the model ``had`` it, in ms; never less than 0."""
        return max(0.0, (now - max(self.wall(ms), had)) * 1000)

    def of_detector(self, ms: float) -> float:
        """A detector's position, without the silence that it was given for missing input."""
        return max(0.0, min(ms - self._fed_before_ms, self.ms))

    def missing_ms(self, now: float, after: float) -> float:
        """The silence that stands for missing input and was not counted yet; 0 in the first ``after`` seconds."""
        gap = now - self._arrived
        if gap < after - _ROUNDING:
            return 0.0
        missing = gap * 1000 - (self._fed_ms - self._fed_before_ms)
        self._fed_ms += missing
        return missing
