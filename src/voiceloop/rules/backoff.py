"""How long to wait before trying again, and when to stop trying."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen
class Backoff:
    """Exponential backoff with full jitter: each wait is a random part of a bound that grows up to ``most`` seconds.

    ``first``: the bound of the first wait, in seconds. ``factor``: how much the bound grows. ``attempts``: how many
    tries there are in all, the first one included.
    """

    first: float = field(default=0.2, validator=validators.ge(0))
    factor: float = field(default=2.0, validator=validators.ge(1))
    most: float = field(default=5.0, validator=validators.ge(0))
    attempts: int = field(default=4, validator=validators.ge(1))

    def delay(self, attempt: int, chance: float) -> float | None:
        """Seconds to wait after ``attempt`` (from 1) failed, or None to give up. ``chance`` is in [0, 1)."""
        if attempt >= self.attempts:
            return None
        return chance * min(self.most, self.first * self.factor ** min(attempt - 1, 64))
