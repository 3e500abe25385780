from __future__ import annotations

import pytest

from voiceloop import events as ev
from voiceloop.cascade import Cascade
from voiceloop.errors import ProviderUnavailable
from voiceloop.session import Session
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import (
    Act,
    Delay,
    Fail,
    ScriptedCaller,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    ScriptedTurns,
    Speak,
    Until,
    silence,
    tone,
)

pytestmark = pytest.mark.virtual_time

STORY = "Once there was a very long story that nobody ever heard to its end."


async def call(acts: list[Act], model: ScriptedSpeechModel | None = None, **options: float | None) -> ScriptedCaller:
    recognizer = ScriptedRecognizer(["hello there", "stop it please"])
    caller = ScriptedCaller(acts, **options)  # type: ignore[arg-type]
    session = Session(model or ScriptedSpeechModel([STORY, "All right."], recognizer), turns=ScriptedTurns())
    async with session:
        await caller.talk(session)
    assert_log(caller.log)
    return caller


def of(caller: ScriptedCaller, kind: type[ev.BaseEvent]) -> list[ev.BaseEvent]:
    return [event for event in caller.log if isinstance(event, kind)]


@pytest.mark.parametrize("frame_ms", [20, 100])
async def test_speech_is_answered_and_heard(frame_ms: float) -> None:
    caller = await call([Delay(0.1), Speak(800), Until(ev.TurnEnded)], frame_ms=frame_ms)
    ended = of(caller, ev.TurnEnded)[0]
    assert isinstance(ended, ev.TurnEnded)
    assert ended.heard.text == STORY
    assert caller.listened == {1: len(STORY) * 60}


async def test_a_barge_in_stops_the_player_where_it_was() -> None:
    caller = await call([Speak(800), Until(ev.AudioChunk, after=1.0), Speak(600), Until(ev.TurnEnded)])
    first, second = of(caller, ev.TurnEnded)
    assert isinstance(first, ev.TurnEnded)
    assert isinstance(second, ev.TurnEnded)
    assert (first.reason, second.reason) == ("interrupted", "completed")
    assert first.heard.basis == "measured"
    assert first.heard.ms == caller.listened[1] < 1500


async def test_a_cascade_of_scripted_parts_talks() -> None:
    model = Cascade(ScriptedRecognizer(["hello"]), ScriptedReasoner(["Good day."]), ScriptedSynthesizer())
    caller = ScriptedCaller([Speak(600), Until(ev.TurnEnded)])
    async with Session(model, turns=ScriptedTurns()) as session:
        events = await caller.talk(session)
    assert_log(events)
    assert [event.heard.text for event in events if isinstance(event, ev.TurnEnded)] == ["Good day."]


async def test_typed_text_raw_audio_and_calls_are_acts() -> None:
    acts: list[Act] = [
        "hi",
        Until(lambda event: isinstance(event, ev.AudioChunk)),
        lambda session: session.interrupt(),
    ]
    caller = await call([*acts, Delay(2), tone(500) + silence(500), Until(ev.TurnEnded)])
    assert [event.reason for event in of(caller, ev.TurnEnded) if isinstance(event, ev.TurnEnded)] == [
        "interrupted",
        "completed",
    ]


async def test_a_silent_player_leaves_the_session_to_estimate() -> None:
    caller = await call(
        ["hi", Until(ev.AudioChunk, after=1), lambda s: s.interrupt(), Until(ev.TurnEnded)], report_ms=None
    )
    ended = of(caller, ev.TurnEnded)[0]
    assert isinstance(ended, ev.TurnEnded)
    assert ended.heard.basis == "estimated"
    assert abs(ended.heard.ms - caller.listened[1]) <= ended.heard.uncertainty_ms


async def test_a_late_player_reports_what_it_played() -> None:
    caller = await call(["hi", Until(ev.AudioChunk, after=1), lambda s: s.interrupt(), Delay(2)], latency=0.25)
    ended = of(caller, ev.TurnEnded)[0]
    assert isinstance(ended, ev.TurnEnded)
    assert ended.heard.ms == caller.listened[1]
    assert 700 <= caller.listened[1] <= 800


async def test_what_never_comes_is_an_error() -> None:
    with pytest.raises(TimeoutError, match="no Interrupted within 3 s; the last events were"):
        await call([Until(ev.Interrupted, limit=3)])


async def test_a_failed_session_raises_bare() -> None:
    with pytest.raises(ProviderUnavailable):
        await call(["hi", Delay(60)], ScriptedSpeechModel([[Delay(1), Fail()]]))
