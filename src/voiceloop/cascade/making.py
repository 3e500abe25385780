"""A reply in the making: its task, how it ends, and the room it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from voiceloop.cascade.boxes import Box
from voiceloop.engine.supervisor import bare
from voiceloop.interfaces import LinkContext, LinkEvent, ReplyFailed


class Making:
    """At most one reply in the making, in a task among ``children``. When it fails, ``out`` says so.

    ``fatal(error)``: whether that ends the session.
    """

    def __init__(self, out: Box[LinkEvent], children: TaskGroup, *, fatal: Callable[[Exception], bool]) -> None:
        self._out = out
        self._children = children
        self._fatal = fatal
        self._current: tuple[int, anyio.CancelScope] | None = None

    def begin(self, turn: int, reply: int, make: Callable[[], Awaitable[None]]) -> None:
        """Make ``reply``, for ``turn``, in place of the one before."""
        self.stop()
        scope = anyio.CancelScope()
        self._current = turn, scope
        self._children.start_soon(self._make, reply, scope, make, name=f"reply {turn}")

    def makes(self, turn: int) -> bool:
        """Whether the newest reply is that of ``turn``."""
        return self._current is not None and self._current[0] == turn

    def stop(self) -> None:
        """Leave it unfinished."""
        if self._current is not None:
            self._current[1].cancel()
            self._current = None

    async def _make(self, reply: int, scope: anyio.CancelScope, make: Callable[[], Awaitable[None]]) -> None:
        with scope:
            try:
                await make()
            except Exception as failure:  # noqa: BLE001 - told to the session, which raises it or goes on
                error = bare(failure)
                assert isinstance(error, Exception)
                self._out.add(ReplyFailed(reply=reply, error=error, fatal=self._fatal(error)))


def room_for(out: Box[LinkEvent], context: LinkContext) -> Callable[[], Awaitable[None]]:
    """What a voice awaits before more audio: room in the session, with all that was given ``out`` counted in."""

    async def room() -> None:
        await out.emptied()
        await context.room()

    return room
