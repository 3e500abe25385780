"""What the events of one ConverseStream say. Pure.

Source: Amazon Bedrock API reference, ConverseStreamOutput.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from voiceloop.interfaces import ReasonerItem, ReasonerUsage, Stop, TextDelta, ToolCall

_REASONS = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "filtered",
    "content_filtered": "filtered",
}
_USAGE = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_tokens",
    "cacheWriteInputTokens": "cache_write_tokens",
}


@define
class _Tool:
    call: str
    name: str
    written: list[str] = field(factory=list)

    def item(self) -> ToolCall:
        text = "".join(self.written)
        try:
            value = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            value = None
        return ToolCall(self.call, self.name, value if isinstance(value, dict) else text)


@define
class _Thought:
    text: list[str] = field(factory=list)
    signature: str = ""
    redacted: bytes = b""

    def block(self) -> dict[str, Any] | None:
        """The block as it is replayed; None where there is nothing to prove that it is the model's."""
        if self.redacted:
            return {"reasoningContent": {"redactedContent": self.redacted}}
        if not self.signature:
            return None
        told = {"text": "".join(self.text), "signature": self.signature}
        return {"reasoningContent": {"reasoningText": told}}


@define(eq=False)
class Reply:
    """One reply being read.

    ``stopped``: its reason to end came; ``complete``: its usage too, and nothing follows. ``reason`` is the service's
    own word. ``thoughts`` are the reasoning blocks, ``first_call`` the id of the first tool call.
    """

    reason: str = ""
    stopped: bool = False
    complete: bool = False
    first_call: str | None = None
    _tools: dict[int, _Tool] = field(factory=dict)
    _thoughts: dict[int, _Thought] = field(factory=dict)
    _closed: set[int] = field(factory=set)

    def feed(self, event: Mapping[str, Any]) -> tuple[ReasonerItem, ...]:
        """The items that ``event`` brings. Events, blocks and members that are not known bring none."""
        name = next(iter(event), "")
        told: Mapping[str, Any] = event.get(name) or {}
        if name == "metadata":
            self.complete = self.stopped
            return _usage(told.get("usage") or {})
        if self.stopped:
            return ()
        if name == "messageStop":
            self.stopped, self.reason = True, told.get("stopReason", "")
            return tuple(item for index in sorted(self._tools) for item in self._called(index))
        index = told.get("contentBlockIndex", 0)
        if name == "contentBlockDelta" and index not in self._closed:
            return self._delta(index, told.get("delta") or {})
        if name == "contentBlockStart":
            tool = (told.get("start") or {}).get("toolUse")
            if tool and tool.get("type") != "server_tool_use":
                self._tools[index] = _Tool(tool["toolUseId"], tool["name"])
        elif name == "contentBlockStop":
            self._closed.add(index)
            return self._called(index)
        return ()

    def stop(self) -> Stop:
        """Why the reply ended."""
        return Stop(_REASONS.get(self.reason, self.reason or "end"))

    def thoughts(self) -> tuple[dict[str, Any], ...]:
        """The reasoning blocks, in order, as they are replayed."""
        blocks = (self._thoughts[index].block() for index in sorted(self._thoughts))
        return tuple(block for block in blocks if block is not None)

    def _delta(self, index: int, delta: Mapping[str, Any]) -> tuple[ReasonerItem, ...]:
        if text := delta.get("text"):
            return (TextDelta(text),)
        if "toolUse" in delta and index in self._tools:
            self._tools[index].written.append(delta["toolUse"].get("input", ""))
        elif thinking := delta.get("reasoningContent"):
            thought = self._thoughts.setdefault(index, _Thought())
            thought.text.append(thinking.get("text", ""))
            thought.signature += thinking.get("signature", "")
            thought.redacted += thinking.get("redactedContent", b"")
        return ()

    def _called(self, index: int) -> tuple[ReasonerItem, ...]:
        tool = self._tools.pop(index, None)
        if tool is None:
            return ()
        self.first_call = self.first_call or tool.call
        return (tool.item(),)


def _usage(usage: Mapping[str, Any]) -> tuple[ReasonerItem, ...]:
    amounts: dict[str, float] = {name: usage[key] for key, name in _USAGE.items() if usage.get(key) is not None}
    return (ReasonerUsage(amounts),) if amounts else ()
