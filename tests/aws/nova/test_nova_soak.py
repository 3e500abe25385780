"""A call over real sockets, whose connections are replaced every second or so: nothing is lost, doubled or kept.

The service is a process of its own.
``make soak ARGS=5`` holds it for five minutes, in the place of fifteen seconds.
"""

from __future__ import annotations

import base64
import gc
import os
import pickle
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from attrs import define

from voiceloop import Pool, clock
from voiceloop.aws.account import Account, Keys
from voiceloop.aws.nova import NovaSonic, Waits

from .nova_caller import Act, Caller
from .nova_marked import RATE, Held, MarkedVoice

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


@define(eq=False)
class Service:
    """The emulated Nova Sonic in its process."""

    _process: anyio.abc.Process
    _said: str = ""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Service]:
        """Start it; it ends with the block."""
        command = [sys.executable, "-m", "tests.aws.nova.nova_soak_service", str(_TIMERS)]
        process = await anyio.open_process(command, cwd=Path(__file__).parents[3], stderr=None)
        async with process:
            assert process.stdin is not None
            yield cls(process)
            await process.stdin.aclose()
            with anyio.fail_after(20):
                await process.wait()

    async def ask(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        await self._process.stdin.send(f"{line}\n".encode())

    async def told(self) -> Any:
        """What it tells on its next line."""
        assert self._process.stdout is not None
        with anyio.fail_after(60):
            while "\n" not in self._said:
                self._said += (await self._process.stdout.receive()).decode("ascii")
        line, _, self._said = self._said.partition("\n")
        return pickle.loads(base64.b64decode(line))


async def span(service: Service, account: Account, seconds: float, seed: int) -> tuple[int, list[str]]:
    """One call; how often its connection was replaced, and what is wrong with it."""
    voice = MarkedVoice(ms_per_char=15.0)
    held = Held(voice)
    caller = Caller(held, tools_s=(0.1, 1.5, 3.0), frame_ms=50, tail=1.0)
    acts = Random(seed)
    sonic = NovaSonic(
        account=account,
        input_rate=RATE,
        output_rate=RATE,
        renew_after=0.6,
        deadline=1.6,
        quiet_after=4.0,
        waits=Waits().scaled(_TIMERS),
    )
    until = clock.now() + seconds
    async with Pool() as pool, sonic.connect(caller.context(pool)) as link, caller.calling(link):
        while clock.now() < until and caller.failure is None and len(held.words) < 250:
            for act in acts.acts():
                await caller.do(act)
    await service.ask("report")
    connections, clauses, errors = await service.told()
    voice.knows(clauses)
    wrong = [*held.laws(connections), *errors]
    if caller.failure is not None:
        wrong.insert(0, f"it failed: {caller.failure!r}")
    wrong += [f"a connection {one.ended}: {one.message}" for one in connections if one.ended != "closed"]
    return len(connections) - 1, wrong


async def test_soak() -> None:
    async with Service.running() as service:
        environ = await service.told()
        keys = Keys(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
        endpoints, authority = {"": environ["AWS_ENDPOINT_URL"]}, environ["AWS_CA_BUNDLE"]
        account = Account(region="us-east-1", keys=keys, endpoints=endpoints, ca_bundle=authority)
        renewals, memory, seed = 0, [resident()], 0
        ends = clock.now() + _SECONDS
        while clock.now() < ends:
            await service.ask(f"profile {('after', 'late', 'missing')[seed % 3]}")
            count, wrong = await span(service, account, min(_SPAN, ends - clock.now()), seed)
            assert wrong == []
            renewals += count
            seed += 1
            gc.collect()
            memory.append(resident())
    assert renewals >= _SECONDS / 2
    if MINUTES:
        print(f"{_SECONDS:g} s, {renewals} renewals, memory in MB: {', '.join(f'{mb:.0f}' for mb in memory)}")
        assert memory[-1] < memory[len(memory) // 2] + 10
