"""Whole sessions of Nova Sonic on virtual time under every fault and profile: each goes on, or says why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

import voiceloop as vl
from voiceloop import clock
from voiceloop.aws import NovaSonic
from voiceloop.errors import ProviderError
from voiceloop.testing import virtual_time
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.aws.nova import NovaProfile
from voiceloop.testing.event_log import check_log
from voiceloop.testing.scripted import silence, tone

HEARD = ["book a room please", "no wait tomorrow"]
REPLIES = ["Well, that is fine and I shall book it for you at once. For how many people?", "Tomorrow then. Done."]
APART = tone(900) + silence(12_000) + tone(900) + silence(8000)
INTO_THE_REPLY = tone(900) + silence(2500) + tone(1200) + silence(8000)
CHUNK = 3200  # bytes: 100 ms
KINDS = (
    *("throttle", "access_denied", "expired_token", "instability", "unavailable"),
    *("reset", "goaway", "drop", "truncate", "bad_crc", "drip", "split", "stall"),
)


async def live(fault: Fault, pcm: bytes) -> tuple[list[vl.Event], ProviderError | None]:
    events: list[vl.Event] = []
    failure = None
    before, began = asyncio.all_tasks(), clock.now()

    async def spoken() -> AsyncIterator[bytes]:
        for at in range(0, len(pcm), CHUNK):
            yield pcm[at : at + CHUNK]
            await anyio.sleep(0.1)

    async with Emulator(Backing.scripted(HEARD, REPLIES), faults=[fault]) as aws, vl.Pool() as pool:
        model = NovaSonic(account=aws.account(memory=True))
        try:
            async with vl.Session(model, pool=pool, audio=spoken()) as session:
                async for event in session:
                    events += [event]
        except ProviderError as error:
            failure = error
        assert aws.faults.left == ()
    assert asyncio.all_tasks() == before
    assert clock.now() - began < 120
    assert check_log(events, complete=bool(events)) == []
    return events, failure


def said(events: list[vl.Event]) -> list[str]:
    return [event.said for event in events if isinstance(event, vl.TurnEnded)]


@pytest.mark.parametrize("when", [{}, {"at": 20}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_the_service_is_recovered_from_or_told(kind: str, when: dict[str, int]) -> None:
    seconds = 3.0 if kind == "stall" else 0.001
    fault = Fault(kind, "InvokeModelWithBidirectionalStream", seconds=seconds, **when)  # type: ignore[arg-type]
    events, failure = virtual_time.run(live, fault, APART)
    if failure is None:
        assert said(events)[-1] in REPLIES
    else:
        assert failure.hint


@pytest.mark.parametrize("kind", NovaProfile.faults())
@pytest.mark.parametrize("pcm", [APART, INTO_THE_REPLY], ids=["apart", "into the reply"])
def test_every_profile_gets_its_replies(kind: str, pcm: bytes) -> None:
    events, failure = virtual_time.run(live, Fault(kind), pcm)
    assert failure is None
    assert said(events)[-1] == REPLIES[-1]
    assert any(isinstance(event, vl.Interrupted) for event in events) == (pcm == INTO_THE_REPLY)
