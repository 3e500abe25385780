"""A service that falls silent is noticed and replaced; one that has nothing to say is left alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import anyio
import pytest
from attrs import define, field

import voiceloop as vl
from voiceloop.aws.nova import NovaSonic
from voiceloop.errors import InputStalled, ProviderTimeout, VoiceloopError
from voiceloop.events import Event
from voiceloop.interfaces import ReasonerRequest, ToolCall
from voiceloop.rules.backoff import Backoff
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.aws.nova import NovaConnection
from voiceloop.testing.aws.nova.profile import NovaLimits
from voiceloop.testing.event_log import check_log
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedTurns, silence
from voiceloop.tools import tool

from .nova_link_kit import marked, word
from .nova_marked import quick

pytestmark = pytest.mark.virtual_time(seed=0)

OPERATION = "InvokeModelWithBidirectionalStream"
WATCHDOG = 900.0
"""Seconds after which a call is taken to hang."""


@define
class Call:
    """A call that was held: its events, the connections that it took, and what ended it."""

    log: list[Event] = field(factory=list)
    connections: Sequence[NovaConnection] = ()
    failure: Exception | None = None

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.log if isinstance(event, kind)]

    @property
    def heard(self) -> list[str]:
        """The final transcript of each utterance."""
        return list({event.utterance: event.text for event in self.of(vl.Transcript) if event.final}.values())

    @property
    def said(self) -> list[str]:
        return [event.said for event in self.of(vl.TurnEnded) if event.said and event.reason != "dropped"]

    @property
    def recoveries(self) -> list[float]:
        return [event.at for event in self.of(vl.ConnectionState) if event.state == "recovering"]

    @property
    def state(self) -> str:
        """Before it was closed."""
        return str([event.state for event in self.of(vl.ConnectionState) if event.state != "closed"][-1])


async def say(session: vl.Session, pcm: bytes) -> None:
    for at in range(0, len(pcm), 640):
        await session.send_audio(pcm[at : at + 640])
        await anyio.sleep(0.02)


async def call(
    act: Callable[[vl.Session], Any],
    *faults: Fault,
    backing: Backing | None = None,
    turns: Literal["scripted", "manual"] = "scripted",
    model: dict[str, Any] | None = None,
    before: Callable[[Emulator], None] = lambda aws: None,
    **options: Any,
) -> Call:
    """Do ``act``, then end the input and wait for the end."""
    made = Call()
    async with Emulator(backing or marked(), faults=faults) as aws:
        aws.nova.profile = quick()
        before(aws)
        sonic = NovaSonic(account=aws.account(memory=True), **(model or {}))

        async def user() -> None:
            await act(session)
            await session.end_input()

        try:
            with anyio.fail_after(WATCHDOG):
                ears: Any = ScriptedTurns() if turns == "scripted" else "manual"
                async with vl.Session(sonic, turns=ears, **options) as session, anyio.create_task_group() as group:
                    group.start_soon(user)
                    async for event in session:
                        made.log.append(event)
        except* VoiceloopError as failures:
            made.failure = failures.exceptions[0]
        made.connections = tuple(aws.nova.connections)
    assert not check_log(made.log, complete=made.failure is None)
    return made


async def a_call(session: vl.Session) -> None:
    """Three words, with time for an answer; the first at the beginning."""
    for number in (1, 2, 3):
        await say(session, word(number, 900) + silence(30_000))


@pytest.mark.parametrize("at", [0, 1, 2, 4, 7, 8, 10, 12, 14, 24, 35])
async def test_wherever_it_falls_silent_it_is_noticed(at: int) -> None:
    """Before anything, after the words, in a reply's text or audio: each word has one transcript and one reply."""
    held = await call(a_call, Fault("stall", OPERATION, at=at))
    assert held.failure is None
    assert held.heard == ["w1", "w2", "w3"]
    said = [text for text in held.said if text.startswith("You said")]
    assert [said.count(f"You said w{number}.") for number in (1, 2, 3)] == [1, 1, 1], held.said
    if held.connections[0].ended != "closed":
        assert len(held.connections) == 2
        (noticed,) = held.recoveries
        assert min(noticed - end for end in (0.9, 31.8, 62.7) if noticed > end) < 20
    assert held.state == "ready"


@pytest.mark.parametrize("at", [0, 1, 2, 4, 8, 12, 14])
async def test_by_hand_too(at: int) -> None:
    async def act(session: vl.Session) -> None:
        for number in (1, 2):
            await say(session, word(number, 900))
            await session.end_turn()
            await say(session, silence(30_000))

    held = await call(act, Fault("stall", OPERATION, at=at), turns="manual")
    assert held.failure is None
    assert held.heard == ["w1", "w2"]
    assert [held.said.count(f"You said w{number}.") for number in (1, 2)] == [1, 1], held.said
    assert len(held.recoveries) == 1
    assert held.recoveries[0] < 20
    assert held.state == "ready"


async def test_typed_text_is_asked_again() -> None:
    async def act(session: vl.Session) -> None:
        await session.send_text("w4")
        await say(session, silence(40_000))

    for at in (0, 1, 2, 3):
        held = await call(act, Fault("stall", OPERATION, at=at))
        assert held.failure is None
        assert held.said == ["You said w4."], at
        assert len(held.recoveries) == 1


@tool
async def look() -> str:
    """Look."""
    await anyio.sleep(4)
    return "seven"


def with_tool(request: ReasonerRequest) -> Any:
    told = str(request.messages)
    return "It is seven." if "seven" in told else [ToolCall("t1", "look", {})]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, 6])
async def test_while_a_tool_is_pending(after: int) -> None:
    """Silent from ``after`` messages behind the call on: the tool is not called again, and its result is told."""

    async def act(session: vl.Session) -> None:
        await say(session, word(1, 900) + silence(40_000))

    held = await call(act, Fault("stall", OPERATION, at=10 + after), backing=marked(with_tool), tools=[look])
    assert held.failure is None
    assert held.heard == ["w1"]
    assert len(held.of(vl.ToolCalled)) == 1
    assert held.said == ["It is seven."]
    assert len(held.recoveries) == 1
    assert held.state == "ready"


async def test_one_that_is_silent_on_every_connection_ends_the_session() -> None:
    """Whatever it says before: nobody is left waiting."""
    for at in (0, 1, 2, 8):
        held = await call(a_call, Fault("stall", OPERATION, at=at, times=None), model={"retry": Backoff(attempts=3)})
        assert isinstance(held.failure, ProviderTimeout | InputStalled), at
        assert re.search("gave no sign of life|no response|took no audio", str(held.failure))
        assert 2 <= len(held.recoveries) <= 4
        assert len(held.connections) <= 5


async def test_where_there_is_room_for_one_only() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.limits = NovaLimits(streams=1)

    held = await call(a_call, Fault("stall", OPERATION, at=2), before=before)
    assert held.failure is None
    assert held.heard == ["w1", "w2", "w3"]
    assert held.said == [f"You said w{number}." for number in (1, 2, 3)]


def deaf_to_noise(aws: Emulator) -> None:
    aws.nova.profile = quick(turns=ScriptedTurns(speaking_ms=(1_000, 1_200)))


NOISE = (1_900).to_bytes(2, "little") * 14_400


async def test_noise_that_the_model_ignores_is_no_reason_for_one_connection_after_another() -> None:
    """Ten minutes of noise that only the session's detector takes for speech; then a word is answered."""

    async def act(session: vl.Session) -> None:
        for _ in range(30):
            await say(session, NOISE + silence(19_100))
        await say(session, word(2, 1_500) + silence(8_000))

    held = await call(act, before=deaf_to_noise)
    assert held.failure is None
    assert {connection.ended for connection in held.connections} == {"closed"}
    assert 1 <= len(held.recoveries) <= 5
    gaps = [later - sooner for sooner, later in zip(held.recoveries, held.recoveries[1:], strict=False)]
    assert gaps == sorted(gaps), "each proves it to live, and grants it more time"
    assert held.said == ["You said w2."]


async def test_a_noise_now_and_then_in_a_conversation_costs_nothing() -> None:
    """What follows on it soon shows that the service lives."""

    async def act(session: vl.Session) -> None:
        for number in range(1, 9):
            await say(session, NOISE + silence(4_000))
            await say(session, word(number, 1_500) + silence(6_000))

    held = await call(act, before=deaf_to_noise)
    assert len(held.connections) == 1
    assert held.said == [f"You said w{number}." for number in range(1, 9)]


async def test_one_that_leaves_words_unanswered_is_asked_once_more() -> None:
    """It lives, as it is found: so it is not asked for ever."""
    quiet = Backing(
        marked().recognizer, ScriptedReasoner([""], cycle=True), marked().synthesizer, turns=ScriptedTurns()
    )

    async def act(session: vl.Session) -> None:
        await say(session, word(1, 900) + silence(150_000))

    held = await call(act, backing=quiet)
    assert held.failure is None
    assert held.heard == ["w1"]
    assert len(held.connections) <= 3
