# /// script
# requires-python = ">=3.12"
# dependencies = ["aws-sdk-polly==0.12.0", "awscrt==0.38.1"]
# [tool.interop]
# operations = ["SynthesizeSpeech"]
# ///
"""Speech and its visemes from Amazon Polly by AWS's own SDK for Python."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from aws_sdk_polly.client import AsyncPollyClient
from aws_sdk_polly.config import AsyncPollyConfig
from aws_sdk_polly.models import SynthesizeSpeechInput
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient


class TrustingTransport(AWSCRTHTTPClient):
    """The SDK's transport takes no certificates: hand it the emulator's."""

    def __init__(self) -> None:
        super().__init__()
        options = crt_io.TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
        self._tls_ctx = crt_io.ClientTlsContext(options)

    def __deepcopy__(self, memo: Any) -> TrustingTransport:
        return self


async def spoken(client: AsyncPollyClient, **settings: Any) -> bytes:
    said = {"text": "Where do you need the room?", "voice_id": "Joanna", "engine": "neural", "sample_rate": "16000"}
    output = await client.synthesize_speech(SynthesizeSpeechInput(**{**said, **settings}))
    stream: Any = output.audio_stream
    if isinstance(stream, bytes):
        return stream
    if hasattr(stream, "read"):
        return bytes(await stream.read())
    return b"".join([chunk async for chunk in stream])


async def main() -> None:
    config = await AsyncPollyConfig.resolve(
        transport=TrustingTransport(), endpoint_uri=os.environ["AWS_ENDPOINT_URL_POLLY"]
    )
    client = AsyncPollyClient(config)
    pcm = await asyncio.wait_for(spoken(client, output_format="pcm"), 30)
    lines = await asyncio.wait_for(spoken(client, output_format="json", speech_mark_types=["viseme"]), 30)
    marks = [json.loads(line) for line in lines.splitlines()]
    print(f"{len(pcm) / 32_000:.1f} s of speech, {len(marks)} visemes")
    assert len(pcm) > 16_000, len(pcm)
    assert len(marks) > 5, marks
    assert {mark["type"] for mark in marks} == {"viseme"}, marks


asyncio.run(main())
