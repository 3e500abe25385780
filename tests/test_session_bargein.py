"""The user speaks while the assistant does: suspicion, confirmation, echo, going on, eager answers, late words."""

from __future__ import annotations

import pytest

import voiceloop as vl
from voiceloop.interfaces import ToolCall
from voiceloop.testing.scripted import Delay, ScriptedTurns, Speak, Spoken, Until

from .session_kit import LONG, cascade, ends, finals, of, order, questions, talk, the

pytestmark = pytest.mark.virtual_time

FIRST_AUDIO = Until(vl.AudioChunk)
OVER = Until(vl.TurnEnded)


def ended(turn: int) -> Until:
    return Until(lambda event: isinstance(event, vl.TurnEnded) and event.turn == turn)


async def test_suspected_then_confirmed() -> None:
    model = cascade(["yes please", "stop that"], [LONG, "Fine."])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=1.0), Speak(600), ended(2)], model)
    paused, interrupted = the(log, vl.Paused), the(log, vl.Interrupted)
    began = of(log, vl.UserSpeechStarted)[1]
    assert paused.at == began.at
    assert interrupted.at == pytest.approx(paused.at + 0.16)
    assert (interrupted.turn, interrupted.cause) == (1, "speech")
    assert not [chunk for chunk in of(log, vl.AudioChunk) if chunk.turn == 1 and chunk.at > paused.at]
    assert order(log, vl.Paused, vl.Interrupted, vl.TurnEnded, vl.Resumed) == [
        "Paused", "Interrupted", "TurnEnded", "TurnEnded"
    ]  # fmt: skip
    assert of(log, vl.TurnEnded)[0].heard.basis == "measured"
    assert questions(model)[1][1] == ("assistant", of(log, vl.TurnEnded)[0].heard.text)


async def test_the_reasoner_and_the_voice_stop_at_an_interruption() -> None:
    model = cascade(["yes please", "stop that"], [LONG * 4, "Fine."], thinks={"token": 0.2})
    await talk([Speak(600), Until(vl.AudioChunk, after=1.0), Speak(600), ended(2)], model)
    assert model.reasoner.outcomes == ["cut", "complete"]  # type: ignore[attr-defined]


async def test_a_cough_only_pauses_and_the_timeline_goes_on() -> None:
    model = cascade(["yes please", ""], [LONG])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=0.5), Speak(140), OVER], model)
    paused, resumed = the(log, vl.Paused), the(log, vl.Resumed)
    assert resumed.at == pytest.approx(paused.at + 1.0)
    chunks = of(log, vl.AudioChunk)
    assert not [chunk for chunk in chunks if paused.at < chunk.at < resumed.at]
    assert sum(chunk.samples for chunk in chunks) == chunks[-1].start + chunks[-1].samples
    assert ends(log) == [(1, "completed", LONG)]
    assert the(log, vl.TurnEnded).at > 0.6 + 0.3 + 4.86 + 1.0


async def test_short_words_interrupt_without_long_speech() -> None:
    model = cascade(["yes please", "stop"], [LONG, "Fine."])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=1.0), Speak(140), ended(2)], model)
    assert the(log, vl.Interrupted).cause == "words"
    assert finals(log) == ["yes please", "stop"]


async def test_words_mode_lets_noise_only_pause() -> None:
    model = cascade(["yes please", ""], [LONG])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=0.5), Speak(700), OVER], model, barge_in="words")
    assert len(of(log, vl.Paused)) == len(of(log, vl.Resumed)) == 1
    assert ends(log) == [(1, "completed", LONG)]


async def test_words_mode_is_interrupted_by_words() -> None:
    model = cascade(["yes please", "stop that"], [LONG, "Fine."])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=0.5), Speak(700), ended(2)], model, barge_in="words")
    assert the(log, vl.Interrupted).cause == "words"


async def test_off_means_off() -> None:
    model = cascade(["yes please", "stop that"], [LONG])
    log = await talk([Speak(600), Until(vl.AudioChunk, after=0.5), Speak(700), OVER], model, barge_in="off")
    assert of(log, vl.Paused) == of(log, vl.Interrupted) == []
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]
    assert finals(log) == ["yes please"]


async def test_the_assistants_own_words_are_no_interruption() -> None:
    model = cascade(["yes please", "three four"], [LONG])
    acts = [Speak(600), Until(vl.AudioChunk, after=0.65), Speak(500), OVER]
    log = await talk(acts, model, barge_in="words")
    assert of(log, vl.Interrupted) == []
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]
    assert ends(log) == [(1, "completed", LONG)]


async def test_speech_before_anything_was_heard_goes_on_with_the_same_utterance() -> None:
    model = cascade(["yes please", "and a glass of water please"], [LONG, "Fine."], thinks={"first_token": 1.0})
    log = await talk([Speak(600), Until(vl.TurnStarted, after=0.1), Speak(900), ended(2)], model)
    assert [end[:2] for end in ends(log)] == [(1, "dropped"), (2, "completed")]
    assert of(log, vl.Interrupted) == []
    assert finals(log) == ["yes please"]
    revised = the(log, vl.TranscriptRevised)
    assert (revised.utterance, revised.before) == (1, "yes please")
    assert revised.text == "yes please and a glass of water please"
    assert questions(model) == [[("user", "yes please")], [("user", revised.text)]]
    assert of(log, vl.TurnMetrics)[-1].cut_offs == 1


async def test_a_noise_while_thinking_only_holds_the_answer() -> None:
    model = cascade(["yes please", ""], ["Good."])
    log = await talk([Speak(600), Until(vl.TurnStarted), Speak(140), OVER], model)
    assert of(log, vl.Paused) == []
    assert ends(log) == [(1, "completed", "Good.")]
    assert len(questions(model)) == 1


async def test_an_interruption_is_told_once_however_often_it_is_asked_for() -> None:
    async def twice(running: vl.Session) -> None:
        await running.interrupt()
        await running.interrupt()

    log = await talk(["Hi", Until(vl.AudioChunk, after=0.5), twice, Delay(1)], cascade([], [LONG]))
    assert len(of(log, vl.Interrupted)) == 1
    assert len(of(log, vl.TurnEnded)) == 1


# ---------------------------------------------------------------- eager answers


async def test_an_eager_answer_begins_at_200_ms_and_leaves_at_the_commit() -> None:
    model = cascade(["we would like that"], ["Good."])
    plain = await talk([Speak(600), OVER], cascade(["we would like that"], ["Good."]))
    log = await talk([Speak(600), OVER], model, eager=True)
    assert the(plain, vl.TurnMetrics).voice_to_voice == 600 + 200 + 100
    assert the(log, vl.TurnStarted).at == the(plain, vl.TurnStarted).at == pytest.approx(1.2)
    assert the(log, vl.TurnMetrics).voice_to_voice == 600
    assert the(log, vl.TurnMetrics).endpointing == 600
    assert len(questions(model)) == 1


async def test_speech_that_goes_on_drops_the_eager_answer() -> None:
    model = cascade(["we would like that", "very much indeed"], ["Never.", "Good."])
    log = await talk([Speak(600), Delay(0.4), Speak(600), OVER], model, eager=True)
    assert ends(log) == [(2, "completed", "Good.")]
    assert [event.turn for event in of(log, vl.TurnStarted)] == [2]
    assert "Never" not in "".join(event.text for event in of(log, vl.ReplyText))
    assert questions(model)[1] == [("user", "we would like that very much indeed")]
    assert finals(log) == ["we would like that very much indeed"]


async def test_words_that_change_before_the_commit_drop_the_eager_answer() -> None:
    said = Spoken("we would like that", final="we would like cats", final_after=0.3)
    model = cascade([said], ["Never.", "Good."])
    log = await talk([Speak(600), OVER], model, eager=True, checked=False)  # its partial was called stable
    assert [end[1:] for end in ends(log)] == [("completed", "Good.")]
    assert finals(log) == ["we would like cats"]
    assert [event.text for event in of(log, vl.ReplyText)] == ["Good."]


async def test_punctuation_that_comes_before_the_commit_keeps_the_eager_answer() -> None:
    said = Spoken("we would like that", final="We would like that.", final_after=0.35)
    model = cascade([said, "thanks"], ["Good.", "Gladly."])
    steps = [Speak(600), OVER, Speak(600), ended(2)]
    log = await talk(steps, model, eager=True, checked=False)  # its partial was called stable
    first = of(log, vl.TurnMetrics)[0]
    assert (first.endpointing, first.voice_to_voice) == (370, 500)
    assert finals(log)[0] == "We would like that."
    assert [messages[0] for messages in questions(model)] == [
        ("user", "we would like that"),
        ("user", "We would like that."),
    ]


async def test_an_eager_tool_waits_for_the_commit() -> None:
    ran: list[float] = []

    @vl.tool
    async def lookup() -> str:
        """Look."""
        ran.append(vl.clock.now() if hasattr(vl, "clock") else 0.0)
        return "rain"

    model = cascade(["we would like that"], [[ToolCall("1", "lookup", {})], "Rain."], thinks={"first_token": 0.0})
    log = await talk([Speak(600), OVER], model, eager=True, tools=[lookup])
    assert the(log, vl.ToolCalled).at == the(log, vl.TurnStarted).at == pytest.approx(1.2)
    assert len(ran) == 1


async def test_an_eager_tool_that_is_not_wanted_never_runs() -> None:
    ran: list[int] = []

    @vl.tool
    async def lookup() -> str:
        """Look."""
        ran.append(1)
        return "rain"

    replies = [[ToolCall("1", "lookup", {})], "Good."]
    model = cascade(["we would like that", "no"], replies, thinks={"first_token": 0.0})
    log = await talk([Speak(600), Delay(0.4), Speak(400), OVER], model, eager=True, tools=[lookup])
    assert ran == []
    assert of(log, vl.ToolCalled) == []
    assert [end[1:] for end in ends(log)] == [("completed", "Good.")]


async def test_an_eager_answer_does_not_end_the_recognizers_turn() -> None:
    model = cascade(["we would like that"], ["Good."], hears={"can_flush": True})
    await talk([Speak(600), OVER], model, eager=True)
    assert model.recognizer.flushed == [False, True]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- late finals


async def test_a_late_final_before_anything_was_heard_restarts_the_answer() -> None:
    model = cascade([Spoken("yes please", final="no please", final_after=0.4)], ["Never.", "Good."])
    log = await talk([Speak(600), ended(2)], model)
    revised = the(log, vl.TranscriptRevised)
    assert (revised.before, revised.text) == ("yes please", "no please")
    assert ends(log) == [(1, "dropped", ""), (2, "completed", "Good.")]
    assert questions(model) == [[("user", "yes please")], [("user", "no please")]]
    assert [event.utterance for event in of(log, vl.TurnStarted)] == [1, 1]
    assert not [chunk for chunk in of(log, vl.AudioChunk) if chunk.turn == 1]


async def test_a_late_final_after_something_was_heard_corrects_the_message() -> None:
    model = cascade([Spoken("yes please", final="no please", final_after=2.0), "what now"], [LONG, "Good."])
    log = await talk([Speak(600), Until(vl.TranscriptRevised, after=0.3), Speak(600), ended(2)], model)
    assert ends(log)[0][1] == "interrupted"
    assert questions(model)[1][0] == ("user", "no please")
    assert len([event for event in of(log, vl.TurnStarted) if event.utterance == 1]) == 1


async def test_a_late_final_that_only_differs_in_looks_changes_nothing() -> None:
    model = cascade([Spoken("yes please", final="Yes, please.", final_after=0.4)], ["Good."])
    log = await talk([Speak(600), OVER], model)
    assert of(log, vl.TranscriptRevised) == []
    assert len(questions(model)) == 1


async def test_a_detector_may_end_turns_by_itself() -> None:
    model = cascade(["we would like that"], ["Good."])
    log = await talk([Speak(600), OVER], model, turns=ScriptedTurns(over_ms=150))
    assert the(log, vl.TurnStarted).at == pytest.approx(0.76)
