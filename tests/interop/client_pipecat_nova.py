# /// script
# requires-python = ">=3.12"
# dependencies = ["pipecat-ai[aws-nova-sonic]==1.14.0"]
# [tool.interop]
# operations = ["InvokeModelWithBidirectionalStream"]
# tolerates = ["All contents must be closed before ending prompt"]
# ///
"""A spoken turn on Nova Sonic by Pipecat's service.

It closes its prompt while its audio is still open, which the service refuses: after the turn.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aws_sdk_bedrock_runtime.client import BedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import Config
from awscrt import io as crt_io
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.aws.nova_sonic.llm import AWSNovaSonicLLMService
from smithy_aws_core.auth.sigv4 import SigV4AuthScheme
from smithy_aws_core.identity.static import StaticCredentialsResolver
from smithy_core.shapes import ShapeID
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


class EmulatedNovaSonic(AWSNovaSonicLLMService):
    """The service knows AWS's own address only: give it another."""

    def create_client(self) -> BedrockRuntimeClient:
        config = Config(
            endpoint_uri=os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
            region=os.environ["AWS_REGION"],
            aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            aws_credentials_identity_resolver=StaticCredentialsResolver(),
            auth_schemes={ShapeID("aws.auth#sigv4"): SigV4AuthScheme(service="bedrock")},
            transport=TrustingTransport(),
        )
        return BedrockRuntimeClient(config=config)


class Collector(FrameProcessor):
    """Keeps what passes: the user's words, the assistant's, its audio."""

    def __init__(self) -> None:
        super().__init__()
        self.user: list[str] = []
        self.assistant: list[str] = []
        self.audio = 0
        self.spoken = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame():
                self.user.append(frame.text)
            case TTSTextFrame():
                self.assistant.append(frame.text)
            case TTSAudioRawFrame():
                self.audio += len(frame.audio)
            case TTSStoppedFrame():
                self.spoken.set()
        await self.push_frame(frame, direction)


async def speak(task: PipelineTask, pcm: bytes, until: asyncio.Event) -> None:
    at = 0
    while at < len(pcm) or not until.is_set():
        frame = pcm[at : at + FRAME].ljust(FRAME, b"\0")
        await task.queue_frame(InputAudioRawFrame(audio=frame, sample_rate=16000, num_channels=1))
        await asyncio.sleep(FRAME / 32_000)
        at += FRAME


async def main(pcm: bytes) -> None:
    nova = EmulatedNovaSonic(
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_REGION"],
        settings=AWSNovaSonicLLMService.Settings(voice="tiffany", system_instruction="You book rooms."),
    )
    before, after = Collector(), Collector()
    params = PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=24000)
    task = PipelineTask(Pipeline([before, nova, after]), params=params)
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await task.queue_frame(LLMContextFrame(LLMContext()))
    await asyncio.sleep(1)
    await asyncio.wait_for(speak(task, pcm, after.spoken), 60)
    await task.queue_frame(EndFrame())
    await asyncio.wait_for(running, 30)
    user = before.user + after.user
    print(user, after.assistant, f"{after.audio / 48_000:.1f} s of speech", sep="\n")
    assert "book a room" in " ".join(user).lower(), user
    assert after.audio > 24_000, after.audio


asyncio.run(main(Path(sys.argv[1]).read_bytes()))
