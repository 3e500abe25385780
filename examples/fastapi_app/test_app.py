"""The service talks: over its own socket, and over the page's. Run: pytest examples/fastapi_app"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from app import app
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="websockets-sansio", log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.mark.parametrize("path", ["talk", "assistant/ws"])
async def test_a_question_is_answered_aloud(path: str) -> None:
    async with running() as place, connect(f"ws://{place}/{path}") as client:
        await client.send('{"type":"start","version":1}')
        await client.send('{"type":"text","text":"how old is the Eiffel Tower"}')
        said, heard = "", 0
        async with asyncio.timeout(60):
            while "years" not in said or not heard:
                data = await client.recv()
                if isinstance(data, bytes):
                    heard += len(data)
                elif json.loads(data)["type"] == "ReplyText":
                    said += json.loads(data)["text"]
        assert "years old" in said


async def test_other_peoples_pages_may_not_connect() -> None:
    async with running() as place:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://{place}/talk", origin="https://elsewhere.example")  # type: ignore[arg-type]
