"""A Django service with a voice, by Channels: each WebSocket at /talk is a conversation.

    pip install channels
    python examples/django_app.py
    python examples/websocket_client.py ws://127.0.0.1:8000/talk     in another terminal

A whole Django project in one file. In yours, ``Talk`` and ``ChannelsSocket`` go beside your consumers.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
import django
import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import voiceloop as vl
from voiceloop import presets
from voiceloop.transports.websocket import Outcome, converse, greeted, refuse

stack = presets.local()
model = stack.model_for(None)  # nobody's keys are needed


class ChannelsSocket:
    """A consumer's WebSocket as ``converse`` wants it: what Channels delivers waits here until it is asked for."""

    def __init__(self, consumer: AsyncWebsocketConsumer) -> None:
        self._consumer = consumer
        self.put, self._messages = anyio.create_memory_object_stream[bytes | str](16)

    async def receive(self) -> bytes | str | None:
        try:
            return await self._messages.receive()
        except anyio.EndOfStream:
            return None

    async def send(self, data: bytes | str) -> None:
        try:
            await self._consumer.send(**{"text_data" if isinstance(data, str) else "bytes_data": data})
        except (OSError, RuntimeError) as gone:
            raise ConnectionResetError("the client is gone") from gone

    async def close(self, code: int, reason: str) -> None:
        with suppress(OSError, RuntimeError):
            await self._consumer.close(code, reason)

    def over(self) -> None:
        self._messages.close()


class Talk(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One connection is one session."""

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc != headers.get(b"host"):
            await self.close()  # a page of somebody else
            return
        await self.accept()
        self.socket = ChannelsSocket(self)
        self.talking = asyncio.create_task(self.talk())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with suppress(anyio.BrokenResourceError):  # the conversation is over
            await self.socket.put.send(text_data if text_data is not None else bytes_data or b"")

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "talking"):
            self.socket.put.close()
            await self.talking

    async def talk(self) -> None:
        try:
            start = await greeted(self.socket)
            if start is not None:
                session = vl.Session(model, tools=stack.tools, speak=start.speaks, turns=start.turns)
                async with session:
                    await converse(self.socket, session, start=start)
        except vl.VoiceloopError as failure:
            await refuse(self.socket, Outcome("failed", str(failure)))
        finally:
            self.socket.over()


# ---- the rest of a Django project


def opening_hours(request: HttpRequest) -> JsonResponse:
    """What the service did before it could talk."""
    return JsonResponse({"monday": "9 to 17"})


urlpatterns = [path("opening-hours", opening_hours)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], SECRET_KEY="none is needed here")
django.setup()
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([path("talk", Talk.as_asgi())])}
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    print(f"Talk at ws://127.0.0.1:{port}/talk", flush=True)
    uvicorn.run(application, port=port, ws="websockets-sansio", lifespan="off", log_level="warning")
