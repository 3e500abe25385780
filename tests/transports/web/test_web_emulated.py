"""Several people at once on a server whose AWS is emulated: each is heard by what their own conversation expects."""

from __future__ import annotations

import logging
import urllib.request
from pathlib import Path
from urllib.parse import quote

import anyio
import anyio.to_thread
import pytest
from attrs import evolve

from voiceloop import presets
from voiceloop.audio import PCM16_16K, converter, read_wav
from voiceloop.aws import Account
from voiceloop.interfaces import SpeechModel
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.scripted.sound import silence
from voiceloop.transports.websocket import frames

from .web_kit import HELLO, Client, client, empty, running


def sound(clip: Path) -> bytes:
    kind, pcm = read_wav(clip)
    change = converter(kind, PCM16_16K)
    return change.push(pcm) + change.finish() + silence(1500)


async def spoken(talking: Client, pcm: bytes) -> str:
    """Say it in real time; what was understood."""
    for number, start in enumerate(range(0, len(pcm), 640)):
        await talking.put(frames.encode(frames.Frame(frames.INPUT, 0, number * 320, pcm[start : start + 640])))
        await anyio.sleep(0.019)
    while not (finals := [event["text"] for event in talking.of("Transcript") if event["final"]]):
        await talking.take()
    return str(finals[0])


async def typed(talking: Client, text: str) -> str:
    """Type it; what is answered."""
    await talking.put({"type": "text", "text": text})
    return str((await talking.until("TurnEnded"))["said"])


@pytest.mark.parametrize("name", ["aws", "nova"])
async def test_two_conversations_at_once(name: str, clips: Path) -> None:
    heard: dict[str, str] = {}
    async with (
        presets.emulated("aws", "nova") as stacks,
        running(*stacks, turns=None) as server,
        client(server, start={"stack": name, "mode": "chat"}) as asks,
        client(server, start={"stack": name, "mode": "chat"}) as books,
    ):
        assert "Where do you need the room" in await typed(books, "Book a meeting room.")
        for talking in (asks, books):
            await talking.put({"type": "mode", "mode": "chat+voice"})
            await talking.until("answer")

        async def say(talking: Client, clip: str) -> None:
            heard[clip] = await spoken(talking, sound(clips / f"{clip}.wav"))

        async with anyio.create_task_group() as group:
            group.start_soon(say, asks, "go_brooklyn")
            group.start_soon(say, books, "df_mountain_view")
    plain = {clip: text.lower().strip(".?!") for clip, text in heard.items()}
    assert plain == {"go_brooklyn": "how old is the brooklyn bridge", "df_mountain_view": "mountain view"}


@pytest.mark.parametrize("right", [True, False])
async def test_keys_of_a_user_are_told_nowhere(right: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Emulator(Backing.scripted(["hello"], ["Yes."])) as aws_here:
        here = aws_here.account()

        def made(account: Account) -> SpeechModel:
            stack = presets.aws(
                account=evolve(account, endpoints=here.endpoints, ca_bundle=here.ca_bundle), environ={}
            )
            assert stack.model is not None
            return stack.model

        stack = evolve(presets.aws(environ={}), model=None, made=made)
        issued = aws_here.issue()
        access, secret, token = issued.access_key, issued.secret_key, issued.session_token
        assert token is not None
        secret = secret if right else "wRoNgSecretOfTheUser/0123456789"
        keys = {"access_key": access, "secret_key": secret, "session_token": token, "region": "us-east-1"}
        shown: list[object] = []
        async with running(stack) as server:
            async with client(server) as talking:
                await talking.put({**HELLO, "keys": keys})
                await talking.put({"type": "text", "text": "hello"})
                if right:
                    assert (await talking.until("TurnEnded"))["said"] == "Yes."
                else:
                    assert await talking.closed() == (1011, "failed")
                shown += [talking.got, vars(server.app.state), server.lobby]
                for path in ("status", "api/settings"):
                    shown.append(await anyio.to_thread.run_sync(fetched, server.url + path))
            await empty(server)
            conversation = talking.of("ready")[0]["conversation"] if talking.of("ready") else ""
            shown.append(await server.lobby.memory.load(conversation))
    logged = [f"{record.name} {record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert any("connection 1" in line for line in logged)
    everything = repr(shown) + "\n".join(line for line in logged if not line.startswith("websockets.client"))
    for name in (access, secret, token):
        assert name not in everything
        assert quote(name, safe="") not in everything


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())
