"""What a session would remember of a call that is held over a link."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from attrs import define, field

from voiceloop.conversation import HistoryLimits, Message, TextPart
from voiceloop.conversation.view import newest

Role: TypeAlias = Literal["user", "assistant"]
_MOST = 60


def messages(pairs: Iterable[tuple[Role, str]]) -> tuple[Message, ...]:
    """Roles and texts as messages."""
    return tuple(Message(role, (TextPart(text),)) for role, text in pairs)


@define(eq=False)
class Memory:
    """The newest of what was said: role, text, and the reply's number or 0."""

    entries: list[tuple[Role, str, int]] = field(factory=list)

    def add(self, role: Role, text: str, reply: int = 0) -> None:
        """Keep what was said; more of a reply is added to it."""
        for index, (_, before, number) in enumerate(self.entries):
            if reply and number == reply:
                self.entries[index] = (role, before + text, reply)
                return
        self.entries.append((role, text, reply))
        del self.entries[:-_MOST]

    def forget(self, reply: int) -> None:
        """A reply that nobody heard."""
        self.entries = [entry for entry in self.entries if entry[2] != reply]

    def told(self, limits: HistoryLimits, most: int = _MOST) -> tuple[Message, ...]:
        """The newest ``most`` of it, within ``limits``."""
        return newest(messages((role, text) for role, text, _ in self.entries[-most:]), limits)
