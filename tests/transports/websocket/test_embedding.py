"""The programs of "Talk over a WebSocket of your own" hold a conversation, each in its own framework."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from aiohttp import web
from websockets.asyncio.client import connect

from voiceloop.transports.websocket import frames

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "embed.md"


def program(mark: str) -> dict[str, Any]:
    """The names of the program on the page that has ``mark`` in it."""
    [text] = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if mark in block]
    names: dict[str, Any] = {}
    exec(text, names)
    return names


@asynccontextmanager
async def on_uvicorn(app: Any) -> AsyncIterator[int]:
    """An ASGI app on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="websockets-sansio", lifespan="off"))
    running = asyncio.create_task(server.serve())
    with anyio.fail_after(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn says it in no other way
            await anyio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def fastapi() -> AsyncIterator[int]:
    async with on_uvicorn(program("FastAPI")["app"]) as port:
        yield port


@asynccontextmanager
async def channels() -> AsyncIterator[int]:
    from django.conf import settings

    if not settings.configured:
        settings.configure(CHANNEL_LAYERS={})
    async with on_uvicorn(program("AsyncWebsocketConsumer")["Talk"].as_asgi()) as port:
        yield port


@asynccontextmanager
async def aiohttp() -> AsyncIterator[int]:
    runner = web.AppRunner(program("aiohttp")["app"])
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("framework", [fastapi, channels, aiohttp])
async def test_a_typed_question_is_answered_aloud(framework: Callable[[], AbstractAsyncContextManager[int]]) -> None:
    async with framework() as port:
        with anyio.fail_after(60):
            async with connect(f"ws://127.0.0.1:{port}/talk") as client:
                await client.send('{"type":"start","version":1}')
                assert json.loads(await client.recv())["type"] == "ready"
                await client.send('{"type":"text","text":"how old is the Eiffel Tower"}')
                heard, said = 0, ""
                while "years" not in said or heard < 24_000:
                    data = await client.recv()
                    if isinstance(data, bytes):
                        heard += len(frames.decode(data, kind=frames.REPLY).pcm)
                    elif json.loads(data)["type"] == "ReplyText":
                        said += json.loads(data)["text"]
                await client.send("no message")
                await client.wait_closed()
                assert (client.close_code, client.close_reason) == (1003, "bad-message")
            async with connect(f"ws://127.0.0.1:{port}/talk") as client:  # and one that leaves without a word
                pass
