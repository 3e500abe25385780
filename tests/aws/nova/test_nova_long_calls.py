"""Calls of hours, with connections that end and break at the most awkward moments: nothing is lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import anyio
import attrs
import pytest
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.interfaces import (
    Final,
    LinkEvent,
    ModelCut,
    ModelToolCall,
    ReasonerRequest,
    Renewed,
    ReplyAudio,
    ReplyStarted,
    ReplyTextDelta,
    Settings,
    ToolCall,
    ToolResult,
)
from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.nova.profile import NovaLimits, NovaTimers
from voiceloop.testing.scripted import silence
from voiceloop.tools import tool

from .nova_link_kit import MarkedRecognizer, Talk, marked, talk, word
from .nova_marked import quick

pytestmark = pytest.mark.virtual_time(seed=0)


@tool
async def look() -> str:
    """Look something up."""
    return ""


def answer(request: ReasonerRequest) -> Any:
    """Every fifth word needs a tool, every seventh a long answer; the others are said back."""
    text = (request.messages[-1].text.split() or [""])[-1]
    if not text.startswith("w"):
        return "All right."
    number = int(text[1:])
    if number % 5 == 3:
        return [ToolCall(f"look-{number}", "look", {"number": number})]
    if number % 7 == 0:
        return f"You said {text}. " + "And there is more to say about it. " * 12
    return f"You said {text}."


@frozen
class Habits:
    """How a caller talks: lengths of words in ms, pauses in s and how long tools take; the chances that they speak
    for 100 s, or are silent for minutes."""

    words_ms: tuple[int, ...]
    monologue: float
    quiet_s: tuple[float, ...]
    silent: float
    tools_s: tuple[float, ...]


@define(eq=False)
class Caller:
    """Says words; brings tool results late; remembers what a session would."""

    running: Talk
    chance: random.Random
    habits: Habits
    said: dict[int, int] = field(factory=dict)
    results: list[str] = field(factory=list)
    _words: dict[str, str] = field(factory=dict)
    _kept: set[str] = field(factory=set)
    _audible: set[int] = field(factory=set)

    async def call(self, seconds: float) -> None:
        self.running.long = True
        async with anyio.create_task_group() as helpers:
            self.running.watch = lambda event: self._see(event, helpers)
            left = seconds
            while left > 0:
                left -= await self._turn()
            await anyio.sleep(150)
            helpers.cancel_scope.cancel()

    async def _turn(self) -> float:
        number = len(self.said) + 1
        rate, taken = self.running.model.input_rate, self.running.model.capabilities.input
        ms = self.chance.choice(self.habits.words_ms)
        if self.chance.random() < self.habits.monologue:
            ms = 100_000
        self.said[number] = ms * rate // 1000
        await self.running.hear(word(number, ms, rate) + silence(800, taken), 100)
        quiet = self.chance.choice(self.habits.quiet_s)
        if self.chance.random() < self.habits.silent:
            quiet = self.chance.uniform(10, 40) * max(self.habits.quiet_s) / 10
        await anyio.sleep(quiet)
        return ms / 1000 + 1.5 + quiet

    def _see(self, event: LinkEvent, helpers: TaskGroup) -> None:
        if isinstance(event, ModelToolCall):
            helpers.start_soon(self._look_up, event)
        self._keep(event)

    def _keep(self, event: LinkEvent) -> None:
        """What a session puts into its history: the user's words when they are answered."""
        match event:
            case Final(item, text):
                self._words[item] = text
            case ReplyStarted():
                for item in [item for item in self._words if item not in self._kept]:
                    self.running.memory.add("user", self._words[item])
                    self._kept.add(item)
            case ReplyTextDelta(reply, text):
                self.running.memory.add("assistant", text, reply)
            case ReplyAudio(reply):
                self._audible.add(reply)
            case ModelCut(reply) if reply not in self._audible:
                self.running.memory.forget(reply)
            case _:
                pass

    async def _look_up(self, call: ModelToolCall) -> None:
        await anyio.sleep(self.chance.choice(self.habits.tools_s))
        result = f"result of {call.call}."
        self.results.append(result)
        self.running.memory.add("user", f"(The tool look answered: {result})")
        await self.running.link.send(ToolResult(call.connection, call.call, call.name, result))


def check(caller: Caller, recognizer: MarkedRecognizer) -> None:
    running = caller.running
    assert running.failure is None
    words = [text for item in running.heard for text in item.split()]
    assert words == [f"w{number}" for number in caller.said], "each word is heard once, and in order"
    for number, samples in caller.said.items():
        most = max(counts[number] for counts in recognizer.samples)
        assert most == samples, f"one connection gets all of w{number}, once"
    spoken = Counter(text.split(". ")[0].rstrip(".") for text in running.said() if text.startswith("You said"))
    plain = [number for number in caller.said if number % 5 != 3]
    assert spoken == Counter(f"You said w{number}" for number in plain), "each word is answered once"
    calls = Counter(call.call for call in running.of(ModelToolCall))
    told = [result.content for connection in running.nova.connections for result in connection.results]
    told += [text for connection in running.nova.connections for text in connection.texts]
    histories = [line.text for connection in running.nova.connections for line in connection.history]
    for call in calls:
        result = f"result of {call}."
        times = sum(result in text for text in told)
        assert times == 1 or (times == 0 and any(result in line for line in histories)), f"{result}: {times} times"


EIGHT_HOURS = Habits(
    words_ms=(300, 600, 1_200, 3_000),
    monologue=0.02,
    quiet_s=(20, 90, 150, 220),
    silent=0.04,
    tools_s=(0.2, 5, 30, 90),
)
HASTY = Habits(
    words_ms=(300, 600, 2_000, 6_000), monologue=0.0, quiet_s=(0.1, 1, 3), silent=0.05, tools_s=(0.2, 2, 9)
)


async def test_eight_hours() -> None:
    recognizer = MarkedRecognizer(input=AudioFormat(8_000))

    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(speed=2.0)

    settings = Settings(instructions="x", tools=(look,))
    options = {"silence_ms": 10_000, "input_rate": 8_000}
    async with talk(backing=marked(answer, recognizer), settings=settings, before=before, **options) as running:
        caller = Caller(running, random.Random(1), EIGHT_HOURS)
        await caller.call(8 * 3600)
    check(caller, recognizer)
    assert len(running.of(Renewed)) >= 64
    lives = [connection.closed - connection.opened for connection in running.nova.connections if connection.closed]
    assert max(lives) < 480
    assert {connection.ended for connection in running.nova.connections} == {"closed"}


@pytest.mark.parametrize("seed", range(4))
async def test_minutes_with_a_renewal_every_few_seconds(seed: int) -> None:
    recognizer = MarkedRecognizer()

    def before(aws: Emulator) -> None:
        profiles = (quick(), quick(speed=1.2, finals="late"), quick(finals="missing"))
        aws.nova.profile = profiles[seed % 3]
        aws.nova.timers = NovaTimers(longest=20)
        if seed % 2:
            aws.nova.limits = NovaLimits(streams=1)

    settings = Settings(instructions="x", tools=(look,))
    options = {"renew_after": 5.0, "deadline": 12.0, "quiet_after": 10.0}
    async with talk(backing=marked(answer, recognizer), settings=settings, before=before, **options) as running:
        caller = Caller(running, random.Random(seed), HASTY)
        await caller.call(200)
    check(caller, recognizer)
    assert len(running.of(Renewed)) >= 10


@pytest.mark.parametrize("seed", range(4))
async def test_minutes_in_which_connections_break(seed: int) -> None:
    """Whatever a user says is heard and answered once, though a connection breaks every few seconds."""
    recognizer = MarkedRecognizer()

    def before(aws: Emulator) -> None:
        ends = ("timeout", "end", "531")
        aws.nova.timers = NovaTimers(longest=7 + seed, longest_error=ends[seed % 3])
        aws.nova.profile = quick(speech_end="after" if seed % 2 else "before")

    def reply(request: ReasonerRequest) -> str:
        return f"You said {request.messages[-1].text}."

    async with talk(backing=marked(reply, recognizer), before=before) as running:
        caller = Caller(running, random.Random(seed), attrs.evolve(HASTY, words_ms=(300, 600, 2_000), quiet_s=(1, 3)))
        await caller.call(120)
    assert running.failure is None
    assert [text for item in running.heard for text in item.split()] == [f"w{number}" for number in caller.said]
    answers = Counter(running.said())
    assert {answers[f"You said w{number}."] for number in caller.said} == {1}, answers
