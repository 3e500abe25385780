"""A reply as Converse streams it: what a reasoner says, cut into the service's events. Pure, no I/O.

The order of events is the Bedrock API reference's (ConverseStreamOutput): blocks of text and reasoning have no
contentBlockStart, arguments of a tool come as fragments of a JSON string, metadata comes last.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import define, field

from voiceloop.interfaces import ReasonerItem, Stop, TextDelta, ToolCall

Event: TypeAlias = tuple[str, dict[str, Any]]

THOUGHT = "The user expects a short spoken answer. I have what I need to give it."
_FRAGMENT = 9  # characters of arguments in one delta
_CALL = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_REASONS = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens", "filtered": "content_filtered"}
_SECRET = b"voiceloop emulator"


def tokens(text: str) -> int:
    """About how many tokens ``text`` is."""
    return math.ceil(len(text.encode()) / 4)


def signature(thought: str) -> str:
    """The signature of a reasoning text; a replayed one must still fit."""
    return hmac.new(_SECRET, thought.encode(), hashlib.sha256).hexdigest()


@define
class Writer:
    """Writes one reply. ``thinks``: it begins with a block of reasoning. ``most``: tokens that it may write.
    ``stops``: sequences that end it. ``taken``: ids of tool calls that stand in the conversation. ``new_call`` makes
    an id for a call whose own cannot be used.
    """

    thinks: bool
    most: int
    stops: Sequence[str]
    taken: set[str]
    new_call: Callable[[], str]
    written: int = 0
    reason: str = ""
    _index: int = -1
    _open: bool = False
    _held: str = ""
    _calls: int = field(default=0)

    @property
    def done(self) -> bool:
        """Whether nothing more is to be written: the length or a stop sequence was reached."""
        return self.reason in ("max_tokens", "stop_sequence")

    def begin(self) -> Iterator[Event]:
        """What comes before the first word."""
        yield "messageStart", {"role": "assistant"}
        if self.thinks:
            half = len(THOUGHT) // 2
            for delta in ({"text": THOUGHT[:half]}, {"text": THOUGHT[half:]}, {"signature": signature(THOUGHT)}):
                yield self._delta({"reasoningContent": delta})
            self.written += tokens(THOUGHT)
            yield from self._close()

    def item(self, item: ReasonerItem) -> Iterator[Event]:
        """What ``item`` of the reasoner becomes."""
        match item:
            case TextDelta(text) if not self.done:
                yield from self._text(text)
            case ToolCall() if not self.done:
                yield from self._call(item)
            case Stop(reason) if not self.done:
                self.reason = _REASONS.get(reason, "end_turn")

    def end(self, *, guarded: bool = False) -> Iterator[Event]:
        """The end of the message, without the metadata. ``guarded``: a guardrail is what filters."""
        if self._held and not self.done:
            yield self._delta({"text": self._held})
        yield from self._close()
        reason = self.reason or "end_turn"
        if self._calls and not self.done:
            reason = "tool_use"
        if reason == "content_filtered" and guarded:
            reason = "guardrail_intervened"
        yield "messageStop", {"stopReason": reason}

    def _text(self, text: str) -> Iterator[Event]:
        room = 4 * (self.most - self.written)
        if len(text) > room:
            self.reason = "max_tokens"
        self.written += tokens(text[:room])
        self._held += text[:room]
        found = [(self._held.find(stop), stop) for stop in self.stops if stop and stop in self._held]
        if found:
            self._held = self._held[: min(found)[0]]
            self.reason = "stop_sequence"
        keep = 0 if self.done else max((_overlap(self._held, stop) for stop in self.stops), default=0)
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        if out:
            yield self._delta({"text": out})

    def _call(self, call: ToolCall) -> Iterator[Event]:
        if self._held:
            yield self._delta({"text": self._held})
            self._held = ""
        yield from self._close()
        name = call.call if _CALL.fullmatch(call.call) and call.call not in self.taken else self.new_call()
        self.taken.add(name)
        self._index += 1
        self._calls += 1
        start = {"toolUse": {"toolUseId": name, "name": call.name}}
        yield "contentBlockStart", {"start": start, "contentBlockIndex": self._index}
        self._open = True
        arguments = call.arguments
        text = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
        self.written += tokens(text) + tokens(call.name)
        for at in range(-_FRAGMENT, len(text), _FRAGMENT):  # the first is empty, as the models' are
            yield self._delta({"toolUse": {"input": text[max(at, 0) : at + _FRAGMENT]}})
        yield from self._close()

    def _delta(self, delta: Mapping[str, Any]) -> Event:
        if not self._open:
            self._index += 1
            self._open = True
        return "contentBlockDelta", {"delta": dict(delta), "contentBlockIndex": self._index}

    def _close(self) -> Iterator[Event]:
        if self._open:
            self._open = False
            yield "contentBlockStop", {"contentBlockIndex": self._index}


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``stop``."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)


def whole(events: Iterable[Event]) -> tuple[list[dict[str, Any]], str]:
    """The content blocks of a whole reply, and why it stopped: the answer of Converse."""
    blocks: dict[int, dict[str, Any]] = {}
    reason = "end_turn"
    for name, event in events:
        match name:
            case "contentBlockStart":
                blocks[event["contentBlockIndex"]] = {"toolUse": {**event["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta":
                _join(blocks, event["contentBlockIndex"], event["delta"])
            case "messageStop":
                reason = event["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = _arguments(block["toolUse"]["input"])
    return list(blocks.values()), reason


def _join(blocks: dict[int, dict[str, Any]], index: int, delta: Mapping[str, Any]) -> None:
    kind, value = next(iter(delta.items()))
    match kind:
        case "text":
            block = blocks.setdefault(index, {"text": ""})
            block["text"] += value
        case "toolUse":
            blocks[index]["toolUse"]["input"] += value["input"]
        case "reasoningContent":
            block = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
            thought = block["reasoningContent"]["reasoningText"]
            thought["text"] += value.get("text", "")
            thought.update({"signature": value["signature"]} if "signature" in value else {})


def _arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}
