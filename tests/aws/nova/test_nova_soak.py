"""A call over real sockets, whose connections are replaced every second or so: nothing is lost, doubled or kept.

``make soak ARGS=5`` holds it for five minutes, in the place of fifteen seconds.
"""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path

from voiceloop import Pool, clock
from voiceloop.aws.nova import NovaSonic
from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.nova.profile import NovaTimers

from .nova_caller import Act, Caller
from .nova_marked import RATE, Held, MarkedVoice, marked, quick

MINUTES = float(os.environ.get("VOICELOOP_SOAK", "0"))
_SECONDS = MINUTES * 60 or 11.0
_TIMERS = 0.05  # eight minutes are 24 s
_SPAN = 40.0
"""Every stretch of so many seconds is judged by itself, so that nothing grows but what the link keeps."""


def resident() -> float:
    """The memory of this process, in MB; 0 where it is not told."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if status.exists() else 0.0


class Random:
    """A caller's next act, at random."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def acts(self) -> list[Act]:
        chance = self._chance
        name = chance.choice(("say", "say", "say", "barge", "type"))
        if name == "type":
            return [Act("answered"), Act("type"), Act("answered")]
        after = Act("silent", 0.8) if chance.random() < 0.8 else Act("answered", 0.3)
        idle = [Act("silent", 2.0), Act("mute", 2.0), Act("answered", 0.1), Act("silent", 0.1)]
        word = Act("barge" if name == "barge" else "say", chance.choice((250, 400, 900, 2_000)))
        return [word, after, chance.choice(idle)]


async def span(aws: Emulator, voice: MarkedVoice, seconds: float, seed: int) -> tuple[int, list[str]]:
    """One call; how often its connection was replaced, and what is wrong with it."""
    held = Held(voice)
    caller = Caller(held, tools_s=(0.1, 1.5, 3.0), frame_ms=50, tail=1.0)
    before, acts = len(aws.nova.connections), Random(seed)
    sonic = NovaSonic(
        account=aws.account(), input_rate=RATE, output_rate=RATE, renew_after=0.6, deadline=1.6, quiet_after=4.0
    )
    until = clock.now() + seconds

    async with Pool() as pool, sonic.connect(caller.context(pool)) as link, caller.calling(link):
        while clock.now() < until and caller.failure is None and len(held.words) < 250:
            for act in acts.acts():
                await caller.do(act)
    connections = aws.nova.connections[before:]
    wrong = held.laws(connections)
    if caller.failure is not None:
        wrong.insert(0, f"it failed: {caller.failure!r}")
    wrong += [f"a connection {one.ended}: {one.message}" for one in connections if one.ended != "closed"]
    return len(connections) - 1, wrong


async def test_soak() -> None:
    voice = MarkedVoice(ms_per_char=15.0)
    async with Emulator(marked(voice), timers=_TIMERS) as aws:
        nova, renewals, memory = aws.nova, 0, [resident()]
        nova.keep_audio, nova.timers = True, NovaTimers(gap=55 / _TIMERS)  # a last reply is waited for without audio
        ends = clock.now() + _SECONDS
        seed = 0
        while clock.now() < ends:
            nova.profile = quick(finals=("after", "late", "missing")[seed % 3])
            count, wrong = await span(aws, voice, min(_SPAN, ends - clock.now()), seed)
            assert wrong == []
            renewals += count
            seed += 1
            nova.connections.clear()
            aws.calls.clear()
            voice.clauses[:-1] = []
            gc.collect()
            memory.append(resident())
    assert renewals >= _SECONDS / 2
    if MINUTES:
        print(f"{_SECONDS:g} s, {renewals} renewals, memory in MB: {', '.join(f'{mb:.0f}' for mb in memory)}")
        assert memory[-1] < memory[len(memory) // 2] + 10
