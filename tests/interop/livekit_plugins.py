"""LiveKit Agents' AWS plugins, without a LiveKit server: STT, LLM and TTS in a row, and the realtime Nova Sonic.

Run by ``make interop``. STT (AWS's SDK), LLM and TTS (aiobotocore) take their endpoint from the environment.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aws_sdk_bedrock_runtime.config import AsyncBedrockRuntimeConfig
from kit import ENDPOINT, RATE, REGION, Microphone, Turns, crt_trusts_the_emulator, main
from livekit import rtc
from livekit.agents import llm, stt
from livekit.plugins import aws
from livekit.plugins.aws.experimental.realtime import realtime_model


class EmulatedConfig(AsyncBedrockRuntimeConfig):
    """The realtime model writes AWS's own address into the SDK's configuration: put the emulator's there."""

    @classmethod
    async def resolve(cls, **settings: Any) -> AsyncBedrockRuntimeConfig:
        return await AsyncBedrockRuntimeConfig.resolve(**settings | {"endpoint_uri": ENDPOINT})


realtime_model._BedrockRuntimeConfig = EmulatedConfig


def frame(chunk: bytes) -> rtc.AudioFrame:
    return rtc.AudioFrame(chunk, RATE, 1, len(chunk) // 2)


async def hear(pcm: bytes) -> str:
    finals: list[str] = []
    stream = aws.STT(sample_rate=RATE, region=REGION).stream()

    async def speak() -> None:
        async for chunk in Microphone(pcm).each(lambda: bool(finals)):
            stream.push_frame(frame(chunk))

    speaking = asyncio.create_task(speak())
    async for event in stream:
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
            finals.append(event.alternatives[0].text)
            break
    # Not end_input(): with its input ended, the plugin opens one stream after another. Closing it ends this one.
    await speaking
    await stream.aclose()
    return finals[0]


async def cascade(pcm: bytes) -> tuple[str, str, int]:
    heard = await hear(pcm)
    # By default the plugin takes the bare model id, which goes by an inference profile only.
    model = aws.LLM(model="us.amazon.nova-2-lite-v1:0", region=REGION)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You book rooms.")
    context.add_message(role="user", content=heard)
    async with model.chat(chat_ctx=context) as answer:
        said = "".join([chunk.delta.content or "" async for chunk in answer if chunk.delta])
    async with aws.TTS(region=REGION).synthesize(said) as speech:
        size = sum([len(audio.frame.data) * 2 async for audio in speech])
    return heard, said, size


class Listener:
    """Keeps what the realtime session tells: the user's words, the assistant's, its audio."""

    def __init__(self, session: Any) -> None:
        self.heard: list[str] = []
        self.said: list[str] = []
        self.audio = 0
        self.spoken = False
        self._reading: list[asyncio.Task[None]] = []
        session.on("input_audio_transcription_completed", lambda event: self.heard.append(event.transcript))
        session.on("generation_created", lambda event: self._reading.append(asyncio.create_task(self._read(event))))

    async def _read(self, generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            await asyncio.gather(self._audio(message.audio_stream), self._text(message.text_stream))
            self.spoken = True

    async def _audio(self, frames: Any) -> None:
        async for audio in frames:
            self.audio += len(audio.data) * 2

    async def _text(self, texts: Any) -> None:
        async for text in texts:
            self.said.append(str(text))


async def nova(pcm: bytes) -> tuple[str, str, int]:
    session = realtime_model.RealtimeModel.with_nova_sonic_2(region=REGION).session()
    listener = Listener(session)
    # The connection is opened once all three are there, as an AgentSession gives them.
    await session.update_instructions("You book rooms.")
    await session.update_chat_ctx(llm.ChatContext.empty())
    await session.update_tools([])
    async for chunk in Microphone(pcm, ms=20).each(lambda: listener.spoken):
        session.push_audio(frame(chunk))
    await session.aclose()
    return listener.heard[0], listener.said[0], listener.audio


async def work(turns: Turns, pcm: bytes) -> None:
    # Both plugins make awscrt's transport themselves, when they connect.
    with crt_trusts_the_emulator():
        await turns.hold("STT, LLM, TTS", cascade(pcm))
        await turns.hold("realtime Nova Sonic", nova(pcm))


main(work)
