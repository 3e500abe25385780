"""How a request becomes a WebSocket: what RFC 9110 and RFC 6455 allow, and what they do not."""

from __future__ import annotations

import anyio
import pytest

from voiceloop.testing.aws import Backing, Emulator

from .emulator_kit import connected

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = ("Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY)


async def answer(*more: str, leave: str = "") -> bytes:
    lines = ["GET /stream-transcription-websocket?language-code=en-US HTTP/1.1"]
    lines += [field for field in (*FIELDS, *more) if field != leave]
    async with Emulator(Backing.scripted()) as aws, connected(aws, "http/1.1") as tls:
        await tls.send("\r\n".join([*lines, "", ""]).encode())
        with anyio.fail_after(10):
            return bytes(await tls.receive())


@pytest.mark.parametrize("more", [(), ("Connection: keep-alive",)], ids=["plain", "connection twice"])
async def test_an_upgrade_comes_as_far_as_its_signature(more: tuple[str, ...]) -> None:
    refusal = await answer(*more)
    assert refusal.startswith(b"HTTP/1.1 403 ")
    assert b"MissingAuthenticationTokenException" in refusal


async def test_an_upgrade_that_breaks_the_protocol_is_a_bad_request() -> None:
    assert (await answer("Sec-WebSocket-Key: c2Vjb25kIGtleSBoZXJlLg==")).startswith(b"HTTP/1.1 400 ")
    assert (await answer(leave=KEY)).startswith(b"HTTP/1.1 400 ")
    assert (await answer(leave="Connection: Upgrade")).startswith(b"HTTP/1.1 400 ")


async def test_an_upgrade_to_an_operation_that_is_not_emulated_is_recorded() -> None:
    lines = ["GET /medical-stream-transcription-websocket?language-code=en-US HTTP/1.1", *FIELDS, "", ""]
    async with Emulator(Backing.scripted()) as aws, connected(aws, "http/1.1") as tls:
        await tls.send("\r\n".join(lines).encode())
        with anyio.fail_after(10):
            assert (await tls.receive()).startswith(b"HTTP/1.1 404 ")
    (call,) = aws.calls
    assert (call.service, call.operation, call.status) == (
        "transcribestreaming",
        "StartMedicalStreamTranscription",
        404,
    )
