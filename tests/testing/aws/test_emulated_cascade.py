"""Whole sessions of the AWS cascade on virtual time: the same for a seed, and under any faults they end well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import anyio
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop import clock
from voiceloop.aws import Bedrock, Polly, Transcribe
from voiceloop.aws.faults import fault_of
from voiceloop.errors import ProviderError, ProviderRefused
from voiceloop.testing import virtual_time
from voiceloop.testing.aws import Backing, Call, Emulator, Fault
from voiceloop.testing.event_log import check_log
from voiceloop.testing.scripted import ScriptedTurns, silence, tone

OPERATIONS = ("StartStreamTranscription", "ConverseStream", "SynthesizeSpeech", "StartSpeechSynthesisStream")
ERRORS = ("throttle", "access_denied", "expired_token", "instability", "unavailable")
BROKEN = ("reset", "drop", "truncate", "bad_crc")
HARMLESS = ("goaway", "drip", "split")
HEARD = ["book a room", "for two people"]
REPLIES = ["Well, that is fine. I shall book it. For how many?", "Sure & <ok>, done."]
SPEECH = tone(600) + silence(7000) + tone(600) + silence(7000)
PATIENCE = silence(17_000)  # after which what still does not work has been told
CHUNK = 3200  # bytes: 100 ms


@define
class Life:
    """What came of one session."""

    events: list[vl.Event] = field(factory=list)
    failure: BaseException | None = None
    calls: list[Call] = field(factory=list)
    seconds: float = 0.0
    left: set[asyncio.Task[object]] = field(factory=set)

    @property
    def said(self) -> list[str]:
        return [event.said for event in self.events if isinstance(event, vl.TurnEnded)]


async def live(faults: Sequence[Fault], engine: str, pcm: bytes) -> Life:
    life, before, began = Life(), asyncio.all_tasks(), clock.now()
    backing = Backing.scripted(HEARD, REPLIES, first_token=0.35, polly_delay=0.15)
    async with Emulator(backing, faults=faults) as aws, vl.Pool() as pool:
        account = aws.account(memory=True)
        polly = Polly(account=account, engine=engine)  # type: ignore[arg-type]
        model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), polly)
        try:
            async with vl.Session(model, turns=ScriptedTurns(), pool=pool, audio=spoken(pcm)) as session:
                async for event in session:
                    life.events.append(event)
        except ProviderError as error:
            life.failure = error
        life.calls = aws.calls
    life.seconds, life.left = clock.now() - began, asyncio.all_tasks() - before
    return life


async def spoken(pcm: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(pcm), CHUNK):
        yield pcm[at : at + CHUNK]
        await anyio.sleep(0.1)


def run(*faults: Fault, engine: str = "neural", pcm: bytes = SPEECH, seed: int = 0) -> Life:
    return virtual_time.run(live, faults, engine, pcm, seed=seed)


@pytest.mark.parametrize("engine", ["neural", "generative"])
def test_a_conversation_takes_the_services_own_times(engine: str) -> None:
    life = run(engine=engine)
    assert life.failure is None
    assert life.said == REPLIES
    waits = [(event.first_token, event.synthesis) for event in life.events if isinstance(event, vl.TurnMetrics)]
    assert waits == [(350, 150), (350, 150)]
    assert {call.status for call in life.calls} == {200}
    check(life)


@pytest.mark.parametrize(
    "fault", [None, Fault("drop", "SynthesizeSpeech", at=1), Fault("reset", OPERATIONS[0], after=30)]
)
def test_the_same_seed_gives_the_same_events(fault: Fault | None) -> None:
    faults = () if fault is None else (fault,)
    assert run(*faults, seed=7).events == run(*faults, seed=7).events


def check(life: Life) -> None:
    """What holds of every session, however it went."""
    assert check_log(life.events, complete=bool(life.events)) == []
    assert life.left == set()
    assert all(call.over for call in life.calls)
    assert life.seconds < 60
    if life.failure is None:
        last = [event for event in life.events if isinstance(event, vl.TurnEnded)][-1]
        assert last.said in REPLIES or (last.reason == "failed" and any(r.startswith(last.said) for r in REPLIES))
    else:
        assert isinstance(life.failure, ProviderError)
        assert life.failure.provider
        assert life.failure.hint or life.failure.retryable
        assert fault_of(life.failure) is not None or not isinstance(life.failure, ProviderRefused)


def engine_of(operation: str) -> str:
    return "generative" if operation == "StartSpeechSynthesisStream" else "neural"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", [*ERRORS, *BROKEN, *HARMLESS, "stall"])
def test_one_fault_is_recovered_from_or_told(kind: str, operation: str) -> None:
    for at in (None, 1):
        seconds = 3.0 if kind == "stall" else 0.001
        life = run(Fault(kind, operation, at, seconds=seconds), engine=engine_of(operation))
        check(life)
        assert [kind] in [call.faults for call in life.calls]
        if kind in HARMLESS:
            assert life.said == REPLIES
            assert life.failure is None


def faults() -> st.SearchStrategy[Fault]:
    when = st.one_of(
        st.just({}),
        st.builds(lambda at: {"at": at}, st.integers(0, 6)),
        st.builds(lambda n: {"after": n}, st.integers(1, 60)),
    )
    return st.builds(
        lambda kind, operation, when, times: Fault(
            kind, operation, times=times, seconds=3.0 if kind == "stall" else 0.001, **when
        ),
        st.sampled_from((*ERRORS, *BROKEN, *HARMLESS, "stall")),
        st.sampled_from(OPERATIONS),
        when,
        st.sampled_from((1, 2, None)),
    )


@settings(max_examples=40)
@given(st.lists(faults(), min_size=1, max_size=3), st.sampled_from(("neural", "generative")), st.integers(0, 9))
def test_any_faults_end_in_recovery_or_a_clear_error(several: list[Fault], engine: str, seed: int) -> None:
    check(run(*several, engine=engine, pcm=SPEECH + PATIENCE, seed=seed))
