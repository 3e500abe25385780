"""Waking tasks from what is no task."""

from __future__ import annotations

import asyncio


class Wake:
    """Wakes all that wait for something to be different; they look again whether it is what they wait for."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """Something is different."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                if not each.done():  # it may be cancelled, and not have run yet
                    each.set_result(None)

    async def wait(self) -> None:
        """Wait for the next :meth:`tell`."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
