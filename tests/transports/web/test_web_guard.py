"""Who may connect: names, origins, secrets and tokens."""

from __future__ import annotations

import base64

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.testing import virtual_time
from voiceloop.transports.web import Guard


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8080", True),
        ("LOCALHOST", True),
        ("127.0.0.1:8080", True),
        ("192.168.1.7", True),
        ("[::1]:8080", True),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("evil.example@localhost", True),  # the part before @ is no name
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_names_of_the_server(host: str | None, allowed: bool) -> None:
    assert Guard(hosts={"localhost"}).allows_host(host) == allowed
    assert Guard().allows_host(host)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:8080", True),
        ("https://LOCALHOST:8080", True),
        ("https://friend.example", True),
        ("http://friend.example", False),
        ("http://localhost:8081", False),
        ("http://localhost", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_pages_that_may_connect(origin: str | None, allowed: bool) -> None:
    guard = Guard(origins=frozenset({"https://friend.example"}))
    assert guard.allows_origin(origin, "localhost:8080") == allowed


@pytest.mark.parametrize("origin", ["friend.example", "https://friend.example/", "ftp://friend.example", "*"])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(BadInput, match="origins"):
        Guard(origins=frozenset({origin}))


def test_secrets() -> None:
    guard = Guard("open sesame")
    assert guard.knows("Bearer open sesame")
    assert guard.knows("bearer  open sesame")
    for wrong in (None, "", "open sesame", "Basic open sesame", "Bearer open", "Bearer öpen sesame", "Bearer"):
        assert not guard.knows(wrong)
    assert Guard().knows(None)
    assert "sesame" not in repr(guard)
    with pytest.raises(BadInput, match="at least 8") as refused:
        Guard("short")
    assert "short" not in str(refused.value)


@pytest.mark.virtual_time
async def test_tokens_end() -> None:
    guard = Guard("open sesame", token_seconds=60)
    token = guard.token()
    assert token != guard.token()
    assert guard.accepts(token)
    assert not Guard("another secret").accepts(token)
    await anyio.sleep(59)
    assert guard.accepts(token)
    await anyio.sleep(2)
    assert not guard.accepts(token)
    assert not guard.accepts(None)
    assert Guard().accepts(None)
    with pytest.raises(BadInput, match="no secret"):
        Guard().token()


@given(st.text(max_size=100) | st.binary(max_size=80).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_no_other_text_is_a_token(text: str) -> None:
    async def accepted() -> bool:
        return Guard("open sesame").accepts(text)

    assert virtual_time.run(accepted) is False


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_token_is_one(place: int, change: int) -> None:
    async def accepted() -> bool:
        guard = Guard("open sesame")
        data = bytearray(base64.urlsafe_b64decode(guard.token() + "=="))
        data[place % len(data)] ^= change
        return guard.accepts(base64.urlsafe_b64encode(data).decode())

    assert virtual_time.run(accepted) is False
