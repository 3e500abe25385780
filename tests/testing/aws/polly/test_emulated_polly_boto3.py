"""The emulated Polly over real TLS, as boto3 sees it, with a voice that really speaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from voiceloop.audio import PCM16_16K, rms_dbfs
from voiceloop.local import EspeakSynthesizer
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer
from voiceloop.visemes import CODES

SPEECH = {"Engine": "neural", "VoiceId": "Joanna", "OutputFormat": "pcm"}


@pytest.fixture
async def polly() -> AsyncIterator[Any]:
    backing = Backing(ScriptedRecognizer(), ScriptedReasoner(), EspeakSynthesizer())
    async with Emulator(backing) as aws:
        client = boto3.client(
            "polly",
            region_name="us-east-1",
            endpoint_url=aws.url,
            verify=str(aws.ca_file),
            aws_access_key_id=aws.keys.access_key,
            aws_secret_access_key=aws.keys.secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            yield client
        finally:
            client.close()


async def call(method: Any, **params: Any) -> Any:
    return await anyio.to_thread.run_sync(lambda: method(**params))


async def spoken(polly: Any, **params: Any) -> tuple[Any, bytes]:
    answer = await call(polly.synthesize_speech, **{**SPEECH, **params})
    return answer, await anyio.to_thread.run_sync(answer["AudioStream"].read)


async def test_speech_and_its_marks_fit_together(polly: Any) -> None:
    text = "Zoë, hello! How are you today?"
    answer, pcm = await spoken(polly, Text=text)
    assert answer["ContentType"] == "audio/pcm"
    assert answer["RequestCharacters"] == len(text)
    length = PCM16_16K.ms(PCM16_16K.samples(pcm))
    assert 1000 < length < 5000
    assert rms_dbfs(pcm) > -40

    answer, lines = await spoken(
        polly, Text=text, OutputFormat="json", SpeechMarkTypes=["sentence", "word", "viseme"]
    )
    assert answer["ContentType"] == "application/x-json-stream"
    marks = [json.loads(line) for line in lines.splitlines()]
    assert [m["value"] for m in marks if m["type"] == "sentence"] == ["Zoë, hello!", "How are you today?"]
    assert [m["value"] for m in marks if m["type"] == "word"] == ["Zoë", "hello", "How", "are", "you", "today"]
    assert {m["value"] for m in marks if m["type"] == "viseme"} <= set(CODES)
    assert [m["time"] for m in marks] == sorted(m["time"] for m in marks)
    assert marks[-1]["value"] == "sil"
    assert 0.5 * length < marks[-1]["time"] <= length


async def test_errors_are_those_of_the_model(polly: Any) -> None:
    errors = polly.exceptions
    with pytest.raises(errors.InvalidSsmlException, match="Invalid SSML request"):
        await spoken(polly, Text="<speak>", TextType="ssml")
    with pytest.raises(errors.InvalidSampleRateException):
        await spoken(polly, Text="a", SampleRate="24000")
    with pytest.raises(errors.LexiconNotFoundException) as missing:
        await spoken(polly, Text="a", LexiconNames=["acme"])
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(ClientError, match="does not support the selected engine: neural"):
        await spoken(polly, Text="a", VoiceId="Nicole")


async def test_voices(polly: Any) -> None:
    pages = polly.get_paginator("describe_voices").paginate(Engine="neural")
    voices = await anyio.to_thread.run_sync(lambda: [v for page in pages for v in page["Voices"]])
    assert {"Joanna", "Matthew", "Kajal"} <= {voice["Id"] for voice in voices}
    assert all("neural" in voice["SupportedEngines"] for voice in voices)
