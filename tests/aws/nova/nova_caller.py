"""A caller with a microphone and tools, who holds a marked call over a link."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.conversation import HistoryLimits, Message, TextPart
from voiceloop.conversation.view import newest
from voiceloop.errors import VoiceloopError
from voiceloop.interfaces import (
    Attend,
    Final,
    Link,
    LinkContext,
    LinkEvent,
    ModelCut,
    ModelToolCall,
    Pause,
    Renewed,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyTextDelta,
    Resources,
    Settings,
    ToolResult,
    UserText,
)
from voiceloop.tools import tool

from .nova_marked import RATE, Held, Said, quiet, spoken

Name: TypeAlias = Literal["say", "barge", "type", "silent", "mute", "answered"]


@tool
async def look() -> str:
    """Look something up."""
    return ""


@frozen
class Act:
    """What a caller does. ``say``: a word of ``amount`` ms; ``barge``: one, as soon as a reply speaks; ``type``: a
    text; ``silent`` and ``mute``: send quiet or nothing for ``amount`` s; ``answered``: send quiet until all was
    answered, and ``amount`` s more."""

    name: Name
    amount: float = 0.0


@define(eq=False)
class Caller:
    """Talks at the pace of time; brings tool results ``tools_s`` after their calls, one after another in turn.

    ``detector``: the session tells when the user speaks. ``tail``: how long they stay in the end.
    """

    held: Held
    tools_s: Sequence[float]
    detector: bool = True
    frame_ms: int = 100
    tail: float = 12.0
    failure: Exception | None = None
    _link: Link | None = None
    _history: list[tuple[str, str, int]] = field(factory=list)
    _kept: set[str] = field(factory=set)
    _open: int = 0
    _came: float = 0.0
    _looking: int = 0

    def context(self, resources: Resources) -> LinkContext:
        """For the link."""

        async def room() -> None:
            return None

        settings = Settings(instructions="x", tools=(look,))
        return LinkContext(lambda: settings, self._told, room, resources)

    async def call(self, link: Link, acts: Sequence[Act]) -> None:
        """Do ``acts`` over ``link``, then wait until all was answered."""
        async with self.calling(link):
            for act in acts:
                await self.do(act)

    @asynccontextmanager
    async def calling(self, link: Link) -> AsyncIterator[None]:
        """Listen to ``link``; at the end wait until all was answered."""
        self._link = link
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(self._read, helpers)
            yield
            await self.do(Act("answered", self.tail))
            await anyio.sleep(1.0)
            helpers.cancel_scope.cancel()

    # ------------------------------------------------------------ speaking

    async def do(self, act: Act) -> None:
        """Do it."""
        match act.name:
            case "say":
                await self._say(act.amount)
            case "barge":
                replies = len(self.held.replies)
                await self._listen(lambda: len(self.held.replies) > replies or self._speaks, 3.0)
                await self._say(act.amount)
            case "type":
                await self._listen(
                    lambda: clock.now() > self._came + 0.8, 15.0
                )  # else it may be taken for a part of that
                number = 1000 + len(self.held.typed)
                self.held.typed.append(number)
                self._remember("user", f"t{number}")
                await self._send(UserText(f"t{number}", turn=number))
            case "silent":
                await self._listen(lambda: False, act.amount)
            case "mute":
                await anyio.sleep(act.amount)
            case "answered":
                await self._listen(lambda: self.settled, 90.0)
                await self._listen(lambda: False, act.amount)

    @property
    def settled(self) -> bool:
        """Whether all that was said and typed has an answer, and all results are told."""
        held = self.held
        words = {word for said in held.replies.values() if said.pcm for word in said.text.replace(".", "").split()}
        called = {number for number, _ in held.calls}
        return (
            all(number in called or f"w{number}" in words for number in held.words)
            and all(f"t{number}" in words for number in held.typed)
            and not self._looking
        )

    @property
    def _speaks(self) -> bool:
        said = self.held.replies.get(self._open)
        return said is not None and bool(said.pcm) and not said.whole

    @property
    def _told_just_now(self) -> bool:
        """Whether a reply may still be written: nothing would tell its last words from the answer to a newer text."""
        return clock.now() < self._came + 0.8

    async def _say(self, ms: float) -> None:
        number = len(self.held.words) + 1
        start, samples = len(self.held.sent) // 2, round(ms * RATE / 1000)
        self.held.words[number] = (start, start + samples)
        pcm = spoken(number, start, samples)
        if self.detector:
            await self._speak(pcm[: RATE // 5 * 2])
            await self._send(Attend())
            await self._speak(pcm[RATE // 5 * 2 :])
            await self._listen(lambda: False, 0.2)
            await self._send(Pause())
        else:
            await self._speak(pcm)

    async def _speak(self, pcm: bytes) -> None:
        size = self.frame_ms * RATE // 1000 * 2
        for at in range(0, len(pcm), size):
            await self._hear(pcm[at : at + size])

    async def _listen(self, done: Callable[[], bool], longest: float) -> None:
        until = clock.now() + longest
        while not done() and clock.now() < until and self.failure is None:
            await self._hear(quiet(len(self.held.sent) // 2, self.frame_ms * RATE // 1000))

    async def _hear(self, pcm: bytes) -> None:
        if self.failure is None and self._link is not None:
            try:
                await self._link.send_audio(pcm)
            except VoiceloopError as failure:
                self.failure = self.failure or failure
            else:
                self.held.sent += pcm
        await anyio.sleep(len(pcm) / 2 / RATE)

    async def _send(self, command: Attend | Pause | UserText | ToolResult) -> None:
        if self.failure is None and self._link is not None:
            try:
                await self._link.send(command)
            except VoiceloopError as failure:
                self.failure = self.failure or failure

    # ------------------------------------------------------------ what comes

    async def _read(self, helpers: TaskGroup) -> None:
        assert self._link is not None
        try:
            async for event in self._link:
                self._take(event)
                if isinstance(event, ModelToolCall):
                    helpers.start_soon(self._look_up, event)
        except VoiceloopError as failure:
            self.failure = self.failure or failure

    def _take(self, event: LinkEvent) -> None:
        replies = self.held.replies
        if isinstance(event, ReplyStarted | ReplyTextDelta | ReplyAudio | ModelToolCall):
            self._came = clock.now()
        match event:
            case Final(item, text):
                self.held.heard[item] = text
            case ReplyStarted(reply):
                self._open, replies[reply] = reply, Said()
                for item in [item for item in self.held.heard if item not in self._kept]:
                    self._remember("user", self.held.heard[str(item)])
                    self._kept.add(str(item))
            case ReplyTextDelta(reply, text):
                replies[reply].text += text
                self._remember("assistant", text, reply)
            case ReplyAudio(reply, pcm):
                replies[reply].pcm += pcm
            case ModelCut(reply):
                replies[reply].whole = False
                if not replies[reply].pcm:
                    self._history = [entry for entry in self._history if entry[2] != reply]
            case Renewed(cut):
                self.held.cuts.append(cut)
            case ReplyEnded(reply):
                replies[reply].whole = True
            case _:
                pass

    async def _look_up(self, call: ModelToolCall) -> None:
        assert not isinstance(call.arguments, str)
        result = f"result number {len(self.held.calls) + 1}."
        self.held.calls.append((int(call.arguments["number"]), result))
        self._looking += 1
        await anyio.sleep(self.tools_s[len(self.held.calls) % len(self.tools_s)])
        await anyio.sleep_until(self._came + 0.8)
        self._remember("user", f"(The tool look answered: {result})")
        await self._send(ToolResult(call.connection, call.call, call.name, result))
        self._looking -= 1

    # ------------------------------------------------------------ what is remembered

    def _remember(self, role: str, text: str, reply: int = 0) -> None:
        for index, (_, before, number) in enumerate(self._history):
            if reply and number == reply:
                self._history[index] = (role, before + text, reply)
                return
        self._history.append((role, text, reply))
        del self._history[:-60]

    def _told(self, limits: HistoryLimits) -> tuple[Message, ...]:
        roles: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}
        return newest(tuple(Message(roles[role], (TextPart(text),)) for role, text, _ in self._history), limits)
