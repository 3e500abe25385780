"""Is a history valid? Written from the rules alone, apart from the code that makes histories."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from voiceloop.conversation.values import (
    NO_LIMITS,
    HistoryLimits,
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)


def valid_history(messages: Sequence[Message], limits: HistoryLimits = NO_LIMITS) -> bool:
    """Whether a provider with ``limits`` can take ``messages``; :func:`history_problems` says why not."""
    return not history_problems(messages, limits)


def history_problems(messages: Sequence[Message], limits: HistoryLimits = NO_LIMITS) -> tuple[str, ...]:
    """Every rule that ``messages`` breaks, in words, with the number of the message; empty for a valid history.

    A valid history starts with the user and alternates. No message is empty, no text or result blank or with blanks
    at its ends. Calls are the last parts of assistant messages, results the first parts of the user message right
    after: each call has exactly one there, each result a call there. Call ids are unique. Byte limits are kept;
    calls, results and pictures occur only where ``limits`` has them.
    """
    return (*_order(messages), *_contents(messages, limits), *_pairs(messages), *_sizes(messages, limits))


def _order(messages: Sequence[Message]) -> Iterator[str]:
    for number, message in enumerate(messages):
        expected = ("user", "assistant")[number % 2]
        if message.role != expected:
            yield f"message {number}: {message.role}, where {expected} must be"


def _contents(messages: Sequence[Message], limits: HistoryLimits) -> Iterator[str]:
    ranks = {
        "user": {ToolResultPart: 0, TextPart: 1, ImagePart: 2},
        "assistant": {TextPart: 0, ToolCallPart: 1},
    }
    for number, message in enumerate(messages):
        if not message.parts:
            yield f"message {number}: empty"
        places = [ranks[message.role].get(type(part), -1) for part in message.parts]
        if -1 in places or places != sorted(places):
            kinds = [type(part).__name__ for part in message.parts]
            yield f"message {number}: {message.role} message of {kinds}"
        for part in message.parts:
            text = {TextPart: "text", ToolResultPart: "result", ToolCallPart: "name"}.get(type(part))
            words = getattr(part, text) if text else "-"
            if not words or words != words.strip():
                yield f"message {number}: blanks in {text}"
            if words != words.encode("utf-8", "replace").decode("utf-8"):
                yield f"message {number}: {text} cannot be written in UTF-8"
            if isinstance(part, ToolCallPart | ToolResultPart) and not (limits.tools and part.call):
                yield f"message {number}: a call or result that cannot stand"
            if isinstance(part, ImagePart) and not limits.images:
                yield f"message {number}: a picture"


def _pairs(messages: Sequence[Message]) -> Iterator[str]:
    seen: set[str] = set()
    pending: list[str] = []
    for number, message in enumerate(messages):
        answered = [part.call for part in message.parts if isinstance(part, ToolResultPart)]
        if sorted(answered) != sorted(pending):
            yield f"message {number}: {len(answered)} results for {len(pending)} calls, or for others"
        pending = [part.call for part in message.parts if isinstance(part, ToolCallPart)]
        for call in pending:
            if call in seen:
                yield f"message {number}: call id {call!r} for the second time"
            seen.add(call)
    if pending:
        yield f"message {len(messages) - 1}: {len(pending)} calls without a result"


def _sizes(messages: Sequence[Message], limits: HistoryLimits) -> Iterator[str]:
    total = 0
    for number, message in enumerate(messages):
        size = 0
        for part in message.parts:
            match part:
                case TextPart(text=text) | ToolResultPart(result=text):
                    size += len(text.encode("utf-8", "replace"))
                case ToolCallPart(name=name, arguments=arguments):
                    written = name + json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
                    size += len(written.encode("utf-8", "replace"))
        if limits.message_bytes is not None and size > limits.message_bytes:
            yield f"message {number}: {size} bytes, more than {limits.message_bytes}"
        total += size
    if limits.total_bytes is not None and total > limits.total_bytes:
        yield f"{total} bytes in all, more than {limits.total_bytes}"
