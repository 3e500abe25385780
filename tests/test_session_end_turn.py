"""The user says by hand that their turn is over, while the recognizer still has words to tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import voiceloop as vl
from voiceloop.interfaces import ListenConfig, Listening, Recognizer, RecognizerCapabilities
from voiceloop.testing.scripted import (
    Delay,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
    Speak,
    Spoken,
    Until,
)

from .session_kit import ends, finals, of, talk, the

pytestmark = pytest.mark.virtual_time


class Finishing(Recognizer):
    """Gives its final soon after the last word, as it says of itself."""

    name = "finishing recognizer"
    capabilities = RecognizerCapabilities(can_finish=True)

    def __init__(self, *said: str | Spoken, **options: float) -> None:
        self._inner = ScriptedRecognizer(said, **options)  # type: ignore[arg-type]

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with self._inner.open(config) as listening:
            yield listening


def model(*said: str | Spoken, **options: float) -> vl.Cascade:
    return vl.Cascade(Finishing(*said, **options), ScriptedReasoner(["Good."] * 3), ScriptedSynthesizer())


LAST_WORD = Spoken("book a room for", final="book a room for two", final_after=0.8)
STOP = vl.Session.end_turn


@pytest.mark.parametrize("turns", ["auto", "manual"])
@pytest.mark.parametrize("pause", [0.0, 0.05, 0.2])
async def test_the_final_of_the_last_word_is_waited_for(turns: str, pause: float) -> None:
    options = {} if turns == "auto" else {"turns": "manual"}
    log = await talk([Speak(900), Delay(pause), STOP, Until(vl.TurnEnded)], model(LAST_WORD), **options)
    assert finals(log) == ["book a room for two"]
    assert of(log, vl.TranscriptRevised) == []
    assert the(log, vl.TurnStarted).at == pytest.approx(1.72, abs=0.03)


async def test_a_final_of_all_that_was_said_need_not_be_waited_for_again() -> None:
    said = Spoken("I would like to", final_after=0.1)
    log = await talk([Speak(900), Delay(0.5), STOP, Until(vl.TurnEnded)], model(said))
    assert the(log, vl.TurnStarted).at == pytest.approx(1.4)


async def test_a_button_that_is_released_long_after_the_last_word_waits_for_nothing() -> None:
    said = Spoken("I would like to", final_after=0.5)
    log = await talk([Speak(900), Delay(1.5), STOP, Until(vl.TurnEnded)], model(said), turns="manual")
    assert the(log, vl.TurnStarted).at == pytest.approx(2.4, abs=0.03)


async def test_a_final_that_never_comes_is_waited_for_in_vain_for_a_while() -> None:
    said = Spoken("I would like to", final_after=float("inf"))
    log = await talk([Speak(900), STOP, Until(vl.TurnEnded)], model(said))
    assert finals(log) == ["I would like to"]
    assert the(log, vl.TurnStarted).at == pytest.approx(0.9 + 2.5, abs=0.1)


async def test_the_final_of_an_earlier_sentence_is_not_that_of_the_last() -> None:
    """The first comes while that of the second is waited for, of which a partial has told most."""
    said = Spoken("one moment", final_after=0.9), LAST_WORD
    log = await talk([Speak(600), Delay(0.3), Speak(500), STOP, Until(vl.TurnEnded)], model(*said))
    assert finals(log) == ["one moment book a room for two"]
    assert of(log, vl.TranscriptRevised) == []


async def test_a_final_of_what_was_said_before_is_not_that_of_the_last_words() -> None:
    """It came before the second sentence, of which no partial tells, and after which the user paused."""
    said = Spoken("one moment", final_after=0.1), LAST_WORD
    heard = model(*said, partials=False)
    log = await talk([Speak(600), Delay(0.3), Speak(500), Delay(0.2), STOP, Until(vl.TurnEnded)], heard)
    assert finals(log) == ["one moment book a room for two"]
    assert of(log, vl.TranscriptRevised) == []


async def test_whoever_goes_on_takes_it_back() -> None:
    said = Spoken("I would like", final_after=0.8), Spoken("a cup of tea please", final_after=0.2)
    log = await talk([Speak(900), STOP, Delay(0.2), Speak(900), Until(vl.TurnEnded)], model(*said))
    assert finals(log) == ["I would like a cup of tea please"]
    assert [end[1] for end in ends(log)] == ["completed"]


async def test_a_detector_that_ends_turns_waits_for_no_final() -> None:
    said = Spoken("yes please", final_after=1.5)
    log = await talk([Speak(900), Until(vl.TurnEnded)], model(said), turns=ScriptedTurns(over_ms=200))
    assert the(log, vl.TurnStarted).at == pytest.approx(1.1, abs=0.03)
