"""Random calls through a whole session on Nova Sonic: nothing is lost or doubled, on either side of it."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop import clock
from voiceloop.errors import VoiceloopError
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import ScriptedTurns

from .nova_caller import Act
from .nova_marked import FORMAT, Held, MarkedVoice, quick
from .nova_schedules import (
    ACTS,
    BREAKS,
    LONGEST,
    PROFILE,
    STALLS,
    Schedule,
    ends,
    schedules,
    separated,
    service,
    worsen,
)
from .nova_session_caller import SessionCaller

_LEAVING = 5.0
"""Seconds within which a session has to be left: its limits.close."""

_NOTICING = 20.0
"""Seconds more at the end of the input, if a connection may have fallen silent."""


@frozen
class Way:
    """How the session is used. ``turns``: what hears the user. ``lead``: s of audio ahead of the listener."""

    turns: Literal["scripted", "manual"] = "scripted"
    barge_in: Any = "speech"
    lead: float | None = 0.6
    hangs_up: str = "at once"


async def hold(schedule: Schedule, way: Way) -> tuple[SessionCaller, list[str]]:
    """Hold the call; who called, and what is wrong."""
    voice = MarkedVoice()
    held = Held(voice, rough=schedule.rough, stalls=schedule.stalls, cuts=None)
    caller = SessionCaller(held, tools_s=schedule.tools_s, by_hand=way.turns == "manual", hangs_up=way.hangs_up)
    async with service(schedule, voice) as (aws, model), vl.Pool() as pool:
        session = vl.Session(
            model,
            instructions="x",
            tools=[caller.look()],
            turns="manual" if way.turns == "manual" else ScriptedTurns(),
            input=FORMAT,
            output=FORMAT,
            barge_in=way.barge_in,
            lead=way.lead,
            pool=pool,
        )
        left = 0.0
        try:
            async with session:
                worsen(schedule, aws)
                await caller.call(session, schedule.acts)
                left = clock.now()
        except VoiceloopError as failure:
            caller.failure = caller.failure or failure
        wrong = [*caller.laws(), *held.laws(aws.nova.connections), *ends(schedule, aws.nova.connections)]
        if caller.left + clock.now() - left > _LEAVING + (_NOTICING if schedule.stalls else 0.0):
            wrong.append(f"ending took {caller.left:g} s, leaving {clock.now() - left:g} s")
    if caller.failure is not None:
        wrong.insert(0, f"it failed: {caller.failure!r}")
    return caller, wrong


MORE = st.one_of(ACTS, ACTS, st.sampled_from((Act("interrupt"), Act("update"))))
WAYS = st.builds(
    Way,
    turns=st.sampled_from(("scripted", "scripted", "manual")),
    lead=st.sampled_from((0.6, 0.2, None)),
    hangs_up=st.sampled_from(("at once", "after speech", "end of input")),
)


@settings(PROFILE)
@given(schedules(MORE, keys=st.sampled_from((False, False, True))), WAYS)
def renewals_lose_nothing(schedule: Schedule, way: Way) -> None:
    assert virtual_time.run(hold, schedule, way)[1] == []


@settings(PROFILE)
@given(schedules(MORE, breaks=BREAKS, longest=LONGEST), WAYS)
def breaks_lose_nothing(schedule: Schedule, way: Way) -> None:
    assert virtual_time.run(hold, schedule, way)[1] == []


@settings(PROFILE)
@given(schedules(MORE, breaks=STALLS), WAYS)
def silence_loses_nothing(schedule: Schedule, way: Way) -> None:
    assert virtual_time.run(hold, schedule, way)[1] == []


test_sessions_with_renewals = renewals_lose_nothing
test_sessions_with_breaks = breaks_lose_nothing
test_sessions_that_meet_silence = silence_loses_nothing


FOUND = {
    "a word is answered before the text that was typed when there was no connection": (
        Schedule(
            separated((Act("silent", 1.5), Act("say", 3_000), Act("type"))),
            breaks=(("drop", 30),),
            refused=("drop", "unavailable", "drop", "unavailable"),
        ),
        Way(),
    ),
    "the words of what was handed over come late, then connections break": (
        Schedule(
            separated((Act("silent", 3), Act("say", 1_200), Act("silent", 100), Act("say", 600))),
            breaks=(("drop", 50),),
            refused=("drop", "reset"),
            longest=(9.5, "531"),
        ),
        Way(turns="manual"),
    ),
    "the only connection is closed in the middle of a word, after a reply without an end": (
        Schedule(
            separated((Act("type"), Act("type"), Act("say", 9_000))),
            clocks={"renew_after": 7.0, "deadline": 9.0},
            profile=quick(barge_in="a", speed=1.2),
            streams=1,
        ),
        Way(),
    ),
    "a connection that takes nothing is given a text, then a word": (
        Schedule(separated((Act("type"), Act("say", 300))), breaks=(("mute", 0),)),
        Way(),
    ),
    "a word that is told on a second connection, which falls silent, is answered before the text after it": (
        Schedule(
            separated((Act("say", 600), Act("type"), Act("update"), Act("barge", 300))),
            profile=quick(speed=1.2, undocumented=True),
            breaks=(("mute", 4), ("mute", 8)),
        ),
        Way(),
    ),
    "a word that a second connection is still to be sent is answered before the text after it": (
        Schedule(
            separated((Act("silent", 1.8), Act("say", 600), Act("answered", 0.3), Act("barge", 600), Act("type"))),
            profile=quick(undocumented=True),
            silence_ms=1_000,
            breaks=(("mute", 3),),
        ),
        Way(turns="manual"),
    ),
    "the only connection is closed in time, in a reply that is written but will never be spoken": (
        Schedule(
            separated((Act("type"), Act("type"), Act("say", 1_200))),
            clocks={"renew_after": 0.5, "deadline": 5.5, "quiet_after": 10.0},
            profile=quick(barge_in="c", finals="missing", speech_end="after", undocumented=True),
            streams=1,
            refused=("reset",),
            breaks=(("mute", 26),),
        ),
        Way(),
    ),
}


@pytest.mark.parametrize(("schedule", "way"), FOUND.values(), ids=FOUND)
def test_what_sessions_found(schedule: Schedule, way: Way) -> None:
    assert virtual_time.run(hold, schedule, way)[1] == []
