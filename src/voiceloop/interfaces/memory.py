"""Memory: where conversations are kept between sessions."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from voiceloop.conversation import Entry


class Memory(abc.ABC):
    """Keeps the entries of conversations, in order, by conversation id."""

    @abc.abstractmethod
    async def load(self, conversation: str) -> Sequence[Entry]:
        """All entries, oldest first; empty for an unknown id."""

    @abc.abstractmethod
    async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
        """Add ``entries`` behind the first ``after`` ones. Idempotent: the same call again changes nothing.

        Raises MemoryConflict when other entries stand there.
        """

    async def recall(self, conversation: str, query: str, limit: int) -> Sequence[Entry]:
        """Up to ``limit`` older entries that bear on ``query``, the nearest first. The default knows none."""
        return ()

    @abc.abstractmethod
    async def forget(self, conversation: str) -> None:
        """Delete the conversation; an unknown id is no error."""
