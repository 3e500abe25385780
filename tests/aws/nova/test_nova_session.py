"""A session on Nova Sonic is the same program as on a cascade."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.aws.nova import NovaSonic
from voiceloop.errors import ProviderRefused, SettingRefused, UnknownName
from voiceloop.events import Event
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import ScriptedTurns, silence
from voiceloop.tools import tool

from .nova_link_kit import marked, word
from .nova_marked import quick

pytestmark = pytest.mark.virtual_time(seed=0)

OPERATION = "InvokeModelWithBidirectionalStream"


@tool
async def book(guests: int) -> str:
    """Book a table."""
    await anyio.sleep(1)
    return f"table for {guests}"


async def read(session: vl.Session, on: Callable[[Event], None]) -> None:
    async for event in session:
        on(event)


async def call(
    act: Callable[[vl.Session, Emulator], Any],
    backing: Backing,
    *,
    faults: Sequence[Fault] = (),
    before: Callable[[Emulator], None] = lambda aws: None,
    model: dict[str, Any] | None = None,
    **options: Any,
) -> list[Event]:
    """The events of a session in which ``act`` is done."""
    log: list[Event] = []
    async with Emulator(backing, faults=faults) as aws:
        aws.nova.profile = quick()
        before(aws)
        sonic = NovaSonic(account=aws.account(memory=True), **(model or {}))
        session = vl.Session(sonic, turns=ScriptedTurns(), **options)
        async with session, anyio.create_task_group() as group:
            group.start_soon(read, session, log.append)
            await act(session, aws)
            await session.end(after_speech=False)
    assert_log(log)
    return log


async def say(session: vl.Session, number: int, ms: int = 600, quiet_ms: int = 4000) -> None:
    pcm = word(number, ms) + silence(quiet_ms)
    for at in range(0, len(pcm), 640):
        await session.send_audio(pcm[at : at + 640])
        await anyio.sleep(0.02)


def of(log: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in log if isinstance(event, kind)]


async def test_a_turn() -> None:
    async def act(session: vl.Session, aws: Emulator) -> None:
        await say(session, 1)

    log = await call(act, marked())
    (told,) = [event for event in of(log, vl.Transcript) if event.final]
    assert told.text == "w1"
    (ended,) = of(log, vl.TurnEnded)
    assert ended.said == ended.heard.text == "You said w1."
    assert len(of(log, vl.UserSpeechStarted)) == len(of(log, vl.UserSpeechEnded)) == 1
    (metrics,) = of(log, vl.TurnMetrics)
    assert metrics.voice_to_voice == pytest.approx(600, abs=200)


async def test_the_greeting_typed_text_and_hanging_up() -> None:
    async def act(session: vl.Session, aws: Emulator) -> None:
        await (await session.greet()).done()
        await session.send_text("w4")
        await anyio.sleep(6)

    log = await call(act, marked())
    assert [ended.reason for ended in of(log, vl.TurnEnded)] == ["completed", "completed"]
    assert of(log, vl.TurnEnded)[1].said == "You said w4."


@pytest.mark.parametrize("profile", ["a", "b", "c", "c+d", "end_turn_first"])
async def test_an_interruption(profile: Any) -> None:
    long = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen."

    def reply(request: Any) -> str:
        return long if request.messages[-1].text == "w1" else "Well."

    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(barge_in=profile)

    async def act(session: vl.Session, aws: Emulator) -> None:
        await say(session, 1, quiet_ms=3000)
        await say(session, 2)
        await anyio.sleep(2)

    log = await call(act, marked(reply), before=before)
    first, second = of(log, vl.TurnEnded)
    assert first.reason == "interrupted"
    assert 0 < len(first.heard.text) < len(long)
    assert long.startswith(first.heard.text)
    assert second.said == "Well."
    assert [event.text for event in of(log, vl.Transcript) if event.final] == ["w1", "w2"]
    assert len(of(log, vl.Interrupted)) == 1


async def test_a_noise_that_is_no_speech_only_pauses() -> None:
    def reply(request: Any) -> str:
        return "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen."

    async def act(session: vl.Session, aws: Emulator) -> None:
        await say(session, 1, quiet_ms=3000)
        await say(session, 2, ms=140, quiet_ms=9000)

    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(interrupt_ms=400)

    log = await call(act, marked(reply), before=before)
    assert of(log, vl.Paused)


async def test_a_tool() -> None:
    def reply(request: Any) -> Any:
        from voiceloop.interfaces import ToolCall

        last = request.messages[-1]
        return [ToolCall("t", "book", {"guests": 2})] if last.text == "w1" else "It is booked."

    async def act(session: vl.Session, aws: Emulator) -> None:
        await say(session, 1, quiet_ms=8000)

    log = await call(act, marked(reply), tools=[book])
    (returned,) = of(log, vl.ToolReturned)
    assert returned.result == "table for 2"
    (ended,) = of(log, vl.TurnEnded)
    assert ended.said == "It is booked."


async def test_renewals_are_told_and_lose_nothing() -> None:
    async def act(session: vl.Session, aws: Emulator) -> None:
        for number in range(1, 16):
            await say(session, number)

    log = await call(act, marked(), model={"renew_after": 10.0, "deadline": 20.0})
    assert [event.text for event in of(log, vl.Transcript) if event.final] == [f"w{n}" for n in range(1, 16)]
    assert [ended.said for ended in of(log, vl.TurnEnded)] == [f"You said w{n}." for n in range(1, 16)]
    assert {ended.reason for ended in of(log, vl.TurnEnded)} == {"completed"}
    assert len([notice for notice in of(log, vl.Notice) if notice.code == "renewed"]) >= 4


async def test_a_connection_that_breaks_is_told_and_loses_nothing() -> None:
    fault = Fault("drop", OPERATION, after=260, times=1)

    async def act(session: vl.Session, aws: Emulator) -> None:
        for number in range(1, 5):
            await say(session, number)

    log = await call(act, marked(), faults=[fault])
    assert [event.text for event in of(log, vl.Transcript) if event.final] == [f"w{n}" for n in range(1, 5)]
    said = [ended.said for ended in of(log, vl.TurnEnded) if ended.reason != "dropped"]
    assert said == [f"You said w{n}." for n in range(1, 5)]
    assert "recovering" in [state.state for state in of(log, vl.ConnectionState)]


async def test_settings_change_with_the_next_connection() -> None:
    async def act(session: vl.Session, aws: Emulator) -> None:
        await say(session, 1)
        assert await session.update(instructions="Be long.", voice="tiffany") == "renewing"
        with pytest.raises(SettingRefused, match="tiffany"):
            await session.update(voice="tifany")
        await say(session, 2)
        assert [connection.system[0].text for connection in aws.nova.connections][-1] == "Be long."

    log = await call(act, marked())
    (applied,) = of(log, vl.SettingApplied)
    assert applied.settings == ("instructions", "voice")


async def test_push_to_talk() -> None:
    log: list[Event] = []
    async with Emulator(marked()) as aws:
        sonic = NovaSonic(account=aws.account(memory=True))
        began = anyio.current_time()
        async with vl.Session(sonic, turns="manual") as session, anyio.create_task_group() as group:
            group.start_soon(read, session, log.append)
            pcm = word(1, 800)
            for at in range(0, len(pcm), 640):
                await session.send_audio(pcm[at : at + 640])
                await anyio.sleep(0.02)
            released = anyio.current_time() - began
            await session.end_turn()
            await anyio.sleep(3)
            await session.end(after_speech=False)
    assert of(log, vl.TurnEnded)[0].said == "You said w1."
    assert of(log, vl.AudioChunk)[0].at - released < 0.3


async def test_a_refusal_at_the_start_is_raised_bare() -> None:
    async with Emulator(marked(), denied=["bedrock:*"]) as aws:
        await _is_refused(aws, "bedrock:InvokeModel")


async def test_a_tool_to_begin_with_is_one_of_the_sessions() -> None:
    async with Emulator(marked()) as aws:
        sonic = NovaSonic(account=aws.account(memory=True), tool_choice="bok")
        with pytest.raises(UnknownName, match=r"tool for tool_choice 'bok'\. Did you mean 'book'"):
            async with vl.Session(sonic, tools=[book]):
                pass
        assert not aws.calls
        sonic = NovaSonic(account=aws.account(memory=True), tool_choice="book")
        async with vl.Session(sonic, tools=[book]) as session:
            with pytest.raises(SettingRefused, match="Known: none"):
                await session.update(tools=[])


async def test_credentials_that_have_expired_are_not_tried_again_at_the_start() -> None:
    async with Emulator(marked(), faults=[Fault("expired_token", times=None)]) as aws:
        await _is_refused(aws, "expired")


async def _is_refused(aws: Emulator, words: str) -> None:
    """Entering a session raises it, after one request."""
    entered = False
    with pytest.raises(ProviderRefused, match=words):
        async with vl.Session(NovaSonic(account=aws.account(memory=True))):
            entered = True
    assert not entered
    assert len(aws.calls) == 1
