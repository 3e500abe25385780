# /// script
# requires-python = ">=3.12"
# dependencies = ["aws-sdk-transcribe-streaming==0.12.0", "awscrt==0.38.1"]
# [tool.interop]
# operations = ["StartStreamTranscription"]
# ///
"""An utterance to Amazon Transcribe by AWS's own SDK for Python, over the CRT's HTTP/2."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aws_sdk_transcribe_streaming.client import AsyncTranscribeStreamingClient
from aws_sdk_transcribe_streaming.config import AsyncTranscribeStreamingConfig
from aws_sdk_transcribe_streaming.models import AudioEvent, AudioStreamAudioEvent, StartStreamTranscriptionInput
from awscrt import io as crt_io
from smithy_http.aio.crt import AWSCRTHTTPClient

FRAME = 3200


class TrustingTransport(AWSCRTHTTPClient):
    """The SDK's transport takes no certificates: hand it the emulator's."""

    def __init__(self) -> None:
        super().__init__()
        options = crt_io.TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])
        self._tls_ctx = crt_io.ClientTlsContext(options)

    def __deepcopy__(self, memo: Any) -> TrustingTransport:
        return self


async def speak(stream: Any, pcm: bytes) -> None:
    for at in range(0, len(pcm), FRAME):
        event = AudioEvent(audio_chunk=pcm[at : at + FRAME])
        await stream.input_stream.send(AudioStreamAudioEvent(value=event))
        await asyncio.sleep(FRAME / 32_000)
    await stream.input_stream.close()


async def read(stream: Any) -> list[str]:
    """The final transcripts."""
    _, output = await stream.await_output()
    finals = []
    while (event := await output.receive()) is not None:
        for result in event.value.transcript.results:
            if not result.is_partial:
                finals += [alternative.transcript for alternative in result.alternatives]
    return finals


async def main(pcm: bytes) -> None:
    config = await AsyncTranscribeStreamingConfig.resolve(
        transport=TrustingTransport(), endpoint_uri=os.environ["AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING"]
    )
    request = StartStreamTranscriptionInput(
        language_code="en-US", media_sample_rate_hertz=16000, media_encoding="pcm"
    )
    stream = await AsyncTranscribeStreamingClient(config).start_stream_transcription(request)
    reading = asyncio.create_task(read(stream))
    await asyncio.wait_for(speak(stream, pcm + bytes(32_000)), 60)
    finals = await asyncio.wait_for(reading, 30)
    print(finals)
    assert finals, "no final transcript came"
    assert "book a room" in " ".join(finals).lower(), finals


asyncio.run(main(Path(sys.argv[1]).read_bytes()))
