"""From entries to messages: pure functions. A view is valid by the way it is built, not by mending afterwards.

Entries are gathered into groups of one role each. Calls and results are paired inside neighbouring groups only, so
that a result which comes after the assistant went on is told as text, and an earlier message never changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs

from voiceloop.conversation.values import (
    AssistantEntry,
    Entry,
    HistoryLimits,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCallEntry,
    ToolCallPart,
    ToolResultEntry,
    ToolResultPart,
    UserEntry,
)

OPENING = "(The conversation begins.)"
NO_RESULT = "No result yet."

_SMALLEST_SHARE = 16  # bytes; a part that would be cut below this is told as text together with its neighbours


@attrs.define
class _Group:
    role: Literal["user", "assistant"]
    texts: list[str] = attrs.Factory(list)
    confidences: list[float] = attrs.Factory(list)
    images: list[ImagePart] = attrs.Factory(list)
    calls: dict[str, ToolCallEntry] = attrs.Factory(dict)
    results: dict[str, ToolResultPart] = attrs.Factory(dict)

    def empty(self) -> bool:
        return not (self.texts or self.images or self.calls or self.results)

    def absorb(self, other: _Group) -> None:
        self.texts += other.texts
        self.confidences += other.confidences
        self.images += other.images
        self.calls.update(other.calls)
        self.results.update(other.results)

    def message(self, limits: HistoryLimits) -> Message:
        text = " ".join(self.texts)
        words = (TextPart(text, min(self.confidences, default=None)),) if text else ()
        calls = tuple(ToolCallPart(c.call, c.name, c.arguments) for c in self.calls.values())
        message = Message(self.role, (*self.results.values(), *words, *self.images, *calls))
        return _fitted(message, limits.message_bytes)


def render(
    entries: Iterable[Entry], limits: HistoryLimits, asked: Mapping[str, ToolCallEntry]
) -> tuple[Message, ...]:
    """The messages for ``entries``, within ``limits.message_bytes``. ``asked`` has every call, by its id."""
    groups = list(_grouped(entries, limits, asked))
    for index, group in enumerate(groups):
        if group.calls:
            if index + 1 == len(groups):
                groups.append(_Group("user"))
            _answer(group, groups[index + 1], limits)
    if groups and groups[0].role == "assistant" and not groups[0].empty():
        groups.insert(0, _Group("user", [OPENING]))
    merged: list[_Group] = []
    for group in groups:
        if merged and merged[-1].role == group.role:
            merged[-1].absorb(group)
        elif not group.empty():
            merged.append(group)
    return tuple(group.message(limits) for group in merged)


def newest(messages: Sequence[Message], limits: HistoryLimits) -> tuple[Message, ...]:
    """As many of the newest messages as ``limits.total_bytes`` has room for: whole exchanges if that leaves any."""
    sizes = [bytes_of(message) for message in messages]
    total = limits.total_bytes
    if total is None or sum(sizes) <= total:
        return tuple(messages)
    starts = [index for index, message in enumerate(messages) if message.role == "user"]
    starts.sort(key=lambda index: _has_results(messages[index]))  # stable: exchanges first, each kind oldest first
    for start in starts:
        head = _detached(messages[start], limits)
        if bytes_of(head) + sum(sizes[start + 1 :]) <= total:
            return (head, *messages[start + 1 :])
    start = max(starts)
    last = (_detached(messages[start], limits), *messages[start + 1 :])
    shares = _shares([bytes_of(message) for message in last], total)
    return tuple(_fitted(message, share) for message, share in zip(last, shares, strict=True))


def bytes_of(message: Message) -> int:
    """The bytes of a message as :class:`HistoryLimits` counts them."""
    return sum(_part_bytes(part) for part in message.parts)


def shown(entry: AssistantEntry) -> str:
    """What a history tells of ``entry``: what was heard, once that is known, else all that was said."""
    return clean(entry.said if entry.heard is None else entry.heard.text)


def clean(text: str) -> str:
    """``text`` without blanks at its ends and with characters that UTF-8 does not have (lone surrogates) as "?"."""
    text = text.strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _grouped(entries: Iterable[Entry], limits: HistoryLimits, asked: Mapping[str, ToolCallEntry]) -> Iterator[_Group]:
    asker, group = _Group("assistant"), _Group("user")  # the newest group of each role; `group` is the newest of all
    for entry in entries:
        role: Literal["user", "assistant"]
        role = "user" if isinstance(entry, UserEntry | ToolResultEntry) else "assistant"
        more = _Group(role)
        match entry:
            case UserEntry():
                more.texts = [text] if (text := clean(entry.text)) else []
                more.confidences = [] if entry.confidence is None else [entry.confidence]
                more.images = list(entry.images) if limits.images else []
            case AssistantEntry():
                more.texts = [text] if (text := shown(entry)) else []
            case ToolCallEntry():
                more.calls[entry.call] = entry
            case ToolResultEntry():
                result = clean(entry.result) or ("Failed." if entry.error else "Done.")
                part = ToolResultPart(entry.call, entry.name, result, entry.error)
                if entry.call in asker.calls and entry.call not in group.results:
                    more.results[entry.call] = part
                else:
                    call = asked.get(entry.call)
                    more.texts.append(_told(part, call.arguments if call else None))
        if more.empty():
            continue
        if group.role == role:
            group.absorb(more)
            continue
        if not group.empty():
            yield group
        group = more
        asker = more if role == "assistant" else asker
    if not group.empty():
        yield group


def _answer(asker: _Group, answers: _Group, limits: HistoryLimits) -> None:
    """Give every call one result, in the order of the calls; or tell them as text where they cannot stand."""
    results = [
        answers.results.get(call.call) or ToolResultPart(call.call, call.name, NO_RESULT, error=True)
        for call in asker.calls.values()
    ]
    if limits.tools and _room_for(asker, results, limits.message_bytes):
        answers.results = {result.call: result for result in results}
        return
    answers.texts[:0] = [_told(result, asker.calls[result.call].arguments) for result in results]
    answers.results.clear()
    asker.calls.clear()


def _room_for(asker: _Group, results: Sequence[ToolResultPart], limit: int | None) -> bool:
    if limit is None:
        return True
    calls = sum(_call_bytes(call.name, call.arguments) for call in asker.calls.values())
    return calls + _SMALLEST_SHARE <= limit and (len(results) + 1) * _SMALLEST_SHARE <= limit


def _told(result: ToolResultPart, arguments: Mapping[str, object] | None = None) -> str:
    with_what = f" {_compact(arguments)}" if arguments else ""
    verb = "failed" if result.error else "answered"
    return clean(f"(The tool {result.name}{with_what} {verb}: {result.result})")


def _has_results(message: Message) -> bool:
    return any(isinstance(part, ToolResultPart) for part in message.parts)


def _detached(message: Message, limits: HistoryLimits) -> Message:
    """A user message that no call stands before any more: its results become text."""
    if not _has_results(message):
        return message
    texts = [_told(part) for part in message.parts if isinstance(part, ToolResultPart)]
    words = [part for part in message.parts if isinstance(part, TextPart)]
    text = TextPart(" ".join([*texts, *(part.text for part in words)]), words[0].confidence if words else None)
    images = [part for part in message.parts if isinstance(part, ImagePart)]
    return _fitted(Message("user", (text, *images)), limits.message_bytes)


def _fitted(message: Message, limit: int | None) -> Message:
    """``message`` with its texts and results cut to ``limit`` bytes in all, the longest first."""
    sizes = [_part_bytes(part) for part in message.parts]
    if limit is None or sum(sizes) <= limit:
        return message
    calls = sum(size for size, part in zip(sizes, message.parts, strict=True) if isinstance(part, ToolCallPart))
    cuttable = [i for i, part in enumerate(message.parts) if isinstance(part, TextPart | ToolResultPart)]
    shares = dict(zip(cuttable, _shares([sizes[i] for i in cuttable], limit - calls), strict=True))
    return Message(message.role, tuple(_cut(part, shares.get(i, 0)) for i, part in enumerate(message.parts)))


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """Divide ``total`` so that small ones get all they need and large ones the same each."""
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    for done, index in enumerate(order):
        shares[index] = min(sizes[index], total // (len(sizes) - done))
        total -= shares[index]
    return shares


def _cut(part: Part, size: int) -> Part:
    match part:
        case TextPart():
            return attrs.evolve(part, text=_cut_text(part.text, size))
        case ToolResultPart():
            return attrs.evolve(part, result=_cut_text(part.result, size))
        case _:
            return part


def _cut_text(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore").rstrip()


def _part_bytes(part: Part) -> int:
    match part:
        case TextPart():
            return _text_bytes(part.text)
        case ToolResultPart():
            return _text_bytes(part.result)
        case ToolCallPart():
            return _call_bytes(part.name, part.arguments)
        case ImagePart():
            return 0


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _call_bytes(name: str, arguments: Mapping[str, object]) -> int:
    return _text_bytes(name) + _text_bytes(_compact(arguments))


def _compact(arguments: Mapping[str, object] | None) -> str:
    return clean(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))
