"""What a session costs more with resampling, marks, recognized words, and real voice activity detection.

Processor time of one conversation in virtual time with each of them, less that of one without, so that nothing else
counts. The user speaks 40 % of the time.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from typing import Any

from figures import Figure, main
from load import FRAME_S
from providers import TimedReasoner, TimedRecognizer, TimedSynthesizer

import voiceloop as vl
from voiceloop.interfaces import TurnDetector
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import ScriptedSynthesizer, ScriptedTurns
from voiceloop.turns.energy import EnergyTurns
from voiceloop.turns.vad import VadTurns

_CYCLE_S, _SPEECH_S = 10.0, 4.0
_PLAIN: dict[str, Any] = {"input": vl.PCM16_16K, "output": vl.PCM16_24K}


def measure(quick: bool) -> list[Figure]:
    """Each addition alone; the least of several runs, which is the least disturbed one."""
    seconds, runs = (20, 1) if quick else (60, 3)

    def cost(**options: Any) -> float:
        return min(_percent(seconds, **options) for _ in range(runs))

    plain = cost()
    marked = ScriptedSynthesizer(ms_per_char=30)
    unmarked = ScriptedSynthesizer(ms_per_char=30, marks=False)
    added = {
        "input 48 kHz, the model's 16 kHz": cost(input=vl.PCM16_48K) - plain,
        "input 8 kHz mu-law, the model's 16 kHz": cost(input=vl.MULAW_8K) - plain,
        "output 48 kHz, the voice's 24 kHz": cost(output=vl.PCM16_48K) - plain,
        "visemes and words of the voice": cost(synthesizer=marked) - cost(synthesizer=unmarked),
        "voice activity by loudness, 40 % talk": cost(turns=EnergyTurns()) - cost(turns=None),
        "voice activity by model, 40 % talk": cost(turns=VadTurns()) - cost(turns=None),
    }
    return [Figure(f"adds: {what}", "% of a core", value) for what, value in added.items()]


def _percent(seconds: float, **options: Any) -> float:
    """Processor time of a session, in percent of the time simulated."""
    synthesizer = options.pop("synthesizer", None) or TimedSynthesizer()
    turns: TurnDetector | None = options.pop("turns", ScriptedTurns(silent_ms=60))
    model = vl.Cascade(TimedRecognizer(), TimedReasoner(), synthesizer)
    arguments = _PLAIN | options | {"turns": "manual" if turns is None else turns}
    sound = _sound(arguments["input"])
    began = time.process_time()
    virtual_time.run(_converse, vl.Session(model, **arguments), sound, seconds, turns is None)
    return (time.process_time() - began) / seconds * 100


def _sound(format: vl.AudioFormat) -> tuple[list[bytes], bytes]:
    """Frames of a loud noise that rises and falls like speech, and a silent one."""
    chance, size = random.Random(3), format.samples_in(FRAME_S * 1000)
    if format.encoding != "pcm16":
        return [bytes(chance.randrange(0, 60) for _ in range(size)) for _ in range(20)], format.silence(size)
    loud = [
        struct.pack(f"<{size}h", *(round(chance.gauss(0, 1) * 400 * (4 + n % 9)) or 300 for _ in range(size)))
        for n in range(20)
    ]
    return [b"\x00\x10" + frame[2:] for frame in loud], format.silence(size)


async def _converse(session: vl.Session, sound: tuple[list[bytes], bytes], seconds: float, manual: bool) -> None:
    loud, quiet = sound
    frames, speech = round(_CYCLE_S / FRAME_S), round(_SPEECH_S / FRAME_S)
    async with session:

        async def listen() -> None:
            async for _ in session:
                pass

        listening = asyncio.create_task(listen())
        due = asyncio.get_running_loop().time()
        for at in range(round(seconds / FRAME_S)):
            place = at % frames
            await session.send_audio(loud[at % len(loud)] if place < speech else quiet)
            if manual and place == speech + 10:
                await session.end_turn()
            due += FRAME_S
            await asyncio.sleep(due - asyncio.get_running_loop().time())
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


if __name__ == "__main__":
    main("additions", measure)
