"""Whose words they are: the user's, or the assistant's own from the loudspeaker."""

from __future__ import annotations

from typing import Any

import pytest

import voiceloop as vl
from voiceloop.testing.scripted import Delay, Speak, Until

from .session_kit import cascade, finals, of, talk

pytestmark = pytest.mark.virtual_time


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


REPLY = "Would you like Monday or Tuesday?"
ECHO = "you like Monday"  # the first of these words begins 360 ms into the reply


@pytest.mark.parametrize("late", [0.05, 0.2, 0.4])
async def test_what_comes_back_from_the_loudspeaker_is_not(late: float) -> None:
    heard = [Until(vl.AudioChunk, after=0.36 + late), Speak(600), Delay(4)]
    log = await talk([Speak(600), *heard], cascade(["hello", ECHO], [REPLY]), barge_in="words")
    assert finals(log) == ["hello"]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == [REPLY]
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]


@pytest.mark.parametrize("options", [{"lead": None}, {"ignore_echo": False}])
async def test_where_none_can_come_back_every_word_is_the_users(options: dict[str, Any]) -> None:
    heard = [Until(vl.AudioChunk, after=0.4), Speak(600), Delay(4)]
    log = await talk([Speak(600), *heard], cascade(["hello", ECHO], [REPLY, "Fine."]), **options)
    assert finals(log) == ["hello", ECHO]
