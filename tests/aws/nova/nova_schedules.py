"""Random calls on the emulated Nova Sonic: what a caller does, and how the model and its service behave."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import field, frozen
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from voiceloop.aws.nova import NovaSonic
from voiceloop.testing.aws import Emulator, Fault
from voiceloop.testing.aws.nova import NovaConnection
from voiceloop.testing.aws.nova.profile import NovaLimits, NovaProfile, NovaTimers

from .nova_caller import Act
from .nova_marked import RATE, MarkedVoice, marked, quick

OPERATION = "InvokeModelWithBidirectionalStream"
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
_FEW = settings(
    deadline=None,
    max_examples=14,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=_QUIET,
)
_MANY = settings(deadline=None, max_examples=400, report_multiple_bugs=False, suppress_health_check=_QUIET)
PROFILE = _MANY if os.environ.get("VOICELOOP_PROPERTIES") == "thorough" else _FEW


@frozen
class Schedule:
    """What a caller does, and how the model and its service behave.

    ``clocks``: when connections are replaced. ``breaks``: how each connection breaks, and after how many of the
    caller's messages; one that goes "mute" says nothing after so many of its own. ``refused``: what the next
    connections are refused with, once the first stands. ``streams``: how many there is room for. ``longest``: when
    the service ends a connection, and how. ``keys``: whether the credentials expire.
    """

    acts: tuple[Act, ...]
    tools_s: tuple[float, ...] = (0.2,)
    clocks: dict[str, Any] = field(factory=dict)
    profile: NovaProfile = quick()
    breaks: tuple[tuple[str, int], ...] = ()
    refused: tuple[str, ...] = ()
    streams: int = 20
    longest: tuple[float, Any] = (480.0, "timeout")
    detector: bool = True
    silence_ms: int = 100
    keys: bool = False

    @property
    def rough(self) -> bool:
        """Whether connections break."""
        return bool(self.breaks or self.longest[0] < 480 or self.profile.instability)

    @property
    def stalls(self) -> bool:
        """Whether connections fall silent."""
        return any(kind in ("stall", "mute") for kind, _ in self.breaks)

    @property
    def keys_for(self) -> float | None:
        """How long the credentials last: a renewal is due before the call ends, and the call before they do."""
        lasts = sum(act.amount if act.name in ("silent", "mute") else 10.0 for act in self.acts)
        return max(100.0, 0.5 * lasts + 180.0) if self.keys and lasts < 240 else None


WORDS_MS = (300, 600, 1_200, 3_000, 9_000)
ACTS = st.one_of(
    st.builds(Act, st.just("say"), st.sampled_from(WORDS_MS)),
    st.builds(Act, st.just("silent"), st.sampled_from((0.8, 1.5, 4.0, 10.0))),
    st.builds(Act, st.just("answered"), st.sampled_from((0.0, 0.3, 2.0))),
    st.builds(Act, st.just("barge"), st.sampled_from((300, 600, 1_200))),
    st.builds(Act, st.just("mute"), st.sampled_from((1.0, 20.0, 300.0))),
    st.builds(Act, st.just("type")),
)
CLOCKS = st.one_of(
    st.just({}),
    st.builds(
        lambda after, more, quiet: {"renew_after": after, "deadline": after + more, "quiet_after": quiet},
        st.sampled_from((0.5, 2.0, 4.0, 7.0, 12.0)),
        st.sampled_from((2.0, 5.0, 15.0)),
        st.sampled_from((2.0, 10.0, 240.0)),
    ),
)
PROFILES = st.builds(
    quick,
    barge_in=st.sampled_from(("a", "b", "c", "c+d", "end_turn_first")),
    finals=st.sampled_from(("after", "late", "missing")),
    speech_end=st.sampled_from(("before", "after")),
    speed=st.sampled_from((4.0, 1.2)),
    audio_while_tool_pending=st.sampled_from((True, True, False)),
    undocumented=st.booleans(),
)


def separated(acts: Sequence[Act]) -> tuple[Act, ...]:
    """``acts`` so that each word and text is a turn of its own: what is said before an answer belongs together."""
    made: list[Act] = []
    for act in acts:
        made.append(act)
        if act.name in ("say", "barge"):
            made.append(Act("silent", 0.8))
        elif act.name == "type":
            made.append(Act("answered"))
    return tuple(made)


def schedules(acts: st.SearchStrategy[Act] = ACTS, **parts: Any) -> st.SearchStrategy[Schedule]:
    """Random ones, of such ``acts``."""
    return st.builds(
        Schedule,
        acts=st.lists(acts, min_size=2, max_size=10).map(separated),
        tools_s=st.lists(st.sampled_from((0.2, 2.0, 9.0, 40.0)), min_size=1, max_size=3).map(tuple),
        clocks=CLOCKS,
        profile=PROFILES,
        streams=st.sampled_from((20, 20, 1)),
        refused=st.lists(st.sampled_from(("throttle", "unavailable", "drop", "reset")), max_size=2).map(tuple),
        detector=st.sampled_from((True, True, False)),
        silence_ms=st.sampled_from((100, 1_000)),
        **parts,
    )


BREAKS = st.lists(
    st.tuples(st.sampled_from(("drop", "reset", "instability", "throttle", "truncate")), st.integers(8, 120)),
    min_size=1,
    max_size=3,  # with two refusals and an end, no more than the link tries again without a sign of life
).map(tuple)
STALLS = st.lists(
    st.one_of(
        st.tuples(st.just("mute"), st.integers(0, 60)),
        st.tuples(st.just("mute"), st.integers(0, 12)),
        st.tuples(st.just("stall"), st.integers(8, 120)),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
LONGEST = st.sampled_from(((480.0, "timeout"), (6.0, "end"), (9.5, "531"), (14.0, "timeout")))


@asynccontextmanager
async def service(schedule: Schedule, voice: MarkedVoice) -> AsyncIterator[tuple[Emulator, NovaSonic]]:
    """An emulator that behaves as ``schedule`` says, and the model on it."""
    async with Emulator(marked(voice)) as aws:
        nova = aws.nova
        nova.keep_audio, nova.profile = True, schedule.profile
        nova.limits = NovaLimits(streams=schedule.streams)
        nova.timers = NovaTimers(longest=schedule.longest[0], longest_error=schedule.longest[1])
        keys = None if schedule.keys_for is None else aws.issue(schedule.keys_for)
        model = NovaSonic(
            account=aws.account(memory=True, keys=keys),
            input_rate=RATE,
            output_rate=RATE,
            silence_ms=schedule.silence_ms,
            **schedule.clocks,
        )
        for kind, after in schedule.breaks[:1]:
            aws.faults.add(_fault(kind, after))
        yield aws, model


def worsen(schedule: Schedule, aws: Emulator) -> None:
    """The first connection stands: what is to go wrong with the next ones."""
    aws.faults.add(*(Fault(kind, OPERATION) for kind in schedule.refused))
    aws.faults.add(*(_fault(kind, after) for kind, after in schedule.breaks[1:]))


def _fault(kind: str, after: int) -> Fault:
    return Fault("stall", OPERATION, at=after) if kind == "mute" else Fault(kind, OPERATION, after=after)


def ends(schedule: Schedule, connections: Sequence[NovaConnection]) -> list[str]:
    """What is wrong with how connections ended: all but those that were broken are closed properly, in time."""
    wrong: list[str] = []
    ended = {connection.ended for connection in connections}
    if not schedule.rough and ended != {"closed"} and schedule.profile.audio_while_tool_pending:
        wrong.append(f"connections ended as {ended}")
    longest = max(connection.closed - connection.opened if connection.closed else 999 for connection in connections)
    return wrong if longest < 480 else [*wrong, f"a connection lived for {longest:g} s"]
