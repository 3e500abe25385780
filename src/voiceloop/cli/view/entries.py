"""The story of a call in entries, each of which is told when it is over; both views print them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from attrs import define, field, frozen

from voiceloop.events import (
    Event,
    Notice,
    ToolCalled,
    ToolReturned,
    Transcript,
    TranscriptRevised,
    TurnEnded,
    TurnMetrics,
)

Who: TypeAlias = Literal["caller", "assistant", "tool", "note"]

PARTS = {
    "silence": "endpointing",
    "text": "first_token",
    "clause": "first_clause",
    "voice": "synthesis",
    "out": "delivery",
}
"""The parts of an answer's latency: what people call them, and the field of TurnMetrics."""


@frozen
class Entry:
    """Something that happened. ``unheard``: what of ``text``, from there on, the listener did not get.

    ``parts``: those of an answer's latency by name, in ms.
    """

    at: float
    who: Who
    text: str
    unheard: str = ""
    latency: TurnMetrics | None = None
    parts: Sequence[tuple[str, float]] = ()


@define
class Teller:
    """Makes entries from events. ``owns_turns``: the model decides when the caller's turn is over, and tells it only
    with its answer, so that its time is one part."""

    owns_turns: bool = False
    _calls: dict[str, ToolCalled] = field(factory=dict, init=False)
    _latency: dict[int, TurnMetrics] = field(factory=dict, init=False)

    def tell(self, event: Event) -> Iterator[Entry]:
        """What can be told now that ``event`` came."""
        match event:
            case Transcript(final=True):
                yield Entry(event.at, "caller", event.text)
            case TranscriptRevised():
                yield Entry(event.at, "note", f"the caller's words were corrected: {event.text}")
            case ToolCalled():
                self._calls[event.call] = event
            case ToolReturned():
                yield Entry(event.at, "tool", self._tool(event))
            case TurnMetrics():
                self._latency[event.turn] = event
            case TurnEnded(reason="dropped"):
                pass
            case TurnEnded():
                heard = event.said if event.reason == "completed" else event.heard.text
                known = heard if event.said.startswith(heard) else ""
                metrics = self._latency.pop(event.turn, None)
                parts = () if metrics is None else self._parts(metrics)
                yield Entry(event.at, "assistant", known, event.said[len(known) :], metrics, parts)
            case Notice():
                yield Entry(event.at, "note", event.text)
            case _:
                pass

    def _parts(self, metrics: TurnMetrics) -> list[tuple[str, float]]:
        if self.owns_turns:
            return [("model", metrics.voice_to_voice - metrics.delivery), ("out", metrics.delivery)]
        return [(name, getattr(metrics, part)) for name, part in PARTS.items()]

    def _tool(self, returned: ToolReturned) -> str:
        called = self._calls.pop(returned.call, None)
        given = ", ".join(f"{name}={_short(value)}" for name, value in called.arguments.items()) if called else ""
        sign = "failed:" if returned.error else "→"
        return f"{returned.name}({given}) {sign} {returned.result}"


def _short(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)
