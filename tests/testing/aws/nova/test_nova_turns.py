"""The order of events: plain turns, typed turns, history, usage, and what the records say."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from voiceloop import Pool
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.nova import PROMPT, NovaProfile
from voiceloop.testing.aws.nova.hearing import Hearing, SpeechOver
from voiceloop.testing.scripted import Hang, ScriptedTurns, silence, tone

from .nova_kit import (
    NOVA_1,
    Client,
    audio_start,
    calling,
    content_end,
    is_final_end,
    opening,
    prompt_end,
    service,
    session_end,
    text,
)

pytestmark = pytest.mark.virtual_time

ONE_TURN = [
    "userSpeechStart",
    "completionStart",
    "userSpeechEnd",
    "TEXT USER FINAL 'book a room' PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'For when?' PARTIAL_TURN",
    "AUDIO ASSISTANT PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'Tell me.' PARTIAL_TURN",
    "AUDIO ASSISTANT END_TURN",
    "TEXT ASSISTANT FINAL 'For when?' PARTIAL_TURN",
    "TEXT ASSISTANT FINAL 'Tell me.' END_TURN",
]


def scripted(*replies: Any, heard: tuple[str, ...] = ("book a room", "tomorrow")) -> Backing:
    return Backing.scripted(heard, replies)


def at(client: Client, name: str) -> float:
    return next(one.at for one in client.seen if one.name == name)


async def test_a_spoken_turn_from_the_first_event_to_the_last() -> None:
    async with service(scripted("For when? Tell me.")) as nova, calling(nova) as client:
        await client.open()
        await client.turn(replies=2)
        await client.close()
    assert client.outline() == [*ONE_TURN, "completionEnd"]
    assert client.exchange.finished
    (record,) = nova.connections
    assert record.ended == "closed"
    assert [turn.text for turn in record.turns] == ["book a room"]
    assert record.replies[0].sentences == ["For when?", "Tell me."]
    assert record.replies[0].heard == "For when? Tell me."
    assert record.audio.samples * 2 == len(client.sent)
    assert record.audio.digest() == hashlib.sha256(client.sent).hexdigest()


async def test_times_of_a_turn() -> None:
    async with service(scripted("x" * 50)) as nova, calling(nova) as client:
        await client.open()
        await client.quiet(400)
        await client.turn(800)
    (start,) = client.named("userSpeechStart")
    (end,) = client.named("userSpeechEnd")
    assert start["inputAudioOffsetMs"] == 400
    assert end["inputAudioOffsetMs"] == 1200
    assert end["inputAudioDetectionOffsetMs"] == 1200 + 1750
    assert client.audio_ms() == 3000
    sounds = [one.at for one in client.seen if one.name == "audioOutput"]
    assert len(sounds) == -(-3000 // 80)
    assert sounds[-1] - sounds[0] == pytest.approx(2960 / 1000 / 4)
    finals = [one.at for one in client.seen if is_final_end(one)]
    assert finals[0] - sounds[0] == pytest.approx(3.0, abs=0.01)


async def test_the_ids_belong_together() -> None:
    async with service(scripted("One.", "Two.")) as nova, calling(nova) as client:
        await client.open()
        await client.turn()
        await client.turn()
        await client.close()
    assert len(client.named("completionStart")) == len(client.named("completionEnd")) == 1
    for name in ("sessionId", "promptName"):
        assert len({one.body[name] for one in client.seen}) == 1
    assert len({one.body["completionId"] for one in client.seen if "completionId" in one.body}) == 1
    contents = [body["contentId"] for body in client.named("contentStart")]
    assert len(contents) == len(set(contents)) == len(client.named("contentEnd"))


async def test_usage_adds_up_and_silence_costs_nothing() -> None:
    async with service(scripted("One.", "Two.")) as nova, calling(nova) as client:
        await client.open()
        await client.turn()
        before = len(client.named("usageEvent"))
        await client.quiet(20_000)
        assert len(client.named("usageEvent")) == before
        await client.turn()
    totals = {("input", "textTokens"): 0, ("input", "speechTokens"): 0}
    totals |= {("output", "textTokens"): 0, ("output", "speechTokens"): 0}
    for event in client.named("usageEvent"):
        for side, kind in totals:
            totals[side, kind] += event["details"]["delta"][side][kind]
            assert event["details"]["total"][side][kind] == totals[side, kind]
        read = totals["input", "textTokens"] + totals["input", "speechTokens"]
        assert event["totalInputTokens"] == read
        assert event["totalTokens"] == read + event["totalOutputTokens"]
    assert totals["input", "speechTokens"] == 30
    assert all(totals.values())


async def test_typed_text_gets_a_reply_and_no_echo() -> None:
    async with service(scripted("Good day.")) as nova, calling(nova) as client:
        await client.open()
        await client.quiet(100)
        await client.type("Greet the caller.")
        await client.until(is_final_end)
    assert client.outline() == [
        "completionStart",
        "TEXT ASSISTANT SPECULATIVE 'Good day.' PARTIAL_TURN",
        "AUDIO ASSISTANT END_TURN",
        "TEXT ASSISTANT FINAL 'Good day.' END_TURN",
    ]
    assert nova.connections[0].texts == ["Greet the caller."]


async def test_interactive_history_is_answered_again() -> None:
    async with service(scripted("Good day.")) as nova, calling(nova) as client:
        await client.send(*opening(), *text("h", "USER", "Hello.", interactive=True), audio_start())
        await client.until(is_final_end)
    assert nova.connections[0].texts == ["Hello."]


async def test_the_model_knows_history_and_what_was_said() -> None:
    backing = scripted("One.", "Two.")
    async with service(backing) as nova, calling(nova) as client:
        history = [*text("h1", "USER", "Hello."), *text("h2", "ASSISTANT", "Hi.")]
        await client.send(*opening(["weather"]), *history, audio_start())
        await client.quiet(1000)
        assert client.outline() == []
        await client.turn()
        await client.turn()
    first, second = backing.reasoner.requests  # type: ignore[attr-defined]
    assert first.instructions == "Be kind."
    assert [one.name for one in first.tools] == ["weather"]
    assert [message.text for message in first.messages] == ["Hello.", "Hi.", "book a room"]
    assert [message.text for message in second.messages] == ["Hello.", "Hi.", "book a room", "One.", "tomorrow"]


async def test_finals_that_are_late_or_missing() -> None:
    late = [line for line in ONE_TURN if "ASSISTANT FINAL" in line]
    async with service(scripted("For when? Tell me.", "Yes."), profile=NovaProfile(finals="late")) as nova:
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.quiet(4000)
            assert client.outline() == [line for line in ONE_TURN if line not in late]
            await client.speak(600)
            await client.until("userSpeechStart", 2)
            await client.quiet(100)
            outline = client.outline()
            assert outline[len(ONE_TURN) - 2 :][:3] == ["userSpeechStart", *late]
        nova.profile = NovaProfile(finals="missing")
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.quiet(4000)
            await client.close()
        assert client.outline()[3:] == [
            "TEXT USER FINAL 'book a room' PARTIAL_TURN",
            "TEXT ASSISTANT SPECULATIVE 'Yes.' PARTIAL_TURN",
            "AUDIO ASSISTANT END_TURN",
            "completionEnd",
        ]


async def test_speech_events_may_be_missing_or_late() -> None:
    async with service(scripted("Yes."), profile=NovaProfile(speech_events=False)) as nova:
        async with calling(nova) as client:
            await client.open()
            await client.turn()
        assert client.outline()[:2] == ["completionStart", "TEXT USER FINAL 'book a room' PARTIAL_TURN"]
        nova.profile = NovaProfile(speech_end="after")
        async with calling(nova) as client:
            await client.open()
            await client.turn()
        assert client.outline()[:4] == [
            "userSpeechStart",
            "completionStart",
            "TEXT USER FINAL 'book a room' PARTIAL_TURN",
            "userSpeechEnd",
        ]


async def test_closing_the_audio_block_ends_the_turn() -> None:
    async with service(scripted("Yes.")) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.send(content_end("audio"))
        await client.send(audio_start("audio2", rate=8000))
        client.audio_name, client.rate = "audio2", 8000
        await client.until(is_final_end)
        await client.close()
    (end,) = client.named("userSpeechEnd")
    assert end["inputAudioOffsetMs"] == end["inputAudioDetectionOffsetMs"] == 600
    assert nova.connections[0].audio.blocks[0] == [16000, 9600]
    assert nova.connections[0].audio.blocks[1][0] == 8000
    assert nova.connections[0].ended == "closed"


async def test_offsets_count_on_over_audio_blocks() -> None:
    async with service(scripted("Yes.")) as nova, calling(nova) as client:
        await client.open()
        await client.turn(600)
        before = len(client.sent) / 32
        await client.send(content_end("audio"), audio_start("audio2"))
        client.audio_name = "audio2"
        await client.quiet(300)
        await client.turn(600)
    assert client.named("userSpeechStart")[1]["inputAudioOffsetMs"] == round(before + 300)


@pytest.mark.parametrize("rate", [8000, 24000])
async def test_other_input_rates(rate: int) -> None:
    async with service(scripted("Yes.")) as nova, calling(nova) as client:
        client.rate = rate
        await client.open()
        await client.turn(rate / 16000 * 500)
    assert client.outline()[3] == "TEXT USER FINAL 'book a room' PARTIAL_TURN"


async def test_noise_without_words_is_no_turn() -> None:
    async with service(scripted("Yes.", heard=("",))) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.quiet(2000)
    assert client.outline() == ["userSpeechStart", "completionStart", "userSpeechEnd"]


async def test_two_stretches_before_the_endpoint_are_one_turn() -> None:
    async with service(scripted("Yes.")) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.quiet(300)
        await client.speak(600)
        await client.until(is_final_end)
    assert client.outline()[3] == "TEXT USER FINAL 'book a room tomorrow' PARTIAL_TURN"
    assert len(client.named("userSpeechStart")) == 1


@pytest.mark.parametrize(
    ("profile", "pauses"),
    [(NovaProfile(), [1500, 1750, 2000]), (NovaProfile(endpoint_ms=PROMPT), [410, 480, 550])],
    ids=["as documented", "prompt"],
)
async def test_sensitivity_sets_the_endpoint(profile: NovaProfile, pauses: list[int]) -> None:
    ends = []
    async with service(scripted("Yes."), profile=profile) as nova:
        for level in ("HIGH", "MEDIUM", "LOW"):
            async with calling(nova) as client:
                start = {"turnDetectionConfiguration": {"endpointingSensitivity": level}}
                events = opening()
                events[0]["sessionStart"] |= start
                await client.send(*events, audio_start())
                await client.turn()
                (end,) = client.named("userSpeechEnd")
                ends.append(end["inputAudioDetectionOffsetMs"] - end["inputAudioOffsetMs"])
    assert ends == pauses


async def test_the_end_of_a_prompt_hurries_a_reply_and_cuts_what_hangs() -> None:
    async with service(scripted("One. Two.", ["Three. ", Hang()])) as nova:
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.until("audioOutput")
            await client.close()
        assert client.outline() == [
            *ONE_TURN[:4],
            "TEXT ASSISTANT SPECULATIVE 'One.' PARTIAL_TURN",
            "AUDIO ASSISTANT PARTIAL_TURN",
            "TEXT ASSISTANT SPECULATIVE 'Two.' PARTIAL_TURN",
            "AUDIO ASSISTANT END_TURN",
            "TEXT ASSISTANT FINAL 'One.' PARTIAL_TURN",
            "TEXT ASSISTANT FINAL 'Two.' END_TURN",
            "completionEnd",
        ]
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.until("audioOutput")
            await client.close()
        assert client.outline()[4:] == [
            "TEXT ASSISTANT SPECULATIVE 'Three.' PARTIAL_TURN",
            "AUDIO ASSISTANT PARTIAL_TURN",
            "completionEnd",
        ]
        assert [record.ended for record in nova.connections] == ["closed", "closed"]


async def test_a_long_reply_is_said_at_once_when_its_prompt_ends() -> None:
    async with service(scripted("x" * 250)) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        await client.close()
    assert client.audio_ms() == 15_000
    assert at(client, "completionEnd") - at(client, "audioOutput") < 2


async def test_a_prompt_in_which_nothing_happened_has_no_completion() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.send(*opening(), prompt_end(), session_end())
        client.exchange.put(None)
        await client.over.wait()
    assert client.outline() == []
    assert nova.connections[0].ended == "closed"


async def test_undocumented_events() -> None:
    async with service(scripted("Yes."), profile=NovaProfile(undocumented=True)) as nova, calling(nova) as client:
        await client.open()
        await client.turn()
    assert "modelHeartbeat" in client.outline()


async def test_nova_1_takes_speech() -> None:
    async with service(scripted("Yes.")) as nova, calling(nova, NOVA_1) as client:
        await client.open()
        await client.turn()
    assert nova.connections[0].model == NOVA_1


async def test_words_that_come_in_one_burst_belong_each_to_its_turn() -> None:
    """A caller that sends again what was said sends it faster than it was spoken."""
    backing = scripted()
    hearing = Hearing(backing.recognizer, ScriptedTurns(), 480.0)
    async with Pool() as pool, AsyncExitStack() as stack, anyio.create_task_group() as group:
        await hearing.open(16_000, pool, stack)
        group.start_soon(hearing.listen)
        frames = [tone(20)] * 30 + [silence(20)] * 50
        signals = [signal for pcm in frames * 2 for signal in await hearing.audio(pcm)]
        await anyio.sleep(5)
        turns = [await hearing.transcript(over, 1.0) for over in signals if isinstance(over, SpeechOver)]
        group.cancel_scope.cancel()
    assert turns == ["book a room", "tomorrow"]
