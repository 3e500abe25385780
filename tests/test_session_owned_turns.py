"""Sessions on speech models that own their turns: what such a model does late, by itself, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.conversation import AssistantEntry, UserEntry
from voiceloop.events import ConnectionState, Event
from voiceloop.interfaces import (
    EndOfTurn,
    Final,
    LinkChanged,
    ModelCapabilities,
    ModelCut,
    Renewed,
    ReplyAudio,
    ReplyEnded,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    Say,
    Settled,
    Update,
)
from voiceloop.memory import InProcessMemory
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    ScriptedCaller,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    ScriptedTurns,
    Speak,
    Until,
    tone,
)

from .session_kit import LONG

OWNS = ModelCapabilities(owns_turns=True, can_cut=False, says=False)
SPOKEN = "One two three. "


def model(replies: Sequence[Any] = (), *, said: Sequence[Any] = (), **options: Any) -> ScriptedSpeechModel:
    capabilities = options.pop("capabilities", OWNS)
    return ScriptedSpeechModel(replies, ScriptedRecognizer(said), capabilities, **options)


async def talk(model: ScriptedSpeechModel, acts: Sequence[Any], **options: Any) -> list[Event]:
    async with vl.Session(model, **{"turns": ScriptedTurns(), **options}) as running:
        with anyio.fail_after(600):
            log = await ScriptedCaller(acts).talk(running)
    assert_log(log)
    return log


def of(log: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in log if isinstance(event, kind)]


@pytest.mark.virtual_time
async def test_words_that_come_after_the_answer_began_stand_before_it() -> None:
    memory = InProcessMemory()
    late = (0.2, Final("1", "book a room"))
    log = await talk(model([[late, SPOKEN]]), [Speak(800), Until(vl.TurnEnded)], memory=memory, conversation_id="c")
    entries = await memory.load("c")
    assert [type(entry) for entry in entries] == [UserEntry, AssistantEntry]
    assert entries[0].text == "book a room"  # type: ignore[union-attr]
    assert [(t.text, t.final) for t in of(log, vl.Transcript)] == [("book a room", True)]
    assert len(of(log, vl.UserSpeechStarted)) == len(of(log, vl.UserSpeechEnded)) == 1


@pytest.mark.virtual_time
async def test_words_that_come_after_the_answer_was_over_are_kept() -> None:
    memory = InProcessMemory()
    opening = [(8.0, Final("1", "book a room"))]
    await talk(model([SPOKEN], opening=opening), [Speak(800), Delay(9.0)], memory=memory, conversation_id="c")
    assert [type(entry) for entry in await memory.load("c")] == [AssistantEntry, UserEntry]


@pytest.mark.virtual_time
async def test_a_cough_that_the_model_ignores_holds_nothing_up() -> None:
    async def greet(session: vl.Session) -> None:
        await session.greet()

    deaf = model([SPOKEN], turn_after=1000.0)
    log = await talk(deaf, [Speak(300), greet, Until(vl.TurnEnded)])
    assert of(log, vl.TurnEnded)[0].reason == "completed"
    assert len(of(log, vl.UserSpeechEnded)) == 1


@pytest.mark.virtual_time
async def test_speech_only_suspects_and_the_model_decides() -> None:
    log = await talk(
        model([[LONG, (4.0, ModelCut(0))]]), [Speak(800), Until(vl.AudioChunk), Speak(400), Until(vl.TurnEnded)]
    )
    assert len(of(log, vl.Paused)) == len(of(log, vl.Resumed)) == 1
    assert [cut.cause for cut in of(log, vl.Interrupted)] == ["model"]


@pytest.mark.virtual_time
async def test_of_an_interrupted_reply_no_more_counts_as_heard_than_the_model_says_it_spoke() -> None:
    told = Settled(0, "One two three four")
    log = await talk(
        model([[ReplySpan(0, 0, len(LONG), 0.0), LONG, (2.5, told), ModelCut(0)]]),
        [Speak(800), Until(vl.TurnEnded)],
    )
    (ended,) = of(log, vl.TurnEnded)
    assert ended.reason == "interrupted"
    assert ended.heard.text == "One two three four"
    (cut,) = of(log, vl.Interrupted)
    assert len(cut.heard.text) > len(ended.heard.text)


@pytest.mark.virtual_time
async def test_settings_that_need_a_new_connection_are_applied_when_it_stands() -> None:
    renews = ModelCapabilities(owns_turns=True, can_cut=False, renews=frozenset({"voice"}))
    scripted = model(opening=[Update, (3.0, LinkChanged("renewing")), Renewed(0)], capabilities=renews)
    outcomes = []

    async def change(session: vl.Session) -> None:
        outcomes.append(await session.update(voice="tiffany"))
        outcomes.append(await session.update(speak=True))

    log = await talk(scripted, [change, Until(vl.SettingApplied), Until(vl.SettingApplied)])
    assert outcomes == ["renewing", "applied"]
    applied = of(log, vl.SettingApplied)
    assert [event.settings for event in applied] == [("speak",), ("voice",)]
    assert applied[1].at > applied[0].at + 2.9
    assert [event.state for event in of(log, ConnectionState)].count("renewing") == 1


@pytest.mark.virtual_time
async def test_push_to_talk_tells_the_model_that_the_turn_is_over() -> None:
    scripted = model([SPOKEN], turn_after=1000.0, said=["book a room"])

    async def release(session: vl.Session) -> None:
        await session.end_turn()

    log = await talk(scripted, [Speak(800), release, Until(vl.TurnEnded)], turns="manual")
    assert EndOfTurn(turn=None) in scripted.commands
    assert len(of(log, vl.TurnEnded)) == 1


@pytest.mark.virtual_time
async def test_a_reply_that_is_only_read_has_no_audio() -> None:
    async def type_in(session: vl.Session) -> None:
        await session.update(speak=False)
        await session.send_text("Hello.")

    log = await talk(model([[SPOKEN, ReplyEnded(0)]]), [type_in, Until(vl.TurnEnded)])
    assert not of(log, vl.AudioChunk)
    assert of(log, vl.TurnEnded)[0].heard.text == SPOKEN


@pytest.mark.virtual_time
async def test_a_narrator_speaks_given_words() -> None:
    narrator = ScriptedSynthesizer(format=vl.PCM16_16K)
    outcome = []

    async def say(session: vl.Session) -> None:
        outcome.append(await (await session.say("Please hold the line. It takes a moment.")).done())

    log = await talk(model([SPOKEN]), [Speak(800), Until(vl.TurnEnded), say], narrator=narrator, output=vl.PCM16_16K)
    assert [event.said for event in of(log, vl.TurnEnded)] == [SPOKEN, "Please hold the line. It takes a moment."]
    assert outcome[0].basis == "measured"
    assert [word.text for word in of(log, vl.Word)][-3:] == ["takes", "a", "moment."]
    assert {event.turn for event in of(log, vl.Viseme)} == {2}
    made = sum(len(chunk.pcm) for chunk in of(log, vl.AudioChunk) if chunk.turn == 2) / 32
    assert made == pytest.approx(len("Please hold the line. It takes a moment.") * 60, abs=200)


@pytest.mark.virtual_time
async def test_a_narrator_can_be_interrupted_and_can_fail() -> None:
    narrator = ScriptedSynthesizer(speed=1.0, faults={1: Fail(RuntimeError("no voice"))})

    async def say(session: vl.Session) -> None:
        await session.say(LONG.replace(" eight", ". Eight"))

    deaf = model([[(0.0, ModelCut(0))], SPOKEN])
    log = await talk(deaf, [say, Until(vl.AudioChunk, after=1.0), "Stop", Until(vl.TurnEnded)], narrator=narrator)
    assert next(event.reason for event in of(log, vl.TurnEnded)) == "interrupted"
    assert not [command for command in deaf.commands if isinstance(command, Say)]
    failing = ScriptedSynthesizer(faults={0: Fail(RuntimeError("no voice"))})
    log = await talk(model([SPOKEN]), [say, Until(vl.TurnEnded), Speak(800), Until(vl.TurnEnded)], narrator=failing)
    assert [notice.code for notice in of(log, vl.Notice)] == ["reply-failed"]
    assert of(log, vl.TurnEnded)[-1].heard.text == SPOKEN


async def test_given_words_need_a_narrator() -> None:
    with pytest.raises(vl.BadInput, match="narrator="):
        vl.Session(model(), idle=vl.Idle(say="Are you there?"))
    with pytest.raises(vl.BadInput, match="narrator=5"):
        vl.Session(model(), narrator=5)  # type: ignore[arg-type]
    async with vl.Session(model(), turns=ScriptedTurns()) as session:
        with pytest.raises(vl.BadInput, match="narrator="):
            await session.say("Hello.")


@pytest.mark.virtual_time
async def test_a_reply_that_follows_by_itself_waits_until_the_one_before_was_played() -> None:
    audio = ReplyAudio(0, tone(500, vl.PCM16_24K))
    opening = [(3.0, ReplyStarted(0)), ReplyTextDelta(0, "Rain. "), audio, ReplyEnded(0)]
    log = await talk(model([LONG], opening=opening), [Speak(800), Until(vl.TurnEnded), Until(vl.TurnEnded)])
    assert [(event.said, event.reason) for event in of(log, vl.TurnEnded)] == [
        (LONG, "completed"),
        ("Rain. ", "completed"),
    ]
    made = sum(len(chunk.pcm) for chunk in of(log, vl.AudioChunk) if chunk.turn == 2)
    assert made == len(tone(500, vl.PCM16_24K))


@pytest.mark.virtual_time
@pytest.mark.parametrize(("limit", "fails"), [(6.0, True), (float("inf"), False)])
async def test_a_reply_that_waits_is_bounded(limit: float, fails: bool) -> None:
    audio = ReplyAudio(0, tone(500, vl.PCM16_24K))
    opening = [(3.0, ReplyStarted(0)), ReplyTextDelta(0, "Rain. "), *[audio] * 14, ReplyEnded(0)]
    talking = talk(
        model([LONG], opening=opening),
        [Speak(800), Until(vl.TurnEnded), Until(vl.TurnEnded)],
        limits=vl.Limits(reply_audio=limit),
    )
    if fails:
        with pytest.raises(vl.ProviderMisbehaved, match="went on making replies"):
            await talking
    else:
        assert [event.reason for event in of(await talking, vl.TurnEnded)] == ["completed", "completed"]


@pytest.mark.virtual_time
async def test_a_reply_that_waits_is_cut_with_the_one_before() -> None:
    opening = [(3.0, ReplyStarted(0)), ReplyTextDelta(0, "Rain. "), ReplyEnded(0), (1.0, ModelCut(0))]
    log = await talk(
        model([LONG, SPOKEN], opening=opening), [Speak(800), Until(vl.TurnEnded), Speak(800), Until(vl.TurnEnded)]
    )
    assert [event.reason for event in of(log, vl.TurnEnded)] == ["interrupted", "completed"]
    assert of(log, vl.TurnEnded)[1].said == SPOKEN


@pytest.mark.virtual_time
async def test_of_several_settings_those_that_need_no_connection_hold_at_once() -> None:
    renews = ModelCapabilities(owns_turns=True, can_cut=False, renews=frozenset({"voice"}))
    scripted = model(opening=[Update, (3.0, Renewed(0))], capabilities=renews)

    async def change(session: vl.Session) -> None:
        assert await session.update(voice="tiffany", speak=False) == "renewing"

    log = await talk(scripted, [change, Until(vl.SettingApplied), Until(vl.SettingApplied)])
    assert [event.settings for event in of(log, vl.SettingApplied)] == [("speak",), ("voice",)]


async def test_a_model_that_takes_no_text_cannot_be_asked_to_speak_first() -> None:
    deaf = model(capabilities=ModelCapabilities(owns_turns=True, can_cut=False, says=False, text_input=False))
    with pytest.raises(vl.BadInput, match="speak first"):
        vl.Session(deaf, idle=vl.Idle())
    async with vl.Session(deaf, turns=ScriptedTurns()) as session:
        with pytest.raises(vl.BadInput, match="speak first"):
            await session.greet()
