"""Nova Sonic over real TLS sockets, and with real speech before the offline engines."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from voiceloop import Pool
from voiceloop.audio import PCM16_16K, convert, read_wav
from voiceloop.aws.wire.stream import EventStream, StreamRequest
from voiceloop.local import Rules
from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.nova import PROMPT, NovaProfile
from voiceloop.testing.scripted import silence, tone

from .nova_kit import (
    as_message,
    audio_input,
    audio_start,
    calling,
    content_end,
    is_final_end,
    opening,
    prompt_end,
    service,
    session_end,
)

PATH = "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream"


async def read(stream: EventStream, names: list[str], spoken: anyio.Event) -> None:
    async for message in stream:
        event: Mapping[str, Any] = json.loads(base64.b64decode(json.loads(message.payload)["bytes"]))["event"]
        names += event
        if "audioOutput" in event:
            spoken.set()


async def test_a_spoken_turn_over_tls() -> None:
    """Not in real time: what was sent is what counts for the model."""
    names: list[str] = []
    pcm = tone(600) + silence(1000)
    async with Emulator(Backing.scripted(["book a room"], ["Yes."])) as aws, Pool() as pool:
        aws.nova.profile = NovaProfile(endpoint_ms=PROMPT)
        access = await aws.account().access(pool)
        request = StreamRequest("bedrock-runtime", "bedrock", "InvokeModelWithBidirectionalStream", PATH)
        async with access.stream(request) as stream, anyio.create_task_group() as group:
            spoken = anyio.Event()
            group.start_soon(read, stream, names, spoken)
            for event in [*opening(), audio_start()]:
                await stream.send(as_message(event))
            for at in range(0, len(pcm), 1280):
                await stream.send(as_message(audio_input(pcm[at : at + 1280])))
            with anyio.fail_after(20):
                await spoken.wait()
            for event in [content_end("audio"), prompt_end(), session_end()]:
                await stream.send(as_message(event))
            await stream.end()
        (record,) = aws.nova.connections
        assert (record.ended, record.audio.samples) == ("closed", len(pcm) // 2)
        assert [call.error for call in aws.calls] == [None]
        assert aws.actions == {
            ("bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/amazon.nova-2-sonic-v1:0")
        }
    assert names[-1] == "completionEnd"


@pytest.mark.virtual_time
async def test_real_speech_gets_a_real_transcript_and_a_spoken_reply(clips: Path) -> None:
    rules = Rules.booking()
    async with service(Backing.offline(reasoner=rules)) as nova, calling(nova) as client:
        await client.open([one.name for one in rules.tools])
        for number, name in enumerate(("df_book_a_room", "df_mountain_view"), 1):
            source, speech = read_wav(clips / f"{name}.wav")
            await client.quiet(300)
            await client.frames(convert(speech, source, PCM16_16K))
            await client.until(is_final_end, number)
            await client.quiet(3000)
    (record,) = nova.connections
    assert [turn.text for turn in record.turns] == ["book a room", "mountain view"]
    assert [reply.heard for reply in record.replies] == [
        "Where do you need the room?",
        "Mountain View. For which day?",
    ]
    assert client.audio_ms() > 2500


@pytest.mark.virtual_time
async def test_a_new_conversation_expects_its_own_first_words(clips: Path) -> None:
    """Not the answer to the last question of the conversation before it."""
    source, speech = read_wav(clips / "df_book_a_room.wav")
    async with service(Backing.offline(reasoner=Rules.booking())) as nova:
        for _ in range(2):
            async with calling(nova) as client:
                await client.open()
                await client.quiet(300)
                await client.frames(convert(speech, source, PCM16_16K))
                await client.until(is_final_end, 1)
                await client.quiet(3000)
    assert [turn.text for record in nova.connections for turn in record.turns] == ["book a room", "book a room"]
