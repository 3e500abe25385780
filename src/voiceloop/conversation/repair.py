"""What a memory gives back may be older than the rules, or damaged: make entries that views can be made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from voiceloop.conversation.values import Entry, ToolCallEntry, ToolResultEntry
from voiceloop.conversation.view import clean
from voiceloop.tools import plain


def repaired(entries: Sequence[Entry]) -> Iterator[Entry]:
    """``entries`` with ids that are unique; a call without an id or a name, and its result, left out."""
    used: set[str] = set()
    current: dict[str, str] = {}  # the id of the newest call that had this id in the memory
    for number, entry in enumerate(entries):
        match entry:
            case ToolCallEntry(call=call):
                if not call.strip() or entry.name != entry.name.strip() or not entry.name:
                    continue
                unique = call
                while unique in used:
                    unique = f"{call[:40]}_{number}_{len(used)}"
                used.add(unique)
                current[call] = unique
                yield attrs.evolve(entry, call=unique, arguments=json_object(entry.arguments))
            case ToolResultEntry(call=call):
                yield attrs.evolve(entry, call=current.get(call, call), name=entry.name.strip() or "tool")
            case _:
                yield entry


def json_object(arguments: Mapping[str, Any] | str) -> dict[str, Any]:
    """A copy of a call's arguments that can be written as JSON in UTF-8; text becomes the one argument ``text``."""
    value = {"text": arguments} if isinstance(arguments, str) else plain(dict(arguments))
    copied: dict[str, Any] = json.loads(clean(json.dumps(value, ensure_ascii=False)))
    return copied
