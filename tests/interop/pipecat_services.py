"""Pipecat's AWS services: STT, LLM and TTS in a pipeline, and Nova Sonic in another.

Run by ``make interop``. LLM and TTS (aiobotocore) take everything from the environment; the other two know AWS's own
addresses only.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from aws_sdk_bedrock_runtime.client import BedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import Config
from kit import ACCESS_KEY, ENDPOINT, RATE, REGION, SECRET_KEY, Microphone, Turns, crt_trusts_the_emulator, main
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.aws.llm import AWSBedrockLLMService
from pipecat.services.aws.nova_sonic.llm import AWSNovaSonicLLMService
from pipecat.services.aws.stt import AWSTranscribeSTTService
from pipecat.services.aws.tts import AWSPollyTTSService
from pipecat.services.aws.utils import build_event_message
from pipecat.workers.runner import WorkerRunner
from smithy_aws_core.auth.sigv4 import SigV4AuthScheme
from smithy_aws_core.identity.static import StaticCredentialsResolver
from smithy_core.shapes import ShapeID

KEYS = {"aws_access_key_id": ACCESS_KEY, "region": REGION}


class EmulatedTranscribe(AWSTranscribeSTTService):
    """The service signs a URL with AWS's own host in it, and has no parameter for another: connect to the emulator
    under that name, which makes the signature hold."""

    async def _websocket_connect(self, url: str, **settings: Any) -> Any:
        there = urlsplit(ENDPOINT)
        settings |= {"host": there.hostname, "port": there.port, "server_hostname": there.hostname}
        settings |= {"ssl": ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])}
        # The service adds a second Sec-WebSocket-Key to the one of its library; RFC 6455 allows one.
        settings["additional_headers"].pop("Sec-WebSocket-Key")
        return await super()._websocket_connect(url, **settings)

    async def _disconnect(self) -> None:
        # The service ends with a text message of JSON, which Transcribe refuses; its end is an event without audio.
        if self._websocket is not None:
            send = self._websocket.send
            self._websocket.send = lambda message: send(
                build_event_message(b"") if isinstance(message, str) else message
            )
        await super()._disconnect()


class EmulatedNovaSonic(AWSNovaSonicLLMService):
    """The service knows AWS's own address only: give it another."""

    async def _send_session_end_events(self) -> None:
        # The service ends its prompt with its audio still open, which Nova Sonic refuses.
        names = {"promptName": self._prompt_name, "contentName": self._input_audio_content_name}
        await self._send_client_event(json.dumps({"event": {"contentEnd": names}}))
        await super()._send_session_end_events()

    def create_client(self) -> BedrockRuntimeClient:
        return BedrockRuntimeClient(
            config=Config(
                endpoint_uri=ENDPOINT,
                region=REGION,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                aws_credentials_identity_resolver=StaticCredentialsResolver(),
                auth_schemes={ShapeID("aws.auth#sigv4"): SigV4AuthScheme(service="bedrock")},
            )
        )


class Ask(FrameProcessor):
    """Asks the LLM when the user's words have come: what an aggregator does after the end of a turn."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            messages: list[Any] = [{"role": "user", "content": frame.text}]
            await self.push_frame(LLMContextFrame(LLMContext(messages)))


class Collector(FrameProcessor):
    """Keeps what passes: the user's words, the assistant's, its audio."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.said: list[str] = []
        self.audio = 0
        self.spoken = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame():
                self.heard.append(frame.text)
            case TTSTextFrame():
                self.said.append(frame.text)
            case TTSAudioRawFrame():
                self.audio += len(frame.audio)
            case TTSStoppedFrame():
                self.spoken = True
            case ErrorFrame():
                print(f"pipecat: {frame.error}", flush=True)
        await self.push_frame(frame, direction)


async def talk(pcm: bytes, *processors: FrameProcessor, first: Frame | None = None) -> tuple[str, str, int]:
    """Say ``pcm`` into a pipeline of ``processors``, and be silent until the reply was spoken."""
    before, after = Collector(), Collector()
    params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=24000)
    worker = PipelineWorker(Pipeline([before, *processors, after]), params=params)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    if first is not None:
        await worker.queue_frame(first)
    try:
        async for chunk in Microphone(pcm, ms=20).each(lambda: after.spoken):
            await worker.queue_frame(InputAudioRawFrame(audio=chunk, sample_rate=RATE, num_channels=1))
        await worker.queue_frame(EndFrame())
        await running
    finally:
        running.cancel()
    return " ".join(before.heard + after.heard), " ".join(after.said), after.audio


async def cascade(pcm: bytes) -> tuple[str, str, int]:
    ears = EmulatedTranscribe(api_key=SECRET_KEY, sample_rate=RATE, **KEYS)
    mind = AWSBedrockLLMService(
        aws_region=REGION,
        settings=AWSBedrockLLMService.Settings(
            model="us.amazon.nova-2-lite-v1:0", system_instruction="You book rooms."
        ),
    )
    voice = AWSPollyTTSService(
        api_key=SECRET_KEY, settings=AWSPollyTTSService.Settings(voice="Joanna", engine="neural"), **KEYS
    )
    return await talk(pcm, ears, Ask(), mind, voice)


async def nova(pcm: bytes) -> tuple[str, str, int]:
    settings = AWSNovaSonicLLMService.Settings(voice="tiffany", system_instruction="You book rooms.")
    service = EmulatedNovaSonic(
        access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY, region=REGION, settings=settings
    )
    return await talk(pcm, service, first=LLMContextFrame(LLMContext()))


async def work(turns: Turns, pcm: bytes) -> None:
    await turns.hold("STT, LLM, TTS", cascade(pcm))
    with crt_trusts_the_emulator():
        await turns.hold("Nova Sonic", nova(pcm))


main(work)
