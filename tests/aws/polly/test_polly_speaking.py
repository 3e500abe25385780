"""Polly on real sockets against the emulator: the contract, the requests, and what goes wrong."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

import anyio
import pytest

from voiceloop.audio import PCM16_8K, PCM16_16K
from voiceloop.aws import Account, Polly
from voiceloop.aws.faults import fault_of
from voiceloop.engine.pool import Pool
from voiceloop.errors import (
    BadInput,
    ProviderError,
    ProviderRefused,
    UnknownName,
)
from voiceloop.interfaces import (
    Clause,
    MarkKind,
    MarksUntil,
    SpeakConfig,
    Speech,
    SpeechAudio,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.aws import Emulator, Fault, Settings
from voiceloop.testing.aws.exchange import Refusal, Request, Response
from voiceloop.testing.aws.polly import Polly as EmulatedPolly
from voiceloop.testing.aws.polly_voices import QUOTAS, VOICES, Quota
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.conformance import check_synthesizer

from .conftest import backing

BOTH: frozenset[MarkKind] = frozenset({"viseme", "word"})
NONE: frozenset[MarkKind] = frozenset()
TEXT = "Good morning, world."
SPEECH, VOICE_LIST = "SynthesizeSpeech", "DescribeVoices"


async def spoken(
    polly: Polly, pool: Pool, text: str = TEXT, want: frozenset[MarkKind] = BOTH, voice: str | None = None
) -> list[Speech]:
    async with polly.speak(Clause(text, first=True), SpeakConfig(pool, want, voice)) as items:
        return [item async for item in items]


def pcm(items: Iterable[Speech]) -> bytes:
    return b"".join(item.pcm for item in items if isinstance(item, SpeechAudio))


def of(kind: type, items: Iterable[Speech]) -> list[Speech]:
    return [item for item in items if isinstance(item, kind)]


def operations(aws: Emulator) -> Counter[str]:
    return Counter(call.operation for call in aws.calls)


# ---------------------------------------------------------------- the contract


async def test_polly_keeps_the_contract(aws_aside: Emulator) -> None:
    account = aws_aside.account()
    await check_synthesizer(lambda: Polly(account=account), timeout=20)


async def test_a_generative_voice_keeps_the_contract(aws_aside: Emulator) -> None:
    account = aws_aside.account()
    await check_synthesizer(lambda: Polly("Ruth", engine="generative", account=account), timeout=20)


async def test_a_clause(aws: Emulator, pool: Pool) -> None:
    items = await spoken(Polly(account=aws.account()), pool)
    assert PCM16_16K.ms(len(pcm(items)) // 2) == pytest.approx(60 * len(TEXT), abs=5)
    words = [TEXT[mark.start : mark.end] for mark in items if isinstance(mark, WordMark)]
    assert words == ["Good", "morning,", "world."]
    visemes = [item for item in items if isinstance(item, VisemeMark)]
    assert all(before.end_ms == after.ms for before, after in pairwise(visemes))
    assert [item for item in items if isinstance(item, MarksUntil)][-1] == MarksUntil(math.inf)
    assert of(SynthesizerUsage, items) == [SynthesizerUsage({"characters": len(TEXT)})] * 2
    assert aws.actions == {("polly:SynthesizeSpeech", "*")}


async def test_nobody_who_wants_no_marks_pays_for_them(aws: Emulator, pool: Pool) -> None:
    items = await spoken(Polly(account=aws.account()), pool, want=NONE)
    assert operations(aws) == {SPEECH: 1}
    assert {type(item) for item in items} == {SpeechAudio, SynthesizerUsage}


async def test_characters_are_right_in_any_script_with_a_rate(aws: Emulator, pool: Pool) -> None:
    text = "Ünïcödé «très» & <b>Bob's</b> 😀 co"
    plain = await spoken(Polly(account=aws.account()), pool, text)
    slow = await spoken(Polly(account=aws.account(), rate=0.5), pool, text)
    for items in (plain, slow):
        marks = [item for item in items if isinstance(item, WordMark)]
        assert [text[mark.start : mark.end] for mark in marks][:2] == ["Ünïcödé", "«très»"]
        assert text[marks[-1].start : marks[-1].end] == "co"


async def test_a_telephones_bytes_are_the_very_ones(aws: Emulator, pool: Pool) -> None:
    from voiceloop.audio.g711 import encode

    polly = Polly(account=aws.account(), encoding="mulaw", sample_rate=8000)
    assert polly.capabilities.output == PCM16_8K
    items = await spoken(polly, pool)
    recording = await polly.synthesize(TEXT, format="mulaw", pool=pool)
    assert encode(pcm(items), "mulaw") == recording.audio


async def test_a_text_over_the_limit_is_spoken_in_parts(aws: Emulator, pool: Pool) -> None:
    text = "Some words and a comma, and so on. " * 100
    items = await spoken(Polly(account=aws.account()), pool, text)
    assert operations(aws) == {SPEECH: 4}
    assert PCM16_16K.ms(len(pcm(items)) // 2) == pytest.approx(60 * len(text), rel=0.05)
    words = [item for item in items if isinstance(item, WordMark)]
    assert [text[word.start : word.end] for word in words] == text.split()
    assert all(before.ms < after.ms for before, after in pairwise(words))
    assert words[-1].ms == pytest.approx(PCM16_16K.ms(len(pcm(items)) // 2), abs=300)


async def test_many_sessions_share_connections_and_the_quota(aws: Emulator, pool: Pool) -> None:
    polly = Polly(account=aws.account())
    await polly.prepare(pool)
    async with anyio.create_task_group() as group:
        for _ in range(7):
            group.start_soon(spoken, polly, pool, "Hi.", NONE)
    assert len({call.connection for call in aws.calls}) <= 9
    assert not [call for call in aws.calls if call.error]


# ---------------------------------------------------------------- voices


async def test_prepare_asks_for_the_voices_once_and_a_wrong_one_is_told_with_near_matches(
    aws: Emulator, pool: Pool
) -> None:
    polly = Polly(account=aws.account())
    await polly.prepare(pool)
    await polly.prepare(pool)
    pages = operations(aws)[VOICE_LIST]
    assert pages == math.ceil(len(VOICES) / 60)
    with pytest.raises(UnknownName, match=r"unknown neural voice 'Joana'. Did you mean 'Joanna'"):
        await spoken(polly, pool, voice="Joana")
    with pytest.raises(UnknownName, match=r"Tiffany has the engines: generative"):
        await spoken(polly, pool, voice="Tiffany")
    assert operations(aws) == {VOICE_LIST: pages}


async def test_without_the_permission_to_list_voices_nothing_fails(aws: Emulator, pool: Pool) -> None:
    aws.denied.add("polly:DescribeVoices")
    polly = Polly(account=aws.account())
    await polly.prepare(pool)
    assert pcm(await spoken(polly, pool))
    with pytest.raises(ProviderRefused, match="voiceId"):
        await spoken(polly, pool, voice="Nobody")
    assert operations(aws)[VOICE_LIST] == 1


async def test_the_built_in_table_is_the_guides(aws: Emulator, pool: Pool) -> None:
    from voiceloop.aws.polly.voices import Catalogue, catalogue

    access = await aws.account().access(pool)
    listed = await catalogue(access)
    await listed.load(access)
    assert listed.listed
    assert dict(listed.voices) == dict(Catalogue().voices)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"voice": "no such voice"}, BadInput, "voice='no such voice'"),
        ({"engine": "newral"}, UnknownName, "Did you mean 'neural'"),
        ({"marks": ["words"]}, UnknownName, "Did you mean 'word'"),
        ({"language": "English"}, BadInput, "language='English'"),
        ({"rate": 3}, BadInput, "0.2 to 2"),
        ({"rate": True}, BadInput, "0.2 to 2"),
        ({"lexicons": ["a"] * 6}, BadInput, "up to 5 names"),
        ({"lexicons": "my lexicon"}, BadInput, "up to 5 names"),
        ({"sample_rate": 24000}, BadInput, "8000 or 16000"),
        ({"encoding": "mulaw"}, BadInput, "mulaw at 8000"),
        ({"encoding": "mp3"}, BadInput, "'pcm' or 'mulaw'"),
        ({"lexicons": 5}, BadInput, "5 is neither a text nor several"),
        ({"quota": 8}, BadInput, "quota must be of type Quota, not int"),
    ],
)
def test_wrong_arguments_are_told_at_once(options: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Polly(**options)  # type: ignore[arg-type]


def test_it_is_a_value() -> None:
    assert Polly(lexicons=["one"]) == Polly("Joanna", lexicons=("one",))
    assert {Polly(), Polly()} == {Polly()}
    assert not Polly(engine="generative").capabilities.marks
    assert Polly(engine="generative").capabilities.streams


# ---------------------------------------------------------------- what goes wrong


async def test_a_throttle_before_audio_is_tried_again(aws: Emulator, pool: Pool) -> None:
    aws.faults.add(Fault("throttle", SPEECH, times=2))
    assert pcm(await spoken(Polly(account=aws.account()), pool, want=NONE))
    assert [call.error for call in aws.calls] == ["ThrottlingException", "ThrottlingException", None]


async def test_throttled_for_good_it_says_which_quota(aws: Emulator, pool: Pool) -> None:
    aws.faults.add(Fault("throttle", SPEECH, times=None))
    with pytest.raises(ProviderError, match="transactions per second") as caught:
        await spoken(Polly(account=aws.account()), pool, want=NONE)
    fault = fault_of(caught.value)
    assert caught.value.retryable
    assert fault is not None
    assert (fault.code, fault.status) == ("ThrottlingException", 400)


@pytest.mark.parametrize("kind", ["unavailable", "drop"])
async def test_what_passes_is_tried_again_before_audio(aws: Emulator, pool: Pool, kind: str) -> None:
    aws.faults.add(Fault(kind, SPEECH))
    assert pcm(await spoken(Polly(account=aws.account()), pool, want=NONE))
    assert operations(aws) == {SPEECH: 2}


async def test_no_answer_at_all_is_tried_again_soon(
    aws: Emulator, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceloop.aws.polly.speech._FIRST", 0.1)
    aws.faults.add(Fault("stall", SPEECH))
    assert pcm(await spoken(Polly(account=aws.account()), pool, want=NONE))
    assert operations(aws) == {SPEECH: 2}


@pytest.mark.parametrize(
    ("kind", "words"),
    [("access_denied", "Allow polly:SynthesizeSpeech"), ("expired_token", "AWS_SESSION_TOKEN")],
)
async def test_a_refusal_is_told_with_what_to_do(aws: Emulator, pool: Pool, kind: str, words: str) -> None:
    aws.faults.add(Fault(kind, SPEECH, times=None))
    with pytest.raises(ProviderRefused, match=words):
        await spoken(Polly(account=aws.account()), pool)
    assert operations(aws)[SPEECH] <= 2


@pytest.mark.usefixtures("bare_environment")
async def test_without_credentials_it_says_where_to_put_them(pool: Pool) -> None:
    polly = Polly(account=Account(region="us-east-1"))
    with pytest.raises(ProviderRefused, match="AWS_ACCESS_KEY_ID"):
        await polly.prepare(pool)
    with pytest.raises(ProviderRefused, match="AWS_ACCESS_KEY_ID"):
        await spoken(polly, pool)


@pytest.mark.usefixtures("bare_environment")
async def test_without_a_region_it_says_where_to_put_it(pool: Pool) -> None:
    with pytest.raises(BadInput, match="AWS_REGION"):
        await spoken(Polly(), pool)


async def test_a_lexicon_that_does_not_exist_is_told(aws: Emulator, pool: Pool) -> None:
    with pytest.raises(ProviderRefused) as caught:
        await spoken(Polly(account=aws.account(), lexicons=["mine"]), pool)
    fault = fault_of(caught.value)
    assert fault is not None
    assert fault.code == "LexiconNotFoundException"


class MuteMarks(EmulatedPolly):
    """Speaks, but its marks end badly after the first."""

    def __init__(self, stage: Stage, how: str) -> None:
        super().__init__(stage)
        self._how = how

    async def answer(self, request: Request) -> Response:
        if b'"json"' not in request.body:
            return await super().answer(request)
        if self._how == "refused":
            raise Refusal(400, "EngineNotSupportedException", "This engine has no marks")
        return Response(200, {"content-type": "application/x-json-stream"}, self._marks())

    async def _marks(self) -> AsyncIterator[bytes]:
        yield b'{"time":0,"type":"viseme","value":"k"}\n{"time":60,"type":"viseme","value":"u"}\n'
        if self._how == "stalled":
            await anyio.sleep(60)
        yield b"no mark\n"


@pytest.mark.parametrize("how", ["refused", "garbled", "stalled"])
async def test_without_marks_speech_goes_on(pool: Pool, how: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator(backing(), services=lambda stage: (MuteMarks(stage, how),)) as aws:
        with caplog.at_level(logging.WARNING), anyio.fail_after(5):
            items = await spoken(Polly(account=aws.account()), pool)
    assert PCM16_16K.ms(len(pcm(items)) // 2) == pytest.approx(60 * len(TEXT), abs=5)
    assert MarksUntil(math.inf) in items
    assert of(VisemeMark, items) == ([] if how == "refused" else [VisemeMark("k", 0, 60)])
    assert ("speaking without visemes" in caplog.text) == (how != "stalled")
    assert TEXT not in caplog.text


async def test_throttled_marks_do_not_hold_up_speech(pool: Pool) -> None:
    quotas = {**QUOTAS, "neural": Quota(0.001, 1, 18)}
    async with Emulator(backing(), settings=Settings(polly_quotas=quotas)) as aws:
        items = await spoken(Polly(account=aws.account()), pool)
        assert pcm(items)
        assert items[-1] == MarksUntil(math.inf)
        assert "ThrottlingException" in {call.error for call in aws.calls}


async def test_leaving_early_closes_the_connection_and_a_whole_answer_keeps_it(aws: Emulator, pool: Pool) -> None:
    polly = Polly(account=aws.account())
    for _ in range(2):
        await spoken(polly, pool, want=NONE)
    assert len({call.connection for call in aws.calls}) == 1
    aws.faults.add(Fault("drip", SPEECH, seconds=0.01))
    async with polly.speak(Clause("A long sentence, to be cut short."), SpeakConfig(pool)) as items:
        await anext(items)
        await anext(items)
    await spoken(polly, pool, want=NONE)
    connections = [call.connection for call in aws.calls]
    assert connections[0] == connections[1] == connections[2] != connections[3]
    with anyio.fail_after(5):
        while not aws.calls[2].over:  # noqa: ASYNC110 - the emulator has no event for it
            await anyio.sleep(0.01)


async def test_the_callers_own_failure_stays_bare(aws: Emulator, pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Polly(account=aws.account()).speak(Clause(TEXT), SpeakConfig(pool)) as items:
            await anext(items)
            raise ZeroDivisionError


async def test_the_services_quota_is_kept(aws: Emulator, pool: Pool) -> None:
    """Six clauses with marks at once are more than a burst: some wait, and not one is refused."""
    polly = Polly(account=aws.account())
    await polly.prepare(pool)
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(spoken, polly, pool, "Hi.")
    assert [call.error for call in aws.calls if call.operation == SPEECH] == [None] * 12
