# /// script
# requires-python = ">=3.12"
# dependencies = ["livekit-agents==1.8.9", "livekit-plugins-aws[realtime]==1.8.9"]
# [tool.interop]
# operations = ["InvokeModelWithBidirectionalStream"]
# ///
"""A spoken turn on Nova Sonic by the realtime model of LiveKit Agents."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aws_sdk_bedrock_runtime.config import AsyncBedrockRuntimeConfig
from awscrt import io as crt_io
from livekit import rtc
from livekit.agents import llm
from livekit.plugins.aws.experimental.realtime import realtime_model as plugin
from smithy_http.aio.crt import AWSCRTHTTPClient

FRAME = 640


class TrustingTransport(AWSCRTHTTPClient):
    """The SDK's transport takes no certificates: hand it the emulator's."""

    def __init__(self) -> None:
        super().__init__()
        options = crt_io.TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
        self._tls_ctx = crt_io.ClientTlsContext(options)

    def __deepcopy__(self, memo: Any) -> TrustingTransport:
        return self


class EmulatedConfig(AsyncBedrockRuntimeConfig):
    """The plugin knows AWS's own address only: give it another."""

    @classmethod
    async def resolve(cls, **settings: Any) -> AsyncBedrockRuntimeConfig:
        settings |= {"endpoint_uri": os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], "transport": TrustingTransport()}
        return await AsyncBedrockRuntimeConfig.resolve(**settings)


plugin._BedrockRuntimeConfig = EmulatedConfig


class Listener:
    """Keeps what the session tells: the user's words, the assistant's, its audio."""

    def __init__(self, session: Any) -> None:
        self.user: list[str] = []
        self.assistant: list[str] = []
        self.audio = 0
        self.spoken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        session.on("generation_created", self._generation)
        session.on("input_audio_transcription_completed", lambda event: self.user.append(event.transcript))

    def _generation(self, event: llm.GenerationCreatedEvent) -> None:
        task = asyncio.create_task(self._read(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, event: llm.GenerationCreatedEvent) -> None:
        async for message in event.message_stream:
            await asyncio.gather(self._hear(message.audio_stream), self._note(message.text_stream))
        self.spoken.set()

    async def _hear(self, frames: Any) -> None:
        async for frame in frames:
            self.audio += len(frame.data) * 2

    async def _note(self, texts: Any) -> None:
        async for text in texts:
            self.assistant.append(str(text))


async def speak(session: Any, pcm: bytes, listener: Listener) -> None:
    at = 0
    while at < len(pcm) or not listener.spoken.is_set():
        frame = pcm[at : at + FRAME].ljust(FRAME, b"\0")
        session.push_audio(rtc.AudioFrame(frame, 16000, 1, FRAME // 2))
        await asyncio.sleep(FRAME / 32_000)
        at += FRAME


async def main(pcm: bytes) -> None:
    model = plugin.RealtimeModel(region=os.environ["AWS_REGION"])
    session = model.session()
    listener = Listener(session)
    await session.update_instructions("You book rooms.")
    await session.update_chat_ctx(llm.ChatContext.empty())
    await session.update_tools([])
    await asyncio.sleep(2)
    await asyncio.wait_for(speak(session, pcm, listener), 60)
    await session.aclose()
    print(listener.user, listener.assistant, f"{listener.audio / 48_000:.1f} s of speech", sep="\n")
    assert "book a room" in " ".join(listener.user), listener.user
    assert listener.audio > 24_000, listener.audio


asyncio.run(main(Path(sys.argv[1]).read_bytes()))
