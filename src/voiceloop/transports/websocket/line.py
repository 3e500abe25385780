"""One WebSocket, bounded: how much comes, how fast, and how long anything may take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Never, Protocol

import anyio

from voiceloop import clock
from voiceloop.transports.websocket.endings import CLOSE_CODES, Outcome, Refusal
from voiceloop.transports.websocket.limits import Bucket, SocketLimits

_LONGEST_REASON = 120


class Socket(Protocol):
    """Any WebSocket: what a framework has, or a few lines around it.

    Called by one task at a time for each method; cancelling a wait must be safe. The framework bounds what it reads
    ahead, and ``send`` waits while the client takes nothing.
    """

    async def receive(self) -> bytes | str | None:
        """The next message: binary, text, or None once the client is gone."""

    async def send(self, data: bytes | str) -> None:
        """Send a binary or a text message. Raises ConnectionError when the client is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close, with a close code and up to 123 bytes of reason. Does nothing when it is closed."""


class Line:
    """Sends and receives by the ``limits``. What waits does so without end: :meth:`watch` runs beside it."""

    def __init__(self, socket: Socket, limits: SocketLimits) -> None:
        self.limits = limits
        self._socket = socket
        self._place = anyio.Lock(fast_acquire=True)
        self._messages = Bucket(limits.rate, limits.rate * limits.ahead)
        self._bytes = Bucket(limits.volume, limits.volume * limits.ahead)
        self._receiving: float | None = None
        self._sending: float | None = None

    async def first(self) -> bytes | str | None:
        """As :meth:`receive`, for ``limits.start`` seconds. Raises Refusal ("silent") then."""
        with anyio.move_on_after(self.limits.start) as patience:
            return await self.receive()
        assert patience.cancelled_caught
        raise _silent()

    async def receive(self) -> bytes | str | None:
        """The next message, or None once the client is gone. Raises Refusal: too large, too fast."""
        self._receiving = clock.now()
        data = await self._socket.receive()
        self._receiving = None
        if data is None:
            return None
        most = self.limits.text if isinstance(data, str) else self.limits.frame
        if len(data) > most:
            raise Refusal("too-large", f"a message is larger than {most} bytes")
        now = clock.now()
        if not self._messages.take(1, now):
            raise Refusal("too-fast", f"more than {self.limits.rate:g} messages a second")
        if not self._bytes.take(len(data), now):
            raise Refusal("too-fast", f"more than {self.limits.volume:g} bytes a second")
        return data

    async def send(self, data: bytes | str) -> None:
        """Send one message. Raises ConnectionError when the client is gone."""
        async with self._place:
            self._sending = clock.now()
            try:
                await self._socket.send(data)
            finally:
                self._sending = None

    async def watch(self) -> Never:
        """Raises Refusal once a message is waited for, or not taken, for too long: "silent", "slow".

        One timer for a whole connection: a limit around every message would cost more than the message.
        """
        silent, send = self.limits.silent, self.limits.send
        while True:
            now = clock.now()
            heard_until = (now if self._receiving is None else self._receiving) + silent
            taken_until = (now if self._sending is None else self._sending) + send
            if taken_until <= now:
                raise Refusal("slow", f"the client took nothing for {send:g} s")
            if heard_until <= now:
                raise _silent()
            await anyio.sleep(min(heard_until, taken_until) - now)

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message in JSON; raises as :meth:`send`."""
        await self.send(json.dumps(message, separators=(",", ":"), allow_nan=False))

    async def close(self, outcome: Outcome) -> None:
        """Say why, if that is no ordinary end, and close; for as long as sending may take, and never fails."""
        if outcome.code == "disconnected":
            return
        with anyio.move_on_after(self.limits.send, shield=True):
            try:
                if outcome.code not in ("ended", "slow"):
                    await self.tell({"type": "error", "code": outcome.code, "text": outcome.text})
                await self._socket.close(CLOSE_CODES[outcome.code], outcome.code[:_LONGEST_REASON])
            except (ConnectionError, Refusal):
                return


def _silent() -> Refusal:
    return Refusal("silent", "nothing came for too long", hint="Send a ping every 10 s.")


__all__ = ("Line", "Socket")
