"""The session's append-only log of what was said, heard, asked of tools and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from voiceloop.conversation.cache import Views
from voiceloop.conversation.repair import json_object, repaired
from voiceloop.conversation.values import (
    NO_LIMITS,
    AssistantEntry,
    Entry,
    HistoryLimits,
    ImagePart,
    Message,
    ToolCallEntry,
    ToolResultEntry,
    UserEntry,
)
from voiceloop.errors import BadInput
from voiceloop.events import Heard


@attrs.define
class _Turn:
    """A turn of this session: where its entries are in the log, and how far it is."""

    parts: list[int] = attrs.Factory(list)
    calls: list[int] = attrs.Factory(list)
    heard: Heard | None = None
    state: Literal["open", "settled", "dropped"] = "open"


class Conversation:
    """What was said and heard, in order. Entries may be amended until they are settled; views are always valid.

    ``entries``: an earlier conversation, as a memory gave it back. It is final, and is never rejected: what no
    provider would take is left out of views. Every method raises BadInput when it is told what cannot be.
    """

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._loaded = tuple(entries)
        self._log: list[Entry | None] = list(repaired(self._loaded))  # None: dropped; places never move
        self._first = self._final = len(self._log)
        self._settled = len(self._loaded)
        self._answered = -1  # the newest place at which a settled turn began
        self._turns: dict[int, _Turn] = {}
        self._calls = {e.call: i for i, e in enumerate(self._log) if isinstance(e, ToolCallEntry)}
        self._pending: dict[str, ToolCallEntry] = {}  # of this session, without a result; also of dropped turns
        self._views = Views(self._log)
        self._entries: tuple[Entry, ...] | None = None
        self._views.settled(self._final)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first: those given at the beginning, as they were, then this session's."""
        if self._entries is None:
            self._entries = (*self._loaded, *(e for e in self._log[self._first :] if e is not None))
        return self._entries

    @property
    def settled(self) -> int:
        """How many leading entries are final: ``entries[:settled]`` will never change."""
        return self._settled

    def view(self, limits: HistoryLimits = NO_LIMITS) -> tuple[Message, ...]:
        """A valid history within ``limits``: what was heard, or of a running turn what it said so far.

        It ends with a user message when there is something to answer. Empty before anybody said anything.
        """
        return self._views.view(limits)

    # ------------------------------------------------------------ the user

    def user(
        self,
        text: str,
        *,
        images: Sequence[ImagePart] = (),
        confidence: float | None = None,
        typed: bool = False,
        place: int | None = None,
    ) -> int:
        """The user said or typed ``text``. Returns the entry's handle, for :meth:`amend_user`; it never changes.

        ``place``: one that :meth:`place` kept for it, where it goes unless what follows is final already.
        """
        if not text.strip() and not images:
            raise BadInput("a user entry needs text that is not blank, or pictures")
        entry = UserEntry(text, tuple(images), confidence, typed)
        if place is None or place < self._final:
            return self._add(entry)
        self._change(place, entry)
        return place

    def place(self) -> int:
        """Keep the next place for words of the user that come later than the answer to them."""
        self._log.append(None)
        return len(self._log) - 1

    def amend_user(self, index: int, text: str, confidence: float | None = None) -> None:
        """Correct what the user said, while it is not settled."""
        entry = self._user(index)
        if not text.strip() and not entry.images:
            raise BadInput(f"user entry {index} cannot become blank; withdraw_user() drops one that nothing answered")
        self._change(index, attrs.evolve(entry, text=text, confidence=confidence))

    def amendable(self, index: int) -> bool:
        """Whether ``index`` is a user entry that :meth:`amend_user` may still correct."""
        return self._final <= index < len(self._log) and isinstance(self._log[index], UserEntry)

    def withdraw_user(self, index: int) -> None:
        """Drop the newest user entry, which nothing answered; a turn that began to must be dropped first."""
        self._user(index)
        if any(isinstance(entry, UserEntry) for entry in self._log[index + 1 :]):
            raise BadInput(f"user entry {index} is not the newest; only that can be withdrawn")
        later = (entry for entry in self._log[index + 1 :] if isinstance(entry, AssistantEntry))
        if any(self._turns[entry.turn].parts[0] > index for entry in later):
            raise BadInput(f"user entry {index} is being answered; drop() the turn first")
        self._change(index, None)

    # ------------------------------------------------------------ the assistant

    def assistant(self, turn: int) -> None:
        """Turn ``turn`` begins; nothing is said yet."""
        if turn in self._turns:
            raise BadInput(f"turn {turn} has begun already; every turn has a number of its own")
        self._turns[turn] = _Turn([self._add(AssistantEntry(turn, ""))])

    def wrote(self, turn: int, text: str) -> None:
        """The assistant wrote more text in ``turn``."""
        state = self._open(turn)
        last = state.parts[-1]
        if any(call > last for call in state.calls):
            last = self._add(AssistantEntry(turn, ""))
            state.parts.append(last)
        entry = self._part(last)
        self._change(last, attrs.evolve(entry, said=entry.said + text))
        if state.heard is not None:
            self._spread(state)

    def heard(self, turn: int, heard: Heard) -> None:
        """The turn's speech is over or was interrupted: the listener got ``heard``. May be corrected until settled.

        ``heard.text`` is a prefix of all that was written in the turn. From now on views tell what was heard.
        """
        state = self._open(turn)
        if not self._said(state).startswith(heard.text):
            raise BadInput(
                f"turn {turn}: heard.text ({len(heard.text)} characters) is not a prefix of the "
                f"{len(self._said(state))} characters that the turn wrote"
            )
        state.heard = heard
        self._spread(state)

    def settle(self, turn: int) -> None:
        """Turn ``turn`` and the user entries before it are final. Again does nothing; needs :meth:`heard` before."""
        state = self._turn(turn)
        if state.state == "settled":
            return
        self._open(turn)
        if state.heard is None:
            if self._said(state):
                raise BadInput(f"turn {turn} wrote text; say what was heard() of it before it is settled")
            state.heard = Heard("")
            self._spread(state)
        state.state = "settled"
        self._answered = max(self._answered, state.parts[0])
        self._advance()

    def drop(self, turn: int) -> None:
        """Turn ``turn`` never happened for the user. What it wrote goes, and calls without a result; others stay.

        The result of a call that goes may still come: then the call ran after all, and both are put down.
        """
        state = self._turn(turn)
        if state.state == "dropped":
            return
        self._open(turn)
        if state.heard is not None and state.heard.text.strip():
            raise BadInput(
                f"turn {turn} was heard in part; settle() it, only a turn that nobody heard can be dropped"
            )
        state.state = "dropped"
        for index in state.parts:
            self._change(index, None)
        for index in state.calls:
            entry = self._log[index]
            if isinstance(entry, ToolCallEntry) and entry.call in self._pending:
                self._change(index, None)
        self._advance()

    def finish(self) -> None:
        """Settle everything: the session is over. Of a turn that nobody reported on, nothing was heard."""
        for turn, state in self._turns.items():
            if state.state == "open":
                if state.heard is None:
                    state.heard = Heard("", dropped="the session ended" if self._said(state) else None)
                    self._spread(state)
                self.settle(turn)
        self._answered = len(self._log)
        self._advance()

    # ------------------------------------------------------------ tools

    def tool_call(self, turn: int, call: str, name: str, arguments: Mapping[str, Any] | str) -> None:
        """Turn ``turn`` calls tool ``name``. ``arguments``: a JSON object, or text that was none."""
        state = self._open(turn)
        if not (call.strip() and name and name == name.strip()):
            raise BadInput(f"a tool call needs an id and a name without blanks around it, not {call!r} and {name!r}")
        if call in self._calls:
            if self._calls[call] >= self._first:
                raise BadInput(f"tool call id {call!r} was used before; every call has an id of its own")
            self._rename_loaded(call)
        entry = ToolCallEntry(turn, call, name, json_object(arguments))
        self._pending[call] = entry
        state.calls.append(self._add_call(entry))

    def tool_result(self, call: str, result: str, error: bool = False) -> None:
        """The answer to ``call``, once."""
        asked = self._pending.pop(call, None)
        if asked is None:
            raise BadInput(f"tool call {call!r} is {'answered already' if call in self._calls else 'not known'}")
        if self._log[self._calls[call]] is None:
            self._add_call(asked)
        self._add(ToolResultEntry(call, asked.name, result, error))
        self._advance()

    # ------------------------------------------------------------ inside

    def _turn(self, turn: int) -> _Turn:
        if turn not in self._turns:
            raise BadInput(f"turn {turn} has not begun; known: {len(self._turns)} turns of this session")
        return self._turns[turn]

    def _open(self, turn: int) -> _Turn:
        state = self._turn(turn)
        if state.state != "open":
            raise BadInput(f"turn {turn} is {state.state}; nothing of it can change any more")
        return state

    def _user(self, index: int) -> UserEntry:
        entry = self._log[index] if 0 <= index < len(self._log) else None
        if not isinstance(entry, UserEntry):
            raise BadInput(f"{index} is not the handle of a user entry")
        if index < self._final:
            raise BadInput(f"user entry {index} is settled; nothing of it can change any more")
        return entry

    def _part(self, index: int) -> AssistantEntry:
        entry = self._log[index]
        assert isinstance(entry, AssistantEntry)
        return entry

    def _said(self, state: _Turn) -> str:
        return "".join(self._part(index).said for index in state.parts)

    def _spread(self, state: _Turn) -> None:
        """Give each part of a turn its share of what was heard."""
        assert state.heard is not None
        start = 0
        for index in state.parts:
            entry = self._part(index)
            end = start + len(entry.said)
            self._change(
                index, attrs.evolve(entry, heard=attrs.evolve(state.heard, text=state.heard.text[start:end]))
            )
            start = end

    def _rename_loaded(self, call: str) -> None:
        """Free the id of an earlier session's call: it has another one in views from now on."""
        free = next(name for n in range(len(self._calls) + 1) if (name := f"{call[:48]}_{n}") not in self._calls)
        for index, entry in enumerate(self._log[: self._first]):
            if isinstance(entry, ToolCallEntry | ToolResultEntry) and entry.call == call:
                self._log[index] = attrs.evolve(entry, call=free)
        self._calls[free] = self._calls.pop(call)
        self._views = Views(self._log)
        self._views.settled(self._final)

    def _add(self, entry: Entry) -> int:
        self._log.append(entry)
        self._changed()
        return len(self._log) - 1

    def _add_call(self, entry: ToolCallEntry) -> int:
        self._calls[entry.call] = self._add(entry)
        self._views.asked[entry.call] = entry
        return self._calls[entry.call]

    def _change(self, index: int, entry: Entry | None) -> None:
        self._log[index] = entry
        self._changed()

    def _changed(self) -> None:
        self._entries = None
        self._views.changed()

    def _advance(self) -> None:
        """Move the border between what is final and what may still change."""
        while self._final < len(self._log):
            entry = self._log[self._final]
            match entry:
                case UserEntry() if self._final > self._answered:
                    break
                case AssistantEntry(turn=turn) | ToolCallEntry(turn=turn) if self._turns[turn].state == "open":
                    break
            self._final += 1
            self._settled += entry is not None
        self._views.settled(self._final)
