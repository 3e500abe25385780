"""Entries as JSON values, for memories and recordings. Nothing is lost on the way."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import attrs

from voiceloop.conversation.values import (
    AssistantEntry,
    Entry,
    ImagePart,
    ToolCallEntry,
    ToolResultEntry,
    UserEntry,
)
from voiceloop.errors import BadInput
from voiceloop.events import Heard

_KINDS: dict[str, type[Entry]] = {
    "user": UserEntry,
    "assistant": AssistantEntry,
    "call": ToolCallEntry,
    "result": ToolResultEntry,
}


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """``entry`` as an object of JSON values; pictures in base64. What has its default value is left out."""
    kind = next(kind for kind, made in _KINDS.items() if isinstance(entry, made))
    value: dict[str, Any] = {"kind": kind}
    for field in attrs.fields(type(entry)):
        content = getattr(entry, field.name)
        if content != field.default:
            value[field.name] = content
    if isinstance(entry, UserEntry) and entry.images:
        value["images"] = [
            {"data": base64.b64encode(image.data).decode(), "media_type": image.media_type} for image in entry.images
        ]
    if isinstance(entry, AssistantEntry) and entry.heard is not None:
        value["heard"] = attrs.asdict(entry.heard)
    return value


def entry_from_json(value: Mapping[str, Any]) -> Entry:
    """The entry that :func:`entry_to_json` made ``value`` from. Raises BadInput when it is none."""
    kind = value.get("kind")
    if kind not in _KINDS:
        raise BadInput(f"kind={kind!r} is no kind of conversation entry; allowed: {', '.join(_KINDS)}")
    fields = {name: content for name, content in value.items() if name != "kind"}
    try:
        if "images" in fields:
            fields["images"] = tuple(
                ImagePart(base64.b64decode(image["data"]), image["media_type"]) for image in fields["images"]
            )
        if fields.get("heard") is not None:
            fields["heard"] = Heard(**fields["heard"])
        return _KINDS[kind](**fields)
    except (TypeError, ValueError, KeyError) as error:
        raise BadInput(f"a stored conversation entry of kind {kind!r} has wrong fields: {sorted(value)}") from error
