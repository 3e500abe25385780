"""When a user's turn is over, as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.rules.endpointing import (
    Completeness,
    Endpointing,
    Evidence,
    completeness,
    decide,
    eager,
    next_check_ms,
    required_silence,
)

COMPLETE, OPEN, UNFINISHED = Completeness.COMPLETE, Completeness.OPEN, Completeness.UNFINISHED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Book a room.", COMPLETE),
        ("Really?", COMPLETE),
        ("¿Dónde está la estación?", COMPLETE),
        ("yes", COMPLETE),
        ("Yes, please", COMPLETE),
        ("no thank you", COMPLETE),
        ("oui", COMPLETE),
        ("Ja", COMPLETE),
        ("how old is the brooklyn bridge", COMPLETE),
        ("two thirty p m", COMPLETE),
        ("at five o'clock", COMPLETE),
        ("Where are you from?", COMPLETE),
        ("book a room", OPEN),
        ("go forward ten meters", OPEN),
        ("two people", OPEN),
        ("two", OPEN),
        ("two thirty", OPEN),
        ("twenty", OPEN),
        ("turn the light on", OPEN),
        ("i think so", OPEN),
        ("here i am", OPEN),
        ("four one five five five five one", OPEN),
        ("", OPEN),
        ("   ", OPEN),
        ("I was going to um", UNFINISHED),
        ("Uh.", UNFINISHED),
        ("the weather and", UNFINISHED),
        ("I want to fly to the", UNFINISHED),
        ("I want to fly to the.", UNFINISHED),
        ("a table for", UNFINISHED),
        ("Well,", UNFINISHED),
        ("so what I mean...", UNFINISHED),
        ("I\u2019d like", UNFINISHED),
        ("could you", UNFINISHED),
        ("hold on", UNFINISHED),
        ("two hundred and", UNFINISHED),
        ("two hundred and twenty", UNFINISHED),
        ("my number is four one five", UNFINISHED),
        ("three point", UNFINISHED),
        ("quiero un", UNFINISHED),
        ("je voudrais", UNFINISHED),
        ("ich möchte mit", UNFINISHED),
    ],
)
def test_what_the_words_look_like(text: str, expected: Completeness) -> None:
    assert completeness(text) is expected


def test_the_silence_asked_for_follows_from_the_words() -> None:
    settings = Endpointing(complete_ms=100, default_ms=200, unfinished_ms=3000)
    assert [required_silence(text, settings) for text in ("yes", "a room", "a")] == [100, 200, 3000]


def evidence(silence: float, text: str = "book a room", end: float | None = 1000, **rest: Any) -> Evidence:
    return Evidence(silence_ms=silence, text=text, last_word_end_ms=end, speech_end_ms=1000, **rest)


@pytest.mark.parametrize(
    ("facts", "decision", "next_check"),
    [
        # an up-to-date partial: the silence that its words ask for
        (evidence(0), "wait", 600),
        (evidence(599), "wait", 1),
        (evidence(600), "commit", None),
        (evidence(299, "yes"), "wait", 1),
        (evidence(300, "yes"), "commit", None),
        (evidence(1199, "book a"), "wait", 1),
        (evidence(1200, "book a"), "commit", None),
        (evidence(600, end=850), "commit", None),
        (evidence(600, end=1200), "commit", None),
        # a partial that lags behind the speech, or has no times: wait for news until 900 ms
        (evidence(600, end=849), "wait", 300),
        (evidence(600, end=None), "wait", 300),
        (evidence(900, end=None), "commit", None),
        (evidence(900, "book a", end=None), "wait", 300),
        # a final settles it, unless it is one of what was said earlier
        (evidence(600, end=None, has_final=True), "commit", None),
        (evidence(600, end=600, has_final=True), "commit", None),
        (evidence(600, end=200, has_final=True), "wait", 300),
        # and so does a stable transcript of a complete phrase
        (evidence(300, "yes", end=None, stable=True), "commit", None),
        (evidence(300, "yes", end=600, stable=True), "commit", None),
        (evidence(600, end=None, stable=True), "wait", 300),
        # no words: a noise
        (evidence(1999, "", None), "wait", 1),
        (evidence(2000, " ", None), "drop", None),
        (evidence(900, "", None, has_final=True), "wait", 1100),
    ],
)
def test_the_decision_and_when_it_changes(facts: Evidence, decision: str, next_check: float | None) -> None:
    assert decide(facts, Endpointing()) == decision
    assert next_check_ms(facts, Endpointing()) == next_check


@given(
    silence=st.floats(0, 5000),
    text=st.sampled_from(["", "yes", "book a room", "book a"]),
    end=st.none() | st.floats(0, 2000),
    final=st.booleans(),
    stable=st.booleans(),
)
def test_one_timer_is_enough(silence: float, text: str, end: float | None, final: bool, stable: bool) -> None:
    def after(ms: float) -> str:
        return decide(evidence(ms, text, end, has_final=final, stable=stable), Endpointing())

    rest = next_check_ms(evidence(silence, text, end, has_final=final, stable=stable), Endpointing())
    if rest is None:
        assert after(silence) != "wait"
    else:
        assert after(silence) == "wait"
        assert after(silence + rest / 2) == "wait"
        assert after(silence + rest) != "wait"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (evidence(199), False),
        (evidence(200), True),
        (evidence(200, end=None), False),
        (evidence(200, end=None, has_final=True), True),
        (evidence(500, "", None, has_final=True), False),
    ],
)
def test_an_eager_answer_needs_words_that_are_up_to_date(facts: Evidence, expected: bool) -> None:
    assert eager(facts, Endpointing()) is expected


@pytest.mark.parametrize(
    "settings",
    [
        {"complete_ms": -1},
        {"give_up_ms": math.nan},
        {"no_words_ms": math.inf},
        {"eager_ms": "200"},
        {"complete_ms": True},
        {"default_ms": 2000},
        {"complete_ms": 700},
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(settings))):
        Endpointing(**settings)
