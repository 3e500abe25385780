"""A cascade on its own: its name, what it can do, what its parts are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import voiceloop as vl
from voiceloop.errors import SpeechBroke
from voiceloop.interfaces import Expectation, ListenConfig, Listening, ModelCapabilities, Resources
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    Speak,
    Until,
)

from .session_kit import LONG, cascade, collect, ends, of, questions, session, talk, until

OVER = Until(vl.TurnEnded)
SECOND = Until(lambda event: isinstance(event, vl.TurnEnded) and event.turn == 2)


def test_it_is_what_its_parts_are() -> None:
    model = vl.Cascade(
        ScriptedRecognizer(input=vl.PCM16_8K, can_flush=True),
        ScriptedReasoner(),
        ScriptedSynthesizer(format=vl.PCM16_48K, marks=frozenset({"word"})),
    )
    assert model.name == "scripted recognizer + scripted reasoner + scripted synthesizer"
    able = model.capabilities
    assert (able.input, able.output, able.can_flush, able.marks) == (vl.PCM16_8K, vl.PCM16_48K, True, {"word"})


@pytest.mark.virtual_time
async def test_sentences_are_spoken_as_they_are_written() -> None:
    model = cascade([], ["This is the first one. And this the second. Bye."], thinks={"token": 0.1})
    log = await talk(["Hi", OVER], model)
    assert [clause.text for clause in model.synthesizer.clauses][-2:] == ["And this the second.", "Bye."]  # type: ignore[attr-defined]
    assert of(log, vl.AudioChunk)[0].at < 0.2 + 9 * 0.1
    assert model.synthesizer.clauses[0].first  # type: ignore[attr-defined]
    assert [end[1] for end in ends(log)] == ["completed"]


@pytest.mark.virtual_time
async def test_text_around_a_tool_call_does_not_run_together() -> None:
    from voiceloop.interfaces import ToolCall

    @vl.tool
    async def look() -> str:
        """Look."""
        return "rain"

    model = cascade([], [["Let me see.", ToolCall("1", "look", {})], "It rains."])
    log = await talk(["Hi", OVER], model, tools=[look])
    assert ends(log) == [(1, "completed", "Let me see. It rains.")]


@pytest.mark.virtual_time
async def test_the_recognizer_is_told_what_to_expect() -> None:
    yes_no = Expectation("#JSGF V1.0; grammar a; public <a> = yes | no;")

    def expect(messages):  # type: ignore[no-untyped-def]
        return yes_no if messages and messages[-1].role == "assistant" else None

    model = cascade([], ["Is it so?"], thinks={"expectation": expect})
    await talk(["Hi", OVER, Delay(1)], model)
    assert model.recognizer.expected[-1] == yes_no  # type: ignore[attr-defined]


@pytest.mark.virtual_time
async def test_the_answer_sees_what_was_heard_of_the_one_before() -> None:
    model = cascade(["and you"], [LONG, "Fine."])
    log = await talk(["Hi", Until(vl.AudioChunk, after=1.0), Speak(600), SECOND], model)
    heard = of(log, vl.TurnEnded)[0].heard.text
    assert 0 < len(heard) < len(LONG)
    assert questions(model)[1] == [("user", "Hi"), ("assistant", heard), ("user", "and you")]


@pytest.mark.virtual_time
@pytest.mark.parametrize("marks", [True, False])
async def test_a_clause_cut_short_ends_the_same(marks: bool) -> None:
    from voiceloop.testing.scripted import Short

    model = cascade([], ["It is ten past five."], speaks={"faults": {0: Short(300)}, "marks": marks})
    log = await talk(["Hi", OVER], model)
    assert ends(log) == [(1, "completed", "It is ten past five.")]


@pytest.mark.virtual_time
async def test_a_voice_that_streams_speaks_all_clauses_on_one_timeline() -> None:
    text = "This is the first one. And this the second. Bye."
    model = cascade([], [text], thinks={"token": 0.1}, speaks={"streams": True})
    log = await talk(["Hi", OVER], model)
    assert [clause.text for clause in model.synthesizer.clauses][-2:] == ["And this the second.", "Bye."]  # type: ignore[attr-defined]
    assert [clause.first for clause in model.synthesizer.clauses] == [True, False, False, False]  # type: ignore[attr-defined]
    assert of(log, vl.AudioChunk)[0].at < 0.2 + 9 * 0.1
    assert [(word.text, text[word.start : word.end]) for word in of(log, vl.Word)] == [
        (word, word) for word in text.split()
    ]
    assert [end[1:] for end in ends(log)] == [("completed", text)]


@pytest.mark.virtual_time
async def test_a_voice_that_streams_may_wait_for_a_tool_and_be_interrupted() -> None:
    from voiceloop.interfaces import ToolCall

    @vl.tool
    async def look() -> str:
        """Look."""
        await anyio.sleep(30)
        return "rain"

    model = cascade(
        [], [["Let me see.", ToolCall("1", "look", {})], LONG, "Fine."], speaks={"streams": True, "speed": 1.0}
    )
    log = await talk(["Hi", Until(vl.ToolReturned, after=2), "Stop", Until(vl.TurnEnded)], model, tools=[look])
    (turn, reason, heard) = ends(log)[0]
    assert (turn, reason) == (1, "interrupted")
    assert heard.startswith("Let me see. One two")
    assert "cut" in model.synthesizer.outcomes  # type: ignore[attr-defined]


@pytest.mark.virtual_time
async def test_a_voice_that_streams_and_hangs_is_noticed() -> None:
    model = cascade([], ["This is the first one."], speaks={"streams": True, "faults": {0: Hang()}})
    with pytest.raises(vl.ProviderTimeout):
        await talk(["Hi", OVER], model)


@pytest.mark.virtual_time
async def test_the_time_of_a_slow_listener_is_not_that_of_a_voice_that_streams() -> None:
    """Nobody takes events for longer than a voice may take for its next piece."""
    model = cascade([], [LONG * 6], speaks={"streams": True, "speed": 2.0})
    log: list[vl.Event] = []
    async with session(model) as running:
        await running.send_text("Hi")
        await anyio.sleep(25)
        await running.end_input()
        await collect(running, log)
    assert ends(log) == [(1, "completed", LONG * 6)]


@pytest.mark.virtual_time
async def test_a_voice_that_streams_may_wait_long_for_the_next_clause() -> None:
    """Its deadline counts from the clause that it was given, though a listener was waited for meanwhile."""
    text = [LONG, Delay(14), " And that is all there is to say."]
    model = cascade([], [text], speaks={"streams": True, "speed": 20.0})
    log = await talk(["Hi", OVER], model)
    assert ends(log) == [(1, "completed", LONG + " And that is all there is to say.")]


@pytest.mark.virtual_time
async def test_a_recognizer_that_takes_no_expectation_is_noticed() -> None:
    class Deaf(ScriptedRecognizer):
        @asynccontextmanager
        async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
            async with super().open(config) as listening:
                listening.expect = hang  # type: ignore[method-assign]
                yield listening

    async def hang(expectation: Expectation | None) -> None:
        if expectation is not None:
            await anyio.sleep_forever()

    def expect(messages):  # type: ignore[no-untyped-def]
        return Expectation("#JSGF V1.0; grammar a; public <a> = yes;") if len(messages) > 1 else None

    model = vl.Cascade(Deaf(), ScriptedReasoner(["Is it so?"], expectation=expect), ScriptedSynthesizer())
    with pytest.raises(vl.ProviderTimeout, match="scripted recognizer"):
        await talk(["Hi", OVER, Delay(30)], model)


@pytest.mark.virtual_time
async def test_a_narrator_that_cannot_get_ready_loses_what_it_was_to_say() -> None:
    class Unready(ScriptedSynthesizer):
        async def prepare(self, resources: Resources) -> None:
            await anyio.sleep_forever()

    silent = ScriptedSpeechModel(["Good."], capabilities=ModelCapabilities(says=False))
    log: list[vl.Event] = []
    async with vl.Session(silent, turns="manual", narrator=Unready()) as running:
        welcome = await running.say("Welcome.")
        await until(running, vl.TurnEnded, log)
        await running.send_text("Hi")
        await running.end_input()
        await collect(running, log)
    assert (await welcome.done()).text == ""
    assert "reply-failed" in [event.code for event in of(log, vl.Notice)]
    assert ends(log) == [(1, "failed", ""), (2, "completed", "Good.")]


@pytest.mark.parametrize("name", ["first_token", "token_gap", "first_audio", "audio_gap", "tool_steps"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", True, None])
def test_deadlines(name: str, value: object) -> None:
    with pytest.raises(vl.BadInput, match=f"deadlines.{name}="):
        vl.Deadlines(**{name: value})  # type: ignore[arg-type]


BROKE = Fail(SpeechBroke("the audio broke off", provider="scripted", doing="speaking"))


@pytest.mark.virtual_time
@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize(("clause", "heard"), [(0, ""), (1, "First sentence is fine.")])
async def test_what_could_not_be_spoken_was_not_heard(clause: int, heard: str, marks: bool) -> None:
    speaks = {"faults": {clause: BROKE}, "marks": marks}
    model = cascade([], ["First sentence is fine. The second one is not.", "Good."], speaks=speaks)
    log = await talk(["Hi", OVER, "And now?", SECOND], model)
    assert [end[1:] for end in ends(log)] == [("failed", heard), ("completed", "Good.")]
    said = [("assistant", heard)] if heard else []
    history = [message for message in questions(model)[1] if message[1] != "Hi"]
    assert [message for message in history if message[0] == "assistant"] == said


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", [Fail(), Hang()], ids=["breaks off", "hangs"])
async def test_an_answer_that_breaks_off_is_spoken_so_far_and_the_session_goes_on(fault: Fail | Hang) -> None:
    model = cascade([], [["First sentence is fine. The second ", fault], "Good."])
    log = await talk(["Hi", OVER, "And now?", SECOND], model)
    assert [end[1:] for end in ends(log)] == [("failed", "First sentence is fine."), ("completed", "Good.")]
    assert sum(len(chunk.pcm) for chunk in of(log, vl.AudioChunk) if chunk.turn == 1) > 0
    (notice,) = of(log, vl.Notice)
    assert notice.code == "reply-failed"
    assert ("assistant", "First sentence is fine.") in questions(model)[1]


@pytest.mark.virtual_time
async def test_an_answer_that_breaks_off_before_its_first_clause_is_asked_for_again() -> None:
    model = cascade([], [["Well it", Fail()], ["So it", Fail()], "It is fine.", "Good."])
    log = await talk(["Hi", OVER, "And now?", SECOND], model)
    assert [end[1:] for end in ends(log)] == [("completed", "It is fine."), ("completed", "Good.")]
    assert [event.text for event in of(log, vl.ReplyText)] == ["It is fine.", "Good."]
    assert of(log, vl.Notice) == []


@pytest.mark.virtual_time
async def test_an_answer_that_always_breaks_off_is_given_up() -> None:
    model = cascade([], [*[["Well it", Fail()]] * 3, "Good."])
    log = await talk(["Hi", OVER, "And now?", SECOND], model)
    assert [end[1:] for end in ends(log)] == [("failed", ""), ("completed", "Good.")]
    assert len(questions(model)) == 4


@pytest.mark.virtual_time
async def test_an_answer_that_breaks_off_after_a_tool_was_called_is_not_asked_for_again() -> None:
    from voiceloop.interfaces import ToolCall

    calls: list[str] = []

    @vl.tool
    async def book() -> str:
        """Book."""
        calls.append("booked")
        return "done"

    model = cascade([], [[ToolCall("c1", "book", {}), Fail()], "Good."])
    log = await talk(["Hi", OVER, "And now?", SECOND], model, tools=[book])
    assert [end[1:] for end in ends(log)] == [("failed", ""), ("completed", "Good.")]
    assert calls == ["booked"]


@pytest.mark.virtual_time
async def test_an_answer_that_is_read_is_told_word_by_word_and_kept() -> None:
    model = cascade([], [["Well ", "it ", Fail()], "Good."], thinks={"token": 0.1})
    log = await talk(["Hi", OVER, "And now?", SECOND], model, speak=False)
    told = [event.text for event in of(log, vl.ReplyText) if event.turn == 1]
    assert "".join(told) == "Well it "
    assert len(told) > 2
    assert [end[1] for end in ends(log)] == ["failed", "completed"]


@pytest.mark.virtual_time
async def test_a_reply_that_is_read_is_read_though_a_voice_would_break() -> None:
    model = cascade([], ["It is so."], speaks={"faults": {0: BROKE}})
    log = await talk(["Hi", OVER], model, speak=False)
    assert ends(log) == [(1, "completed", "It is so.")]
