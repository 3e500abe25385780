"""The observers of a session: told everything, able to break nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voiceloop.events import Event
from voiceloop.interfaces import Observer


class Watchers:
    """Tells each observer; one that raises is told nothing more, and ``trouble(text)`` is called once."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = list(observers)
        self.trouble: Callable[[str], None] = lambda text: None

    def event(self, event: Event) -> None:
        """See :meth:`Observer.event`."""
        if self._observers:
            self._tell(lambda observer: observer.event(event))

    def input(self, pcm: bytes | bytearray | memoryview, start: int) -> None:
        """See :meth:`Observer.input`."""
        if self._observers:
            heard = bytes(pcm)
            self._tell(lambda observer: observer.input(heard, start))

    def close(self) -> None:
        """See :meth:`Observer.close`."""
        self._tell(lambda observer: observer.close())
        self._observers.clear()

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            try:
                tell(observer)
            except Exception as error:  # noqa: BLE001 - a watcher's bug must not end the conversation; it is told
                self._observers.remove(observer)
                self.trouble(f"{type(observer).__name__} raised {type(error).__name__} and is told nothing more")
