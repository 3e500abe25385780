"""What a session tells of its stream to Transcribe: every second that was sent, and every change of connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

import voiceloop as vl
from voiceloop.aws import Bedrock, Polly, Transcribe
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted import ScriptedTurns, silence, tone

pytestmark = pytest.mark.virtual_time(seed=0)

STREAM = "StartStreamTranscription"


async def live(pcm: bytes) -> AsyncIterator[bytes]:
    """At the pace of speech."""
    for at in range(0, len(pcm), 640):
        yield pcm[at : at + 640]
        await anyio.sleep(0.02)


async def events(pcm: bytes, *faults: Fault, said: tuple[str, ...] = ()) -> list[vl.Event]:
    """Those of a session that hears ``pcm``."""
    async with Emulator(Backing.scripted(said, ["Fine."]), faults=faults) as aws:
        account = aws.account(memory=True)
        model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))
        async with vl.Session(model, audio=live(pcm), turns=ScriptedTurns(), lead=None) as session:
            return [event async for event in session]


@pytest.mark.parametrize("seconds", [0.5, 4.0, 9.3])
async def test_every_second_is_told_by_the_end(seconds: float) -> None:
    log = await events(silence(round(seconds * 1000)))
    told = [event.amounts["seconds"] for event in log if isinstance(event, vl.Usage)]
    assert sum(told) == pytest.approx(seconds, abs=0.05)
    assert told == [round(each, 3) for each in told]
    assert isinstance(log[-1], vl.SessionEnded)


async def test_a_connection_that_is_lost_and_found_again_is_told() -> None:
    pcm = silence(500) + tone(900) + silence(3000)
    log = await events(pcm, Fault("drop", STREAM, after=20), said=("hello there",))
    states = [event for event in log if isinstance(event, vl.ConnectionState)]
    assert [event.state for event in states] == ["connecting", "ready", "recovering", "ready", "closed"]
    assert "Amazon Transcribe" in states[2].detail
    assert [event.said for event in log if isinstance(event, vl.TurnEnded)] == ["Fine."]
