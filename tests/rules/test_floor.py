"""Every state and happening: what follows, and what may never happen."""

from __future__ import annotations

import itertools

import pytest

from voiceloop.rules.floor import TABLE, Act, BargeIn, Floor, Happening, decide, weighed

OPEN, T, H, S, P = Floor.OPEN, Floor.THINKING, Floor.HELD, Floor.SPEAKING, Floor.PAUSED

# rows: what happens; columns: the state it happens in (OPEN, THINKING, HELD, SPEAKING, PAUSED)
EXPECTED = {
    "REQUESTED": ("THINKING -", "THINKING -", "HELD -", "SPEAKING -", "PAUSED -"),
    "AUDIBLE": ("OPEN -", "SPEAKING -", "PAUSED PAUSE", "SPEAKING -", "PAUSED -"),
    "DONE": ("OPEN -",) * 5,
    "SUSPECT": ("OPEN -", "HELD HOLD", "HELD -", "PAUSED PAUSE", "PAUSED -"),
    "CONFIRM": ("OPEN -", "OPEN MERGE", "OPEN MERGE", "OPEN INTERRUPT", "OPEN INTERRUPT"),
    "WORDS": ("OPEN -", "OPEN MERGE", "OPEN MERGE", "OPEN INTERRUPT", "OPEN INTERRUPT"),
    "DOUBT": ("OPEN -", "THINKING -", "THINKING RELEASE", "SPEAKING -", "SPEAKING RESUME"),
    "TYPED": ("OPEN -",) + ("OPEN INTERRUPT",) * 4,
}
CELLS = [
    (state, Happening[happening], cell)
    for happening, row in EXPECTED.items()
    for state, cell in zip((OPEN, T, H, S, P), row, strict=True)
]


@pytest.mark.parametrize(("state", "happening", "cell"), CELLS)
def test_every_cell(state: Floor, happening: Happening, cell: str) -> None:
    after, act = cell.split()
    assert decide(state, happening) == (Floor[after], Act.NOTHING if act == "-" else Act[act])


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(itertools.product(Floor, Happening))
    assert len(CELLS) == len(TABLE)


WORDS: list[tuple[BargeIn, Floor, Happening, tuple[Floor, Act]]] = [
    ("words", S, Happening.CONFIRM, (P, Act.PAUSE)),
    ("words", P, Happening.CONFIRM, (P, Act.NOTHING)),
    ("words", S, Happening.WORDS, (OPEN, Act.INTERRUPT)),
    ("words", P, Happening.WORDS, (OPEN, Act.INTERRUPT)),
    ("words", S, Happening.SUSPECT, (P, Act.PAUSE)),
    ("words", T, Happening.CONFIRM, (OPEN, Act.MERGE)),
    ("off", S, Happening.SUSPECT, (S, Act.NOTHING)),
    ("off", S, Happening.CONFIRM, (S, Act.NOTHING)),
    ("off", S, Happening.WORDS, (S, Act.NOTHING)),
    ("off", P, Happening.WORDS, (P, Act.NOTHING)),
    ("off", S, Happening.TYPED, (OPEN, Act.INTERRUPT)),
    ("off", T, Happening.SUSPECT, (H, Act.HOLD)),
]


@pytest.mark.parametrize(("barge_in", "state", "happening", "expected"), WORDS)
def test_what_may_interrupt(
    barge_in: BargeIn, state: Floor, happening: Happening, expected: tuple[Floor, Act]
) -> None:
    assert decide(state, happening, barge_in=barge_in) == expected


@pytest.mark.parametrize("barge_in", ["speech", "words", "off"])
def test_a_signal_twice_does_no_more_than_once(barge_in: BargeIn) -> None:
    """Whatever may be told twice changes nothing the second time."""
    for state, happening in itertools.product(Floor, Happening):
        after, _ = decide(state, happening, barge_in=barge_in)
        again, act = decide(after, happening, barge_in=barge_in)
        if happening not in (Happening.REQUESTED, Happening.AUDIBLE):
            assert (again, act) == (after, Act.NOTHING)


def test_only_a_turn_that_was_heard_is_interrupted_by_speech() -> None:
    for state, happening in itertools.product(Floor, (Happening.SUSPECT, Happening.CONFIRM, Happening.WORDS)):
        assert (decide(state, happening)[1] is Act.INTERRUPT) <= (state in (S, P))


@pytest.mark.parametrize("floor", Floor)
@pytest.mark.parametrize("happened", [Happening.CONFIRM, Happening.WORDS])
def test_a_model_that_interrupts_itself_is_only_given_hints(floor: Floor, happened: Happening) -> None:
    assert weighed(happened, floor, only_suspects=True, merges=True) is Happening.SUSPECT


@pytest.mark.parametrize("floor", Floor)
def test_speech_alone_ends_no_unheard_answer_that_cannot_be_asked_again(floor: Floor) -> None:
    unheard = floor in (Floor.THINKING, Floor.HELD)
    speech = weighed(Happening.CONFIRM, floor, only_suspects=False, merges=False)
    assert speech is (Happening.SUSPECT if unheard else Happening.CONFIRM)
    assert weighed(Happening.CONFIRM, floor, only_suspects=False, merges=True) is Happening.CONFIRM
    assert weighed(Happening.WORDS, floor, only_suspects=False, merges=False) is Happening.WORDS
