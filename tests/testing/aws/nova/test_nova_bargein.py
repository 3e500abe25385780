"""Interruptions in each of the ways in which models signal them."""

from __future__ import annotations

import pytest

from voiceloop.errors import BadInput
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.faults import Fault
from voiceloop.testing.aws.nova import PROMPT, NovaProfile

from .nova_kit import Client, calling, is_final_end, service

pytestmark = pytest.mark.virtual_time

# 20 characters a sentence, 60 ms each: 1.2 s of audio, sent in 0.3 s.
LONG = "Aaaa bbbb cccc dddd. Eeee ffff gggg hhhh. Iiii jjjj kkkk llll. Mmmm nnnn oooo pppp."
SPOKEN = [
    "TEXT ASSISTANT SPECULATIVE 'Aaaa bbbb cccc dddd.' PARTIAL_TURN",
    "AUDIO ASSISTANT PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'Eeee ffff gggg hhhh.' PARTIAL_TURN",
    "AUDIO ASSISTANT PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'Iiii jjjj kkkk llll.' PARTIAL_TURN",
    "AUDIO ASSISTANT PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'Mmmm nnnn oooo pppp.' PARTIAL_TURN",
    "AUDIO ASSISTANT END_TURN",
]
MARKER = "TEXT ASSISTANT FINAL '{ \"interrupted\" : true }' PARTIAL_TURN"
FIRST = "TEXT ASSISTANT FINAL 'Aaaa bbbb cccc dddd.' PARTIAL_TURN"
PART = "TEXT ASSISTANT FINAL 'Eeee ffff' "
NEXT = [
    "userSpeechEnd",
    "TEXT USER FINAL 'tomorrow' PARTIAL_TURN",
    "TEXT ASSISTANT SPECULATIVE 'Yes.' PARTIAL_TURN",
    "AUDIO ASSISTANT END_TURN",
    "TEXT ASSISTANT FINAL 'Yes.' END_TURN",
]


async def interrupted(client: Client, after_ms: float, speech_ms: float = 600) -> list[str]:
    """The order of events from the interruption on, after ``after_ms`` of the reply were played."""
    await client.open()
    await client.speak(600)
    await client.until("audioOutput")
    await client.quiet(after_ms)
    await client.speak(speech_ms)
    await client.until(lambda seen: is_final_end(seen) and "Yes." in str(client.blocks()[-1]))
    await client.quiet(1000)
    return client.outline()[4:]


def backing() -> Backing:
    return Backing.scripted(["book a room", "tomorrow"], [LONG, "Yes."])


SIGNALS = {
    "a": ["userSpeechStart", PART + "PARTIAL_TURN"],
    "b": ["userSpeechStart", MARKER, PART + "PARTIAL_TURN"],
    "c": ["userSpeechStart", PART + "INTERRUPTED"],
    "c+d": ["userSpeechStart", PART + "INTERRUPTED"],
    "end_turn_first": ["userSpeechStart", PART + "INTERRUPTED"],
}


@pytest.mark.parametrize("profile", SIGNALS)
async def test_speech_while_the_reply_is_only_played(profile: str) -> None:
    async with service(backing(), profile=NovaProfile(barge_in=profile)) as nova, calling(nova) as client:  # type: ignore[arg-type]
        events = await interrupted(client, after_ms=1560)
        assert events == [*SPOKEN, FIRST, *SIGNALS[profile], *NEXT]
    (cut, said) = nova.connections[0].replies
    assert cut.interrupted
    assert cut.heard == "Aaaa bbbb cccc dddd. Eeee ffff"
    assert (said.heard, said.interrupted) == ("Yes.", False)
    assert len(client.named("completionStart")) == 1


CUT_AUDIO = {"a": "PARTIAL_TURN", "b": "PARTIAL_TURN", "c": "PARTIAL_TURN", "c+d": "INTERRUPTED"} | {
    "end_turn_first": "END_TURN"
}


@pytest.mark.parametrize("profile", SIGNALS)
async def test_speech_while_audio_is_still_sent(profile: str) -> None:
    slow = NovaProfile(barge_in=profile, speed=1.0)  # type: ignore[arg-type]
    async with service(backing(), profile=slow) as nova, calling(nova) as client:
        events = await interrupted(client, after_ms=1560)
        audio = f"AUDIO ASSISTANT {CUT_AUDIO[profile]}"
        signals = SIGNALS[profile]
        assert events == [*SPOKEN[:3], audio, signals[0], *signals[1:-1], FIRST, signals[-1], *NEXT]
    stops = [body for body in client.named("contentEnd") if body["stopReason"] == "INTERRUPTED"]
    assert len(stops) == {"a": 0, "b": 0, "c": 1, "c+d": 2, "end_turn_first": 1}[profile]


async def test_the_strong_signal_may_come_after_the_end_of_turn() -> None:
    profile = NovaProfile(barge_in="end_turn_first", speed=1.0, late_by=0.2)
    async with service(backing(), profile=profile) as nova, calling(nova) as client:
        await interrupted(client, after_ms=1560)
    ends = [one.at for one in client.seen if one.name == "contentEnd" and one.body["stopReason"] == "END_TURN"]
    cut = [one.at for one in client.seen if one.name == "contentEnd" and one.body["stopReason"] == "INTERRUPTED"]
    assert cut[0] - ends[0] == pytest.approx(0.2)


async def test_the_model_goes_on_from_what_was_heard() -> None:
    engines = backing()
    async with service(engines) as nova, calling(nova) as client:
        await interrupted(client, after_ms=1560)
    messages = [message.text for message in engines.reasoner.requests[1].messages]  # type: ignore[attr-defined]
    assert messages == ["book a room", "Aaaa bbbb cccc dddd. Eeee ffff", "tomorrow"]


async def test_nothing_is_signalled_when_all_was_played() -> None:
    async with service(backing()) as nova, calling(nova) as client:
        events = await interrupted(client, after_ms=6000)
    assert not any("INTERRUPTED" in line for line in events)


async def test_a_cough_is_only_a_hint() -> None:
    engines = Backing.scripted(["book a room", ""], [LONG, "Yes."])
    async with service(engines) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        await client.speak(140)
        await client.until(is_final_end, 4)
    assert len(client.named("userSpeechStart")) == 2
    assert not any(body["stopReason"] == "INTERRUPTED" for body in client.named("contentEnd"))
    assert nova.connections[0].replies[0].heard == LONG


async def test_a_short_word_interrupts_once_it_is_understood() -> None:
    async with service(backing(), profile=NovaProfile(endpoint_ms=PROMPT)) as nova, calling(nova) as client:
        events = await interrupted(client, after_ms=500, speech_ms=140)
    assert events.index("TEXT ASSISTANT FINAL 'Aaaa bbbb cccc' INTERRUPTED") > events.index("userSpeechEnd")


async def test_typed_text_cuts_a_reply() -> None:
    async with service(backing()) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        await client.quiet(500)
        await client.type("Stop.")
        await client.until(lambda seen: is_final_end(seen) and "Yes." in client.blocks()[-1])
    assert "TEXT ASSISTANT FINAL 'Aaaa' INTERRUPTED" in client.outline()


async def test_missing_finals_leave_a_bare_signal() -> None:
    profile = NovaProfile(finals="missing")
    async with service(backing(), profile=profile) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        await client.quiet(500)
        await client.speak(400)
    assert client.outline()[-1] == "TEXT ASSISTANT FINAL INTERRUPTED"


async def test_speech_before_any_audio_takes_both_utterances() -> None:
    engines = Backing.scripted(["book a room", "tomorrow"], ["One.", "Two."], first_token=2.0)
    async with service(engines, profile=NovaProfile(endpoint_ms=PROMPT)) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.quiet(1000)
        await client.speak(600)
        await client.until(is_final_end)
    assert client.outline()[4:] == [
        "userSpeechStart",
        "userSpeechEnd",
        "TEXT USER FINAL 'tomorrow' PARTIAL_TURN",
        "TEXT ASSISTANT SPECULATIVE 'One.' PARTIAL_TURN",
        "AUDIO ASSISTANT END_TURN",
        "TEXT ASSISTANT FINAL 'One.' END_TURN",
    ]
    assert [message.text for message in engines.reasoner.requests[0].messages] == ["book a room tomorrow"]  # type: ignore[attr-defined]


async def test_a_fault_sets_the_profile_of_one_connection() -> None:
    async with service(backing()) as nova:
        nova.stage.faults.add(Fault("nova:barge_in_b"), Fault("nova:missing_final", "Converse"))
        assert nova.struck() == NovaProfile(barge_in="b")
        assert nova.struck() == NovaProfile()


def test_profiles_that_make_no_sense() -> None:
    for wrong in (
        {"barge_in": "d"},
        {"finals": "early"},
        {"tools": "loud"},
        {"speech_end": "never"},
        {"instability": 2},
        {"speed": 0},
        {"barge_in": "a", "speech_events": False},
        {"endpoint_ms": {"HIGH": 500.0}},
        {"endpoint_ms": {"HIGH": 500.0, "MEDIUM": 0.0, "LOW": 500.0}},
    ):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            NovaProfile(**wrong)  # type: ignore[arg-type]
