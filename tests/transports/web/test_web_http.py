"""What is not a WebSocket: the page's files and their headers, health, status, settings, tokens."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import voiceloop.transports.web
from voiceloop.errors import BadInput
from voiceloop.transports.web import LobbyLimits, Persona, create_app
from voiceloop.transports.web.files import policy

from .web_kit import Running, client, running, scripted

PAGE = Path(voiceloop.transports.web.__file__).parent / "page"


@contextmanager
def _asked(server: Running, path: str, method: str, headers: dict[str, str]) -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2]), timeout=20)
    try:
        connection.request(method, path, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


async def ask(server: Running, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of what the server answers."""

    def asked() -> tuple[int, dict[str, str], bytes]:
        with _asked(
            server, path, method, {name.replace("_", "-"): value for name, value in headers.items()}
        ) as answer:
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    return await anyio.to_thread.run_sync(asked)


async def test_every_file_of_the_page_is_served_with_its_type_and_a_strict_policy() -> None:
    async with running() as server:
        for path in ("", *(str(file.relative_to(PAGE)) for file in PAGE.rglob("*.*"))):
            status, headers, content = await ask(server, f"/{path}")
            assert status == 200, path
            assert content == (PAGE / (path or "index.html")).read_bytes()
            kind = {"js": "javascript", "css": "css", "svg": "svg", "html": "html"}[
                (path or ".html").rpartition(".")[2]
            ]
            assert kind in headers["content-type"]
            assert "default-src 'none'; script-src 'self';" in headers["content-security-policy"]
            assert headers["cache-control"] == "no-cache"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
        status, _, content = await ask(server, "/", if_none_match=(await ask(server, "/"))[1]["etag"])
        assert (status, content) == (304, b"")


def test_the_policy_names_the_servers_own_sockets_and_nothing_that_is_no_name() -> None:
    assert "connect-src 'self' ws://localhost:80 wss://localhost:80;" in policy("localhost:80")
    for host in ("", "a;script-src *", "a b", "é"):
        assert "connect-src 'self';" in policy(host)


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/page/../../guard.py", "//etc/passwd", "/none.js", "/%00"],
)
async def test_nothing_else_is_served(path: str) -> None:
    async with running() as server:
        status, _, content = await ask(server, path)
        assert status in (400, 404)
        assert b"import" not in content


async def test_methods_that_are_not_allowed() -> None:
    async with running() as server:
        for path, method in (("/", "POST"), ("/api/token", "GET"), ("/health", "DELETE"), ("/status", "PUT")):
            assert (await ask(server, path, method))[0] in (404, 405)


async def test_without_the_page() -> None:
    async with running(page=False) as server:
        assert (await ask(server, "/"))[0] == 404
        assert (await ask(server, "/health"))[0] == 200


async def test_what_can_be_chosen() -> None:
    async with running(personas=[Persona("chef", "Chef", "You cook.")]) as server:
        status, headers, content = await ask(server, "/api/settings")
        assert (status, headers["cache-control"]) == (200, "no-store")
        offered: dict[str, Any] = json.loads(content)
        assert offered["personas"] == [{"id": "chef", "label": "Chef", "instructions": "You cook.", "voices": {}}]
        assert offered["modes"] == ["chat+voice", "voice", "chat"]
        assert offered["secret"] is False
        assert offered["stacks"] == [
            {
                "id": "scripted", "label": "Scripted", "about": "For tests.", "keys": "none", "free": False,
                "personas": True, "voice": None,
                "voices": [{"id": "ann", "label": "Ann"}, {"id": "bob", "label": "Bob"}],
            }
        ]  # fmt: skip
        assert (await ask(server, "/api/token", "POST"))[0] == 404


async def test_status_counts() -> None:
    async with running(keeping=LobbyLimits(sessions=7)) as server:
        async with client(server, start={}):
            status = json.loads((await ask(server, "/status"))[2])
            assert (status["sessions"], status["limit"], status["opened"], status["ended"]) == (1, 7, 1, {})
        await server.lobby.empty()
        status = json.loads((await ask(server, "/status"))[2])
        assert (status["sessions"], status["opened"], status["ended"]) == (0, 1, {"disconnected": 1})
        assert status["uptime"] >= 0
        await server.lobby.drain()
        code, _, content = await ask(server, "/health")
        assert (code, json.loads(content)) == (503, {"status": "draining"})


async def test_what_is_sent_leaves_at_once() -> None:
    async with running() as server, client(server, start={}):
        own = int(server.url.rstrip("/").rpartition(":")[2])
        accepted = [
            each
            for each in gc.get_objects()
            if type(each) is socket.socket and each.fileno() >= 0 and _is_at(each, own)
        ]
        assert len(accepted) == 1
        assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _is_at(one: socket.socket, port: int) -> bool:
    """Whether it is an accepted connection of the server at ``port``."""
    try:
        return bool(one.getpeername()) and one.getsockname()[1] == port
    except OSError:  # it listens, or is of another kind
        return False


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"stacks": ()}, "stacks: at least one"),
        ({"stacks": (scripted(), scripted())}, "a name of its own"),
        ({"stacks": (scripted(),), "secret": "short"}, "secret"),
        ({"stacks": (scripted(),), "origins": ["friend.example"]}, "origins"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        create_app(**options)


@pytest.mark.parametrize("name", ["sessions", "resume", "drain", "session", "idle", "conversations"])
def test_limits_above_nothing(name: str) -> None:
    with pytest.raises(BadInput, match=name):
        LobbyLimits(**{name: 0})
