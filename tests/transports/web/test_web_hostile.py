"""Clients that mean no good, or that are just broken: each is told and closed, and nothing of it stays."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import socket
import urllib.parse
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from attrs import frozen
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voiceloop.session import Session
from voiceloop.testing.scripted import ScriptedTurns
from voiceloop.transports.web import LobbyLimits
from voiceloop.transports.web.lobby import Seat
from voiceloop.transports.websocket import Hangup, SocketLimits, frames

from .web_kit import HELLO, Running, client, empty, running, scripted

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen. " * 5
SECRET = "open sesame"


async def raw(server: Running, *, upgrade: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection, upgraded to a WebSocket by hand; a small window, so that little is under way."""
    place = urllib.parse.urlsplit(server.url)
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (place.hostname, place.port))
    reader, writer = await asyncio.open_connection(sock=own, limit=2048)
    if upgrade:
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer
    return reader, writer


def masked(text: str) -> bytes:
    """A whole text frame, as a client sends it, with a mask of zeros."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    return b"\x81" + size + bytes(4) + data


async def gone(reader: asyncio.StreamReader, within: float = 10.0) -> None:
    """Wait until the server has let go of the connection."""
    with anyio.fail_after(within):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            return


# ---------------------------------------------------------------- who may not


async def test_pages_of_other_servers() -> None:
    async with running(origins=["https://friend.example"]) as server:
        for origin in ("https://evil.example", "null", server.url.replace("127.0.0.1", "localhost").rstrip("/")):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(server.socket + "ws", additional_headers={"Origin": origin})
        assert server.lobby.opened == 0
        for origin in ("https://friend.example", server.url.rstrip("/")):
            async with client(server, start={}, additional_headers={"Origin": origin}):
                pass


async def test_names_that_are_not_the_servers() -> None:
    async with running(hosts=["localhost"]) as server:
        place = urllib.parse.urlsplit(server.url)
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://evil.example:{place.port}/ws", host=place.hostname, port=place.port)
        reader, writer = await raw(server, upgrade=False)
        writer.write(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b" 421 " in await reader.read(100)
        writer.close()


async def test_secrets_and_tokens() -> None:
    async with running(secret=SECRET) as server:
        for path, headers in (
            ("ws", {}),
            ("ws?token=AAAA", {}),
            (f"ws?token={urllib.parse.quote(SECRET)}", {}),
            ("ws", {"Authorization": "Bearer wrong"}),
        ):
            async with client(server, path, additional_headers=headers) as talking:
                assert await talking.closed() == (1008, "unauthorized")
        async with client(server, start={}, additional_headers={"Authorization": f"Bearer {SECRET}"}):
            pass
        token = await fetched(server, "api/token", method="POST", authorization=f"Bearer {SECRET}")
        async with client(server, f"ws?token={token['token']}", start={}):
            pass
        assert await fetched(server, "api/token", method="POST", status=401)
        assert await fetched(server, "status", status=401)
        assert server.lobby.ends["unauthorized"] == 4


async def fetched(
    server: Running, path: str, *, method: str = "GET", status: int = 200, authorization: str = ""
) -> dict[str, Any]:
    """The JSON that the server answers."""
    reader, writer = await raw(server, upgrade=False)
    head = (
        f"{method} /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\r\n"
    )
    writer.write(head.encode())
    top, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    assert f" {status} ".encode() in top.splitlines()[0]
    assert b"no-store" in top
    found: dict[str, Any] = json.loads(body)
    return found


# ---------------------------------------------------------------- what is no protocol


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("garbage", (1003, "bad-message")),
        ("[]", (1003, "bad-message")),
        (b"\x00\x01\x02", (1003, "bad-message")),
        ('{"type":"text","text":"before the start"}', (1003, "bad-message")),
        ('{"type":"start","version":2}', (1003, "bad-message")),
    ],
)
async def test_a_first_message_that_is_none(data: Any, code: tuple[int, str]) -> None:
    async with running() as server, client(server) as talking:
        await talking.put(data)
        assert await talking.closed() == code
        assert talking.of("error")[0]["code"] == code[1]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("garbage", 1003),
        (b"half", 1003),
        (frames.encode(frames.Frame(1, 0, 0, bytes(70_000))), 1009),
        ("x" * 2_000_000, 1009),
        (bytes(20_000_000), 1009),
    ],
)
async def test_a_message_that_is_none(data: Any, code: int) -> None:
    async with running() as server, client(server, start={}) as talking:
        with suppress(ConnectionClosed):  # before all of it was sent
            await talking.put(data)
        assert (await talking.closed())[0] == code
        await empty(server)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05hello",  # not masked
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that is reserved
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x81\x82\x00\x00\x00\x00\xff\xff",  # text that is no UTF-8
        b"\x80\x81\x00\x00\x00\x00x",  # the end of a message that never began
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",  # larger than anything
    ],
)
async def test_bytes_that_are_no_websocket(data: bytes) -> None:
    async with running() as server:
        reader, writer = await raw(server)
        writer.write(masked(json.dumps(HELLO)) + data)
        await gone(reader)
        writer.close()
        await empty(server)


async def test_half_a_frame_and_then_nothing() -> None:
    async with running(limits=SocketLimits(start=0.3, silent=0.3, send=0.3)) as server:
        for before in (b"", masked(json.dumps(HELLO))):
            reader, writer = await raw(server)
            writer.write(before + b"\x81\xfe\x40\x00" + bytes(100))
            await gone(reader)
            writer.close()
        await empty(server)
        assert sum(server.lobby.ends.values()) == 2


async def test_half_a_request_and_then_nothing() -> None:
    async with running(limits=SocketLimits(start=0.3)) as server:
        for begin in (b"", b"GET / HTTP/1.1\r\nHos"):
            reader, writer = await raw(server, upgrade=False)
            writer.write(begin)
            await gone(reader)
            writer.close()


# ---------------------------------------------------------------- too much, too little


async def test_a_flood() -> None:
    async with running(limits=SocketLimits(rate=50, ahead=2)) as server, client(server, start={}) as talking:
        for _ in range(300):
            await talking.put({"type": "ping", "n": 1})
        assert await talking.closed() == (1008, "too-fast")


async def test_a_client_that_reads_nothing() -> None:
    async with running(scripted([LONG]), limits=SocketLimits(send=0.4)) as server:
        reader, writer = await raw(server)
        writer.write(masked(json.dumps(HELLO)) + masked('{"type":"text","text":"tell me"}'))
        await empty(server, 30)
        assert server.lobby.ends["slow"] == 1
        await gone(reader)
        writer.close()


async def test_a_client_that_says_nothing_more() -> None:
    async with running(limits=SocketLimits(silent=0.3)) as server, client(server, start={}) as talking:
        assert await talking.closed() == (1008, "silent")


async def test_more_than_there_is_room_for() -> None:
    async with running(keeping=LobbyLimits(sessions=2)) as server:
        async with client(server, start={}), client(server), client(server) as third:
            assert await third.closed() == (1013, "full")
        await empty(server)
        async with client(server, start={}):
            pass


# ---------------------------------------------------------------- what is left


@frozen
class Left:
    """What there is in this process: tasks, open files, objects of sessions, all objects, and bytes of memory."""

    tasks: int
    files: int
    sessions: Counter[str]
    objects: int
    resident: int


def counted() -> Left:
    gc.collect()
    everything = gc.get_objects()
    return Left(
        len(asyncio.all_tasks()),
        len(os.listdir("/proc/self/fd")),
        Counter(kind.__name__ for kind in map(type, everything) if kind in (Session, Hangup, Seat)),
        len(everything),
        int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    )


async def left(others: Counter[str]) -> Left:
    """What there is once sockets have closed, which they do by themselves: the same twice, and no session but
    ``others``."""
    found, now = None, counted()
    with anyio.move_on_after(15):
        while now.sessions - others or found is None or (now.tasks, now.files) != (found.tasks, found.files):
            await anyio.sleep(0.3)
            found, now = now, counted()
    return now


async def dropped(server: Running, number: int) -> None:
    """A client that goes without a word: before the start, after it, or in the middle of a reply."""
    socket = await connect(server.socket + "ws", compression=None)
    if number % 3:
        await socket.send(json.dumps(HELLO))
        await socket.recv()
    if number % 3 == 2:
        await socket.send('{"type":"text","text":"tell me"}')
        await socket.recv()
    socket.transport.abort()
    await socket.wait_closed()


@pytest.mark.parametrize("turns", [ScriptedTurns(), None])
async def test_two_hundred_that_come_and_go_leave_nothing(turns: Any) -> None:
    limits = LobbyLimits(sessions=300, conversations=10)
    others = counted().sessions  # that earlier tests have left to the garbage collector
    async with running(scripted([LONG]), keeping=limits, turns=turns) as server:

        async def come_and_go() -> None:
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(dropped, server, number)
            await empty(server, 30)

        async with AsyncExitStack() as stack:  # as many at once as there will be: what they need is kept for others
            for _ in range(50):
                await stack.enter_async_context(client(server, start={}))
        await come_and_go()
        before = await left(others)
        for _ in range(4):
            await come_and_go()
        after = await left(others)
        assert (after.tasks, after.files) == (before.tasks, before.files)
        assert not after.sessions - others
        assert after.objects - before.objects < 1000  # the scripts keep what they were asked for
        assert after.resident - before.resident < 100_000_000  # half a MB for each
        assert server.lobby.ends["disconnected"] == 300


async def test_what_people_say_and_their_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(scripted(["My words."], ["their words"]), secret=SECRET) as server:
        token = server.app.state.guard.token()
        async with client(
            server, f"ws?token={token}", start={"keys": {"access_key": "AK-1", "secret_key": "SK-1"}}
        ) as talking:
            await talking.put({"type": "text", "text": "typed words"})
            await talking.until("TurnEnded")
            await talking.put("no message: typed words")
            await talking.closed()
            conversation = talking.of("ready")[0]["conversation"]
    ours = "\n".join(
        record.getMessage()
        for record in caplog.records
        if record.name.split(".")[0] in ("voiceloop", "uvicorn", "starlette")
    )
    assert "bad-message" in ours
    for secret in ("words", SECRET, token, "AK-1", "SK-1", conversation):
        assert secret not in ours
