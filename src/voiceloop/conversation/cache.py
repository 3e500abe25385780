"""Views of a growing log, cheap to make again: what is final is rendered once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import attrs

from voiceloop.conversation.values import (
    AssistantEntry,
    Entry,
    HistoryLimits,
    Message,
    ToolCallEntry,
    ToolResultEntry,
    UserEntry,
)
from voiceloop.conversation.view import bytes_of, clean, newest, render, shown

_MOST_LIMITS = 8  # kinds of views kept at once; a session has one or two


@attrs.define
class _Rendered:
    """The blocks of the log as one kind of limits tells them: messages, and their bytes."""

    blocks: list[tuple[Message, ...]] = attrs.Factory(list)
    sizes: list[int] = attrs.Factory(list)


class Views:
    """Makes views of ``log``, which belongs to a Conversation that says what became final and that something changed.

    The final part is divided into blocks. A block begins with words of the user and ends with words of the assistant
    that no call goes with, under all limits; so each is rendered by itself, and a view is some blocks and the rest.
    """

    def __init__(self, log: Sequence[Entry | None]) -> None:
        self.asked = {entry.call: entry for entry in log if isinstance(entry, ToolCallEntry)}
        self._log = log
        self._bounds = [0]  # where blocks begin; the last bound begins the rest
        self._scanned = 0
        self._at_end = False  # the newest scanned group is one that may end a block
        self._calls = False  # the newest scanned group has calls
        self._user = True  # the newest scanned group is the user's
        self._rendered: dict[HistoryLimits, _Rendered] = {}
        self._latest: dict[HistoryLimits, tuple[Message, ...]] = {}

    def changed(self) -> None:
        """Something behind the final part is another."""
        self._latest.clear()

    def settled(self, final: int) -> None:
        """The first ``final`` places of the log are final."""
        for index in range(self._scanned, final):
            entry = self._log[index]
            match entry:
                case UserEntry() if clean(entry.text):
                    if self._at_end:
                        self._bounds.append(index)
                    self._user, self._calls, self._at_end = True, False, False
                case UserEntry():  # a picture alone: some views have it, some do not
                    self._at_end = False
                case ToolResultEntry():
                    self._user, self._calls, self._at_end = True, False, False
                case ToolCallEntry():
                    self._user, self._calls, self._at_end = False, True, False
                case AssistantEntry() if shown(entry):
                    self._at_end = self._user or not self._calls
                    self._calls = self._calls and not self._user
                    self._user = False
        self._scanned = max(self._scanned, final)

    def view(self, limits: HistoryLimits) -> tuple[Message, ...]:
        """The view of the log as it is now."""
        if limits not in self._latest:
            if len(self._latest) >= _MOST_LIMITS:
                self._latest.clear()
            self._latest[limits] = self._made(limits)
        return self._latest[limits]

    def _made(self, limits: HistoryLimits) -> tuple[Message, ...]:
        rest = render((e for e in self._log[self._bounds[-1] :] if e is not None), limits, self.asked)
        done = self._blocks(attrs.evolve(limits, total_bytes=None))
        first = 0
        if limits.total_bytes is not None:
            room = limits.total_bytes - sum(map(bytes_of, rest))
            if room < 0:
                return newest(rest, limits)
            first = len(done.blocks)
            while first and done.sizes[first - 1] <= room:
                first -= 1
                room -= done.sizes[first]
        return tuple(chain(*done.blocks[first:], rest))

    def _blocks(self, limits: HistoryLimits) -> _Rendered:
        if limits not in self._rendered and len(self._rendered) >= _MOST_LIMITS:
            self._rendered.clear()
        done = self._rendered.setdefault(limits, _Rendered())
        for index in range(len(done.blocks), len(self._bounds) - 1):
            entries = (e for e in self._log[self._bounds[index] : self._bounds[index + 1]] if e is not None)
            block = render(entries, limits, self.asked)
            done.blocks.append(block)
            done.sizes.append(sum(map(bytes_of, block)))
        return done
