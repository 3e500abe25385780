"""One process full of callers: ``python load.py KIND SESSIONS [--seconds S] ...`` prints what it measured, as JSON.

Every caller sends 20 ms of audio every 20 ms, in real time and out of step with the others: a second of speech, then
silence until the cycle is over. First audio is counted from the first silent chunk, which is the end of speech.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import time
from typing import Any

from attrs import define, field
from by_hand import Audio, ByHand, Stopped
from figures import percentile
from providers import CRITICAL_PATH_S, TimedReasoner, TimedRecognizer, TimedSynthesizer, until

import voiceloop as vl
from voiceloop.interfaces import TurnDetector
from voiceloop.testing.scripted import ScriptedTurns, silence, tone

FRAME_S = 0.02
_TONE, _SILENCE = tone(20), silence(20)
_AT_ONCE = vl.Endpointing(complete_ms=0, default_ms=0, unfinished_ms=0)


def by_hand(options: argparse.Namespace) -> Any:
    """A session of the floor."""
    return ByHand(TimedSynthesizer(options.ms_per_char))


def by_voiceloop(options: argparse.Namespace) -> Any:
    """The same by voiceloop, with its defaults, but for the wait for more words at the end of a turn."""
    model = vl.Cascade(TimedRecognizer(), TimedReasoner(), TimedSynthesizer(options.ms_per_char))
    speaking = (250,) if options.barge_in else (100, 250)
    turns: TurnDetector = ScriptedTurns(speaking_ms=speaking, silent_ms=60)
    return vl.Session(model, turns=turns, endpointing=_AT_ONCE)


KINDS = {"hand": by_hand, "voiceloop": by_voiceloop}


@define
class Measured:
    """What the callers of a process saw, in seconds."""

    asked: int = 0
    answered: list[float] = field(factory=list)
    stops: list[float] = field(factory=list)
    last_chunk: float = 0.0
    lags: list[float] = field(factory=list)


@define(eq=False)
class Caller:
    """One caller and its session."""

    session: Any
    options: argparse.Namespace
    measured: Measured
    window: tuple[float, float]
    offset: float
    _ended: float = 0.0
    _waits: bool = False
    _signal: float = 0.0
    _signalled: int = 0
    _turn: int = 0

    async def talk(self) -> None:
        """Send audio until the window closes."""
        loop = asyncio.get_running_loop()
        frames, speech = round(self.options.cycle / FRAME_S), round(self.options.speech / FRAME_S)
        confirm = 12
        at = round(self.offset / FRAME_S)
        due = loop.time()
        while due < self.window[1]:
            place = at % frames
            if place == confirm and self.options.barge_in:
                self._signal, self._signalled = loop.time(), self._turn
            elif place == speech:
                self._ended = loop.time()
                self._waits = self.window[0] <= self._ended < self.window[1] - self.options.patience
                self.measured.asked += self._waits
            await self.session.send_audio(_TONE if place < speech else _SILENCE)
            at += 1
            due += FRAME_S
            wait = due - loop.time()
            await asyncio.sleep(wait if wait > 0 else 0)

    async def listen(self) -> None:
        """Take what comes."""
        now = asyncio.get_running_loop().time
        async for event in self.session:
            match event:
                case vl.AudioChunk(turn=turn) | Audio(turn=turn):
                    if turn != self._turn:
                        self._turn = turn
                        if self._waits:
                            self._waits = False
                            self.measured.answered.append(now() - self._ended - CRITICAL_PATH_S)
                    elif turn == self._signalled:
                        self.measured.last_chunk = max(self.measured.last_chunk, now() - self._signal)
                case vl.Interrupted() | Stopped():
                    self.measured.stops.append(now() - self._signal)
                case _:
                    pass

    async def call(self) -> None:
        async with self.session:
            listening = asyncio.create_task(self.listen())
            await self.talk()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def lag(measured: Measured, end: float) -> None:
    """How late the event loop wakes a task that sleeps 5 ms."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        measured.lags.append(loop.time() - due)


def resident_mb() -> float:
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run all callers; measure while all of them are there."""
    loop, chance, measured = asyncio.get_running_loop(), random.Random(7), Measured()
    ramp = 1.0 + options.sessions * 0.006
    window = (loop.time() + ramp, loop.time() + ramp + options.seconds)
    callers = [
        Caller(KINDS[options.kind](options), options, measured, window, chance.uniform(0, options.cycle))
        for _ in range(options.sessions)
    ]
    started = [
        asyncio.create_task(_at(loop.time() + ramp * 0.8 * n / len(callers), c)) for n, c in enumerate(callers)
    ]
    await until(window[0])
    cpu, wall = time.process_time(), time.perf_counter()
    ticking = asyncio.create_task(lag(measured, window[1] - 0.1))
    await until(window[1] - 0.1)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    resident = resident_mb()
    await asyncio.gather(*started, ticking)
    return {
        "kind": options.kind,
        "sessions": options.sessions,
        "cpu_percent": cpu / wall * 100,
        "resident_mb": resident,
        "lag_p99_ms": percentile(measured.lags, 99) * 1000,
        "asked": measured.asked,
        "added_ms": sorted(round(value * 1000, 3) for value in measured.answered),
        "stops_ms": sorted(round(value * 1000, 3) for value in measured.stops),
        "last_chunk_ms": measured.last_chunk * 1000,
    }


async def _at(when: float, caller: Caller) -> None:
    await until(when)
    await caller.call()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("sessions", type=int)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--cycle", type=float, default=10.0, help="seconds from one question to the next")
    parser.add_argument("--speech", type=float, default=1.0, help="seconds of a question")
    parser.add_argument("--ms-per-char", type=float, default=30.0, help="the pace of the replies")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds left in the window to answer a question")
    parser.add_argument("--barge-in", action="store_true", help="questions come while the assistant speaks")
    parser.add_argument("--freeze", action="store_true", help="take the imports out of garbage collection")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--profile", help="write a profile to this file")
    options = parser.parse_args()
    if options.freeze:
        gc.collect()
        gc.freeze()
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        if options.profile:
            import cProfile

            with cProfile.Profile() as profile:
                result = runner.run(run(options))
            profile.dump_stats(options.profile)
        else:
            result = runner.run(run(options))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
