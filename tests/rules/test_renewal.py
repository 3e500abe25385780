"""When connections are replaced: the table as a whole, its clocks, and random histories."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.renewal import SERVED, TABLE, Act, Age, Clocks, Happening, Look, Scene, State, brings, rest


def test_every_state_and_happening_has_an_entry() -> None:
    assert set(TABLE) == set(itertools.product(State, Happening))


def test_the_end_is_the_end() -> None:
    assert {TABLE[State.OVER, happening] for happening in Happening} == {(State.OVER, Act.NOTHING)}
    assert {TABLE[state, Happening.LEFT] for state in State if state is not State.OVER} == {(State.OVER, Act.CLOSE)}


@pytest.mark.parametrize("state", State)
def test_every_state_is_left_in_the_end(state: State) -> None:
    """Whatever the state, some happening that must come leads on: nothing waits for ever."""
    if state is not State.OVER:
        assert any(TABLE[state, happening][0] is not state for happening in Happening)


@pytest.mark.parametrize("state", sorted(SERVED - {State.LAST}, key=lambda state: state.value))
def test_a_connection_that_breaks_is_always_replaced(state: State) -> None:
    after, act = TABLE[state, Happening.LOST]
    replaced = after in (State.REOPENING, State.WAITING) or act is Act.SWAP
    assert replaced


@pytest.mark.parametrize("state", sorted(SERVED, key=lambda state: state.value))
def test_what_a_new_connection_does_not_mend_ends_it(state: State) -> None:
    assert TABLE[state, Happening.REFUSED] == (State.OVER, Act.GIVE_UP)


def test_a_swap_is_only_made_when_the_next_connection_is_open() -> None:
    swaps = {key for key, (_, act) in TABLE.items() if act is Act.SWAP}
    assert swaps == {
        (State.STANDBY, Happening.SAFE),
        (State.STANDBY, Happening.OVERDUE),
        (State.STANDBY, Happening.LOST),
        (State.REOPENING, Happening.OPENED),
    }


class World:
    """A and B as the acts make them; the acts' own conditions are asserted."""

    def __init__(self) -> None:
        self.state = State.REOPENING
        self.a = False
        self.b = "opening"
        self.ended = False

    def possible(self) -> Iterable[Happening]:
        """What can happen, given what exists."""
        yield from (Happening.WANTED, Happening.SAFE, Happening.OVERDUE, Happening.STALE)
        if self.b == "opening":
            yield Happening.OPENED
        if self.b:
            yield from (Happening.CROWDED, Happening.FAILED, Happening.BARRED)
        if self.a:
            yield from (Happening.LOST, Happening.REFUSED)
        if self.state in (State.RESTING, State.WAITING):
            yield Happening.RESTED
        if self.state is State.WAITING:
            yield Happening.SPENT

    def happen(self, happening: Happening) -> None:
        if happening is Happening.OPENED:
            self.b = "open"
        if happening in (Happening.CROWDED, Happening.FAILED, Happening.BARRED):
            self.b = ""
        if happening in (Happening.LOST, Happening.REFUSED):
            self.a = False
        self.state, act = TABLE[self.state, happening]
        match act:
            case Act.OPEN:
                assert not self.b, "only one connection is opened at a time"
                self.b = "opening"
            case Act.SWAP:
                assert self.b == "open"
                self.a, self.b = True, ""
            case Act.BREAK:
                assert self.a
                assert not self.b
                self.a, self.b = False, "opening"
            case Act.DROP:
                assert self.b == "open"
                self.b = ""
            case Act.WAIT | Act.RELEASE:
                assert not self.b
            case Act.GIVE_UP | Act.CLOSE:
                self.a, self.b, self.ended = False, "", True
            case _:
                pass

    def check(self) -> None:
        assert self.ended == (self.state is State.OVER)
        assert self.a == (self.state in SERVED)
        if self.state in (State.OPENING, State.REOPENING):
            assert self.b in ("opening", "open")
        elif self.state is State.STANDBY:
            assert self.b == "open"
        else:
            assert not self.b


@given(st.lists(st.integers(0, 1000), max_size=60))
def test_what_the_state_says_is_what_there_is(choices: list[int]) -> None:
    """Over all histories: a connection serves exactly in the states that say so, and none is opened twice."""
    world = World()
    for choice in choices:
        possible = list(world.possible())
        world.happen(possible[choice % len(possible)])
        world.check()


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_from_everywhere_a_healthy_service_leads_back_to_steady(choices: list[int]) -> None:
    world = World()
    for choice in choices:
        possible = [
            one for one in world.possible() if one not in (Happening.REFUSED, Happening.BARRED, Happening.SPENT)
        ]
        world.happen(possible[choice % len(possible)])
    for _ in range(6):
        if world.b == "opening":
            world.happen(Happening.OPENED)
        elif world.state in (State.RESTING, State.WAITING):
            world.happen(Happening.RESTED)
        else:
            world.happen(Happening.SAFE)
    assert world.state is State.STEADY


# ---------------------------------------------------------------- clocks

CLOCKS = Clocks()


def test_age_and_quiet_and_credentials_and_settings_want_it() -> None:
    assert Age(0, 300).seek_at(CLOCKS) == 360
    assert Age(0, 100).seek_at(CLOCKS) == 340
    assert Age(0, 300, expires=400).seek_at(CLOCKS) == 220
    assert Age(0, 300, changed=50).seek_at(CLOCKS) == 50
    assert Age(0, 300).force_at(CLOCKS) == 440
    assert Age(0, 300, expires=400).force_at(CLOCKS) == 370
    assert Age(0, 300, changed=50).force_at(CLOCKS) == 70


YOUNG, OLD, LAST = Age(990.0, 990.0), Age(600.0, 990.0), Age(550.0, 990.0)
QUIET, BUSY = Scene(1000.0, 0), Scene(1000.0, 0, speaking=True)


@pytest.mark.parametrize(
    ("state", "look", "brought"),
    [
        (State.STEADY, Look(1000.0, age=YOUNG, scene=QUIET), None),
        (State.STEADY, Look(1000.0, age=OLD, scene=BUSY), Happening.WANTED),
        (State.SEEKING, Look(1000.0, age=OLD, scene=BUSY), None),
        (State.SEEKING, Look(1000.0, age=OLD, scene=QUIET), Happening.SAFE),
        (State.SEEKING, Look(1000.0, age=LAST, scene=BUSY), Happening.OVERDUE),
        (State.STANDBY, Look(1000.0, age=OLD, scene=QUIET, opened=990.0, outdated=True), Happening.STALE),
        (State.STANDBY, Look(1000.0, age=OLD, scene=BUSY, opened=990.0), None),
        (State.STANDBY, Look(1000.0, age=OLD, scene=BUSY, opened=980.0), Happening.STALE),
        (State.STANDBY, Look(1000.0, age=LAST, scene=BUSY, opened=980.0), Happening.OVERDUE),
        (State.ALONE, Look(1000.0, age=OLD, scene=QUIET), Happening.SAFE),
        (State.WAITING, Look(1000.0, rested=1000.5), None),
        (State.WAITING, Look(1000.5, rested=1000.5), Happening.RESTED),
        (State.RESTING, Look(1000.5, rested=1000.5, age=LAST, scene=QUIET), Happening.RESTED),
        (State.SEEKING, Look(1000.0), None),
        (State.OPENING, Look(1000.0, age=LAST, scene=QUIET), None),
    ],
)
def test_what_time_and_scene_bring_about(state: State, look: Look, brought: Happening | None) -> None:
    assert brings(state, look, Clocks()) is brought


def test_credentials_that_end_at_once_do_not_make_it_spin() -> None:
    assert Age(100, 100, expires=110).seek_at(CLOCKS) == 160
    assert Age(100, 100, expires=110).force_at(CLOCKS) == 160


times = st.floats(0, 1e5)


@given(times, times, st.none() | times, st.none() | times)
def test_every_wait_is_bounded_below_what_the_service_allows(
    opened: float, spoke: float, expires: float | None, changed: float | None
) -> None:
    age = Age(opened, opened + spoke, expires, None if changed is None else opened + changed)
    assert age.seek_at(CLOCKS) <= opened + 360
    assert age.force_at(CLOCKS) <= opened + 440


@given(st.integers(0, 10_000))
def test_rests_grow_to_a_bound(attempt: int) -> None:
    assert 1 <= rest(attempt) <= rest(attempt + 1) <= 15


# ---------------------------------------------------------------- scenes


@pytest.mark.parametrize(
    "busy",
    [{"speaking": True}, {"open_question": True}, {"generating": True}, {"tools": 1}, {"plays_until": 10.5}],
)
def test_what_makes_a_moment_bad(busy: dict[str, object]) -> None:
    assert Scene(10.0, 1000).safe
    assert not Scene(10.0, 1000, **busy).safe  # type: ignore[arg-type]


def test_where_the_input_is_cut() -> None:
    assert Scene(0, 1000).cut() == 1000
    assert Scene(0, 1000, speaking=True, unanswered=400).cut() == 400
    assert Scene(0, 1000, open_question=True, unanswered=400).cut(recent=900) == 400
    assert Scene(0, 1000, open_question=True).cut() == 1000
    assert Scene(0, 1000).cut(recent=300) == 700
    assert Scene(0, 1000, answered=800).cut(recent=300) == 800
    assert Scene(0, 1000, last_cut=900, unanswered=400, speaking=True).cut() == 900
    assert Scene(0, 1000, kept=950).cut(recent=300) == 950


samples = st.integers(0, 10**6)


@given(samples, st.booleans(), st.booleans(), st.none() | samples, samples, samples, samples, samples)
def test_a_cut_never_leaves_a_gap_and_never_goes_back(
    sent: int,
    speaking: bool,
    question: bool,
    unanswered: int | None,
    answered: int,
    last: int,
    kept: int,
    recent: int,
) -> None:
    last = min(last, sent)
    scene = Scene(
        0.0,
        sent,
        speaking=speaking,
        open_question=question,
        unanswered=unanswered,
        answered=answered,
        last_cut=last,
        kept=min(kept, sent),
    )
    assert last <= scene.cut(recent=recent) <= sent
