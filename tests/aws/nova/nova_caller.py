"""Callers with a microphone and tools, who hold a marked call: over a link, or over a session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from voiceloop import clock
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
from .nova_memory import Memory

Name: TypeAlias = Literal["say", "barge", "type", "silent", "mute", "answered", "interrupt", "update"]

_APART = 0.8
"""Seconds after which nothing that comes is taken for a part of what came before."""


@frozen
class Act:
    """What a caller does. ``say``: a word of ``amount`` ms; ``barge``: one, as soon as a reply speaks; ``type``: a
    text; ``silent`` and ``mute``: send quiet or nothing for ``amount`` s; ``answered``: send quiet until all was
    answered, and ``amount`` s more. Over a session also ``interrupt``: by hand, as soon as a reply speaks; and
    ``update``: change the instructions."""

    name: Name
    amount: float = 0.0


@define(eq=False)
class Talker:
    """Talks at the pace of time. ``frame_ms`` is sent at once. ``failure`` ends it.

    Who derives from it says how a microphone's sound and a typed text are passed on, and takes what comes.
    """

    held: Held
    tools_s: Sequence[float] = field(kw_only=True)
    frame_ms: int = field(default=100, kw_only=True)
    failure: Exception | None = field(default=None, init=False)
    _open: int = field(default=0, init=False)
    _came: float = field(default=0.0, init=False)
    _looking: int = field(default=0, init=False)

    async def pass_on(self, pcm: bytes) -> None:
        """Send input."""
        raise NotImplementedError

    async def type_text(self, number: int) -> None:
        """Send ``t<number>``."""
        raise NotImplementedError

    async def press(self, name: Name) -> None:
        """What is done with a session only."""
        raise NotImplementedError

    async def say(self, ms: float) -> None:
        """Say the next word."""
        await self.speak(self.word(ms))

    # ------------------------------------------------------------ acting

    async def do(self, act: Act) -> None:
        """Do it."""
        match act.name:
            case "say":
                await self.say(act.amount)
            case "barge":
                await self._await_speech()
                await self.say(act.amount)
            case "type":
                # else it may be taken for a part of what is being said
                await self.listen(lambda: clock.now() > self._came + _APART, 15.0)
                number = 1000 + len(self.held.typed)
                self.held.typed.append(number)
                await self.type_text(number)
            case "silent":
                await self.listen(lambda: False, act.amount)
            case "mute":
                await anyio.sleep(act.amount)
            case "answered":
                await self.listen(lambda: self.settled, 90.0)
                await self.listen(lambda: False, act.amount)
            case "interrupt" | "update":
                await self._await_speech()
                await self.press(act.name)

    async def _await_speech(self) -> None:
        replies = len(self.held.replies)
        await self.listen(lambda: len(self.held.replies) > replies or self._speaks, 3.0)

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

    def word(self, ms: float) -> bytes:
        """The next word, of ``ms``; it is to be sent now."""
        number = len(self.held.words) + 1
        start, samples = len(self.held.sent) // 2, round(ms * RATE / 1000)
        self.held.words[number] = (start, start + samples)
        return spoken(number, start, samples)

    async def speak(self, pcm: bytes) -> None:
        """Send ``pcm`` as it is spoken."""
        size = self.frame_ms * RATE // 1000 * 2
        for at in range(0, len(pcm), size):
            await self._send_audio(pcm[at : at + size])

    async def listen(self, done: Callable[[], bool], longest: float) -> None:
        """Send quiet until it is ``done``, at most for so many seconds."""
        until = clock.now() + longest
        while not done() and clock.now() < until and self.failure is None:
            await self._send_audio(quiet(len(self.held.sent) // 2, self.frame_ms * RATE // 1000))

    async def _send_audio(self, pcm: bytes) -> None:
        if await self.trying(lambda: self.pass_on(pcm)):
            self.held.sent += pcm
        await anyio.sleep(len(pcm) / 2 / RATE)

    async def trying(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do it, unless it has failed before; whether it was done."""
        if self.failure is None:
            try:
                await work()
                return True
            except VoiceloopError as failure:
                self.failure = self.failure or failure
        return False

    # ------------------------------------------------------------ answering

    def came(self) -> None:
        """Something of a reply came."""
        self._came = clock.now()

    def begun(self, reply: int) -> Said:
        """A reply begins."""
        self._open = reply
        return self.held.replies.setdefault(reply, Said())

    async def look_up(self, number: int) -> str:
        """The result of a tool, after a while; not while a reply may still be written, from which nothing would tell
        the answer to it."""
        result = f"result number {len(self.held.calls) + 1}."
        self.held.calls.append((number, result))
        self._looking += 1
        await anyio.sleep(self.tools_s[len(self.held.calls) % len(self.tools_s)])
        await anyio.sleep_until(self._came + _APART)
        return result

    def looked_up(self) -> None:
        """The result was told."""
        self._looking -= 1


@define(eq=False)
class Caller(Talker):
    """Talks over a link; brings tool results ``tools_s`` after their calls, one after another in turn.

    ``detector``: the session tells when the user speaks. ``tail``: how long they stay in the end.
    """

    detector: bool = True
    tail: float = 12.0
    _link: Link | None = field(default=None, init=False)
    _memory: Memory = field(factory=Memory, init=False)
    _kept: set[str] = field(factory=set, init=False)

    def context(self, resources: Resources) -> LinkContext:
        """For the link."""

        async def room() -> None:
            return None

        @tool
        async def look(number: int) -> str:
            """Look something up."""
            return ""

        settings = Settings(instructions="x", tools=(look,))
        return LinkContext(lambda: settings, self._memory.told, room, resources)

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

    @property
    def _line(self) -> Link:
        assert self._link is not None
        return self._link

    async def pass_on(self, pcm: bytes) -> None:
        await self._line.send_audio(pcm)

    async def type_text(self, number: int) -> None:
        self._memory.add("user", f"t{number}")
        await self._send(UserText(f"t{number}", turn=number))

    async def say(self, ms: float) -> None:
        pcm = self.word(ms)
        if self.detector:
            await self.speak(pcm[: RATE // 5 * 2])
            await self._send(Attend())
            await self.speak(pcm[RATE // 5 * 2 :])
            await self.listen(lambda: False, 0.2)
            await self._send(Pause())
        else:
            await self.speak(pcm)

    async def _send(self, command: Attend | Pause | UserText | ToolResult) -> None:
        await self.trying(lambda: self._line.send(command))

    # ------------------------------------------------------------ what comes

    async def _read(self, helpers: TaskGroup) -> None:
        try:
            async for event in self._line:
                self._take(event)
                if isinstance(event, ModelToolCall):
                    helpers.start_soon(self._look_up, event)
        except VoiceloopError as failure:
            self.failure = self.failure or failure

    def _take(self, event: LinkEvent) -> None:
        replies = self.held.replies
        if isinstance(event, ReplyStarted | ReplyTextDelta | ReplyAudio | ModelToolCall):
            self.came()
        match event:
            case Final(item, text):
                self.held.heard[item] = text
            case ReplyStarted(reply):
                self.begun(reply)
                for item in [item for item in self.held.heard if item not in self._kept]:
                    self._memory.add("user", self.held.heard[str(item)])
                    self._kept.add(str(item))
            case ReplyTextDelta(reply, text):
                replies[reply].text += text
                self._memory.add("assistant", text, reply)
            case ReplyAudio(reply, pcm):
                replies[reply].pcm += pcm
            case ModelCut(reply):
                replies[reply].whole = False
                if not replies[reply].pcm:
                    self._memory.forget(reply)
            case Renewed(cut):
                self.held.cuts.append(cut)
            case ReplyEnded(reply):
                replies[reply].whole = True
            case _:
                pass

    async def _look_up(self, call: ModelToolCall) -> None:
        assert not isinstance(call.arguments, str)
        result = await self.look_up(int(call.arguments["number"]))
        self._memory.add("user", f"(The tool look answered: {result})")
        await self._send(ToolResult(call.connection, call.call, call.name, result))
        self.looked_up()
