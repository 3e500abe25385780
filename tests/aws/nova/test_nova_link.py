"""The link against the emulated service: turns, text, tools, barge-in, as the session sees them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from voiceloop.interfaces import (
    Final,
    ModelCut,
    ModelSpeechStarted,
    ModelToolCall,
    ModelUsage,
    Prompt,
    ReplyAudio,
    ReplyEnded,
    ReplyFailed,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    Settings,
    Settled,
    ToolCall,
    ToolResult,
    UserText,
)
from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.nova.profile import BargeIn
from voiceloop.testing.scripted import silence
from voiceloop.tools import tool

from .nova_link_kit import talk
from .nova_marked import quick


@tool
async def book(guests: int) -> str:
    """Book a table."""
    return f"{guests} guests"


pytestmark = pytest.mark.virtual_time(seed=0)


async def test_a_spoken_turn() -> None:
    async with talk() as running:
        await running.says()
        await running.ends(ReplyEnded)
        await running.ends(Settled, 2)
    assert running.heard == ["a table for two"]
    assert running.said() == ["For when? I can look now."]
    assert running.of(ReplyStarted) == [ReplyStarted(1, None)]
    audio = sum(len(event.pcm) for event in running.of(ReplyAudio)) / 2 / 24
    spans = {event.start: event for event in running.of(ReplySpan)}
    assert [(span.start, span.end) for span in spans.values()] == [(0, 9), (10, 25)]
    assert spans[10].end_ms == pytest.approx(audio)
    assert running.of(Settled)[-1].text == "For when? I can look now."
    assert running.of(ModelSpeechStarted)
    assert running.of(ModelUsage)
    (first,) = running.of(Final)
    assert running.events.index(first) < running.events.index(running.of(ReplyStarted)[0])
    (connection,) = running.nova.connections
    assert connection.ended == "closed"
    assert connection.system[0].text == "Be brief."


async def test_what_was_said_before_is_told_first() -> None:
    earlier = [("user", "I am Ada."), ("assistant", "Hello Ada."), ("user", "Hm.")]
    async with talk(history=earlier) as running:
        await running.says()
        await running.ends(ReplyEnded)
    (connection,) = running.nova.connections
    assert [(line.role, line.text) for line in connection.history] == [
        ("USER", "I am Ada."),
        ("ASSISTANT", "Hello Ada."),
        ("USER", "Hm."),
    ]


async def test_it_greets_and_answers_typed_text() -> None:
    async with talk(replies=["Hello.", "At seven."]) as running:
        await running.link.send(Prompt(1))
        await running.ends(ReplyEnded)
        await running.link.send(UserText("When?", turn=2))
        await running.ends(ReplyEnded, 2)
    assert running.said() == ["Hello.", "At seven."]
    assert [event.turn for event in running.of(ReplyStarted)] == [1, 2]
    assert running.nova.connections[0].texts[1] == "When?"


async def test_the_first_model_cannot_be_typed_to() -> None:
    async with talk(model="amazon.nova-sonic-v1:0") as running:
        await running.link.send(Prompt(1))
        (failed,) = await running.ends(ReplyFailed)
        await running.says()
        await running.ends(ReplyEnded)
    assert not failed.fatal
    assert "Nova 2" in str(failed.error)
    assert running.said() == ["For when? I can look now."]


async def test_silence_is_sent_while_nothing_is_heard() -> None:
    async with talk() as running:
        await running.link.send_audio(silence(100))
        await anyio.sleep(100)
        await running.says()
        await running.ends(ReplyEnded)
    assert running.failure is None
    (connection,) = running.nova.connections
    assert connection.ended == "closed"
    assert connection.audio.samples / 16_000 > 100
    (started,) = running.of(ModelSpeechStarted)
    assert started.ms == pytest.approx(100, abs=150), "the silence put in is no part of the session's input"


@pytest.mark.parametrize("profile", ["a", "b", "c", "c+d", "end_turn_first"])
@pytest.mark.parametrize("speed", [1.2, 8.0])
async def test_the_user_interrupts(profile: BargeIn, speed: float) -> None:
    first = "One two three four five six seven. Eight nine ten eleven twelve. Thirteen fourteen."

    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(barge_in=profile, speed=speed)

    async with talk(heard=["go", "stop it", "again"], replies=[first, "Well.", "Yes."], before=before) as running:
        await running.says(quiet_ms=2500)
        await running.says()
        await running.until(lambda: len(running.said()) == 2)
        await running.until(lambda: running.ended[-1:] == [2])
        await anyio.sleep(5)
        await running.says()
        await running.until(lambda: running.ended[-1:] == [3])
        await anyio.sleep(20)
    assert running.of(ModelCut) == [ModelCut(1)]
    assert running.heard == ["go", "stop it", "again"]
    assert running.said()[1:] == ["Well.", "Yes."]
    told = [event for event in running.of(Settled) if event.reply == 1]
    if profile != "a":
        assert told
        assert first.startswith(told[-1].text)
        assert told[-1].text != first
    after = running.events.index(ModelCut(1))
    assert not [e for e in running.events[after:] if isinstance(e, ReplyAudio | ReplyTextDelta) and e.reply == 1]


def calling(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("call-1", name, arguments)


@pytest.mark.parametrize("silent", [True, False])
async def test_a_tool_is_called_and_answered(silent: bool) -> None:
    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(tools="silent" if silent else "talks", double_encoded=silent)

    settings = Settings(tools=(book,))
    replies = [["Let me see. ", calling("book", guests=2)], "It is booked."]
    async with talk(replies=replies, settings=settings, before=before) as running:
        await running.says()
        (called,) = await running.ends(ModelToolCall)
        await anyio.sleep(3)
        result = ToolResult(called.connection, called.call, called.name, "table 7")
        await running.link.send(result)
        await running.ends(ReplyEnded)
        await anyio.sleep(15)
    assert called.name == "book"
    assert called.arguments == {"guests": 2}
    assert running.ended == [1], "the answer belongs to the reply that called"
    assert running.said() == ["It is booked." if silent else "Let me see. It is booked."]
    (use,) = running.nova.connections[0].uses
    assert use.result == '{"result": "table 7"}'
