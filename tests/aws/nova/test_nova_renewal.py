"""Connections are replaced at good moments and bad ones, and nothing is lost or said twice."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from voiceloop.conversation import TextPart
from voiceloop.errors import ProviderError
from voiceloop.interfaces import (
    Attend,
    LinkChanged,
    LinkNotice,
    ModelToolCall,
    Pause,
    ReasonerRequest,
    Renewed,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    Settings,
    ToolCall,
    ToolResult,
    Update,
    UserText,
)
from voiceloop.testing.aws import Emulator, Fault
from voiceloop.testing.aws.nova.events import HISTORY_OVER
from voiceloop.testing.aws.nova.profile import NovaLimits, NovaTimers
from voiceloop.testing.scripted import silence
from voiceloop.tools import tool

from .nova_link_kit import Talk, marked, talk, word, words_in
from .nova_marked import quick

pytestmark = pytest.mark.virtual_time(seed=0)


def keep_audio(aws: Emulator) -> None:
    aws.nova.keep_audio = True


async def test_it_is_renewed_at_a_quiet_moment() -> None:
    async with talk(backing=marked(), before=keep_audio) as running:
        for number in range(1, 15):
            await running.word(number)
            await running.ends(ReplyEnded, number)
            await anyio.sleep(30)
    first, second = running.nova.connections
    assert 360 <= second.opened - first.opened < 362
    assert first.ended == second.ended == "closed"
    assert running.heard == [f"w{number}" for number in range(1, 15)]
    assert len(running.of(Renewed)) == 1
    samples = words_in(first.audio.pcm + second.audio.pcm)
    assert samples == dict.fromkeys(range(1, 15), 9600)


def audio_of(running: Talk) -> dict[int, int]:
    return words_in(b"".join(connection.audio.pcm for connection in running.nova.connections))


def states(running: Talk) -> list[str]:
    return [event.state for event in running.of(LinkChanged)]


QUICK: dict[str, Any] = {"renew_after": 20.0, "deadline": 30.0}


async def test_a_user_who_never_pauses_is_moved_as_a_whole() -> None:
    async with talk(backing=marked(), before=keep_audio, **QUICK) as running:
        await running.word(1)
        await running.ends(ReplyEnded)
        await running.hear(silence(12_000))
        await running.word(2, ms=25_000)
        await running.ends(ReplyEnded, 2)
    first, second = running.nova.connections[:2]
    assert 30 <= second.opened - first.opened < 31
    assert running.heard == ["w1", "w2"]
    assert running.said() == ["You said w1.", "You said w2."]
    assert words_in(second.audio.pcm)[2] == 25 * 16_000, "the whole utterance"
    assert not [turn for turn in first.turns if turn.text == "w2"] or "w2" not in running.said()[0]
    (renewed,) = running.of(Renewed)
    assert renewed.cut < first.audio.samples


async def test_a_reply_that_is_being_made_is_completed() -> None:
    long = " ".join(f"This is sentence number {number}." for number in range(30))

    def reply(request: ReasonerRequest) -> str:
        return long if request.messages[-1].text == "w1" else "You said w2."

    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(speed=1.5)

    async with talk(backing=marked(reply), before=before, renew_after=4.0, deadline=12.0) as running:
        await running.word(1)
        await running.ends(ReplyEnded)
        assert [event.cut for event in running.of(Renewed)]
        await anyio.sleep(20)
        await running.word(2)
        await running.ends(ReplyEnded, 2)
    assert running.said() == [long, "You said w2."]
    pcm = sum(len(event.pcm) for event in running.of(ReplyAudio) if event.reply == 1)
    assert pcm / 2 / 24_000 == pytest.approx(len(long.replace(". T", ".T")) * 0.06, rel=0.02)
    assert len(running.nova.connections) >= 2


@tool
async def look() -> str:
    """Look."""
    return "nothing"


def tool_reply(request: ReasonerRequest) -> Any:
    last = request.messages[-1]
    text = " ".join(part.text for part in last.parts if isinstance(part, TextPart))
    if "w1" in text and "answered" not in text and not any(hasattr(part, "result") for part in last.parts):
        return [ToolCall("t1", "look", {})]
    return f"It says: {text}." if text else "It is there."


async def test_a_tool_that_is_pending_gives_its_result_as_text_once() -> None:
    settings = Settings(instructions="x", tools=(look,))
    async with talk(backing=marked(tool_reply), settings=settings, **QUICK) as running:
        await running.word(1)
        (called,) = await running.ends(ModelToolCall)
        await running.ends(Renewed)
        result = ToolResult(called.connection, called.call, called.name, "seven")
        await running.link.send(result)
        await running.ends(ReplyEnded, 2)
        await anyio.sleep(5)
    first, second = running.nova.connections[:2]
    assert 30 <= second.opened - first.opened < 31
    assert not first.results
    assert not second.results
    (told,) = [text for connection in running.nova.connections for text in connection.texts]
    assert "look" in told
    assert "seven" in told
    assert "seven" in running.said()[-1]


async def test_silence_of_both_sides_is_no_end() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.timers = NovaTimers(quiet=295)

    async with talk(backing=marked(), before=before) as running:
        await running.word(1)
        await anyio.sleep(600)
        await running.word(2)
        await running.ends(ReplyEnded, 2)
    assert running.failure is None
    gaps = [b.opened - a.opened for a, b in zip(running.nova.connections, running.nova.connections[1:], strict=False)]
    assert gaps
    assert max(gaps) < 250
    assert {connection.ended for connection in running.nova.connections} == {"closed"}


async def test_where_there_is_room_for_one_the_first_is_closed_before() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.limits = NovaLimits(streams=1)
        keep_audio(aws)

    async with talk(backing=marked(), before=before, **QUICK) as running:
        for number in range(1, 20):
            await running.word(number, quiet_ms=2500)
            await running.ends(ReplyEnded, number)
    assert len(running.nova.connections) > 2
    assert running.heard == [f"w{number}" for number in range(1, 20)]
    assert audio_of(running) == dict.fromkeys(range(1, 20), 9600)
    assert not [event for event in running.of(LinkNotice) if event.code != "renewed"]


LOSSES = {
    "timeout": NovaTimers(longest=15),
    "end": NovaTimers(longest=15, longest_error="end"),
    "531": NovaTimers(longest=15, longest_error="531"),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("phase", [0, 1100, 2200])
async def test_a_connection_that_breaks_is_replaced(loss: str, phase: int) -> None:
    def before(aws: Emulator) -> None:
        aws.nova.timers = LOSSES[loss]

    async with talk(backing=marked(), before=before) as running:
        await running.hear(silence(phase))
        for number in range(1, 14):
            await running.word(number, quiet_ms=2400)
        await anyio.sleep(8)
    assert running.failure is None
    assert len(running.nova.connections) > 2
    assert running.heard == [f"w{number}" for number in range(1, 14)]
    answered = running.said()
    for number in range(1, 14):
        assert answered.count(f"You said w{number}.") == 1, answered
    assert "recovering" in states(running)
    assert states(running)[-1] == "ready"


@pytest.mark.parametrize("detected", [True, False])
async def test_without_events_of_speech_nothing_is_lost_either(detected: bool) -> None:
    """A detector of the session tells where the user began to speak; without one, their words are asked again."""

    def before(aws: Emulator) -> None:
        aws.nova.timers = NovaTimers(longest=9.5)
        aws.nova.profile = quick(speech_events=False)

    async with talk(backing=marked(), before=before) as running:
        for number in range(1, 10):
            if detected:
                await running.hear(word(number, 200))
                await running.link.send(Attend())
            await running.hear(word(number, 400 if detected else 600))
            if detected:
                await running.link.send(Pause())
            await running.hear(silence(2900))
        await anyio.sleep(8)
    assert running.failure is None
    assert len(running.nova.connections) > 2
    answers = running.said()
    if detected:
        assert [answers.count(f"You said w{number}.") for number in range(1, 10)] == [1] * 9
    else:
        assert max(answers.count(f"You said w{number}.") for number in range(1, 10)) == 1


async def test_typed_text_is_asked_again_when_the_connection_breaks() -> None:
    fault = Fault("drop", "InvokeModelWithBidirectionalStream", after=30)
    async with talk(backing=marked(), faults=[fault]) as running:
        await running.hear(silence(400))
        await running.link.send(UserText("w5", turn=3))
        running.history = ()
        await running.ends(ReplyEnded)
    assert [event.turn for event in running.of(ReplyStarted)][-1] == 3
    assert running.said()[-1] == "You said w5."


async def test_a_history_that_is_too_long_is_halved() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.limits = NovaLimits(history_bytes=300)

    earlier = [("user" if n % 2 == 0 else "assistant", f"message {n} " + "x" * 40) for n in range(20)]

    async with talk(backing=marked(), before=before, history=earlier) as running:
        await running.word(1)
        await running.ends(ReplyEnded)
    assert running.nova.connections[0].message.endswith(HISTORY_OVER)
    assert running.nova.connections[-1].history[-1].text.startswith("message 19")


async def test_what_is_refused_for_good_is_not_tried_again() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.timers = NovaTimers(longest=60)

    async with talk(backing=marked(), before=before, renew_after=20.0, deadline=30.0) as running:
        await running.word(1)
        running.aws.denied.add("bedrock:*")
        await anyio.sleep(30)
        assert states(running)[-1] == "degraded"
        await running.word(2)
        await running.ends(ReplyEnded, 2)
        await running.until(lambda: running.failure is not None, 100)
    assert isinstance(running.failure, ProviderError)
    assert not running.failure.retryable
    assert "bedrock:InvokeModel" in str(running.failure)
    assert len(running.aws.calls) <= 3


async def test_settings_that_changed_reach_the_next_connection() -> None:
    async with talk(backing=marked()) as running:
        await running.word(1)
        settings = Settings(instructions="Be long.", voice="tiffany", tools=(look,), temperature=0.2)
        await running.link.send(Update(settings, frozenset({"instructions", "voice", "tools", "temperature"})))
        await running.ends(Renewed)
        await running.word(2)
        await running.ends(ReplyEnded, 2)
    second = running.nova.connections[1]
    assert second.system[0].text == "Be long."
    assert second.prompt is not None
    assert [spec.name for spec in second.prompt.tools] == ["look"]
    assert states(running) == ["renewing", "ready"]


async def test_credentials_that_end_are_renewed_before() -> None:
    async with talk(backing=marked(), keys_for=400.0) as running:
        await running.word(1)
        await anyio.sleep(250)
    assert len(running.nova.connections) >= 2
    first, second = running.nova.connections[:2]
    assert 219 <= second.opened - first.opened <= 222


async def test_a_model_that_takes_no_audio_while_a_tool_is_pending_is_learnt() -> None:
    def before(aws: Emulator) -> None:
        aws.nova.profile = quick(audio_while_tool_pending=False)
        keep_audio(aws)

    settings = Settings(instructions="x", tools=(look,))
    async with talk(backing=marked(tool_reply), settings=settings, before=before) as running:
        await running.word(1, quiet_ms=3000)
        (called,) = await running.ends(ModelToolCall)
        await running.link.send(ToolResult(called.connection, called.call, called.name, "seven"))
        await running.until(lambda: any("seven" in said for said in running.said()))
        assert [event.code for event in running.of(LinkNotice)] == ["no-audio-while-tool-pending"]
        assert len(running.of(ModelToolCall)) == 1, "a tool that was called is not called again"
        await anyio.sleep(5)
        await running.word(1, quiet_ms=3000)
        again = (await running.ends(ModelToolCall, 2))[1]
        await running.word(2, quiet_ms=300)
        await running.link.send(ToolResult(again.connection, again.call, again.name, "eight"))
        await running.until(lambda: "w2" in running.heard)
        await anyio.sleep(5)
    assert running.failure is None
    assert len(running.nova.connections) == 2
    assert running.nova.connections[1].results


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "instability", "drop", "reset", "bad_crc", "truncate"])
@pytest.mark.parametrize("when", [{}, {"at": 5}, {"after": 40}])
async def test_faults_are_recovered_from(kind: str, when: dict[str, int]) -> None:
    fault = Fault(kind, "InvokeModelWithBidirectionalStream", **when)
    async with talk(backing=marked(), faults=[fault]) as running:
        await running.word(1, quiet_ms=2500)
        await running.word(2, quiet_ms=2500)
        await running.ends(ReplyEnded, 2)
    assert running.failure is None
    assert running.heard == ["w1", "w2"]
