"""One turn of the assistant, from its request to the last word on what was heard of it."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from attrs import define, field

from voiceloop import clock
from voiceloop.events import Heard, TurnMetrics
from voiceloop.interfaces import EndOfTurn, Prompt, Say, UserText
from voiceloop.rules.playout import Script
from voiceloop.rules.timeline import Track

Cause: TypeAlias = Literal["reply", "say", "greet", "idle"]
Request: TypeAlias = EndOfTurn | UserText | Prompt | Say


@define
class Timing:
    """When the parts of an answer happened, in seconds on the clock; None: not yet, or never."""

    speech_ended: float | None = None
    committed: float | None = None
    first_text: float | None = None
    first_clause: float | None = None
    first_audio: float | None = None

    def waterfall(self, *, turn: int, utterance: int, out: float, cut_offs: int, turns: int) -> TurnMetrics | None:
        """The latency parts, which sum to the whole; None for a turn that answers no speech."""
        if self.speech_ended is None or self.committed is None:
            return None
        at, parts = self.speech_ended, []
        for moment in (self.committed, self.first_text, self.first_clause, self.first_audio, out):
            later = at if moment is None else max(at, moment)
            parts.append(round((later - at) * 1000, 3))
            at = later
        return TurnMetrics(
            turn=turn,
            utterance=utterance,
            voice_to_voice=round(sum(parts), 3),
            endpointing=parts[0],
            first_token=parts[1],
            first_clause=parts[2],
            synthesis=parts[3],
            delivery=parts[4],
            cut_offs=cut_offs,
            turns=turns,
            measured=not clock.simulated(),
        )


@define(eq=False)
class Turn:
    """A turn and what is known of it. ``speculative``: prepared before the user's turn was over; nothing of it counts
    yet. ``made``: the model has given all of it. ``audible``: some of it left for the listener. ``called``: it ran a
    tool, so it cannot be undone."""

    number: int
    cause: Cause
    track: Track
    request: Request | None = None
    utterance: int | None = None
    interruptible: bool = True
    script: Script = field(factory=Script)
    timing: Timing = field(factory=Timing)
    entry: int | None = None
    speculative: bool = False
    made: bool = False
    audible: bool = False
    called: bool = False
    outcome: asyncio.Future[Heard] | None = None

    def tell(self, heard: Heard) -> None:
        """Resolve the handle that ``say`` or ``greet`` gave out."""
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(heard)
