"""Who may ask Polly next: a token bucket, a number of places, and a queue by urgency. Pure: no await, no clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from attrs import Attribute, define, field, frozen

from voiceloop.errors import BadInput, ProviderUnavailable


class Urgency(IntEnum):
    """What is asked for; the smaller is served first."""

    FIRST = 0
    """Audio that somebody is waiting for."""
    AUDIO = 1
    MARKS = 2


def _some(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value < math.inf:
        raise BadInput(f"{attribute.name}={value!r}: a number from 0.1 on is allowed")


@frozen
class Quota:
    """What an engine allows one account in one region: requests ``per_second``, ``burst`` of them at once after a
    rest, and ``places`` for requests at the same time. Raises BadInput."""

    per_second: float = field(validator=_some)
    burst: int = field(validator=_some)
    places: int = field(validator=_some)


QUOTAS: Mapping[str, Quota] = {
    "standard": Quota(80, 100, 80),
    "neural": Quota(8, 10, 18),
    "long-form": Quota(8, 10, 26),
    "generative": Quota(8, 8, 26),
}
"""The default quotas of SynthesizeSpeech (Amazon Polly developer guide, "Quotas in Amazon Polly")."""

_LONGEST_QUEUE = 1000


class Crowded(ProviderUnavailable):
    """Too many want something at once."""


@define(eq=False)
class Limiter:
    """Admits requests within ``quota``: of those that wait, the most urgent first, then the one that came first.

    Of a burst one request is kept back, since requests do not arrive as evenly as they leave.
    All times are in seconds on one clock. Every ticket from :meth:`ask` is given back, by :meth:`leave` before it
    was admitted, by :meth:`done` after.
    """

    quota: Quota
    _tokens: float = field(init=False)
    _since: float = field(default=-math.inf, init=False)
    _running: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)
    _queue: list[tuple[Urgency, int]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self._most

    @property
    def _most(self) -> int:
        return max(1, self.quota.burst - 1)

    def ask(self, urgency: Urgency) -> tuple[Urgency, int]:
        """Stand in the queue. Raises ProviderUnavailable when that is a thousand requests long."""
        if len(self._queue) >= _LONGEST_QUEUE:
            raise self.crowded(f"{_LONGEST_QUEUE} requests are waiting")
        self._count += 1
        ticket = (urgency, self._count)
        heapq.heappush(self._queue, ticket)
        return ticket

    def crowded(self, words: str) -> Crowded:
        """The error of who cannot be served in time."""
        return Crowded(
            f"{words} for a quota of {self.quota.per_second:g} a second, {self.quota.places} at once",
            provider="Amazon Polly",
            doing="waiting for a turn",
            retryable=True,
            hint="Raise the quota in the Service Quotas console, or speak in fewer sessions at once.",
        )

    def take(self, ticket: tuple[Urgency, int], now: float) -> bool:
        """Admit ``ticket`` if it is the next and the quota allows it."""
        if self.wait(ticket, now) > 0:
            return False
        heapq.heappop(self._queue)
        self._tokens -= 1
        self._running += 1
        return True

    def wait(self, ticket: tuple[Urgency, int], now: float) -> float:
        """In how many seconds ``ticket`` may be admitted: 0 is now, infinity that another must go first."""
        if self._queue[0] != ticket or self._running >= self.quota.places:
            return math.inf
        self._refill(now)
        # A token that is short by a rounding error is whole.
        missing = 1 - self._tokens
        return missing / self.quota.per_second if missing > 1e-9 else 0.0

    def leave(self, ticket: tuple[Urgency, int]) -> None:
        """Give up waiting."""
        self._queue.remove(ticket)
        heapq.heapify(self._queue)

    def done(self) -> None:
        """An admitted request is over."""
        self._running -= 1

    def refused(self, now: float) -> None:
        """The service answered that there were too many requests: somebody else uses the quota too."""
        self._refill(now)
        self._tokens = min(self._tokens, 0.0)

    def _refill(self, now: float) -> None:
        if now > self._since:
            if not math.isinf(self._since):
                self._tokens = min(self._most, self._tokens + (now - self._since) * self.quota.per_second)
            self._since = now
