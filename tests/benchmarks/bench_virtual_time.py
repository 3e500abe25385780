"""How fast a conversation runs in virtual time, on the scripted providers that tests use."""

from __future__ import annotations

import statistics
import time

from figures import Figure, main

import voiceloop as vl
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import (
    ScriptedCaller,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
    Speak,
    Until,
)

_HOUR_S = 3600.0
_REPLY = "It is ten past five in the afternoon. Is there anything else?"


def measure(quick: bool) -> list[Figure]:
    """An hour: as many turns as fit, audio in frames of 100 ms."""
    runs = [_converse(40 if quick else 480) for _ in range(1 if quick else 3)]
    took, simulated, turns = (statistics.median(column) for column in zip(*runs, strict=True))
    return [
        Figure("virtual time: processor time per 100 turns", "s", took / turns * 100, most=1.0),
        Figure("virtual time: an hour of conversation", "s", took / simulated * _HOUR_S),
    ]


def _converse(turns: int) -> tuple[float, float, int]:
    """Processor seconds, simulated seconds and turns of one conversation."""
    model = vl.Cascade(
        ScriptedRecognizer(["what is the time"] * turns),
        ScriptedReasoner([_REPLY] * turns),
        ScriptedSynthesizer(),
    )
    caller = ScriptedCaller([Speak(1000), Until(vl.TurnEnded, after=0.5)] * turns, frame_ms=100)

    async def conversation() -> float:
        async with vl.Session(model, turns=ScriptedTurns()) as session:
            log = await caller.talk(session)
        answered = sum(isinstance(event, vl.TurnEnded) and event.reason == "completed" for event in log)
        if answered != turns:
            raise RuntimeError(f"{answered} of {turns} turns were answered")
        return log[-1].at

    began = time.process_time()
    simulated = virtual_time.run(conversation)
    return time.process_time() - began, simulated, turns


if __name__ == "__main__":
    main("virtual_time", measure)
