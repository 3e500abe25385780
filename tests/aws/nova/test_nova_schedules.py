"""Random calls, whose connections are replaced and break at any moment: nothing is lost, doubled or out of order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop import Pool, clock
from voiceloop.testing import virtual_time

from .nova_caller import Act, Caller
from .nova_marked import Held, MarkedVoice, quick
from .nova_schedules import BREAKS, LONGEST, PROFILE, Schedule, ends, schedules, separated, service, worsen


async def hold(schedule: Schedule) -> tuple[Held, list[str]]:
    """Hold the call; what was seen, and what is wrong with it."""
    voice = MarkedVoice()
    held = Held(voice, rough=schedule.rough)
    caller = Caller(held, tools_s=schedule.tools_s, detector=schedule.detector)
    async with service(schedule, voice) as (aws, model):
        async with Pool() as pool, model.connect(caller.context(pool)) as link:
            worsen(schedule, aws)
            await caller.call(link, schedule.acts)
            left = clock.now()
        wrong = [*held.laws(aws.nova.connections), *ends(schedule, aws.nova.connections)]
        if clock.now() - left > 2.6:
            wrong.append(f"leaving took {clock.now() - left:g} s")
    if caller.failure is not None:
        wrong.insert(0, f"it failed: {caller.failure!r}")
    return held, wrong


@settings(PROFILE)
@given(schedules(keys=st.sampled_from((False, False, True))))
def renewals_lose_nothing(schedule: Schedule) -> None:
    assert virtual_time.run(hold, schedule)[1] == []


@settings(PROFILE)
@given(schedules(breaks=BREAKS, longest=LONGEST))
def breaks_lose_nothing(schedule: Schedule) -> None:
    assert virtual_time.run(hold, schedule)[1] == []


test_renewals = renewals_lose_nothing
test_breaks = breaks_lose_nothing


def test_a_call_without_trouble() -> None:
    acts = separated((Act("say", 600), Act("answered", 1.0), Act("type"), Act("answered", 1.0), Act("barge", 600)))
    held, wrong = virtual_time.run(hold, Schedule(acts, clocks={"renew_after": 3.0, "deadline": 6.0}))
    assert wrong == []
    assert len(held.replies) == 3


def acts(*pairs: tuple[Any, float]) -> tuple[Act, ...]:
    return separated([Act(name, amount) for name, amount in pairs])


FOUND = {
    "text is typed while a tool is pending, then the connection breaks": Schedule(
        acts(("say", 300), ("say", 300), ("say", 300), ("silent", 9.0), ("type", 0), ("mute", 1)),
        tools_s=(40.0,),
        longest=(13.0, "timeout"),
    ),
    "the user begins to speak as the connection is replaced": Schedule(
        acts(("silent", 3.0), ("say", 300), ("answered", 0)), clocks={"renew_after": 2.9, "deadline": 8.0}
    ),
    "the connection breaks with typed text and the beginning of a word on it": Schedule(
        acts(("type", 0), ("say", 300))[:1] + acts(("say", 300)), breaks=(("drop", 8),)
    ),
    "it breaks when the answer to typed text follows that to a word": Schedule(
        acts(("silent", 4), ("say", 1_200), ("type", 0), ("mute", 1)),
        profile=quick(barge_in="end_turn_first", finals="late", speech_end="after"),
        longest=(7.0, "end"),
        detector=False,
    ),
    "text is typed after a word, before there is a connection again": Schedule(
        acts(("silent", 1.5), ("say", 3_000), ("type", 0)),
        breaks=(("drop", 30),),
        refused=("drop", "unavailable", "drop", "unavailable"),
    ),
    "connections break again and again, but each has replied": Schedule(
        acts(*[("type", 0), ("answered", 1.0)] * 8), longest=(2.5, "end")
    ),
    "it breaks as soon as it has got what waited": Schedule(
        acts(("say", 300), ("silent", 4), ("say", 600)),
        breaks=(("reset", 8), ("reset", 8), ("drop", 8), ("throttle", 8)),
        refused=("reset", "throttle"),
        detector=False,
    ),
}


@pytest.mark.parametrize("schedule", FOUND.values(), ids=FOUND)
def test_what_was_found(schedule: Schedule) -> None:
    assert virtual_time.run(hold, schedule)[1] == []
