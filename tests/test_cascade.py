"""A cascade on its own: its name, what it can do, what its parts are asked."""

from __future__ import annotations

import anyio
import pytest

import voiceloop as vl
from voiceloop.interfaces import Expectation
from voiceloop.testing.scripted import (
    Delay,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    Speak,
    Until,
)

from .session_kit import LONG, cascade, ends, of, questions, talk

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
