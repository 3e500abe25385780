"""Whole sessions over TLS while the services fail at random points: each recovers or says what is wrong, and ends."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import anyio
import pytest

import voiceloop as vl
from voiceloop.aws import Bedrock, Polly, Transcribe
from voiceloop.errors import ProviderError, SessionClosed
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted import ScriptedTurns, silence, tone

OPERATIONS = ("StartStreamTranscription", "ConverseStream", "SynthesizeSpeech")
ERRORS = ("throttle", "access_denied", "expired_token", "instability", "unavailable")
TRANSPORT = ("reset", "goaway", "drop", "truncate", "bad_crc", "drip", "split")
REPLIES = ["Well, that is fine. I shall book it. Anything else?", "Sure & <ok> 👍, done."]


def fault(chance: random.Random) -> Fault:
    operation = chance.choice(OPERATIONS)
    when = chance.choice(
        ({}, {"at": chance.randrange(6)}, {"after": chance.randint(1, 60 if operation == OPERATIONS[0] else 1)})
    )
    kind, times = chance.choice((*ERRORS, *TRANSPORT, "stall")), chance.choice((1, 1, 2, None))
    return Fault(kind, operation, times=times, seconds=0.5 if kind == "stall" else 0.001, **when)


async def speak(session: vl.Session) -> None:
    pcm = tone(600) + silence(1000)
    with suppress(SessionClosed):
        for at in range(0, len(pcm), 640):
            await session.send_audio(pcm[at : at + 640])
            await anyio.sleep(0.02)


async def converse(session: vl.Session) -> None:
    """Say something, and hear the reply until its end."""
    async with session, anyio.create_task_group() as group:
        group.start_soon(speak, session)
        async for event in session:
            if isinstance(event, vl.TurnEnded):
                break
        group.cancel_scope.cancel()


async def run(seed: int) -> None:
    chance = random.Random(seed)
    faults = [fault(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    async with Emulator(Backing.scripted(["book a room"], REPLIES), faults=faults) as aws:
        account = aws.account()
        polly = Polly(account=account, engine=chance.choice(("neural", "neural", "generative")))
        model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), polly)
        leaves = chance.uniform(0, 3) if chance.random() < 0.4 else 30.0
        with anyio.move_on_after(leaves) as leaving:
            try:
                async with vl.Pool() as pool:
                    await converse(vl.Session(model, turns=ScriptedTurns(), pool=pool, lead=None))
            except* ProviderError as failures:
                [failure] = failures.exceptions
                assert failure.hint, (seed, failure)
        assert leaves < 30 or not leaving.cancelled_caught, (seed, faults)


@pytest.mark.parametrize("seeds", [range(8), range(8, 16)], ids=str)
async def test_every_session_ends_in_recovery_or_a_clear_error(seeds: range) -> None:
    before = asyncio.all_tasks()
    async with anyio.create_task_group() as group:
        for seed in seeds:
            group.start_soon(run, seed)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("kind", ["drop", "truncate", "bad_crc", "stall"])
async def test_an_answer_that_breaks_off_ends_the_reply_and_not_the_session(kind: str) -> None:
    """What was written of it is spoken and kept; the next question is answered."""
    words = "This is a sentence. And here is another one that goes on for a while."
    faults = [Fault(kind, "ConverseStream", at=9)]
    log: list[vl.Event] = []
    async with Emulator(Backing.scripted([], [words, "Good."]), faults=faults) as aws:
        account = aws.account()
        bedrock = Bedrock(account=account, timeout=0.5, gap=0.5)
        async with vl.Session(vl.Cascade(Transcribe(account=account), bedrock, Polly(account=account))) as session:
            for question in ("Hello?", "And now?"):
                await session.send_text(question)
                async for event in session:
                    log.append(event)
                    if isinstance(event, vl.TurnEnded):
                        break
        assert not aws.faults.left
    first, second = (event for event in log if isinstance(event, vl.TurnEnded))
    assert (first.reason, first.heard.text) == ("failed", "This is a sentence.")
    assert (second.reason, second.heard.text) == ("completed", "Good.")
    [notice] = [event for event in log if isinstance(event, vl.Notice)]
    assert notice.code == "reply-failed"
    assert "Amazon Bedrock: broke off in the midst of a reply" in notice.text
    assert "TransferEncoding" not in notice.text


@pytest.mark.parametrize(("marks", "requests"), [(("word", "viseme"), 2), ("word", 2), ((), 1)])
async def test_marks_that_are_not_wanted_are_not_paid_for(marks: str | tuple[str, ...], requests: int) -> None:
    async with Emulator(Backing.scripted([], ["Good."])) as aws:
        account = aws.account()
        voice = Polly(account=account, marks=marks)  # type: ignore[arg-type]
        model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), voice)
        async with vl.Session(model, lead=None) as session:
            await session.send_text("Hello?")
            await session.end_input()
            log = [event async for event in session]
        assert [call.operation for call in aws.calls].count("SynthesizeSpeech") == requests
    [ended] = [event for event in log if isinstance(event, vl.TurnEnded)]
    assert ended.heard.text == "Good."
    assert any(isinstance(event, vl.Viseme) for event in log) == ("viseme" in marks)
    paid = [event.amounts["characters"] for event in log if isinstance(event, vl.Usage) and "Polly" in event.provider]
    assert sum(paid) == requests * len("Good.")
