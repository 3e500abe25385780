"""Observer: watches a session without taking part in it."""

from __future__ import annotations

import abc

from voiceloop.events import Event


class Observer(abc.ABC):
    """Read-only watcher: metrics, logs, recordings. Synchronous and quick; slow work belongs in a thread of its own.

    An observer that raises is told nothing more and a Notice says so; the conversation goes on.
    """

    @abc.abstractmethod
    def event(self, event: Event) -> None:
        """Every event, in the order in which the session yields them, just before it does."""

    def input(self, pcm: bytes, start: int) -> None:
        """Accepted input audio, in the session's ``input`` format; ``start`` is the number of its first sample."""

    def close(self) -> None:
        """The session is over; called once, after its last event."""
