"""A session on a socket, on virtual time: spoken and typed turns, barge-in, changes, and every way to end."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.events import AudioChunk, Interrupted, Transcript, TurnEnded, TurnStarted, Viseme
from voiceloop.memory import InProcessMemory
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import Fail, ScriptedSpeechModel
from voiceloop.testing.scripted.sound import silence, tone
from voiceloop.transports.websocket import Hangup, Outcome, SocketLimits, Start, frames, greeted, refuse

from .socket_kit import Conversing, Pipe, conversing, kinds, model, spoken

pytestmark = pytest.mark.virtual_time

ORDERED = TurnStarted | Interrupted | TurnEnded
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."


async def speak(call: Conversing, ms: float, *, quiet: float = 800, start: int = 0) -> int:
    """Send speech in real time, then silence; the number of the next sample."""
    at = start
    for sound, lasts in ((tone, ms), (silence, quiet)):
        for frame in spoken(lasts, at, sound=sound):
            call.pipe.put(frame)
            at += 320
            await anyio.sleep(0.02)
    return at


async def test_a_spoken_turn() -> None:
    async with conversing(model(["book a room"], ["For when?"])) as call:
        ready = await call.pipe.told("ready")
        assert call.pipe.messages[0] == ready
        assert (ready["version"], ready["resumed"], ready["mode"], ready["entries"]) == (1, False, "chat+voice", 0)
        assert (ready["input"], ready["output"]) == ({"rate": 16000}, {"rate": 24000})
        assert ready["conversation"] == call.session.conversation_id
        await speak(call, 600)
        await call.pipe.told("TurnEnded")
        call.pipe.put({"type": "end_input"})
        assert await call.end() == Outcome("ended")
    assert call.pipe.closed == (1000, "ended")
    events = call.pipe.events
    assert [event.text for event in events if isinstance(event, Transcript) and event.final] == ["book a room"]
    assert kinds(events, TurnStarted, TurnEnded) == ["TurnStarted", "TurnEnded"]
    pieces = [(frame.turn, frame.start, len(frame.pcm) // 2) for frame in call.pipe.audio]
    assert {turn for turn, _, _ in pieces} == {1}
    assert [start for _, start, _ in pieces] == [sum(size for _, _, size in pieces[:n]) for n in range(len(pieces))]
    assert any(isinstance(event, Viseme) for event in events)


async def test_the_whole_log_keeps_its_promises() -> None:
    async with conversing(model(["book a room"], ["For when?", LONG])) as call:
        await speak(call, 600)
        await call.pipe.told("TurnEnded")
        call.pipe.put({"type": "text", "text": "tomorrow"})
        await call.pipe.told("TurnEnded", 2)
        call.pipe.put({"type": "end_input"})
        await call.end()
    assert_log(sorted(call.pipe.events, key=lambda event: event.at))


async def test_a_barge_in_keeps_what_was_heard() -> None:
    async with conversing(model(["tell me", "stop that"], [LONG, "Fine."])) as call:
        at = await speak(call, 600)
        await call.pipe.until(lambda: any(isinstance(event, AudioChunk) for event in call.pipe.events))
        await anyio.sleep(1.0)
        call.pipe.put({"type": "played", "turn": 1, "ms": 1000})
        asked = asyncio.create_task(speak(call, 600, start=at))
        await call.pipe.told("Interrupted")
        number = len(call.pipe.sent)
        call.pipe.put({"type": "played", "turn": 1, "ms": 1100, "stopped": True})
        ended = await call.pipe.told("TurnEnded")
        assert ended["heard"]["ms"] == 1100
        assert ended["heard"]["basis"] == "measured"
        assert LONG.startswith(ended["heard"]["text"].rstrip("."))
        await asked
        await call.pipe.told("TurnEnded", 2)
        later = [frames.decode(data, kind=2) for data in call.pipe.sent[number:] if isinstance(data, bytes)]
        assert {frame.turn for frame in later} == {2}


async def test_nothing_of_a_dead_turn_follows_its_interruption() -> None:
    pipe = Pipe()
    async with conversing(model(replies=[LONG, "Fine."]), pipe=pipe):
        pipe.put({"type": "text", "text": "tell me"})
        await pipe.until(lambda: pipe.audio)
        await anyio.sleep(1)
        pipe.room = len(pipe.sent)  # the network takes no more: audio and visemes wait for their place
        await anyio.sleep(0.5)
        pipe.put({"type": "interrupt"})
        await anyio.sleep(0.5)
        pipe.room = float("inf")
        pipe.put({"type": "ping", "n": 1})
        with anyio.fail_after(10):
            await pipe.told("TurnEnded")
    names = [type(event).__name__ for event in pipe.events if getattr(event, "turn", None) == 1]
    after = names[names.index("Interrupted") + 1 :]
    assert not {"AudioChunk", "Viseme", "Word"} & set(after)


@pytest.mark.parametrize("takes", [0, 0.001, 0.02])
async def test_an_interruption_by_keyboard_comes_before_the_end_of_its_turn(takes: float) -> None:
    pipe = Pipe(takes=takes)
    async with conversing(model([], [LONG, LONG, "Fine."]), pipe=pipe):
        pipe.put({"type": "text", "text": "tell me"})
        for turn in (1, 2):
            await pipe.until(lambda turn=turn: turn in {frame.turn for frame in pipe.audio})
            await anyio.sleep(0.5)
            pipe.put({"type": "text", "text": "and then"})
        await pipe.told("TurnEnded", 3)
    told = [(event.turn, type(event).__name__) for event in pipe.events if isinstance(event, ORDERED)]
    assert told == [
        *((turn, name) for turn in (1, 2) for name in ("TurnStarted", "Interrupted", "TurnEnded")),
        (3, "TurnStarted"),
        (3, "TurnEnded"),
    ]
    for turn in (1, 2):
        [cut] = [at for at, event in enumerate(pipe.events) if isinstance(event, Interrupted) and event.turn == turn]
        assert all(event.turn > turn for event in pipe.events[cut:] if isinstance(event, AudioChunk | Viseme))


async def test_typed_text_and_pictures() -> None:
    speech = model(replies=["A cat."])
    async with conversing(speech) as call:
        picture = {"media_type": "image/png", "data": "aGVsbG8="}
        call.pipe.put({"type": "text", "text": "noted", "reply": False})
        call.pipe.put({"type": "text", "text": "what is it", "images": [picture]})
        await call.pipe.told("TurnEnded")
    [request] = speech.reasoner.requests  # type: ignore[attr-defined]
    assert request.messages[-1].text.endswith("what is it")
    assert any(getattr(part, "data", None) == b"hello" for part in request.messages[-1].parts)


async def test_push_to_talk() -> None:
    async with conversing(model(["book a room"], ["For when?"]), options={"turns": "manual"}) as call:
        await speak(call, 600, quiet=2000)
        assert not call.pipe.of("TurnStarted")
        call.pipe.put({"type": "end_turn"})
        await call.pipe.told("TurnEnded")


async def test_input_that_was_left_out_becomes_silence() -> None:
    async with conversing(model(["one", "two"], ["Yes.", "No."])) as call:
        await speak(call, 600, quiet=0)
        for frame in spoken(600, 9600 + 32_000, sound=tone):  # 2 s are missing: 1 s of silence comes in their place
            call.pipe.put(frame)
        await call.pipe.told("UserSpeechStarted", 2)
    first, second = call.pipe.of("UserSpeechStarted")
    assert second["ms"] - first["ms"] == pytest.approx(1600, abs=50)


# ---------------------------------------------------------------- changes


async def test_settings_change_and_are_answered_in_order() -> None:
    speech = ScriptedSpeechModel(
        ["Arr."], capabilities=vl.interfaces.ModelCapabilities(renews=frozenset({"instructions"}))
    )
    async with conversing(speech) as call:
        call.pipe.put({"type": "update", "temperature": 0.5})
        call.pipe.put({"type": "update", "instructions": "Talk like a pirate."})
        call.pipe.put({"type": "update"})
        call.pipe.put({"type": "mode", "mode": "voice"})
        call.pipe.put({"type": "ping", "n": 5})
        await call.pipe.told("answer", 4)
    answers = call.pipe.of("answer")
    assert [(answer["to"], answer["outcome"]) for answer in answers] == [
        ("update", "applied"), ("update", "renewing"), ("update", "refused"), ("mode", "applied")
    ]  # fmt: skip
    assert "nothing to change" in answers[2]["text"]
    assert call.pipe.of("pong") == [{"type": "pong", "n": 5}]
    assert call.pipe.of("SettingApplied")[0]["settings"] == ["temperature"]


async def test_more_changes_than_can_wait_are_refused() -> None:
    async with conversing(model(), limits=SocketLimits(asks=1)) as call:
        await call.pipe.told("ready")
        for _ in range(5):
            call.pipe.put({"type": "update", "temperature": 0.5})
        await call.pipe.told("answer", 5)
    outcomes = [answer["outcome"] for answer in call.pipe.of("answer")]
    assert "refused" in outcomes
    assert "applied" in outcomes


async def test_modes() -> None:
    async with conversing(model(["lost", "hello"], ["Silent.", "Aloud."])) as call:
        call.pipe.put({"type": "mode", "mode": "chat"})
        await call.pipe.told("answer")
        at = await speak(call, 600)  # nobody listens
        call.pipe.put({"type": "text", "text": "typed"})
        ended = await call.pipe.told("TurnEnded")
        assert ended["said"] == "Silent."
        assert call.pipe.audio == []
        call.pipe.put({"type": "mode", "mode": "voice"})
        await call.pipe.told("answer", 2)
        call.pipe.put({"type": "text", "text": "typed"})
        refused = await call.pipe.told("answer", 3)
        assert (refused["to"], refused["outcome"]) == ("text", "refused")
        await speak(call, 600, start=at)
        assert (await call.pipe.told("TurnEnded", 2))["said"] == "Aloud."
        assert call.pipe.audio
    assert [event["text"] for event in call.pipe.of("Transcript") if event["final"]] == ["lost"]


async def test_what_the_session_refuses_ends_nothing() -> None:
    async with conversing(model(replies=["Yes."])) as call:
        call.pipe.put({"type": "text", "text": "  "})
        assert (await call.pipe.told("answer"))["outcome"] == "refused"
        call.pipe.put({"type": "played", "turn": 99, "ms": 5})
        call.pipe.put({"type": "text", "text": "still there?"})
        await call.pipe.told("TurnEnded")


async def test_text_that_is_too_long_is_refused_and_ends_nothing() -> None:
    async with conversing(model(replies=["Yes."])) as call:
        call.pipe.put({"type": "text", "text": "word " * 4001})
        refused = await call.pipe.told("answer")
        assert (refused["to"], refused["outcome"]) == ("text", "refused")
        assert "20000 characters" in refused["text"]
        call.pipe.put({"type": "text", "text": "word " * 4000})
        assert (await call.pipe.told("TurnEnded"))["said"] == "Yes."


async def test_only_voices_that_are_offered_can_be_changed_to() -> None:
    async with conversing(ScriptedSpeechModel(["Yes."]), voices=["ann", "bob"]) as call:
        for voice in ("bob", "anne"):
            call.pipe.put({"type": "update", "voice": voice})
        applied, refused = await call.pipe.told("answer"), await call.pipe.told("answer", 2)
    assert (applied["outcome"], refused["outcome"]) == ("applied", "refused")
    assert "Did you mean 'ann'?" in refused["text"]


async def test_what_one_connection_may_leave_in_memory_is_bounded() -> None:
    async with conversing(model(replies=["Yes."]), limits=SocketLimits(kept=6)) as call:
        picture = {"media_type": "image/png", "data": "aGVsbG8="}
        for text in ("a", "b"):
            call.pipe.put({"type": "text", "text": text, "images": [picture], "reply": False})
        refused = await call.pipe.told("answer")
        assert (refused["to"], refused["outcome"]) == ("text", "refused")
        call.pipe.put({"type": "ping", "n": 1})
        await call.pipe.told("pong")
    assert len(call.pipe.of("answer")) == 1


# ---------------------------------------------------------------- ends


async def test_the_client_leaves() -> None:
    async with conversing(model(replies=[LONG])) as call:
        call.pipe.put({"type": "text", "text": "tell me"})
        await call.pipe.told("TurnStarted")
        call.pipe.leave()
        assert (await call.end()).code == "disconnected"
    assert call.pipe.closed is None


async def test_a_provider_fails() -> None:
    async with conversing(model(replies=[Fail(vl.ProviderRefused("no quota", provider="tester"))])) as call:
        call.pipe.put({"type": "text", "text": "tell me"})
        outcome = await call.end()
    assert (outcome.code, call.pipe.closed) == ("failed", (1011, "failed"))
    assert call.pipe.messages[-1] == {"type": "error", "code": "failed", "text": outcome.text}
    assert "no quota" in outcome.text


async def test_a_silent_client_is_closed() -> None:
    async with conversing(model()) as call:
        for number in range(4):
            await anyio.sleep(40)
            call.pipe.put({"type": "ping", "n": number})
        assert not call.over.is_set()
        outcome = await call.end()
    assert (outcome.code, call.pipe.closed) == ("silent", (1008, "silent"))


async def test_a_client_that_reads_nothing_is_closed() -> None:
    pipe = Pipe(room=8)
    async with conversing(model(replies=[LONG]), pipe=pipe) as call:
        pipe.put({"type": "text", "text": "tell me"})
        outcome = await call.end()
    assert (outcome.code, pipe.closed) == ("slow", (1008, "slow"))
    assert len(pipe.sent) == 8


async def test_a_client_that_takes_not_even_the_first_message_is_closed() -> None:
    async with conversing(model(), pipe=Pipe(room=0)) as call:
        assert (await call.end()).code == "slow"


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    pipe = Pipe(room=4)
    async with conversing(model(replies=["Yes."]), pipe=pipe) as call:
        pipe.put({"type": "text", "text": "tell me"})
        while not pipe.of("TurnEnded"):
            await anyio.sleep(9)
            pipe.put({"type": "ping", "n": 1})
            pipe.room += 1
            with anyio.fail_after(1):
                await pipe.until(lambda: len(pipe.sent) == pipe.room or pipe.of("TurnEnded"))
        assert not call.over.is_set()


@pytest.mark.parametrize(
    ("data", "code", "close"),
    [
        ("garbage", "bad-message", 1003),
        ('{"type":"start","version":1}', "bad-message", 1003),
        (b"half", "bad-frame", 1003),
        ("x" * 2_000_000, "too-large", 1009),
        (bytes(70_000), "too-large", 1009),
    ],
)
async def test_what_is_not_the_protocol_ends_it(data: Any, code: str, close: int) -> None:
    async with conversing(model()) as call:
        call.pipe.put(data)
        outcome = await call.end()
    assert (outcome.code, call.pipe.closed) == (code, (close, code))
    assert call.pipe.messages[-1]["code"] == code


async def test_audio_that_goes_back_ends_it() -> None:
    async with conversing(model()) as call:
        first = spoken(40, sound=silence)
        for frame in (*first, first[0]):
            call.pipe.put(frame)
        outcome = await call.end()
    assert outcome.code == "bad-frame"
    assert "640 were sent already" in outcome.text


async def test_audio_from_far_ahead_ends_it() -> None:
    async with conversing(model()) as call:
        call.pipe.put(spoken(20, start=4_000_000_000, sound=silence)[0])
        outcome = await call.end()
    assert outcome.code == "bad-frame"
    assert "over an hour ahead" in outcome.text


async def test_a_flood_of_messages_ends_it() -> None:
    async with conversing(model()) as call:
        for _ in range(2000):
            call.pipe.put({"type": "interrupt"})
        assert (await call.end()).code == "too-fast"


async def test_a_flood_of_bytes_ends_it() -> None:
    async with conversing(model(replies=["Yes."] * 20)) as call:
        for _ in range(20):
            call.pipe.put(" " * 1_000_000 + '{"type":"interrupt"}')
        assert (await call.end()).code == "too-fast"


async def test_a_flood_of_audio_ends_it() -> None:
    async with conversing(model()) as call:
        at = 0
        for _ in range(20):
            call.pipe.put(frames.encode(frames.Frame(frames.INPUT, 0, at, bytes(32_000))))
            at += 16_000
        assert (await call.end()).code == "too-fast"


async def test_a_server_that_stops_lets_the_sentence_be_finished() -> None:
    hangup = Hangup()
    async with conversing(model(replies=[LONG]), hangup=hangup) as call:
        call.pipe.put({"type": "text", "text": "tell me"})
        await call.pipe.told("TurnStarted")
        hangup.ask("draining", politely=True)
        outcome = await call.end()
    assert call.pipe.of("TurnEnded")[0]["reason"] == "completed"
    assert (outcome.code, call.pipe.closed) == ("draining", (1001, "draining"))


async def test_a_server_that_stops_may_hurry() -> None:
    hangup = Hangup()
    async with conversing(model(replies=[LONG]), hangup=hangup) as call:
        call.pipe.put({"type": "text", "text": "tell me"})
        await call.pipe.told("TurnStarted")
        hangup.ask("draining", politely=True)
        await anyio.sleep(0.5)
        hangup.ask("draining")
        await call.end()
    assert not call.pipe.of("TurnEnded")
    assert call.pipe.closed == (1001, "draining")


# ---------------------------------------------------------------- before it begins


async def test_the_first_message_is_what_the_client_wants() -> None:
    pipe = Pipe()
    pipe.put({"type": "start", "version": 1, "voice": "amy", "mode": "chat"})
    assert await greeted(pipe) == Start(voice="amy", mode="chat")


@pytest.mark.parametrize(
    ("first", "code"),
    [({"type": "ping", "n": 1}, "bad-message"), (bytes(12), "bad-message"), ("{", "bad-message"), (None, None)],
)
async def test_any_other_first_message_is_refused(first: Any, code: str | None) -> None:
    pipe = Pipe()
    pipe.put(first)
    assert await greeted(pipe) is None
    assert (pipe.closed[1] if pipe.closed else None) == code


async def test_nobody_waits_long_for_the_first_message() -> None:
    pipe = Pipe()
    with anyio.fail_after(11):
        assert await greeted(pipe) is None
    assert pipe.closed == (1008, "silent")


async def test_a_reason_is_told_where_there_is_no_session() -> None:
    pipe = Pipe()
    await refuse(pipe, Outcome("full", "Come back later."))
    assert pipe.messages == [{"type": "error", "code": "full", "text": "Come back later."}]
    assert pipe.closed == (1013, "full")


async def test_going_on_tells_what_was_said() -> None:
    speech = model(replies=["For when?", "Done."])
    memory = InProcessMemory()
    async with conversing(speech, options={"memory": memory, "conversation_id": "c"}) as call:
        call.pipe.put({"type": "text", "text": "book a room"})
        await call.pipe.told("TurnEnded")
    history = await memory.load("c")
    async with conversing(
        speech,
        options={"memory": memory, "conversation_id": "c"},
        history=history,
        start=Start(after=1),
        resumed=True,
    ) as call:
        ready = await call.pipe.told("ready")
        assert (ready["conversation"], ready["resumed"], ready["entries"]) == ("c", True, 2)
        assert ready["history"] == [{"role": "assistant", "text": "For when?"}]


# ---------------------------------------------------------------- the plain shape


async def test_the_plain_shape() -> None:
    async with conversing(model(["book a room"], ["For when?"]), plain=True) as call:
        sound = tone(600) + silence(800)
        for at in range(0, len(sound), 8191):  # whole samples or not
            call.pipe.put(sound[at : at + 8191])
            await anyio.sleep(0.256)
        await call.pipe.until(lambda: any(m.get("role") == "assistant" and m["final"] for m in call.pipe.messages))
        call.pipe.put({"type": "end_input"})
        await call.end()
    messages = call.pipe.messages
    assert messages[0] == {"type": "ready"}
    assert {message["type"] for message in messages} == {"ready", "transcript"}
    finals = [(message["role"], message["text"]) for message in messages if message.get("final")]
    assert finals == [("user", "book a room"), ("assistant", "For when?")]
    sent = b"".join(data for data in call.pipe.sent if isinstance(data, bytes))
    assert len(sent) / 48_000 == pytest.approx(len("For when?") * 0.06, abs=0.02)


async def test_the_plain_shape_tells_an_interruption() -> None:
    async with conversing(model(replies=[LONG, "Fine."]), plain=True) as call:
        call.pipe.put({"type": "text", "text": "tell me"})
        await call.pipe.until(lambda: any(isinstance(data, bytes) for data in call.pipe.sent))
        await anyio.sleep(1)
        call.pipe.put({"type": "interrupt"})
        await call.pipe.told("interrupted")
        await call.pipe.until(lambda: any(m.get("final") for m in call.pipe.messages))
        final = next(m for m in call.pipe.messages if m.get("final"))
        assert final["text"]
        assert LONG.startswith(final["text"].rstrip("."))
