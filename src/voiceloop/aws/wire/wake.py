"""Waking tasks from what is no task."""

from __future__ import annotations

import asyncio


class Wake:
    """Wakes all that wait for something to be different; they look again whether it is what they wait for."""

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None  # only while somebody waits

    def tell(self) -> None:
        """Something is different."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next :meth:`tell`."""
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()
