"""The invariants, over random conversations: what people do, how providers behave, how the network is."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop import PCM16_24K, Notice, SessionEnded, VoiceloopError, event_json
from voiceloop.testing.event_log import check_log

from . import promises
from .conftest import PROFILE
from .playing import play
from .schedule import REPLIES, USER, Act, Network, Providers, Schedule, recognizers, schedules, stretches

PROMPT = {"marks_late": 0.0, "marks_lost": False, "marks_disordered": False, "marks": frozenset(("word", "viseme"))}


@settings(PROFILE)
@given(schedules())
def holds_everything(schedule: Schedule) -> None:
    assert promises.broken(schedule, play(schedule)) == []


@settings(PROFILE)
@given(schedules(names=(*USER, "say", "type"), most=5))
def keeps_the_timeline(schedule: Schedule) -> None:
    assert promises.timeline(schedule, play(schedule)) == []


@settings(PROFILE)
@given(
    schedules(names=(*USER, "say"), most=5, visemes="synced", speak=True),
    st.sampled_from((0.0, 0.03, 0.06)),
)
def marks_come_in_time(schedule: Schedule, late: float) -> None:
    """A voice whose marks come within viseme_wait: each word is told, and none is late."""
    schedule = evolve(schedule, providers=evolve(schedule.providers, **{**PROMPT, "marks_late": late}))
    assert promises.marks_are_complete(schedule, play(schedule)) == []


@settings(PROFILE)
@given(schedules(names=(*USER, "say", "interrupt", "type"), most=4, speak=True, replies=REPLIES[1:3]))
def knows_what_was_heard(schedule: Schedule) -> None:
    record = play(schedule)
    breaches = [
        *promises.heard_truth(schedule, record),
        *promises.words_heard(schedule, record),
        *promises.monotone(record),
    ]
    assert breaches == []


@settings(PROFILE)
@given(
    schedules(names=USER, most=0, speak=True, turns="scripted", lead=0.6, barge_in="speech", replies=REPLIES[1:3]),
    st.sampled_from((300, 700, 1500)),
    st.sampled_from((160, 1000, 1500, 3000)),
    st.booleans(),
)
def goes_on_after_noise(schedule: Schedule, after: int, pause: int, cut: bool) -> None:
    """A cough pauses; then the same turn goes on where it stopped, and what was heard of it stays known."""
    acts: tuple[Act, ...] = (Act("speak", 900), Act("until_audio", after), Act("speak", 140), Act("quiet", pause))
    providers = evolve(schedule.providers, utterances=("yes please", ""), finals=(None,), ms_per_char=60, speed=10.0)
    network = evolve(schedule.network, report_every=None, tells_stop=False)
    if cut:
        acts = (*acts, Act("interrupt"))
    schedule = evolve(schedule, acts=acts, providers=providers, network=network)
    record = play(schedule)
    assert [
        *promises.went_well(record),
        *promises.log_promises(schedule, record),
        *promises.heard_truth(schedule, record),
    ] == []


@settings(PROFILE)
@given(schedules(most=6))
def makes_valid_histories(schedule: Schedule) -> None:
    record = play(schedule)
    assert [*promises.histories(record), *promises.kept(record)] == []


@settings(PROFILE)
@given(schedules(names=(*USER, *USER, "type", "note", "interrupt", "end_turn"), most=6))
def answers_exactly_once(schedule: Schedule) -> None:
    record = play(schedule)
    assert [*promises.exactly_once(record), *promises.went_well(record)] == []


@settings(PROFILE)
@given(schedules(names=USER, most=6, barge_in="speech", speak=True))
def hears_the_user(schedule: Schedule) -> None:
    """Nothing that the user says is taken for an echo of words that the assistant does not say."""
    schedule = evolve(schedule, providers=evolve(schedule.providers, finals=(None,)))
    record = play(schedule)
    assert [notice.code for notice in record.of(Notice)] == []


@settings(PROFILE)
@given(schedules(names=USER, most=0, barge_in="speech", speak=True, turns="scripted"), stretches(), recognizers())
def loses_no_words(schedule: Schedule, acts: tuple[Act, ...], recognizer: dict[str, Any]) -> None:
    """However slow the recognizer is, and however fast the input came."""
    schedule = evolve(schedule, acts=acts, providers=evolve(schedule.providers, replies=("Good.",), **recognizer))
    record = play(schedule)
    assert [
        *promises.went_well(record),
        *promises.no_words_lost(schedule, record),
        *promises.exactly_once(record),
    ] == []


@settings(PROFILE)
@given(schedules(cancels=True, faults=True))
def leaves_nothing(schedule: Schedule) -> None:
    """Cancelled after any number of steps of the event loop, and with any provider failing anywhere."""
    record = play(schedule)
    assert promises.nothing_left(record) == []


@settings(PROFILE)
@given(schedules(faults=True))
def fails_with_a_typed_error(schedule: Schedule) -> None:
    """Whatever a provider does, the conversation ends: well, or by one error that names what failed."""
    record = play(schedule)
    failure = record.failure
    assert failure is None or isinstance(failure, VoiceloopError)
    assert not isinstance(failure, BaseExceptionGroup)
    assert [
        *promises.timeline(schedule, record),
        *promises.monotone(record),
        *promises.nothing_left(record),
        *promises.failures_are_told(record),
    ] == []
    if record.log:
        assert isinstance(record.log[-1], SessionEnded)
        assert (record.log[-1].reason == "failed") == (failure is not None)
        unstable = any(final is not None for final in schedule.providers.finals)
        assert [
            breach for breach in check_log(record.log, complete=False) if not (unstable and "stable text" in breach)
        ] == []


@settings(PROFILE)
@given(schedules(names=(*USER, "type"), most=2, speak=True), st.integers(0, 2))
def tells_what_could_not_be_spoken(schedule: Schedule, clause: int) -> None:
    """A voice that breaks in one clause fails that turn, and nothing else."""
    schedule = evolve(schedule, providers=evolve(schedule.providers, fault=("broke", clause)))
    record = play(schedule)
    assert [*promises.went_well(record), *promises.failures_are_told(record)] == []


@settings(PROFILE)
@given(schedules(), st.integers(0, 2**32))
def is_the_same_every_time(schedule: Schedule, seed: int) -> None:
    """The same seed gives the same event log, to the byte."""
    first, second = ("\n".join(event_json.dumps(event) for event in play(schedule, seed).log) for _ in range(2))
    assert first == second


test_everything = holds_everything
test_timeline = keeps_the_timeline
test_marks = marks_come_in_time
test_heard_truth = knows_what_was_heard
test_noise = goes_on_after_noise
test_history = makes_valid_histories
test_exactly_once = answers_exactly_once
test_echo = hears_the_user
test_no_words_lost = loses_no_words
test_nothing_left = leaves_nothing
test_failures = fails_with_a_typed_error
test_what_could_not_be_spoken = tells_what_could_not_be_spoken
test_honest_time = is_the_same_every_time


def test_a_quiet_conversation_is_the_simplest_schedule() -> None:
    record = play(Schedule((), Providers(), Network(), {"output": PCM16_24K}))
    assert record.finished
    assert record.failure is None
