"""What the chunks of one streamed chat completion say. Pure.

Sources: OpenAI API reference, "The chat completion chunk object"; the servers that speak like it differ, as told
where it matters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from voiceloop.interfaces import ReasonerItem, ReasonerUsage, Stop, TextDelta, ToolCall

_REASONS = {
    "stop": "end",
    "eos": "end",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "filtered",
}
_OPEN, _CLOSE = "<think>", "</think>"


@define(eq=False)
class _Tool:
    call: str
    name: str = ""
    written: list[str] = field(factory=list)
    given: Mapping[str, Any] | None = None  # arguments that came as an object, not as its text

    def arguments(self) -> Mapping[str, Any] | str:
        if self.given is not None:
            return self.given
        text = "".join(self.written)
        try:
            value = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            return text
        return value if isinstance(value, dict) else text

    def whole(self) -> bool:
        return bool(self.given or self.written) and not isinstance(self.arguments(), str)


@define(eq=False)
class _Spoken:
    """Text without a thought in tags at its beginning, which some servers leave in."""

    _held: str = ""
    _state: str = "before"

    def text(self, more: str) -> str:
        if self._state == "after":
            return more
        self._held += more
        if self._state == "before":
            begun = self._held.lstrip()
            if _OPEN.startswith(begun[: len(_OPEN)]) and len(begun) < len(_OPEN):
                return ""
            if not begun.startswith(_OPEN):
                return self._all()
            self._state, self._held = "inside", begun.removeprefix(_OPEN)
        _, closed, rest = self._held.partition(_CLOSE)
        if not closed:
            self._held = self._held[1 - len(_CLOSE) :]
            return ""
        self._held = rest.lstrip()
        return self._all()

    def rest(self) -> str:
        """What was held back in doubt, at the end."""
        return self._all().strip() if self._state == "before" else ""

    def _all(self) -> str:
        self._state, text, self._held = "after", self._held, ""
        return text


@define(eq=False)
class Reply:
    """One reply being read.

    ``new_id`` makes ids for tool calls that come without. ``stopped``: its reason to end came; ``reason`` is the
    server's own word. ``complete``: nothing follows.
    """

    new_id: Callable[[], str]
    reason: str = ""
    stopped: bool = False
    complete: bool = False
    _spoken: _Spoken = field(factory=_Spoken)
    _tools: list[_Tool] = field(factory=list)
    _at: dict[int, _Tool] = field(factory=dict)
    _usage: Mapping[str, Any] = field(factory=dict)
    _called: bool = False

    def feed(self, chunk: Mapping[str, Any]) -> tuple[ReasonerItem, ...]:
        """The text that ``chunk`` brings, and at the reason to end the tool calls. What is not known brings nothing.

        A whole completion, from a server that does not stream, is read in the same way.
        """
        if isinstance(usage := chunk.get("usage"), Mapping):
            self._usage = usage  # some tell it once, some in each chunk, counted up
        choice = next((each for each in _maps(chunk.get("choices")) if not each.get("index")), None)
        if choice is None or self.stopped:
            return ()
        delta = _map(choice.get("delta")) or _map(choice.get("message"))
        items = _texts(self._spoken.text(_content(delta)))
        for told in _maps(delta.get("tool_calls")):
            self._call(told)
        if reason := choice.get("finish_reason"):
            items += self._stop(str(reason))
        return items

    def done(self) -> tuple[ReasonerItem, ...]:
        """The server said that this was all, with or without a reason."""
        self.complete = True
        return () if self.stopped else self._stop("stop")

    def last(self) -> tuple[ReasonerItem, ...]:
        """What was used, if it was told, and why the reply ended."""
        reason = _REASONS.get(self.reason, self.reason)
        stop = Stop("tools" if self._called and reason == "end" else reason)
        amounts = _amounts(self._usage)
        return (ReasonerUsage(amounts), stop) if amounts else (stop,)

    def _stop(self, reason: str) -> tuple[ReasonerItem, ...]:
        self.stopped, self.reason = True, reason
        calls = tuple(ToolCall(tool.call, tool.name, tool.arguments()) for tool in self._tools if tool.name)
        self._called = bool(calls)
        return (*_texts(self._spoken.rest()), *calls)

    def _call(self, told: Mapping[str, Any]) -> None:
        function = _map(told.get("function"))
        name, arguments = str(function.get("name") or ""), function.get("arguments")
        tool = self._tool(told.get("index"), str(told.get("id") or ""), name)
        tool.name = tool.name or name
        if isinstance(arguments, Mapping):
            tool.given = arguments
        elif isinstance(arguments, str):
            tool.written.append(arguments)

    def _tool(self, index: Any, call: str, name: str) -> _Tool:
        """The call that a delta is part of. Some servers give all the same index, some none, some no id, some the id
        each time, some the name each time."""
        for tool in self._tools:
            if call and tool.call == call:
                return tool
        if isinstance(index, int):
            current = self._at.get(index)
        else:
            current = self._tools[-1] if self._tools and not name else None
        if current is None or call or (name and current.whole()):
            current = _Tool(call or self.new_id())
            self._tools.append(current)
        if isinstance(index, int):
            self._at[index] = current
        return current


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(values: Any) -> Iterable[Mapping[str, Any]]:
    given: Sequence[Any] = values if isinstance(values, list) else ()
    return (each for each in given if isinstance(each, Mapping))


def _texts(text: str) -> tuple[ReasonerItem, ...]:
    return (TextDelta(text),) if text else ()


def _content(delta: Mapping[str, Any]) -> str:
    """The words. A refusal is words too; what was thought (``reasoning_content``, ``reasoning``) is not for ears."""
    content = delta.get("content") or delta.get("refusal") or ""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _maps(content) if part.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _amounts(usage: Mapping[str, Any]) -> dict[str, float]:
    """Tokens, as Bedrock counts them: those read from a cache are not among those of the input."""
    cached = _number(_map(usage.get("prompt_tokens_details")).get("cached_tokens"))
    read, wrote = _number(usage.get("prompt_tokens")), _number(usage.get("completion_tokens"))
    amounts = {
        "input_tokens": None if read is None else max(0.0, read - (cached or 0.0)),
        "output_tokens": wrote,
        "cache_read_tokens": cached or None,
    }
    return {name: value for name, value in amounts.items() if value is not None}


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if good else None
