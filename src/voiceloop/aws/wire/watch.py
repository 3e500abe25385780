"""Deadlines that pass whether or not any task is waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from voiceloop import clock
from voiceloop.aws.wire.stream import Deadlines


class Watch:
    """Watches over one stream's peer, from :meth:`start` on.

    ``late`` is called once, with what did not happen and the seconds that it had. ``excused`` says that the peer
    cannot go on, because the window it was given is used up and nobody takes what it sent.
    """

    def __init__(self, deadlines: Deadlines, late: Callable[[str, float], None], excused: Callable[[], bool]) -> None:
        self._deadlines, self._late, self._excused = deadlines, late, excused
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._progress = clock.now()
        self._asked = self._ended = inf
        self._answered = False
        self._watching = False

    def start(self) -> None:
        """Begin to watch."""
        self._watching = True
        self.heard(progress=True)
        self._arm()

    def heard(self, *, progress: bool = False) -> None:
        """Anything came; ``progress``: something of the response, or the peer was let go on."""
        self._heard = clock.now()
        if progress:
            self._progress = self._heard

    def asked(self) -> None:
        """An answer is due from now on."""
        if self._asked == inf and not self._answered:
            self._asked = clock.now()
            self._arm()

    def answered(self) -> None:
        """The response's headers are there."""
        self._answered = True

    def ended(self) -> None:
        """The peer's end is due from now on."""
        if self._ended == inf:
            self._ended = clock.now()
            self._arm()

    def stop(self) -> None:
        """Watch no more."""
        self._watching = False
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> tuple[float, str, float]:
        """When what is due next is due, what it is, and the seconds it has."""
        limits = self._deadlines
        idle = inf if limits.idle is None else limits.idle
        return min(
            (self._asked + limits.headers if not self._answered else inf, "no response came", limits.headers),
            (self._heard + idle, "nothing came from the service", idle),
            (max(self._ended, self._progress) + limits.close, "the service did not end the stream", limits.close),
        )

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due, _, seconds = self._due()
        if due < inf and self._watching:
            if self._excused():
                due = max(due, clock.now() + seconds)
            self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def _look(self) -> None:
        due, what, seconds = self._due()
        if due > clock.now() or self._excused():
            self._arm()
        else:
            self._late(what, seconds)
