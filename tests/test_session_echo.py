"""Whose words they are: the user's, or the assistant's own from the loudspeaker."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import Delay, Speak, Until

from .session_kit import cascade, finals, of, talk

MS_PER_CHAR = 60


@pytest.mark.virtual_time
@pytest.mark.parametrize("wait", [0.1, 0.3, 0.7, 1.2, 2.5])
@pytest.mark.parametrize(
    ("question", "answer", "ms"),
    [
        ("Would you like Monday or Tuesday?", "Tuesday", 500),
        ("Would you like Monday or Tuesday?", "Monday or Tuesday", 900),
        ("Small or large?", "small", 400),
        ("Is that a yes?", "yes", 300),
        ("You said Boston, is that right?", "Boston", 500),
    ],
)
async def test_an_answer_in_the_words_of_the_question_is_the_users(
    question: str, answer: str, ms: float, wait: float
) -> None:
    model = cascade(["hello", answer], [question, "Fine."])
    log = await talk([Speak(600), Until(vl.TurnEnded), Delay(wait), Speak(ms), Until(vl.TurnEnded)], model)
    assert finals(log) == ["hello", answer]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == [question, "Fine."]


STORY = "Once upon a time there lived a king whose three daughters had a very small dog."
QUESTIONS = ("Would you like Monday or Tuesday?", "Small, medium or large?", "Is that a no or a yes?")
REPORTS = st.sampled_from((None, 100, 500, 1100))
SETTINGS = settings(deadline=None, max_examples=60)


@SETTINGS
@given(
    st.sampled_from(QUESTIONS), st.integers(1, 3), st.floats(0.72, 3.0), REPORTS, st.sampled_from(("speech", "words"))
)
def test_what_begins_after_the_last_word_is_never_an_echo(
    question: str, words: int, after: float, report_ms: float | None, barge_in: str
) -> None:
    """0.7 s after that word began, however well the player tells where it is."""
    answer = " ".join(question.strip("?").split()[-words:])
    last = question.rindex(" ") * MS_PER_CHAR / 1000
    model = cascade(["hello", answer], [question, "Fine."])
    acts = [Speak(600), Until(vl.AudioChunk, after=last + after), Speak(300 * words), Delay(4)]
    log = virtual_time.run(partial(talk, acts, model, report_ms=report_ms, barge_in=barge_in))
    assert finals(log)[-1].endswith(answer)
    assert of(log, vl.Notice) == []


@SETTINGS
@given(st.integers(0, 11), st.floats(0.05, 0.26), REPORTS)
def test_what_is_being_said_is_an_echo(first: int, lag: float, report_ms: float | None) -> None:
    """The words that sound until the reply pauses, 100 ms after the first came back; frames add to the lag."""
    starts = [match.start() * MS_PER_CHAR / 1000 for match in re.finditer(r"\w+", STORY)]
    began = starts[first] + lag
    back = [word for word, at in zip(STORY.split(), starts, strict=False) if starts[first] <= at < began + 0.1]
    model = cascade(["hello", " ".join(back)], [STORY])
    acts = [Speak(600), Until(vl.AudioChunk, after=began), Speak(300 * len(back)), Delay(8)]
    log = virtual_time.run(partial(talk, acts, model, report_ms=report_ms, barge_in="words"))
    assert finals(log) == ["hello"]
    assert [turn.heard.text for turn in of(log, vl.TurnEnded)] == [STORY]
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]


REPLY = "Would you like Monday or Tuesday?"
ECHO = "you like Monday"  # the first of these words begins 360 ms into the reply


@pytest.mark.virtual_time
@pytest.mark.parametrize("late", [0.05, 0.2, 0.4])
async def test_what_comes_back_from_the_loudspeaker_is_not(late: float) -> None:
    heard = [Until(vl.AudioChunk, after=0.36 + late), Speak(600), Delay(4)]
    log = await talk([Speak(600), *heard], cascade(["hello", ECHO], [REPLY]), barge_in="words")
    assert finals(log) == ["hello"]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == [REPLY]
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("options", [{"lead": None}, {"ignore_echo": False}])
async def test_where_none_can_come_back_every_word_is_the_users(options: dict[str, Any]) -> None:
    heard = [Until(vl.AudioChunk, after=0.4), Speak(600), Delay(4)]
    log = await talk([Speak(600), *heard], cascade(["hello", ECHO], [REPLY, "Fine."]), **options)
    assert finals(log) == ["hello", ECHO]
