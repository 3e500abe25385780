"""Answers of Polly that break off in the midst of speech: nothing is said twice, and a session goes on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.aws import Polly
from voiceloop.aws.faults import fault_of
from voiceloop.cascade.reply import Deadlines
from voiceloop.errors import SpeechBroke
from voiceloop.interfaces import (
    Clause,
    MarksUntil,
    SpeakConfig,
    Speech,
    SpeechAudio,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.aws import Emulator, Fault
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, silence, tone

TEXT = "Good morning, world."
SPEECH = "SynthesizeSpeech"
BREAKS = ("drop", "truncate", "reset")
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"encoding": "mulaw", "sample_rate": 8000}, {"rate": 0.8})


async def spoken(polly: Polly, pool: vl.Pool, items: list[Speech], *, marks: bool = True) -> None:
    config = SpeakConfig(pool, frozenset({"viseme", "word"} if marks else ()))
    async with polly.speak(Clause(TEXT), config) as speech:
        async for item in speech:
            items.append(item)  # noqa: PERF401 - what came before a failure is looked at


def pcm(items: list[Speech]) -> bytes:
    return b"".join(item.pcm for item in items if isinstance(item, SpeechAudio))


def marks(items: list[Speech]) -> list[Speech]:
    return [item for item in items if isinstance(item, VisemeMark | WordMark)]


def calls(aws: Emulator) -> int:
    return sum(call.operation == SPEECH for call in aws.calls)


@pytest.mark.parametrize("kind", BREAKS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
async def test_the_rest_is_asked_for_again_and_no_sample_comes_twice(
    aws: Emulator, pool: vl.Pool, kind: str, options: dict[str, Any]
) -> None:
    polly = Polly(account=aws.account(), **options)
    whole: list[Speech] = []
    await spoken(polly, pool, whole, marks=False)
    for at in (1, 3):
        aws.faults.add(Fault(kind, SPEECH, at=at, times=2))
        before, items = calls(aws), list[Speech]()
        await spoken(polly, pool, items, marks=False)
        assert pcm(items) == pcm(whole)
        assert calls(aws) - before == 3
        usage = [item for item in items if isinstance(item, SynthesizerUsage)]
        assert usage == [SynthesizerUsage({"characters": len(TEXT)})] * 3, "each request is billed"


async def test_marks_that_break_off_are_asked_for_again(aws: Emulator, pool: vl.Pool) -> None:
    polly = Polly(account=aws.account())
    whole: list[Speech] = []
    await spoken(polly, pool, whole)
    aws.faults.add(Fault("drop", SPEECH, at=1, times=2))
    items: list[Speech] = []
    await spoken(polly, pool, items)
    assert marks(items) == marks(whole)
    assert pcm(items) == pcm(whole)
    assert items[-1] == [item for item in whole if isinstance(item, MarksUntil)][-1]


async def test_a_stall_in_the_midst_is_noticed_before_a_listener_gives_up(
    aws: Emulator, pool: vl.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voiceloop.aws.polly import speech

    assert Deadlines().audio_gap - 1 > speech._DEADLINE + speech._FIRST
    monkeypatch.setattr(speech, "_DEADLINE", 0.2)
    polly = Polly(account=aws.account())
    whole: list[Speech] = []
    await spoken(polly, pool, whole, marks=False)
    aws.faults.add(Fault("stall", SPEECH, at=2))
    items: list[Speech] = []
    await spoken(polly, pool, items, marks=False)
    assert pcm(items) == pcm(whole)


async def test_broken_again_and_again_it_says_so_after_what_came(aws: Emulator, pool: vl.Pool) -> None:
    polly = Polly(account=aws.account())
    whole: list[Speech] = []
    items: list[Speech] = []
    await spoken(polly, pool, whole, marks=False)
    aws.faults.add(Fault("drop", SPEECH, at=2, times=None))
    with pytest.raises(SpeechBroke, match="Amazon Polly: broke off in the midst of speech: ") as caught:
        await spoken(polly, pool, items, marks=False)
    assert caught.value.retryable
    assert fault_of(caught.value) is not None
    assert TEXT not in str(caught.value)
    assert pcm(items)
    assert pcm(whole).startswith(pcm(items))
    assert calls(aws) == 1 + 4


@pytest.mark.parametrize(("engine", "format"), [("neural", "mp3"), ("generative", "pcm")])
async def test_what_two_requests_may_say_differently_is_not_put_together(
    aws: Emulator, pool: vl.Pool, engine: Any, format: Any
) -> None:
    pytest.importorskip("soundfile")
    aws.faults.add(Fault("truncate", SPEECH, at=1))
    with pytest.raises(SpeechBroke):
        await Polly("Ruth", engine=engine, account=aws.account()).synthesize(TEXT * 20, format=format, pool=pool)
    assert calls(aws) == 1


async def ended(session: vl.Session, seen: list[vl.Event]) -> None:
    """Until the end of a turn."""
    with anyio.fail_after(20):
        async for event in session:
            seen.append(event)
            if isinstance(event, vl.TurnEnded):
                return


@pytest.mark.parametrize(
    ("polly", "fault"),
    [
        ({}, Fault("drop", SPEECH, at=2, times=None)),
        ({"voice": "Ruth", "engine": "generative"}, Fault("reset", "StartSpeechSynthesisStream", at=2, times=None)),
    ],
    ids=("neural", "generative"),
)
async def test_a_session_goes_on_after_a_reply_that_broke_off(
    aws: Emulator, pool: vl.Pool, polly: dict[str, Any], fault: Fault
) -> None:
    replies = ["It is ten past five in the afternoon now.", "You are welcome."]
    model = vl.Cascade(
        ScriptedRecognizer(), ScriptedReasoner(replies, cycle=True), Polly(account=aws.account(), **polly)
    )
    async with vl.Session(model, pool=pool, lead=None, visemes="off") as session:
        aws.faults.add(fault)
        first: list[vl.Event] = []
        await session.send_text("What time is it?")
        await ended(session, first)
        [notice] = [event for event in first if isinstance(event, vl.Notice) and event.code == "reply-failed"]
        assert "broke off in the midst of speech" in notice.text
        assert [event for event in first if isinstance(event, vl.AudioChunk)], "what came before is heard"
        aws.faults.clear()
        second: list[vl.Event] = []
        await session.send_text("Thank you")
        await session.send_audio(tone(20) + silence(20))
        await ended(session, second)
    assert [event.said for event in second if isinstance(event, vl.TurnEnded)] == ["You are welcome."]
    assert [event for event in second if isinstance(event, vl.AudioChunk)]
    assert not [event for event in second if isinstance(event, vl.Notice)]
