# /// script
# requires-python = ">=3.12"
# dependencies = ["aws-sdk-bedrock-runtime==0.12.0", "awscrt==0.38.1"]
# [tool.interop]
# operations = ["InvokeModelWithBidirectionalStream"]
# ///
"""A spoken turn on Nova Sonic by AWS's own SDK for Python, over the CRT's HTTP/2."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

from aws_sdk_bedrock_runtime.client import AsyncBedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import AsyncBedrockRuntimeConfig
from aws_sdk_bedrock_runtime.models import (
    BidirectionalInputPayloadPart,
    InvokeModelWithBidirectionalStreamInputChunk,
    InvokeModelWithBidirectionalStreamOperationInput,
)
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient

FRAME = 1024
IDS = {"promptName": "prompt"}
TEXT = {"mediaType": "text/plain"}


class TrustingTransport(AWSCRTHTTPClient):
    """The SDK's transport takes no certificates: hand it the emulator's."""

    def __init__(self) -> None:
        super().__init__()
        options = crt_io.TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
        self._tls_ctx = crt_io.ClientTlsContext(options)

    def __deepcopy__(self, memo: Any) -> TrustingTransport:
        return self


def lpcm(rate: int, **more: Any) -> dict[str, Any]:
    settings = {"mediaType": "audio/lpcm", "sampleRateHertz": rate, "sampleSizeBits": 16, "channelCount": 1}
    return {**settings, "audioType": "SPEECH", "encoding": "base64", **more}


class Call:
    """One stream: what was sent and what came."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.said: list[tuple[str, str]] = []
        self.audio = 0
        self.names: list[str] = []
        self.spoken = asyncio.Event()

    async def send(self, name: str, **body: Any) -> None:
        data = json.dumps({"event": {name: body}}).encode()
        part = BidirectionalInputPayloadPart(bytes_=data)
        await self.stream.input_stream.send(InvokeModelWithBidirectionalStreamInputChunk(value=part))

    async def open(self) -> None:
        await self.send("sessionStart", inferenceConfiguration={"maxTokens": 1024, "topP": 0.9, "temperature": 0.7})
        audio = lpcm(24000, voiceId="matthew")
        await self.send("promptStart", **IDS, textOutputConfiguration=TEXT, audioOutputConfiguration=audio)
        block = {**IDS, "contentName": "system"}
        settings = {"type": "TEXT", "interactive": False, "role": "SYSTEM", "textInputConfiguration": TEXT}
        await self.send("contentStart", **block, **settings)
        await self.send("textInput", **block, content="You book rooms.")
        await self.send("contentEnd", **block)
        block = {**IDS, "contentName": "audio"}
        settings = {"type": "AUDIO", "interactive": True, "role": "USER", "audioInputConfiguration": lpcm(16000)}
        await self.send("contentStart", **block, **settings)

    async def speak(self, pcm: bytes) -> None:
        """Say ``pcm``, then be silent until the reply was spoken."""
        at = 0
        while at < len(pcm) or not self.spoken.is_set():
            frame = pcm[at : at + FRAME] or bytes(FRAME)
            content = base64.b64encode(frame).decode()
            await self.send("audioInput", **IDS, contentName="audio", content=content)
            await asyncio.sleep(len(frame) / 32_000)
            at += FRAME

    async def close(self) -> None:
        await self.send("contentEnd", **IDS, contentName="audio")
        await self.send("promptEnd", **IDS)
        await self.send("sessionEnd")
        await self.stream.input_stream.close()

    async def read(self) -> None:
        _, output = await self.stream.await_output()
        while (event := await output.receive()) is not None:
            for name, body in json.loads(event.value.bytes_)["event"].items():
                self.names.append(name)
                if name == "textOutput":
                    self.said.append((body["role"], body["content"]))
                elif name == "audioOutput":
                    self.audio += len(base64.b64decode(body["content"]))
                elif name == "contentEnd" and (body["type"], body["stopReason"]) == ("AUDIO", "END_TURN"):
                    self.spoken.set()


async def main(pcm: bytes) -> None:
    config = await AsyncBedrockRuntimeConfig.resolve(transport=TrustingTransport())
    request = InvokeModelWithBidirectionalStreamOperationInput(model_id="amazon.nova-2-sonic-v1:0")
    client = AsyncBedrockRuntimeClient(config)
    call = Call(await client.invoke_model_with_bidirectional_stream(request))
    await call.open()
    reading = asyncio.create_task(call.read())
    await asyncio.wait_for(call.speak(pcm), 60)
    await call.close()
    await asyncio.wait_for(reading, 20)
    print(*call.said, f"{call.audio / 48_000:.1f} s of speech", sep="\n")
    assert call.said[0] == ("USER", "book a room"), call.said
    assert call.said[1][0] == "ASSISTANT", call.said
    assert call.audio > 24_000, call.audio
    assert call.names[-1] == "completionEnd", call.names


asyncio.run(main(Path(sys.argv[1]).read_bytes()))
