"""What was recognized, on its way to whoever reads it."""

from __future__ import annotations

from attrs import define

from voiceloop.aws.outbox import Outbox
from voiceloop.errors import SlowConsumer
from voiceloop.interfaces import Final, Partial, RecognizerItem

_MOST = 1000


@define(eq=False)
class ItemOutbox(Outbox[RecognizerItem]):
    """Items of the recognizer. A partial that nobody read yet is replaced by a newer one of its item."""

    def put(self, item: RecognizerItem) -> None:
        """Add an item. Raises SlowConsumer when too many wait."""
        last = self._items[-1] if self._items else None
        if isinstance(last, Partial) and isinstance(item, Partial | Final) and item.item == last.item:
            self._items.pop()
        elif len(self._items) >= _MOST:
            raise SlowConsumer(f"nobody took {_MOST} items of the recognizer", doing="listening")
        self.add(item)
