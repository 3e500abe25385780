"""Speech outside of sessions: formats, marks of every kind, SSML, long texts, and whose connections are used."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from voiceloop.aws import Polly
from voiceloop.aws.polly import Recording, SpeechMark
from voiceloop.engine.pool import Pool
from voiceloop.errors import BadInput, ProviderRefused, UnknownName
from voiceloop.testing.aws import Emulator, Fault
from voiceloop.testing.aws.exchange import Request, Response
from voiceloop.testing.aws.polly import Polly as EmulatedPolly

from .conftest import backing

TEXT = "Good morning. Bonjour, René!"


def operations(aws: Emulator) -> Counter[str]:
    return Counter(call.operation for call in aws.calls)


async def test_audio_and_every_kind_of_mark(aws: Emulator, pool: Pool) -> None:
    recording = await Polly(account=aws.account()).synthesize(
        TEXT, format="pcm", marks=["sentence", "word", "viseme"], pool=pool
    )
    assert recording.characters == 2 * len(TEXT)
    assert operations(aws) == {"SynthesizeSpeech": 2}
    words = [TEXT[mark.start : mark.end] for mark in recording.marks if mark.type == "word"]
    assert words == ["Good", "morning.", "Bonjour,", "René!"]
    sentences = [TEXT[mark.start : mark.end] for mark in recording.marks if mark.type == "sentence"]
    assert sentences == ["Good morning.", "Bonjour, René!"]
    assert {mark.start for mark in recording.marks if mark.type == "viseme"} == {None}
    times = [mark.ms for mark in recording.marks]
    assert times == sorted(times)
    assert times[-1] <= len(recording.audio) / 32
    assert TEXT not in repr(recording)


async def test_marks_in_ssml_are_where_they_stand_in_the_document(aws: Emulator, pool: Pool) -> None:
    text = '<speak>Thé &amp; <mark name="here"/>cake</speak>'
    recording = await Polly(account=aws.account(), rate=0.5).synthesize(
        text, format="pcm", ssml=True, marks=["ssml", "word"], pool=pool
    )
    [mark] = [mark for mark in recording.marks if mark.type == "ssml"]
    assert mark.value == "here"
    assert text[mark.start : mark.end] == '<mark name="here"/>'
    assert [text[m.start : m.end] for m in recording.marks if m.type == "word"][-1] == "cake"


async def test_a_long_text_is_spoken_in_parts_on_one_timeline(aws: Emulator, pool: Pool) -> None:
    text = "These are some words, René. " * 150
    recording = await Polly(account=aws.account()).synthesize(text, format="mulaw", marks=("word",), pool=pool)
    assert operations(aws) == {"SynthesizeSpeech": 4}
    assert [text[mark.start : mark.end] for mark in recording.marks] == text.split()
    times = [mark.ms for mark in recording.marks]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(len(recording.audio) / 8, abs=400)


async def test_without_a_pool_nothing_is_left(aws_aside: Emulator) -> None:
    before = asyncio.all_tasks()
    recording = await Polly(account=aws_aside.account()).synthesize("Hi.", format="pcm", sample_rate=8000)
    assert recording == Recording(recording.audio, "pcm", (), 3)
    assert len(recording.audio) == pytest.approx(2 * 8 * 180, abs=16)
    assert asyncio.all_tasks() == before


class Echo(EmulatedPolly):
    """Answers with the request itself."""

    async def answer(self, request: Request) -> Response:
        headers = {"content-type": "audio/mpeg", "x-amzn-requestcharacters": "7"}
        return Response(200, headers, request.body)


async def test_what_is_asked_for(pool: Pool) -> None:
    async with Emulator(backing(), services=lambda stage: (Echo(stage),)) as aws:
        polly = Polly("Kajal", language="hi-IN", rate=1.5, lexicons=["one", "two"], account=aws.account())
        recording = await polly.synthesize("A & B", format="ogg_vorbis", sample_rate=44100, pool=pool)
        plain = await polly.synthesize("<speak>A</speak>", ssml=True, pool=pool)
    voice = {"VoiceId": "Kajal", "Engine": "neural", "LanguageCode": "hi-IN", "LexiconNames": ["one", "two"]}
    assert json.loads(recording.audio) == {
        **voice,
        "OutputFormat": "ogg_vorbis",
        "SampleRate": "44100",
        "Text": '<speak><prosody rate="150%">A &amp; B</prosody></speak>',
        "TextType": "ssml",
    }
    assert recording.characters == 7
    assert json.loads(plain.audio) == {**voice, "OutputFormat": "mp3", "Text": "<speak>A</speak>", "TextType": "ssml"}


async def test_a_generative_voice_speaks_too(aws: Emulator, pool: Pool) -> None:
    polly = Polly("Ruth", engine="generative", account=aws.account())
    assert (await polly.synthesize(TEXT, format="pcm", pool=pool)).audio
    with pytest.raises(BadInput, match="generative voices have none"):
        await polly.synthesize(TEXT, marks=["word"], pool=pool)


@pytest.mark.parametrize(
    ("text", "options", "error", "words"),
    [
        (TEXT, {"format": "wav"}, UnknownName, "'wav'"),
        (TEXT, {"format": "pcm", "sample_rate": 24000}, BadInput, "8000, 16000 Hz is allowed for pcm"),
        (TEXT, {"marks": ["words"]}, UnknownName, "Did you mean 'word'"),
        (TEXT, {"marks": "ssml"}, BadInput, "needs a text with ssml=True"),
        ("<speak>Hello</speak>", {}, BadInput, "SSML document.*ssml=True"),
        (" \n", {}, BadInput, "blank"),
        ("", {"ssml": True}, BadInput, "blank"),
        ("a " * 3000, {"marks": ["word"]}, BadInput, "format='pcm'"),
        ("a " * 3001, {"ssml": True}, BadInput, "SSML document may have 6000"),
    ],
)
async def test_wrong_arguments_are_told(
    aws: Emulator, pool: Pool, text: str, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await Polly(account=aws.account()).synthesize(text, pool=pool, **options)  # type: ignore[arg-type]
    assert not aws.calls


async def test_failures_are_bare_and_of_either_request(aws: Emulator, pool: Pool) -> None:
    polly = Polly(account=aws.account())
    with pytest.raises(ProviderRefused, match="InvalidSsmlException"):
        await polly.synthesize("<speak>", format="pcm", ssml=True, marks=["word"], pool=pool)
    aws.faults.add(Fault("access_denied", "SynthesizeSpeech"))
    with pytest.raises(ProviderRefused, match="Allow polly:SynthesizeSpeech"):
        await polly.synthesize(TEXT, format="pcm", marks=["word"], pool=pool)


def test_a_mark_shows_no_text() -> None:
    assert "secret" not in repr(SpeechMark("word", 0, "secret", 0, 6))
