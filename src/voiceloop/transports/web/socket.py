"""Starlette's WebSocket as the adapter wants it."""

from __future__ import annotations

from starlette.websockets import WebSocket, WebSocketDisconnect


class StarletteSocket:
    """A WebSocket of Starlette or FastAPI that was accepted, as a :class:`voiceloop.transports.websocket.Socket`."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str | None:
        """The next message; None once the client is gone."""
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            return None
        data: bytes | None = message.get("bytes")
        if data is not None:
            return data
        text: str = message["text"]
        return text

    async def send(self, data: bytes | str) -> None:
        """Send one message. Raises ConnectionError when the client is gone."""
        try:
            if isinstance(data, str):
                await self._socket.send_text(data)
            else:
                await self._socket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError, OSError) as gone:
            raise ConnectionResetError("the client is gone") from gone

    async def close(self, code: int, reason: str) -> None:
        """Close; a client that is gone already is no error."""
        try:
            await self._socket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError, OSError) as gone:
            raise ConnectionResetError("the client is gone") from gone


__all__ = ("StarletteSocket",)
