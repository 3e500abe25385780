"""Conversations kept in this process, for as long as it runs."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Sequence

from voiceloop.conversation import AssistantEntry, Entry, ToolCallEntry, ToolResultEntry, UserEntry
from voiceloop.errors import BadInput, MemoryConflict
from voiceloop.interfaces.memory import Memory

_WORD = re.compile(r"\w+")


class InProcessMemory(Memory):
    """Keeps conversations in memory: up to ``conversations`` of them, then the one not used for longest goes.

    Raises BadInput when ``conversations`` is less than 1.
    """

    def __init__(self, *, conversations: int = 10_000) -> None:
        if conversations < 1:
            raise BadInput(f"conversations={conversations!r} must be at least 1")
        self._most = conversations
        self._kept: OrderedDict[str, list[Entry]] = OrderedDict()

    async def load(self, conversation: str) -> Sequence[Entry]:
        """All entries, oldest first; empty for an unknown id."""
        return tuple(self._used(conversation))

    async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
        """Add ``entries`` behind the first ``after`` ones. What stands there already is not added again.

        Raises MemoryConflict when other entries stand there, or fewer than ``after``; BadInput for ``after`` below 0.
        """
        if after < 0:
            raise BadInput(f"after={after!r} must be 0 or more: it counts entries")
        kept = self._used(conversation)
        there = kept[after : after + len(entries)]
        if after > len(kept) or there != list(entries[: len(there)]):
            raise MemoryConflict(
                f"conversation {conversation!r} has {len(kept)} entries, and not these after the first {after}",
                doing="appending to a conversation",
                hint="Load it again; it was changed by another session, or forgotten.",
            )
        new = entries[len(there) :]
        if not new:
            return
        self._kept.setdefault(conversation, []).extend(new)
        self._kept.move_to_end(conversation)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def recall(self, conversation: str, query: str, limit: int) -> Sequence[Entry]:
        """Up to ``limit`` entries that share words with ``query``: rare words count more, newer entries win."""
        kept = self._used(conversation)
        words = [_words(_text(entry)) for entry in kept]
        common = Counter(word for each in words for word in each)
        asked = _words(query)
        scores = [sum(1 / common[word] for word in sorted(each & asked)) for each in words]
        found = [index for index in range(len(kept)) if scores[index] > 0]
        found.sort(key=lambda index: (scores[index], index), reverse=True)
        return tuple(kept[index] for index in found[: max(0, limit)])

    async def forget(self, conversation: str) -> None:
        """Delete the conversation; an unknown id is no error."""
        self._kept.pop(conversation, None)

    def _used(self, conversation: str) -> list[Entry]:
        if conversation not in self._kept:
            return []
        self._kept.move_to_end(conversation)
        return self._kept[conversation]


def _text(entry: Entry) -> str:
    match entry:
        case UserEntry(text=text) | ToolResultEntry(result=text):
            return text
        case AssistantEntry():
            return entry.said if entry.heard is None else entry.heard.text
        case ToolCallEntry():
            return ""


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
