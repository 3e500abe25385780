"""What came of a conversation: the booking, and how fast the answers were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from attrs import frozen

from voiceloop.events import Event, ToolCalled, ToolReturned, Transcript, TurnMetrics
from voiceloop.rules.endpointing import Endpointing, required_silence


@frozen
class Booking:
    """A room that was booked: what it was booked for, and its number."""

    wanted: Mapping[str, Any]
    number: str

    def __str__(self) -> str:
        w = self.wanted
        return (
            f"{w.get('place')}, {w.get('day')} at {w.get('time')}, {w.get('minutes')} minutes, "
            f"{w.get('people')} people (number {self.number})"
        )


def booking(events: Sequence[Event]) -> Booking | None:
    """The last booking that was made, if any."""
    calls = {event.call: event for event in events if isinstance(event, ToolCalled)}
    for event in reversed(events):
        if isinstance(event, ToolReturned) and event.name == "book_room" and not event.error and event.call in calls:
            return Booking(calls[event.call].arguments, str(json.loads(event.result)["number"]))
    return None


def answer_ms(events: Sequence[Event], endpointing: Endpointing) -> list[float]:
    """For each answer, the ms from the end of speech to its first audio, less the silence that ends such a turn.

    The silence is the one that ``endpointing`` asks for after these words: any further wait for the decision counts.
    """
    said = {event.utterance: event.text for event in events if isinstance(event, Transcript) and event.final}
    return [
        max(0.0, event.voice_to_voice - required_silence(said[event.utterance], endpointing))
        for event in events
        if isinstance(event, TurnMetrics) and event.utterance in said
    ]


def is_measured(events: Sequence[Event]) -> bool:
    """Whether the latencies are those of a clock, not of simulated time."""
    return any(isinstance(event, TurnMetrics) and event.measured for event in events)


def describe(events: Sequence[Event], endpointing: Endpointing | None) -> list[str]:
    """The summary, in sentences. ``endpointing``: None where the model itself decides when a turn is over."""
    booked = booking(events)
    metrics = [event for event in events if isinstance(event, TurnMetrics)]
    waits = [one.voice_to_voice for one in metrics] if endpointing is None else answer_ms(events, endpointing)
    lines = [] if booked is None else [f"Booked: {booked}."]
    if waits and not is_measured(events):
        lines.append("Latencies were not measured: this conversation ran on simulated time.")
    elif waits and endpointing is None:
        lines.append(
            f"Answers began {median(waits):.0f} ms after speech (p50 of {len(waits)}, slowest {max(waits):.0f}): the "
            "model's own end of the turn, thinking and voice, which it does not tell apart."
        )
    elif waits:
        lines.append(
            f"Answers began {median(waits):.0f} ms (p50 of {len(waits)}, slowest {max(waits):.0f}) after the silence "
            "that ends a turn."
        )
    return lines
