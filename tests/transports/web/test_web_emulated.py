"""Several people at once on a server whose AWS is emulated: each is heard by what their own conversation expects."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from voiceloop import presets
from voiceloop.audio import PCM16_16K, converter, read_wav
from voiceloop.testing.scripted.sound import silence
from voiceloop.transports.websocket import frames

from .web_kit import Client, client, running


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
