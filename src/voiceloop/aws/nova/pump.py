"""What a connection that serves is sent: input, silence where there is none, and what is to be told, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.aws.account import Access
from voiceloop.aws.nova.bell import Bell, Outbox
from voiceloop.aws.nova.connection import Connection
from voiceloop.aws.nova.history import late_result
from voiceloop.aws.nova.ring import Ring
from voiceloop.aws.nova.sonic import NovaSonic
from voiceloop.aws.nova.turns import Turns
from voiceloop.interfaces import ToolResult

_FRAME_MS, _LEAST_MS = 100, 20
"""The longest and, if more comes soon, the shortest piece of input that is sent."""

_CATCH_UP, _BURST = 4.0, 3.0
"""Input that waited goes out so many times faster than real time, after so many seconds at once."""

_HELD_LOOK = 0.1


@frozen
class Ask:
    """Text for the model, to be answered as turn ``turn`` (None: as a reply of its own).

    ``at``: one past the input that came before it. Told sooner, that input would interrupt the answer.
    """

    text: str = field(repr=False)
    turn: int | None = None
    at: int = 0


@frozen
class Handover:
    """The user has finished their turn by hand, with sample ``at`` of the input."""

    at: int


ToDo: TypeAlias = Ask | Handover | ToolResult


@define
class Learnt:
    """What was learnt of a model in this process: whether it takes no audio while a tool is pending."""

    deaf_while_tools: bool = False


@frozen(eq=False)
class Shared:
    """What all connections of a link use. ``todo``: what is to be told to the model, beside audio."""

    model: NovaSonic
    access: Access
    ring: Ring
    out: Outbox
    learnt: Learnt
    todo: deque[ToDo] = field(factory=deque)


@define(eq=False)
class Pump:
    """Feeds ``line`` until ``leaving()``. ``told_at``: when something was sent that has to be answered.

    ``sending_at``: since when audio is being sent (0: none is). ``telling``: what is being sent beside audio.
    ``talked_over_tool``: audio was sent while a tool was pending.
    """

    shared: Shared
    line: Connection
    turns: Turns
    bell: Bell
    leaving: Callable[[], bool]
    told_at: float = 0.0
    sending_at: float = 0.0
    telling: ToDo | None = None
    talked_over_tool: bool = False
    _quiet_at: float = 0.0
    _pace: float = 0.0
    _held: float = 0.0
    _partial: float = 0.0

    async def run(self) -> None:
        """Feed it."""
        self._quiet_at = clock.now() + self.shared.model.silence_after
        todo = self.shared.todo
        while not self.leaving():
            now = clock.now()
            if todo and self._due(todo[0], now):
                await self._tell(todo[0])
                continue
            deaf = self.shared.learnt.deaf_while_tools and bool(self.turns.tools)
            self._held = (self._held or now) if deaf else 0.0
            wait = self._wait(now)
            if wait is not None:
                await self.bell.wait(wait)
            elif self._waiting and not self._held:
                await self._input(now)
            else:
                await self._silence()

    @property
    def _waiting(self) -> int:
        return self.shared.ring.end - self.line.sent

    def _wait(self, now: float) -> float | None:
        """Until when nothing is to be sent; None: something is."""
        if self._held:
            return now + _HELD_LOOK if now - self._held < self.shared.model.waits.hold else None
        waiting = self._waiting
        if not waiting:
            return self._quiet_at if now < self._quiet_at else None
        if self._pace - now > _BURST / _CATCH_UP:
            return self._pace - _BURST / _CATCH_UP
        if waiting * 1000 >= _LEAST_MS * self.line.rate:
            return None
        self._partial = self._partial or now + _LEAST_MS / 1000
        return self._partial if now < self._partial else None

    async def _input(self, now: float) -> None:
        line = self.line
        pcm = self.shared.ring.read(line.sent, _FRAME_MS * line.rate // 1000)
        at = line.sent
        line.give(len(pcm) // 2, now)
        self._pace, self._partial = max(self._pace, now) + len(pcm) / 2 / line.rate / _CATCH_UP, 0.0
        self._quiet_at = now + self.shared.model.silence_after
        await self._audio(pcm, at)

    async def _silence(self) -> None:
        ms = self.shared.model.silence_ms
        self._quiet_at += ms / 1000
        await self._audio(bytes(2 * round(ms * self.line.rate / 1000)), None)
        self._held = clock.now() if self._held else 0.0

    async def _audio(self, pcm: bytes, at: int | None) -> None:
        self.talked_over_tool = self.talked_over_tool or bool(self.turns.tools)
        self.sending_at = clock.now()
        await self.line.audio(pcm, at)
        self.sending_at = 0.0

    def _due(self, item: ToDo, now: float) -> bool:
        rate = self.line.rate
        match item:
            case Handover(at):
                return self.line.sent >= at
            case Ask(at=at) if not self._held:
                sent = (at - self.line.sent) * 1000 < _LEAST_MS * rate
                return sent and not self.turns.makes_good(at * 1000 / rate, now)
            case _:
                return True

    async def _tell(self, item: ToDo) -> None:
        """Send it; if it is sent too late to be answered here, it stays to be told to the next connection."""
        line, self.telling = self.line, item
        match item:
            case Ask(text=text):
                await line.text(text)
            case ToolResult(call=call) if item.connection == line.number and call in self.turns.tools:
                await line.result(call, item.result, error=item.error)
            case ToolResult() if self.shared.model.family.text_input:
                await line.text(late_result(item.name, item.result, error=item.error))
            case Handover():
                await line.end_turn()
            case ToolResult():
                pass  # the next connection finds it in the history
        self.telling = None
        if not self.leaving():
            self.shared.todo.remove(item)
            self._told(item)

    def _told(self, item: ToDo) -> None:
        now = clock.now()
        if not isinstance(item, Handover):
            self.told_at = now
        match item:
            case Ask(turn=turn):
                self.turns.asked.add(turn, now)
            case ToolResult(call=call) if item.connection == self.line.number and call in self.turns.tools:
                self.turns.answer_tool(call, now)
            case ToolResult() if self.shared.model.family.text_input:
                self.turns.asked.add(None, now)
            case _:
                pass
