"""AWS's own SDKs for Python: a turn by Transcribe, Bedrock and Polly, and one by Nova Sonic, over the CRT's HTTP/2.

Run by ``make interop``. The SDKs read endpoint, keys and region from the environment. By default their transport is
aiohttp, which cannot carry streams in both directions; awscrt's can.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aws_sdk_bedrock_runtime import models as bedrock
from aws_sdk_bedrock_runtime.client import AsyncBedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import AsyncBedrockRuntimeConfig
from aws_sdk_polly import models as polly
from aws_sdk_polly.client import AsyncPollyClient
from aws_sdk_polly.config import AsyncPollyConfig
from aws_sdk_transcribe_streaming import models as transcribe
from aws_sdk_transcribe_streaming.client import AsyncTranscribeStreamingClient
from aws_sdk_transcribe_streaming.config import AsyncTranscribeStreamingConfig
from kit import RATE, Microphone, Turns, crt_trusts_the_emulator, main
from smithy_core.aio.types import AsyncBytesReader
from smithy_http.aio.crt import AWSCRTHTTPClient

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-2-sonic-v1:0"


def transport() -> AWSCRTHTTPClient:
    with crt_trusts_the_emulator():
        return AWSCRTHTTPClient()


async def hear(pcm: bytes) -> str:
    """The first final transcript of StartStreamTranscription."""
    client = AsyncTranscribeStreamingClient(await AsyncTranscribeStreamingConfig.resolve(transport=transport()))
    options = transcribe.StartStreamTranscriptionInput(
        language_code="en-US",
        media_sample_rate_hertz=RATE,
        media_encoding="pcm",
        enable_partial_results_stabilization=True,
    )
    finals: list[str] = []
    stream = await client.start_stream_transcription(options)

    async def speak() -> None:
        async for chunk in Microphone(pcm).each(lambda: bool(finals)):
            await stream.input_stream.send(
                transcribe.AudioStreamAudioEvent(value=transcribe.AudioEvent(audio_chunk=chunk))
            )
        # The SDK's close() ends the HTTP stream with its signed empty frame; the service also asks for an AudioEvent
        # without audio before it.
        await stream.input_stream.send(transcribe.AudioStreamAudioEvent(value=transcribe.AudioEvent(audio_chunk=b"")))
        await stream.input_stream.close()

    speaking = asyncio.create_task(speak())
    _, output = await stream.await_output()
    async for event in output:
        results = event.value.transcript.results or []
        finals += [result.alternatives[0].transcript for result in results if not result.is_partial]
    await speaking
    return finals[0]


async def answer(text: str) -> str:
    """The text of ConverseStream, which Converse gives too."""
    client = AsyncBedrockRuntimeClient(await AsyncBedrockRuntimeConfig.resolve(transport=transport()))
    message = bedrock.Message(role="user", content=[bedrock.ContentBlockText(text)])
    request = bedrock.ConverseStreamInput(model_id=MODEL, messages=[message])
    stream = await client.converse_stream(request)
    said, stopped, counted = "", False, False
    async for event in stream.output_stream:
        match event:
            case bedrock.ConverseStreamOutputContentBlockDelta(value=delta):
                said += delta.delta.value
            case bedrock.ConverseStreamOutputMessageStop():
                stopped = True
            case bedrock.ConverseStreamOutputMetadata(value=metadata):
                counted = metadata.usage.total_tokens > 0
    assert stopped
    assert counted
    whole = await client.converse(bedrock.ConverseInput(model_id=MODEL, messages=[message]))
    assert whole.output.value.content[0].value == said
    return said


async def synthesize(text: str) -> bytes:
    """The PCM of SynthesizeSpeech, after its visemes."""
    client = AsyncPollyClient(await AsyncPollyConfig.resolve(transport=transport()))
    wanted = {"text": text, "voice_id": "Joanna", "engine": "neural", "sample_rate": "16000"}
    marks = polly.SynthesizeSpeechInput(**wanted, output_format="json", speech_mark_types=["viseme"])
    lines = await AsyncBytesReader((await client.synthesize_speech(marks)).audio_stream).read()
    assert {json.loads(line)["type"] for line in lines.splitlines()} == {"viseme"}
    spoken = await client.synthesize_speech(polly.SynthesizeSpeechInput(**wanted, output_format="pcm"))
    assert spoken.content_type == "audio/pcm", spoken.content_type
    return await AsyncBytesReader(spoken.audio_stream).read()


async def synthesize_stream(text: str) -> bytes:
    """The PCM of StartSpeechSynthesisStream, word by word."""
    client = AsyncPollyClient(await AsyncPollyConfig.resolve(transport=transport()))
    request = polly.StartSpeechSynthesisStreamInput(
        voice_id="Ruth", engine="generative", output_format="pcm", sample_rate="16000"
    )
    stream = await client.start_speech_synthesis_stream(request)
    for word in text.split():
        event = polly.TextEvent(text=f"{word} ")
        await stream.input_stream.send(polly.StartSpeechSynthesisStreamActionStreamTextEvent(event))
    close = polly.StartSpeechSynthesisStreamActionStreamCloseStreamEvent(polly.CloseStreamEvent())
    await stream.input_stream.send(close)
    await stream.input_stream.close()
    _, output = await stream.await_output()
    pcm, characters = b"", 0
    async for event in output:
        match event:
            case polly.StartSpeechSynthesisStreamEventStreamAudioEvent(value=audio):
                pcm += audio.audio_chunk
            case polly.StartSpeechSynthesisStreamEventStreamStreamClosedEvent(value=closed):
                characters = closed.request_characters
    assert characters >= len(text), characters
    return pcm


class NovaCall:
    """One stream of InvokeModelWithBidirectionalStream: what was sent and what came."""

    prompt = {"promptName": "prompt"}  # noqa: RUF012 - a constant
    text = {"mediaType": "text/plain"}  # noqa: RUF012 - a constant

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.names: list[str] = []
        self.heard: list[str] = []
        self.said: list[str] = []
        self.audio = 0
        self.spoken = False

    async def send(self, name: str, **body: Any) -> None:
        part = bedrock.BidirectionalInputPayloadPart(bytes_=json.dumps({"event": {name: body}}).encode())
        await self._stream.input_stream.send(bedrock.InvokeModelWithBidirectionalStreamInputChunk(value=part))

    def lpcm(self, rate: int, **more: Any) -> dict[str, Any]:
        settings = {"mediaType": "audio/lpcm", "sampleRateHertz": rate, "sampleSizeBits": 16, "channelCount": 1}
        return {**settings, "audioType": "SPEECH", "encoding": "base64", **more}

    async def open(self) -> None:
        """Everything before audio. The service answers nothing before it has had some of this."""
        await self.send("sessionStart", inferenceConfiguration={"maxTokens": 1024, "topP": 0.9, "temperature": 0.7})
        audio = self.lpcm(24000, voiceId="matthew")
        await self.send(
            "promptStart", **self.prompt, textOutputConfiguration=self.text, audioOutputConfiguration=audio
        )
        block = {**self.prompt, "contentName": "system"}
        kind = {"type": "TEXT", "interactive": False, "role": "SYSTEM", "textInputConfiguration": self.text}
        await self.send("contentStart", **block, **kind)
        await self.send("textInput", **block, content="You book rooms.")
        await self.send("contentEnd", **block)
        block = {**self.prompt, "contentName": "audio"}
        kind = {"type": "AUDIO", "interactive": True, "role": "USER", "audioInputConfiguration": self.lpcm(RATE)}
        await self.send("contentStart", **block, **kind)

    async def speak(self, pcm: bytes) -> None:
        """Say ``pcm``, be silent until the reply was spoken, then close as the protocol wants."""
        async for chunk in Microphone(pcm, ms=32).each(lambda: self.spoken):
            await self.send(
                "audioInput", **self.prompt, contentName="audio", content=base64.b64encode(chunk).decode()
            )
        await self.send("contentEnd", **self.prompt, contentName="audio")
        await self.send("promptEnd", **self.prompt)
        await self.send("sessionEnd")
        await self._stream.input_stream.close()

    async def listen(self) -> None:
        _, output = await self._stream.await_output()
        async for event in output:
            for name, body in json.loads(event.value.bytes_)["event"].items():
                self.names.append(name)
                if name == "textOutput":
                    (self.heard if body["role"] == "USER" else self.said).append(body["content"])
                elif name == "audioOutput":
                    self.audio += len(base64.b64decode(body["content"]))
                elif name == "contentEnd" and (body["type"], body["stopReason"]) == ("AUDIO", "END_TURN"):
                    self.spoken = True


async def cascade(pcm: bytes) -> tuple[str, str, int]:
    heard = await hear(pcm)
    said = await answer(heard)
    return heard, said, len(await synthesize(said))


async def generative(text: str, said: str) -> tuple[str, str, int]:
    return text, said, len(await synthesize_stream(said))


async def nova(pcm: bytes) -> tuple[str, str, int]:
    client = AsyncBedrockRuntimeClient(await AsyncBedrockRuntimeConfig.resolve(transport=transport()))
    request = bedrock.InvokeModelWithBidirectionalStreamOperationInput(model_id=NOVA)
    call = NovaCall(await client.invoke_model_with_bidirectional_stream(request))
    await call.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(call.listen())
        group.create_task(call.speak(pcm))
    assert call.names[-1] == "completionEnd", call.names[-1]
    return call.heard[0], call.said[0], call.audio


async def work(turns: Turns, pcm: bytes) -> None:
    await turns.hold("Transcribe, ConverseStream, SynthesizeSpeech", cascade(pcm))
    await turns.hold("StartSpeechSynthesisStream", generative("book a room", "Where do you need the room?"))
    await turns.hold("Nova Sonic", nova(pcm))


main(work)
