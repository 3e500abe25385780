"""A response on its way through memory, from an emulated service to whoever asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import anyio
from attrs import define, field

from voiceloop.testing.aws.exchange import ConnectionLost
from voiceloop.testing.aws.frames import Chunk
from voiceloop.testing.aws.line import Break, Line

_MOST = 256


@define(eq=False)
class Answer:
    """What the service has sent, and how that ended: properly, or with the connection."""

    status: int | None = None
    headers: Mapping[str, str] = field(factory=dict)
    coming: deque[Chunk] = field(factory=deque)
    ended: bool = False
    lost: bool = False

    @property
    def over(self) -> bool:
        return self.ended or self.lost


@define(eq=False)
class Pipe:
    """Both ends of it. ``left``: the caller is gone."""

    answer: Answer = field(factory=Answer, init=False)
    left: bool = field(default=False, init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    def notify(self) -> None:
        """Something has changed: let whoever waits look again."""
        self._changed.set()
        self._changed = anyio.Event()

    def lose(self) -> None:
        """Nothing more comes from the service."""
        self.answer.lost = self.answer.lost or not self.answer.ended
        self.notify()

    def leave(self) -> None:
        """The caller is gone."""
        self.left = True
        self.notify()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for ``condition``."""
        while not condition():
            await self._changed.wait()


@define(eq=False)
class PipeLine(Line):
    """The service's end."""

    _pipe: Pipe

    async def gone(self) -> None:
        await self._pipe.until(lambda: self._pipe.left)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._pipe.answer.status = status
        self._pipe.answer.headers = {name.lower(): value for name, value in headers.items()}
        self._pipe.notify()

    async def data(self, chunk: Chunk) -> None:
        answer = self._pipe.answer
        await self._pipe.until(lambda: len(answer.coming) < _MOST or self._pipe.left)
        if self._pipe.left or answer.lost:
            raise ConnectionLost
        answer.coming.append(chunk)
        self._pipe.notify()

    async def finish(self) -> None:
        self._pipe.answer.ended = True
        self._pipe.notify()

    async def break_off(self, how: Break) -> None:
        match how:
            case "cut":
                await self.finish()
            case "reset" | "drop":
                self._pipe.lose()


__all__ = ("Answer", "Pipe", "PipeLine")
