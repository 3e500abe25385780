"""Against the emulated service: in memory on virtual time, and over real TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from voiceloop import Cascade, Limits, Pool, Session, clock
from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, PCM16_48K, AudioFormat, convert, read_wav
from voiceloop.aws import Transcribe
from voiceloop.errors import ProviderRefused
from voiceloop.events import Event, Transcript, TranscriptRevised, TurnStarted
from voiceloop.interfaces import Final, ListenConfig, Listening, Partial
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.conformance import check_recognizer
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedSynthesizer, ScriptedTurns, silence, tone

HEARD = ["book a room", "for seven people"]
TALK = tone(900) + silence(1200) + tone(900) + silence(1200)


async def hear(listening: Listening, pcm: bytes, finals: int, *, pace: float = 1.0) -> list[Partial | Final]:
    """Say ``pcm`` at the pace of speech, and wait for so many finals."""
    heard: list[Partial | Final] = []

    async def read() -> None:
        async for item in listening:
            if isinstance(item, Partial | Final):
                heard.append(item)
            if sum(isinstance(each, Final) for each in heard) == finals:
                return

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            for at in range(0, len(pcm), 640):
                await listening.send_audio(pcm[at : at + 640])
                await anyio.sleep(0.02 / pace)
    return heard


def texts(heard: list[Partial | Final]) -> list[str]:
    return [item.text for item in heard if isinstance(item, Final)]


@pytest.mark.virtual_time
async def test_it_keeps_the_contract_of_a_recognizer() -> None:
    async with Emulator(Backing.scripted(["hello there"])) as aws:
        recognizer = Transcribe(account=aws.account(memory=True))
        await check_recognizer(recognizer, tone(900), realtime=True)
    assert aws.actions == {("transcribe:StartStreamTranscription", "*")}


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "options",
    [
        {"language": "de-DE", "vocabulary": "names", "vocabulary_filter": "rude", "filter_method": "mask"},
        {"identify": "single", "languages": ("en-US", "fr-FR"), "preferred_language": "fr-FR"},
        {"identify": "multiple", "languages": ("en-US", "fr-FR"), "vocabulary": ("a", "b")},
        {"speakers": True, "stability": "low", "language_model": "bookings"},
        {"pii": "identify", "pii_entities": ("NAME", "PHONE"), "stability": None},
        {"pii": "redact"},
        {"resume_window": 30, "transcript_format": "spoken"},
        {"input": PCM16_8K},
        {"input": PCM16_48K},
    ],
)
async def test_every_option_is_taken_by_the_service(options: dict[str, Any]) -> None:
    recognizer = Transcribe(**options)
    async with Emulator(Backing.scripted(HEARD)) as aws, Pool() as pool:
        recognizer = Transcribe(**options, account=aws.account(memory=True))
        async with recognizer.open(ListenConfig(pool)) as listening:
            heard = await hear(listening, convert(TALK, PCM16_16K, recognizer.input), 2)
    assert texts(heard) == HEARD
    assert any(isinstance(item, Partial) for item in heard) == (recognizer.pii != "redact")
    assert heard[-1].language in (recognizer.language or "en-US", *recognizer.languages)


@pytest.mark.virtual_time
async def test_a_session_over_it_hears_and_times_what_the_caller_said() -> None:
    async with Emulator(Backing.scripted(HEARD)) as aws:
        model = Cascade(
            Transcribe(account=aws.account(memory=True)),
            ScriptedReasoner(["Yes."], cycle=True),
            ScriptedSynthesizer(),
        )
        said = []
        async with (
            Session(model, turns=ScriptedTurns(), input=MULAW_8K) as session,
            anyio.create_task_group() as group,
        ):

            async def talk() -> None:
                pcm = convert(TALK, PCM16_16K, MULAW_8K)
                for at in range(0, len(pcm), 160):
                    await session.send_audio(pcm[at : at + 160])
                    await anyio.sleep(0.02)

            group.start_soon(talk)
            async for event in session:
                if isinstance(event, Transcript) and event.final:
                    said.append(event.text)
                if len(said) == 2:
                    break
    assert said == HEARD


async def held(aws: Emulator, pcm: bytes, *, memory: bool) -> tuple[list[Event], float]:
    """A session in which the button is let go with the last sample; its events until the reply, and how many seconds
    that took to begin."""
    model = Cascade(Transcribe(account=aws.account(memory=memory)), ScriptedReasoner(["Yes."]), ScriptedSynthesizer())
    seen: list[Event] = []
    async with Session(model, turns="manual") as session, anyio.create_task_group() as group:

        async def read() -> None:
            async for event in session:
                seen.append(event)  # noqa: PERF401 - it is looked at meanwhile

        group.start_soon(read)
        for at in range(0, len(pcm), 640):
            await session.send_audio(pcm[at : at + 640])
            await anyio.sleep(0.02)
        released = clock.now()
        await session.end_turn()
        with anyio.fail_after(10):
            while not any(isinstance(event, TurnStarted) for event in seen):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        took = clock.now() - released
        await anyio.sleep(2)
        group.cancel_scope.cancel()
    return seen, took


@pytest.mark.virtual_time
@pytest.mark.parametrize("ms", range(850, 1450, 100))
async def test_a_button_let_go_with_the_last_word_loses_none(ms: int) -> None:
    """However long before the release the last partial came."""
    said = "book a room for two"
    async with Emulator(Backing.scripted([said])) as aws:
        seen, took = await held(aws, tone(ms), memory=True)
    assert [event.text for event in seen if isinstance(event, Transcript) and event.final] == [said]
    assert not any(isinstance(event, TranscriptRevised) for event in seen)
    assert sum(isinstance(event, TurnStarted) for event in seen) == 1
    assert took < 0.5


async def test_a_person_s_words_are_whole_though_the_clip_ends_with_the_last_one(clips: Path) -> None:
    recorded, pcm = read_wav(clips / "ps_goforward.wav")
    audio = convert(pcm, recorded, PCM16_16K)
    async with Emulator(Backing.offline()) as aws:
        async with Pool() as pool, Transcribe(account=aws.account(), pace=None).open(ListenConfig(pool)) as listening:
            heard = await hear(listening, audio + silence(1500), 1, pace=8)
        end = PCM16_16K.bytes_of(PCM16_16K.samples_in(heard[-1].words[-1].end_ms))
        seen, _ = await held(aws, audio[:end], memory=False)
    [said] = [event.text for event in seen if isinstance(event, Transcript) and event.final]
    assert said.lower().startswith("go forward ten meter")
    assert not any(isinstance(event, TranscriptRevised) for event in seen)


@pytest.mark.virtual_time
async def test_a_minute_in_one_piece_is_taken_at_the_pace_of_speech() -> None:
    async with Emulator(Backing.scripted(HEARD)) as aws:
        model = Cascade(
            Transcribe(account=aws.account(memory=True)),
            ScriptedReasoner(["Yes."], cycle=True),
            ScriptedSynthesizer(),
        )
        limits = Limits(input_stall=90, consumer_stall=90)
        async with Session(model, turns=ScriptedTurns(), limits=limits) as session:
            await session.send_audio(tone(900) + silence(60_000))
            await anyio.sleep(70)
            await session.end()
            said = [event.text async for event in session if isinstance(event, Transcript) and event.final]
    assert said == HEARD[:1]


@pytest.mark.virtual_time
async def test_a_muted_session_outlives_the_timers_and_the_longest_stream() -> None:
    async with (
        Emulator(Backing.scripted(HEARD)) as aws,
        Pool() as pool,
        Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)) as listening,
    ):
        first = await hear(listening, TALK[: len(TALK) // 2], 1)
        await anyio.sleep(4.5 * 3600)
        second = await hear(listening, TALK[: len(TALK) // 2], 1)
    assert len(aws.calls) == 2
    assert not {call.error for call in aws.calls} & {"BadRequestException", "LimitExceededException"}
    assert texts(first + second) == [HEARD[0], HEARD[0]], "every stream of the script begins with the first"
    assert second[-1].words[0].start_ms >= first[-1].words[-1].end_ms + 1000


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", ["throttle", "unavailable", "instability", "expired_token"])
async def test_an_opening_that_fails_once_is_tried_again(kind: str) -> None:
    async with (
        Emulator(Backing.scripted(HEARD), faults=[Fault(kind)]) as aws,
        Pool() as pool,
        Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)) as listening,
    ):
        assert texts(await hear(listening, TALK, 2)) == HEARD
    assert len(aws.calls) == 2


@pytest.mark.virtual_time
async def test_what_is_not_allowed_says_which_action_is_missing() -> None:
    async with Emulator(Backing.scripted(HEARD), denied=["transcribe:*"]) as aws, Pool() as pool:
        with pytest.raises(ProviderRefused, match="transcribe:StartStreamTranscription"):
            async with Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)):
                pass
    assert len(aws.calls) == 1


@pytest.mark.virtual_time
async def test_a_service_that_stalls_is_left_for_another() -> None:
    async with (
        Emulator(Backing.scripted(["book a room"]), faults=[Fault("stall", at=0)]) as aws,
        Pool() as pool,
        Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)) as listening,
    ):
        heard = await hear(listening, tone(8000) + silence(1500), 1)
    assert texts(heard) == ["book a room"]


async def test_real_speech_over_real_tls_survives_a_reset(clips: Path) -> None:
    """A person's voice through the offline recognizer; the connection is cut in the middle of the sentence."""
    recorded, pcm = read_wav(clips / "ps_goforward.wav")
    audio = convert(pcm, recorded, PCM16_16K) + silence(1500)
    async with Emulator(Backing.offline()) as aws, Pool() as pool:
        recognizer = Transcribe(account=aws.account(), pace=None)
        async with recognizer.open(ListenConfig(pool)) as listening:
            plain = await hear(listening, audio, 1, pace=8)
        aws.faults.add(Fault("reset", "StartStreamTranscription", after=20))
        async with recognizer.open(ListenConfig(pool)) as listening:
            cut = await hear(listening, audio, 1, pace=8)
    assert texts(plain) == texts(cut) == ["Go forward ten meters."]
    assert len(aws.calls) == 3
    assert [word.start_ms for word in plain[-1].words] == [word.start_ms for word in cut[-1].words]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset", after=30),
        Fault("goaway", after=30),
        Fault("truncate", at=1),
        Fault("bad_crc", at=1),
        Fault("split", at=0),
        Fault("drip", at=0, seconds=0.001),
        Fault("instability", after=30),
        Fault("unavailable", after=30),
    ],
)
async def test_faults_of_the_network_over_tls_are_survived(fault: Fault) -> None:
    async with (
        Emulator(Backing.scripted(["book a room"]), faults=[fault]) as aws,
        Pool() as pool,
        Transcribe(account=aws.account(), pace=None).open(ListenConfig(pool)) as listening,
    ):
        heard = await hear(listening, tone(900) + silence(1200), 1, pace=4)
    assert texts(heard) == ["book a room"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("age", [0.0, 4.5 * 3600])
async def test_a_stream_ends_before_its_connection(age: float) -> None:
    async with Emulator(Backing.scripted(HEARD)) as aws, Pool() as pool:
        async with Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)) as listening:
            await listening.send_audio(tone(500))
            await anyio.sleep(1 + age)
        assert {call.error for call in aws.calls} == {None}


@pytest.mark.virtual_time
async def test_a_service_that_does_not_end_its_stream_is_left() -> None:
    faults = [Fault("stall", "StartStreamTranscription", after=1)]
    async with Emulator(Backing.scripted(HEARD), faults=faults) as aws, Pool() as pool:
        async with Transcribe(account=aws.account(memory=True)).open(ListenConfig(pool)) as listening:
            await listening.send_audio(tone(500))
            await anyio.sleep(0.1)
            leaving = clock.now()
        assert clock.now() - leaving == pytest.approx(0.5)


async def test_stereo_over_tls() -> None:
    stereo = AudioFormat(16_000, channels=2)
    async with Emulator(Backing.scripted(HEARD)) as aws, Pool() as pool:
        recognizer = Transcribe(account=aws.account(), pace=None, input=stereo)
        async with recognizer.open(ListenConfig(pool)) as listening:
            heard = await hear(listening, convert(TALK, PCM16_16K, stereo), 2, pace=8)
    assert texts(heard)[:1] == HEARD[:1]
