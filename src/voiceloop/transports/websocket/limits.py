"""The bounds of one connection."""

from __future__ import annotations

import attrs
from attrs import define, frozen

from voiceloop.errors import BadInput


@frozen
class SocketLimits:
    """What one client may do, and how long it is waited for. Times in seconds, sizes in bytes.

    ``start``: until it says what it wants. ``silent``: without any message, not even a ping. ``send``: for one
    message to be taken by the client's network. ``text``: the size of a JSON message (pictures make them large).
    ``frame``: the size of a binary one. ``rate``: messages a second, and ``volume``: bytes a second, on average.
    ``ahead``: how far messages and audio may run ahead of that, and of real time. ``asks``: changes of settings that
    may wait for their answer. ``kept``: what is typed and shown in one connection, as the conversation keeps it.
    """

    start: float = 10.0
    silent: float = 45.0
    send: float = 10.0
    text: int = 1_500_000
    frame: int = 65_536
    rate: float = 120.0
    volume: float = 1_000_000.0
    ahead: float = 10.0
    asks: int = 8
    kept: int = 32_000_000

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise BadInput(f"limits.{name}={value!r}: a number above 0 is allowed")


@define
class Bucket:
    """Lets through ``rate`` units a second on average, and up to ``most`` at once."""

    rate: float
    most: float
    _left: float = attrs.field(init=False)
    _at: float | None = attrs.field(default=None, init=False)

    @_left.default
    def _full(self) -> float:
        return self.most

    def take(self, units: float, now: float) -> bool:
        """Whether ``units`` more may pass at ``now`` seconds; if not, nothing is taken."""
        if self._at is not None:
            self._left = min(self.most, self._left + (now - self._at) * self.rate)
        self._at = now
        if units > self._left:
            return False
        self._left -= units
        return True


__all__ = ("Bucket", "SocketLimits")
