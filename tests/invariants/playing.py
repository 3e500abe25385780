"""Plays a random conversation in virtual time and keeps all that can be seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from attrs import define, evolve, field

import voiceloop as vl
from voiceloop import clock
from voiceloop.conversation import Entry
from voiceloop.events import Event
from voiceloop.interfaces import (
    ListenConfig,
    Listening,
    ReasonerItem,
    ReasonerRequest,
    Recognizer,
    ToolCall,
)
from voiceloop.memory import InProcessMemory
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
    Short,
    Spoken,
    silence,
    tone,
)

from .listener import Listener
from .schedule import Act, Providers, Schedule

FRAME = 640
"""Bytes of 20 ms of input."""

LONGEST_S = 240.0
"""No conversation of these schedules lasts as long; one that does hangs."""


@define(eq=False)
class Record:
    """What was seen of a conversation."""

    listener: Listener
    reasoner: ScriptedReasoner
    memory: Recollection
    log: list[Event] = field(factory=list)
    failure: BaseException | None = None
    sent: bytearray = field(factory=bytearray)
    received: bytearray = field(factory=bytearray)
    accepted_results: list[str] = field(factory=list)
    undone: tuple[str, ...] = ()
    finished: bool = False

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.log if isinstance(event, kind)]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the memory keeps of it."""
        return self.memory.kept


class Recollection(InProcessMemory):
    """A memory that can fail, and shows what it keeps."""

    def __init__(self, fails: int | None = None) -> None:
        super().__init__()
        self.calls = 0
        self.kept: tuple[Entry, ...] = ()
        self._fails = fails

    async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
        self.calls += 1
        await anyio.sleep(0.01)
        if self._fails is not None and self.calls > self._fails:
            raise vl.VoiceloopError("the disk is full")
        await super().append(conversation, entries, after=after)
        self.kept = tuple(await self.load(conversation))


class _Tee(Listening):
    """Passes everything on and keeps the audio."""

    def __init__(self, inner: Listening, record: Record, paced: bool) -> None:
        self._inner = inner
        self._record = record
        self._paced = paced

    async def send_audio(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), FRAME):
            frame = pcm[at : at + FRAME]
            if self._paced:
                await anyio.sleep(len(frame) / 32_000)
            self._record.received += frame
            await self._inner.send_audio(frame)

    async def flush(self, *, end_of_turn: bool) -> None:
        await self._inner.flush(end_of_turn=end_of_turn)

    async def expect(self, expectation: Any) -> None:
        await self._inner.expect(expectation)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._inner.__aiter__()


class _TeeRecognizer(Recognizer):
    name = "scripted recognizer"

    def __init__(self, inner: ScriptedRecognizer, record: Record, providers: Providers) -> None:
        self._inner = inner
        self._record = record
        self._paced = providers.paced
        self.capabilities = evolve(inner.capabilities, can_finish=providers.can_finish)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with self._inner.open(config) as listening:
            yield _Tee(listening, self._record, self._paced)


# ---------------------------------------------------------------- providers from a schedule


def _script(replies: Sequence[str], fault: tuple[str, int] | None) -> Any:
    """The replies, round and round, with tool calls in them, each with an id of its own."""
    calls = iter(range(1_000_000))

    def reply(request: ReasonerRequest) -> list[str | ReasonerItem | Delay | Fail | Hang]:
        number = next(calls)
        if fault == ("request", number):
            return [Fail()]
        items: list[Any] = []
        answered = bool(request.messages) and any(
            type(part).__name__ == "ToolResultPart" for part in request.messages[-1].parts
        )
        text = replies[number % len(replies)] if not answered else "That is done now."
        for word in text.split(" ") if "TOOL" in text else [text]:
            if word.endswith("TOOL"):
                name = word.removesuffix("TOOL").lower() + "tool"
                arguments: Any = {"wrong": 1} if name == "badtool" else {"ms": 1}
                items.append(ToolCall(f"call-{number}-{len(items)}", name, arguments))
            else:
                items.append(word)
        if fault == ("token", number):
            items.insert(len(items) // 2, Fail())
        if fault == ("hang", number):
            items.insert(len(items) // 2, Hang())
        return items

    return reply


def tools(providers: Providers) -> list[vl.Tool]:
    """The tools that scripts call."""

    @vl.tool
    async def tool(ms: int) -> str:
        """A tool."""
        await anyio.sleep(providers.tool_s)
        return "fine"

    @vl.tool(timeout=0.5)
    async def slowtool(ms: int) -> str:
        """A tool that takes too long."""
        await anyio.sleep(9)
        return "never"

    @vl.tool
    async def badtool(ms: int) -> str:
        """A tool that is called wrongly."""
        return "never"

    @vl.tool
    async def endtool(ms: int, context: vl.ToolContext) -> str:
        """A tool that hangs up."""
        await context.session.end()
        return "bye"

    return [tool, slowtool, badtool, endtool]


def _record(schedule: Schedule) -> tuple[Record, vl.Cascade]:
    p, n, fault = schedule.providers, schedule.network, schedule.providers.fault
    place, number = fault if fault is not None else ("", 0)
    late = min(p.final_after, p.flush_after) if p.can_flush or p.can_finish else p.final_after
    said: list[Any] = [
        Spoken(text, final=p.finals[i % len(p.finals)], final_after=late + p.partial_after)
        for i, text in enumerate(p.utterances * 6)
    ]
    if place == "stream end":
        said[number] = Fail(RuntimeError("broken"))
    if place == "silent":
        said[number] = Hang()
    recognizer = ScriptedRecognizer(
        said,
        can_flush=p.can_flush,
        partials=p.partials,
        partial_after=p.partial_after,
        on_open=[None] * number + [Fail()] if place == "open" and number == 0 else None,
        on_send=[None] * (number * 40) + [Fail()] if place == "send" else None,
    )
    listener = Listener(n.latency, n.report_every, n.tells_stop, n.lost, n.swapped)
    reasoner = ScriptedReasoner(_script(p.replies, fault), p.first_token, p.token)
    memory = Recollection(number if place == "memory" else None)
    record = Record(listener, reasoner, memory)
    faults: dict[int, Any] = {}
    if place == "speak":
        faults = {number: Fail(RuntimeError("no voice"))}
    elif place == "broke":
        faults = {number: Fail(vl.errors.SpeechBroke("the audio broke off", provider="scripted", doing="speaking"))}
    elif place == "audio":
        faults = {number: Short(50)}
    synthesizer = ScriptedSynthesizer(
        p.first_audio,
        p.speed,
        p.ms_per_char,
        marks=frozenset(p.marks),  # type: ignore[arg-type]
        marks_late=p.marks_late,
        marks_lost=p.marks_lost,
        marks_disordered=p.marks_disordered,
        streams=p.streams,
        chunk_ms=p.speech_chunk_ms,
        faults=faults,
    )
    return record, vl.Cascade(_TeeRecognizer(recognizer, record, p), reasoner, synthesizer)


# ---------------------------------------------------------------- the user


@define(eq=False)
class _User:
    record: Record
    session: vl.Session
    next_frame: float = 0.0

    async def act(self, acts: Sequence[Act]) -> None:
        self.next_frame = clock.now()
        with suppress(vl.SessionClosed):
            for act in acts:
                await self._do(act)
            await self._sound(silence(40))
            await self.session.end_input()

    async def _do(self, act: Act) -> None:
        session = self.session
        match act.name:
            case "speak":
                await self._sound(tone(act.ms))
            case "quiet":
                await self._sound(silence(act.ms))
            case "recorded speech":
                await self._sound(tone(act.ms), at_once=True)
            case "recorded quiet":
                await self._sound(silence(act.ms), at_once=True)
            case "until_audio":
                await self._until_audio()
                await self._sound(silence(act.ms))
            case "type":
                await session.send_text("I typed this")
            case "note":
                await session.send_text("A note for you", reply=False)
            case "say":
                await session.say("Please hold the line, will you?")
            case "announce":
                await session.say("This call is recorded. Bear with us.", interruptible=False)
            case "greet":
                await session.greet("Say hello")
            case "interrupt":
                await session.interrupt()
            case "end_turn":
                await session.end_turn()
            case "mute" | "unmute":
                await session.update(speak=act.name == "unmute")

    async def _until_audio(self) -> None:
        seen, until = len(self.record.of(vl.AudioChunk)), clock.now() + 3.0
        while len(self.record.of(vl.AudioChunk)) == seen and clock.now() < until:
            await self._sound(silence(20))

    async def _sound(self, pcm: bytes, *, at_once: bool = False) -> None:
        for at in range(0, len(pcm), FRAME):
            frame = pcm[at : at + FRAME]
            self.next_frame = clock.now() if at_once else self.next_frame + len(frame) / 32_000
            if self.next_frame > clock.now():
                await anyio.sleep(self.next_frame - clock.now())
            await self.session.send_audio(frame)
            self.record.sent += frame


# ---------------------------------------------------------------- playing


async def _listen(record: Record, session: vl.Session, busy: float) -> None:
    async for event in session:
        record.log.append(event)
        record.listener.hear(event, session)
        if busy:
            await anyio.sleep(busy)


async def _converse(schedule: Schedule, record: Record, model: vl.Cascade) -> None:
    options = dict(schedule.options)
    if options.get("turns", "scripted") == "scripted":
        options["turns"] = ScriptedTurns()
    session = vl.Session(model, tools=tools(schedule.providers), memory=record.memory, **options)
    async with session:
        user = _User(record, session)
        async with anyio.create_task_group() as group:
            group.start_soon(user.act, schedule.acts)
            group.start_soon(record.listener.report, session)
            try:
                with anyio.fail_after(LONGEST_S):
                    await _listen(record, session, schedule.network.busy)
                record.finished = True
            except Exception as failure:  # noqa: BLE001 - kept: what it is, is what is checked
                record.failure = failure
            group.cancel_scope.cancel()
    await anyio.sleep(2.0)


async def _main(schedule: Schedule, record: Record, model: vl.Cascade) -> Record:
    task = asyncio.create_task(_converse(schedule, record, model), name="conversation")
    if schedule.cancel_after is not None:
        for _ in range(schedule.cancel_after):
            await asyncio.sleep(0)
            if task.done():
                break
        task.cancel()
    try:
        await task
    except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - kept: what it is, is what is checked
        record.failure = record.failure or failure
    this = asyncio.current_task()
    record.undone = tuple(sorted(task.get_name() for task in asyncio.all_tasks() if task is not this))
    return record


def play(schedule: Schedule, seed: int = 0) -> Record:
    """Hold the conversation and return what was seen of it."""
    record, model = _record(schedule)
    return virtual_time.run(_main, schedule, record, model, seed=seed)
