"""An aiohttp service with a voice: each WebSocket at /talk is a conversation.

python examples/aiohttp_app.py
python examples/websocket_client.py ws://127.0.0.1:8000/talk     in another terminal
"""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit
from weakref import WeakSet

from aiohttp import WSMsgType, web

import voiceloop as vl
from voiceloop import presets
from voiceloop.transports.websocket import Hangup, converse, greeted

stack = presets.local()
model = stack.model_for(None)  # nobody's keys are needed
calls: WeakSet[Hangup] = WeakSet()


class AiohttpSocket:
    """aiohttp's WebSocket as ``converse`` wants it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str | None:
        message = await self._socket.receive()
        return message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def send(self, data: bytes | str) -> None:
        await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode())


async def talk(request: web.Request) -> web.WebSocketResponse:
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="a page of somebody else")
    response = web.WebSocketResponse(max_msg_size=1_500_000, compress=False, timeout=2)
    await response.prepare(request)
    socket = AiohttpSocket(response)
    start = await greeted(socket)
    if start is not None:
        calls.add(hangup := Hangup())
        async with vl.Session(model, tools=stack.tools, speak=start.speaks, turns=start.turns) as session:
            await converse(socket, session, start=start, hangup=hangup)
    return response


async def hang_up(app: web.Application) -> None:
    """The server is being stopped: tell those who talk, or aiohttp waits for them."""
    for hangup in set(calls):
        hangup.ask("draining")


app = web.Application()
app.add_routes([web.get("/talk", talk)])
app.on_shutdown.append(hang_up)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    print(f"Talk at ws://127.0.0.1:{port}/talk", flush=True)
    web.run_app(app, host="127.0.0.1", port=port, print=None)
