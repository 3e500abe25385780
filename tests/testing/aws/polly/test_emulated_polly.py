"""The emulated SynthesizeSpeech and DescribeVoices, asked without a socket."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import define

from voiceloop.audio import MULAW_8K, PCM16_16K, convert
from voiceloop.engine.pool import Pool
from voiceloop.interfaces import Synthesizer
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import Caller, Refusal, Request, Response
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.polly import Polly
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer
from voiceloop.testing.scripted.sound import level

virtual = pytest.mark.virtual_time(seed=0)
SPEECH = {"Engine": "neural", "OutputFormat": "pcm", "Text": "Good day.", "VoiceId": "Joanna"}


@define
class Kit:
    polly: Polly

    async def ask(self, **changes: Any) -> Response:
        body = {**SPEECH, **changes}
        text = json.dumps({name: value for name, value in body.items() if value is not None})
        return await self.get("POST", "/v1/speech", text.encode())

    async def get(self, method: str, path: str, body: bytes = b"", **query: str) -> Response:
        return await self.polly.answer(Request(method, path, query, {}, body, Caller("key")))

    async def read(self, **changes: Any) -> bytes:
        return await read(await self.ask(**changes))

    async def marks(self, *kinds: str, **changes: Any) -> list[dict[str, Any]]:
        data = await self.read(OutputFormat="json", SpeechMarkTypes=list(kinds), **changes)
        return [json.loads(line) for line in data.splitlines()]

    async def refused(self, **changes: Any) -> tuple[int, str, str]:
        with pytest.raises(Refusal) as error:
            await self.ask(**changes)
        return error.value.status, error.value.code, error.value.message


async def read(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def stage(synthesizer: Synthesizer, pool: Pool, delay: float = 0.0, **settings: Any) -> Stage:
    backing = Backing(ScriptedRecognizer(), ScriptedReasoner(), synthesizer, 0.0, delay)
    return Stage(backing, pool, Timers(), Settings(**settings), Faults())


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    async with Pool() as pool:
        yield Kit(Polly(stage(ScriptedSynthesizer(0.0, format=PCM16_16K, speed=1e6), pool)))


@virtual
async def test_pcm_is_the_synthesizers_audio_sentence_by_sentence(kit: Kit) -> None:
    answer = await kit.ask(Text="Good day. And you?")

    assert (answer.status, answer.headers["content-type"]) == (200, "audio/pcm")
    assert answer.headers["x-amzn-requestcharacters"] == "18"
    first, second = (level(text).to_bytes(2, "little") for text in ("Good day.", "And you?"))
    assert await read(answer) == first * (9 * 960) + second * (8 * 960)


@virtual
@pytest.mark.parametrize(("output", "kind"), [("mulaw", "audio/mulaw"), ("alaw", "audio/alaw")])
async def test_telephone_formats_are_resampled(kit: Kit, output: str, kind: str) -> None:
    answer = await kit.ask(OutputFormat=output)

    assert answer.headers["content-type"] == kind
    data = await read(answer)
    assert len(data) == 9 * 480
    if output == "mulaw":
        pcm = level("Good day.").to_bytes(2, "little") * (9 * 960)
        assert data == convert(pcm, PCM16_16K, MULAW_8K)


@virtual
@pytest.mark.parametrize(
    ("output", "rate", "kind", "name"),
    [
        ("mp3", None, "audio/mpeg", "MP3"),
        ("mp3", "8000", "audio/mpeg", "MP3"),
        ("ogg_vorbis", "22050", "audio/ogg", "OGG"),
        ("ogg_opus", None, "audio/ogg", "OGG"),
    ],
)
async def test_compressed_formats_hold_the_speech(
    kit: Kit, output: str, rate: str | None, kind: str, name: str
) -> None:
    soundfile = pytest.importorskip("soundfile")
    answer = await kit.ask(OutputFormat=output, SampleRate=rate)
    assert answer.headers["content-type"] == kind
    with soundfile.SoundFile(io.BytesIO(await read(answer))) as file:
        assert file.format == name
        assert file.samplerate == int(rate or {"mp3": 24_000, "ogg_opus": 48_000}[output])
        assert file.frames / file.samplerate == pytest.approx(0.54, abs=0.1)


@virtual
async def test_compressed_formats_are_refused_without_their_package(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    status, code, message = await kit.refused(OutputFormat="mp3")
    assert (status, code) == (400, "ValidationException")
    assert "voiceloop[emulator]" in message


@virtual
async def test_marks_are_lines_with_bytes_and_the_order_of_the_guide(kit: Kit) -> None:
    text = "Zoë met Ann. Aha!"
    data = await kit.read(
        Text=text, OutputFormat="json", SpeechMarkTypes=["word", "viseme", "sentence"], Engine="standard"
    )

    lines = data.decode().splitlines()
    assert lines[:3] == [
        '{"time":0,"type":"sentence","start":0,"end":13,"value":"Zoë met Ann."}',
        '{"time":0,"type":"word","start":0,"end":4,"value":"Zoë"}',
        '{"time":0,"type":"viseme","value":"@"}',
    ]
    marks = [json.loads(line) for line in lines]
    ranks = {"sentence": 0, "word": 1, "viseme": 2}
    keys = [(mark["time"], ranks[mark["type"]]) for mark in marks]
    assert keys == sorted(keys)
    for mark in marks:
        if "start" in mark:
            assert text.encode()[mark["start"] : mark["end"]].decode() == mark["value"]
    assert [mark["value"] for mark in marks if mark["type"] == "sentence"] == ["Zoë met Ann.", "Aha!"]
    assert marks[-1] == {"time": 60 * 16, "type": "viseme", "value": "sil"}


@virtual
async def test_ssml_marks_tell_places_in_the_mark_up(kit: Kit) -> None:
    text = '<speak>Mary &amp; a <mark name="animal"/>lamb.<break time="1s"/> Bye.<mark name="end"/></speak>'
    marks = await kit.marks("sentence", "word", "ssml", Text=text, TextType="ssml")
    data = text.encode()

    for mark in marks:
        span = data[mark["start"] : mark["end"]].decode()
        assert span == (f'<mark name="{mark["value"]}"/>' if mark["type"] == "ssml" else mark["value"])
    assert [mark["value"] for mark in marks if mark["type"] == "sentence"] == [
        'Mary &amp; a <mark name="animal"/>lamb.',
        "Bye.",
    ]
    times = {mark["value"]: mark["time"] for mark in marks}
    assert times["animal"] == times["lamb."] == 60 * 9
    assert times["Bye."] == 60 * 14 + 1000
    assert times["end"] == times["Bye."] + 60 * 4


@virtual
async def test_only_words_are_billed(kit: Kit) -> None:
    answer = await kit.ask(Text="<speak>Good <emphasis>day</emphasis>.</speak>", TextType="ssml", Engine="standard")
    assert answer.headers["x-amzn-requestcharacters"] == "9"
    await read(answer)


@virtual
@pytest.mark.parametrize(
    ("changes", "status", "code", "words"),
    [
        ({"VoiceId": None}, 400, "ValidationException", "Value null at 'voiceId'"),
        ({"VoiceId": "Nobody"}, 400, "ValidationException", "Value 'Nobody' at 'voiceId'"),
        ({"Engine": None, "VoiceId": "Ruth"}, 400, "ValidationException", "engine: standard"),
        ({"OutputFormat": "wav"}, 400, "ValidationException", "outputFormat"),
        ({"SampleRate": "24000"}, 400, "InvalidSampleRateException", "sample rate"),
        ({"SampleRate": "16000", "OutputFormat": "mulaw"}, 400, "InvalidSampleRateException", "sample rate"),
        ({"LanguageCode": "fr-FR"}, 400, "LanguageNotSupportedException", "language"),
        ({"Text": "a" * 3001}, 400, "TextLengthExceededException", "length"),
        ({"Text": f"<speak><p>{'a' * 5995}</p></speak>", "TextType": "ssml"}, 400, "TextLengthExceededException", ""),
        ({"SpeechMarkTypes": ["word"]}, 400, "MarksNotSupportedForFormatException", "OutputFormat"),
        ({"OutputFormat": "json"}, 400, "ValidationException", "mark types"),
        ({"OutputFormat": "json", "SpeechMarkTypes": ["ssml"]}, 400, "SsmlMarksNotSupportedForTextTypeException", ""),
        (
            {"OutputFormat": "json", "SpeechMarkTypes": ["word"], "Engine": "generative"},
            400,
            "ValidationException",
            "",
        ),
        ({"LexiconNames": ["acme"]}, 404, "LexiconNotFoundException", "Lexicon"),
        ({"LexiconNames": ["ac-me"]}, 400, "ValidationException", "lexiconNames"),
        ({"LexiconNames": list("abcdef")}, 400, "ValidationException", "less than or equal to 5"),
    ],
)
async def test_refusals(kit: Kit, changes: dict[str, Any], status: int, code: str, words: str) -> None:
    refused = await kit.refused(**changes)
    assert refused[:2] == (status, code)
    assert words in refused[2]


@virtual
@pytest.mark.parametrize(
    ("engine", "voice", "inside", "refused"),
    [
        ("neural", "Joanna", '<amazon:domain name="news">a</amazon:domain>', None),
        ("neural", "Ruth", '<amazon:domain name="news">a</amazon:domain>', "Unsupported Neural feature"),
        ("neural", "Ruth", '<prosody pitch="high">a</prosody>', "Unsupported Neural feature"),
        ("neural", "Ruth", '<prosody rate="fast">a</prosody>', None),
        ("neural", "Ruth", "<emphasis>a</emphasis>", "Unsupported Neural feature"),
        ("neural", "Ruth", '<amazon:effect name="drc">a</amazon:effect>', None),
        ("neural", "Ruth", '<amazon:effect name="whispered">a</amazon:effect>', "Unsupported Neural feature"),
        ("standard", "Joey", '<amazon:effect name="whispered">a</amazon:effect>', None),
        ("standard", "Joanna", '<amazon:domain name="news">a</amazon:domain>', "Unsupported Standard feature"),
        ("long-form", "Ruth", '<say-as interpret-as="date">a</say-as>', None),
        ("generative", "Ruth", '<amazon:effect name="drc">a</amazon:effect>', "Unsupported Generative feature"),
        ("generative", "Ruth", '<mark name="m"/>a', None),
        ("neural", "Ruth", "<b>a</b>", "Invalid SSML request"),
        ("neural", "Ruth", "a < b", "Invalid SSML request"),
        ("neural", "Ruth", '<break time="11s"/>a', "Invalid SSML request"),
        ("neural", "Ruth", "<speak>a</speak>", "Invalid SSML request"),
        ("neural", "Ruth", "<mark/>a", "Invalid SSML request"),
    ],
)
async def test_ssml_is_checked_for_the_engine(
    kit: Kit, engine: str, voice: str, inside: str, refused: str | None
) -> None:
    changes = {"Engine": engine, "VoiceId": voice, "TextType": "ssml", "Text": f"<speak>{inside}</speak>"}
    if refused:
        assert await kit.refused(**changes) == (400, "InvalidSsmlException", refused)
    else:
        assert await kit.read(**changes)


@virtual
@pytest.mark.parametrize("text", ["plain", "<p>a</p>", '<!DOCTYPE s [<!ENTITY e "x">]><speak>&e;</speak>'])
async def test_ssml_needs_its_root_and_no_entities(kit: Kit, text: str) -> None:
    assert (await kit.refused(Text=text, TextType="ssml"))[1] == "InvalidSsmlException"


@virtual
async def test_the_delay_is_before_the_first_byte() -> None:
    from voiceloop import clock

    async with Pool() as pool:
        kit = Kit(Polly(stage(ScriptedSynthesizer(0.0, speed=1e6), pool, 0.15)))
        began = clock.now()
        answer = await kit.ask()
        assert clock.now() - began == pytest.approx(0.15, abs=0.01)
        await read(answer)


@virtual
async def test_throttling_by_engine_has_status_400() -> None:
    async with Pool() as pool:
        kit = Kit(Polly(stage(ScriptedSynthesizer(0.0, speed=1e9), pool)))
        for _ in range(10):
            await kit.read()
        assert await kit.refused() == (400, "ThrottlingException", "Rate exceeded")
        assert await kit.read(Engine="standard")


@virtual
async def test_too_many_at_once_are_throttled_until_one_ends() -> None:
    from anyio import sleep

    async with Pool() as pool:
        kit = Kit(Polly(stage(ScriptedSynthesizer(0.0), pool)))
        answers = []
        for _ in range(18):
            answers.append(await kit.ask(Text="Many words to say, so that it takes its time."))
            await sleep(0.2)
        assert (await kit.refused())[1] == "ThrottlingException"
        await answers[0].body.aclose()  # type: ignore[union-attr]
        answers.append(await kit.ask())
        for answer in answers[1:]:
            await answer.body.aclose()  # type: ignore[union-attr]


@virtual
async def test_a_synthesizer_that_fails_is_a_service_failure() -> None:
    from voiceloop.errors import ProviderUnavailable
    from voiceloop.testing.scripted import Fail

    failing = ScriptedSynthesizer(0.0, faults={0: Fail(ProviderUnavailable("gone", provider="x"))})
    async with Pool() as pool:
        kit = Kit(Polly(stage(failing, pool)))
        assert (await kit.refused())[:2] == (500, "ServiceFailureException")


@virtual
async def test_voices_come_in_pages_and_by_engine_and_language(kit: Kit) -> None:
    seen: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while True:
        page = json.loads(await read(await kit.get("GET", "/v1/voices", **query)))
        seen += page["Voices"]
        if "NextToken" not in page:
            break
        query = {"NextToken": page["NextToken"]}
    names = [voice["Id"] for voice in seen]
    assert len(names) == len(set(names)) > 100
    joanna = seen[names.index("Joanna")]
    assert joanna["SupportedEngines"] == ["standard", "neural", "generative"]
    assert joanna["LanguageCode"] == "en-US"

    async def found(**query: str) -> set[str]:
        return {v["Id"] for v in json.loads(await read(await kit.get("GET", "/v1/voices", **query)))["Voices"]}

    assert await found(LanguageCode="hi-IN") == set()
    assert await found(LanguageCode="hi-IN", IncludeAdditionalLanguageCodes="true") == {"Aditi", "Kajal"}
    assert await found(Engine="long-form", LanguageCode="en-US") == {"Danielle", "Gregory", "Ruth", "Patrick"}
    with pytest.raises(Refusal, match="InvalidNextTokenException"):
        await kit.get("GET", "/v1/voices", NextToken="x")


def test_actions_name_lexicons() -> None:
    polly = Polly(stage(ScriptedSynthesizer(), Pool()))
    body = json.dumps({**SPEECH, "LexiconNames": ["acme"]}).encode()
    asked = Request("POST", "/v1/speech", {}, {}, body, Caller("key", "eu-west-1"))
    assert polly.actions(asked) == (
        ("polly:SynthesizeSpeech", "*"),
        ("polly:SynthesizeSpeech", "arn:aws:polly:eu-west-1:123456789012:lexicon/acme"),
    )
