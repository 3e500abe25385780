"""A caller with a microphone and tools, who holds a marked call over a whole session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import anyio
from attrs import define, field

import voiceloop as vl
from voiceloop import clock
from voiceloop.errors import VoiceloopError
from voiceloop.events import Event
from voiceloop.testing.event_log import check_log
from voiceloop.tools import Tool, tool

from .nova_caller import Act, Name, Talker
from .nova_marked import RATE


@define(eq=False)
class SessionCaller(Talker):
    """Talks over a session. ``by_hand``: they say when they have said all. ``hangs_up``: how the session is ended.

    ``log``: all its events. ``left``: how long it took to end, in s.
    """

    by_hand: bool = False
    hangs_up: str = "at once"
    log: list[Event] = field(factory=list, init=False)
    left: float = field(default=0.0, init=False)
    _session: vl.Session | None = field(default=None, init=False)
    _updates: int = field(default=0, init=False)

    def look(self) -> Tool:
        """The tool."""

        @tool(timeout=300)
        async def look(number: int) -> str:
            """Look something up."""
            return await self.look_up(number)

        return look

    async def call(self, session: vl.Session, acts: Sequence[Act]) -> None:
        """Do ``acts``, wait until all was answered, and hang up."""
        self._session = session
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._read)
            for act in acts:
                await self.do(act)
            await self.do(Act("answered", 12.0))
            await anyio.sleep(1.0)
            began = clock.now()
            await self.trying(self._hang_up)
        self.left = clock.now() - began

    async def _hang_up(self) -> None:
        if self.hangs_up == "end of input":
            await self._line.end_input()
        else:
            await self._line.end(after_speech=self.hangs_up == "after speech")

    @property
    def _line(self) -> vl.Session:
        assert self._session is not None
        return self._session

    async def pass_on(self, pcm: bytes) -> None:
        await self._line.send_audio(pcm)

    async def type_text(self, number: int) -> None:
        await self.trying(lambda: self._line.send_text(f"t{number}"))

    async def say(self, ms: float) -> None:
        await super().say(ms)
        if self.by_hand:
            await self.trying(self._line.end_turn)

    async def press(self, name: Name) -> None:
        if name == "interrupt":
            await self.trying(self._line.interrupt)
        else:
            await self.trying(self._update)

    async def _update(self) -> None:
        self._updates += 1
        await self._line.update(instructions=f"x{self._updates}")

    # ------------------------------------------------------------ what comes

    async def _read(self) -> None:
        try:
            async for event in self._line:
                self.log.append(event)
                self._take(event)
        except VoiceloopError as failure:
            self.failure = failure  # why it failed; others are only told that it has

    def _take(self, event: Event) -> None:
        held = self.held
        match event:
            case (
                vl.Transcript(utterance=number, text=text, final=True)
                | vl.TranscriptRevised(utterance=number, text=text)
            ):
                held.heard[number] = text
            case vl.TurnStarted(turn=turn):
                self.came()
                self.begun(turn)
            case vl.ReplyText(turn=turn, text=text):
                self.came()
                held.replies[turn].text += text
            case vl.AudioChunk(turn=turn, pcm=pcm):
                self.came()
                held.replies[turn].pcm += pcm
            case vl.TurnEnded(turn=turn, reason=reason):
                held.replies[turn].whole = reason == "completed"
                held.replies[turn].cut = reason in ("interrupted", "dropped")
            case vl.ToolCalled():
                self.came()
            case vl.ToolReturned():
                self.looked_up()
            case _:
                pass

    # ------------------------------------------------------------ what a session promises

    def laws(self) -> Iterator[str]:
        """What is wrong with the session's own events; the rest is told by ``held.laws``."""
        yield from check_log(self.log, complete=self.failure is None)
        called = Counter(event.call for event in self.log if isinstance(event, vl.ToolCalled))
        returned = Counter(event.call for event in self.log if isinstance(event, vl.ToolReturned))
        if called != returned or any(count > 1 for count in called.values()):
            yield f"tools were called {called} and returned {returned}"
        rates = {event.format.rate for event in self.log if isinstance(event, vl.AudioChunk)}
        if rates - {RATE}:
            yield f"audio has {rates} Hz"
