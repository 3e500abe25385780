"""Turns: spoken, typed, said, greeted; how they begin, follow each other and end. All in exact virtual time."""

from __future__ import annotations

import anyio
import pytest

import voiceloop as vl
from voiceloop.interfaces import TextDelta, TurnDetector, TurnState
from voiceloop.memory import InProcessMemory
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import Delay, ScriptedCaller, Speak, Until, tone

from .session_kit import LONG, cascade, collect, ends, finals, of, order, others, questions, session, talk, the, until

pytestmark = pytest.mark.virtual_time


async def test_one_turn_to_the_millisecond() -> None:
    model = cascade(["yes please"], ["Good."])
    log = await talk([Speak(1000), Until(vl.TurnEnded)], model)
    assert the(log, vl.UserSpeechStarted).at == 0.1
    assert the(log, vl.UserSpeechStarted).ms == 0
    assert (the(log, vl.UserSpeechEnded).at, the(log, vl.UserSpeechEnded).ms) == (1.3, 1000)
    assert finals(log) == ["yes please"]
    assert the(log, vl.TurnStarted).at == 1.3
    assert the(log, vl.ReplyText).at == 1.5
    chunks = of(log, vl.AudioChunk)
    assert [chunk.at for chunk in chunks] == [1.6, 1.61, 1.62]
    assert sum(chunk.samples for chunk in chunks) == 300 * 24
    metrics = the(log, vl.TurnMetrics)
    parts = (metrics.endpointing, metrics.first_token, metrics.first_clause, metrics.synthesis, metrics.delivery)
    assert parts == (300, 200, 0, 100, 0)
    assert metrics.voice_to_voice == 600
    assert not metrics.measured
    ended = the(log, vl.TurnEnded)
    assert (ended.said, ended.heard.text, ended.heard.ms, ended.reason) == ("Good.", "Good.", 300, "completed")
    assert 1.9 <= ended.at <= 2.9
    assert type(log[0]) is vl.SessionStarted
    assert log[-1] == vl.SessionEnded(reason="input ended", at=log[-1].at)
    assert others() == set()


async def test_the_connection_is_told() -> None:
    log = await talk([Delay(0.1)], cascade())
    assert [event.state for event in of(log, vl.ConnectionState)] == ["connecting", "ready", "closed"]


async def test_ending_the_input_without_a_word_ends_the_session() -> None:
    log = await talk([], cascade())
    assert order(log, vl.SessionStarted, vl.SessionEnded, vl.TurnStarted) == ["SessionStarted", "SessionEnded"]


async def test_ending_the_input_in_the_middle_of_speech_answers_it() -> None:
    log = await talk([Speak(800)], cascade(["what time is it"], ["Ten."], hears={"can_flush": True, "word_ms": 150}))
    assert finals(log) == ["what time is it"]
    assert ends(log) == [(1, "completed", "Ten.")]
    assert the(log, vl.SessionEnded).reason == "input ended"


async def test_ending_the_input_after_a_noise_without_words() -> None:
    log = await talk([Speak(800)], cascade([""], []))
    assert finals(log) == []
    assert the(log, vl.SessionEnded).reason == "input ended"


async def test_typed_text_is_answered_at_once() -> None:
    model = cascade([], ["Hello."])
    log = await talk(["Hi there", Until(vl.TurnEnded)], model)
    assert the(log, vl.TurnStarted).at == 0
    assert the(log, vl.TurnStarted).utterance is None
    assert questions(model) == [[("user", "Hi there")]]
    assert of(log, vl.Transcript) == []
    assert of(log, vl.TurnMetrics) == []


async def test_a_note_is_not_answered_and_is_in_the_next_question() -> None:
    model = cascade([], ["Hello."])

    async def note(running: vl.Session) -> None:
        await running.send_text("The door is open.", reply=False)

    log = await talk([note, Delay(1.0), "Hi", Until(vl.TurnEnded)], model)
    assert len(of(log, vl.TurnStarted)) == 1
    assert the(log, vl.TurnStarted).at == 1.0
    [[(role, text)]] = questions(model)
    assert role == "user"
    assert "The door is open." in text
    assert text.endswith("Hi")


async def test_typed_text_interrupts() -> None:
    model = cascade(["yes please"], [LONG, "Fine."])
    log = await talk(
        [Speak(600), Until(vl.AudioChunk, after=1.0), "Stop", Until(vl.TurnEnded), Until(vl.TurnEnded)], model
    )
    interrupted = the(log, vl.Interrupted)
    assert (interrupted.turn, interrupted.cause) == (1, "text")
    assert [end[:2] for end in ends(log)] == [(1, "interrupted"), (2, "completed")]
    assert questions(model)[1] == [
        ("user", "yes please"),
        ("assistant", of(log, vl.TurnEnded)[0].heard.text),
        ("user", "Stop"),
    ]


async def test_typed_text_before_the_answer_began_joins_the_question() -> None:
    model = cascade(["yes please"], [LONG, "Fine."])
    log = await talk(
        [
            Speak(600),
            Until(vl.TurnStarted, after=0.06),
            "And quickly",
            Until(lambda e: isinstance(e, vl.TurnEnded) and e.turn == 2),
        ],
        model,
    )
    assert [end[:2] for end in ends(log)] == [(1, "dropped"), (2, "completed")]
    [_, [(role, text)]] = questions(model)
    assert role == "user"
    assert "yes please" in text
    assert "And quickly" in text


async def test_push_to_talk_waits_for_its_release() -> None:
    model = cascade(["yes please"], ["Good."], hears={"can_flush": True})
    log = await talk([Speak(600), Delay(5), vl.Session.end_turn, Until(vl.TurnEnded)], model, turns="manual")
    assert finals(log) == ["yes please"]
    assert the(log, vl.UserSpeechEnded).at >= 5.6
    assert the(log, vl.TurnStarted).at == pytest.approx(5.7)


async def test_push_to_talk_takes_all_that_was_said_until_the_release() -> None:
    model = cascade(["what time is it now"], ["Ten."], hears={"can_flush": True})
    log = await talk([Speak(900), vl.Session.end_turn, Delay(0.5), Until(vl.TurnEnded)], model, turns="manual")
    assert finals(log) == ["what time is it now"]
    assert the(log, vl.UserSpeechEnded).ms == 900


async def test_releasing_without_a_word_does_nothing() -> None:
    log = await talk([Delay(1), vl.Session.end_turn, Delay(3)], cascade(), turns="manual")
    assert of(log, vl.TurnStarted) == []


async def test_end_turn_forces_the_end_of_an_unfinished_phrase() -> None:
    model = cascade(["I would like"], ["Yes?"])
    log = await talk([Speak(600), Delay(0.12), vl.Session.end_turn, Until(vl.TurnEnded)], model)
    assert the(log, vl.TurnStarted).at == pytest.approx(0.72)
    assert finals(log) == ["I would like"]


async def test_an_unfinished_phrase_is_waited_for() -> None:
    log = await talk([Speak(600), Until(vl.TurnEnded)], cascade(["I would like"], ["Yes?"]))
    assert the(log, vl.TurnStarted).at == pytest.approx(0.6 + 1.2)


async def test_a_phrase_with_a_pause_is_one_utterance() -> None:
    model = cascade(["I would like", "a cup of tea please"], ["Sure."])
    log = await talk([Speak(600), Delay(0.6), Speak(900), Until(vl.TurnEnded)], model)
    assert finals(log) == ["I would like a cup of tea please"]
    assert len(of(log, vl.TurnStarted)) == 1


# ---------------------------------------------------------------- say and greet


async def test_say_and_greet_wait_for_each_other() -> None:
    model = cascade([], ["Welcome back."])
    log: list[vl.Event] = []
    async with session(model) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        first = await running.say("One moment.")
        second = await running.greet("Say welcome")
        third = await running.say("And goodbye.")
        heard = [await handle.done() for handle in (first, second, third)]
        await running.end_input()
    assert_log(log)
    assert [each.text for each in heard] == ["One moment.", "Welcome back.", "And goodbye."]
    assert [event.cause for event in of(log, vl.TurnStarted)] == ["say", "greet", "say"]
    assert (first.turn, second.turn, third.turn) == (1, 2, 3)
    assert questions(model)[0][-2:] == [("assistant", "One moment."), ("user", "Say welcome")]


async def test_an_interrupted_say_tells_what_was_heard() -> None:
    log: list[vl.Event] = []
    async with session(cascade()) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        handle, waiting = await running.say(LONG), await running.say("Never said.")
        await anyio.sleep(1.5)
        await running.interrupt()
        running.played(handle.turn, 1000, stopped=True)
        heard, dropped = await handle.done(), await waiting.done()
        await running.end_input()
    assert (heard.ms, heard.basis, heard.text) == (1000, "measured", "One two three")
    assert dropped == vl.Heard("", dropped="interrupted before it began")
    assert the(log, vl.Interrupted).cause == "call"
    assert_log(log)


async def test_done_can_be_cancelled_and_asked_again() -> None:
    async with session(cascade()) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, [])
        handle = await running.say("Good.")
        with anyio.move_on_after(0.05):
            await handle.done()
        assert (await handle.done()).text == "Good."
        assert (await handle.done()).text == "Good."
        await running.end_input()


async def test_handles_resolve_when_the_session_closes() -> None:
    async with session(cascade()) as running:
        first, second = await running.say(LONG), await running.say("Later.")
    assert (await first.done()).text == ""
    assert (await second.done()).dropped is not None


async def test_an_announcement_is_not_interrupted_by_speech() -> None:
    async def announce(running: vl.Session) -> None:
        await running.say("This call is recorded for training.", interruptible=False)

    model = cascade(["stop", "yes please"], ["Good."])
    log = await talk(
        [announce, Until(vl.AudioChunk), Speak(600), Until(vl.TurnEnded), Delay(2), Speak(600), Until(vl.TurnEnded)],
        model,
    )
    assert of(log, vl.Interrupted) == of(log, vl.Paused) == []
    assert [end[1] for end in ends(log)] == ["completed", "completed"]
    assert [notice.code for notice in of(log, vl.Notice)] == ["speech-ignored"]
    assert finals(log) == ["yes please"]


async def test_typing_during_an_announcement_is_answered_after_it() -> None:
    async def announce(running: vl.Session) -> None:
        await running.say("This call is recorded.", interruptible=False)

    model = cascade([], ["Both answered."])
    log = await talk(
        [announce, Until(vl.AudioChunk), "First", "Second", Until(vl.TurnEnded), Until(vl.TurnEnded)], model
    )
    assert [end[1] for end in ends(log)] == ["completed", "completed"]
    assert len(questions(model)) == 1
    assert "First" in questions(model)[0][-1][1]
    assert "Second" in questions(model)[0][-1][1]


async def test_say_waits_for_the_user_to_finish() -> None:
    model = cascade(["yes please"], ["Good."])

    async def say(running: vl.Session) -> None:
        await running.say("By the way.")

    log = await talk(
        [Speak(400), say, Speak(400), Until(lambda e: isinstance(e, vl.TurnEnded) and e.turn == 1)], model
    )
    assert [event.cause for event in of(log, vl.TurnStarted)] == ["reply", "say"]
    assert finals(log) == ["yes please"]


# ---------------------------------------------------------------- interrupt, end, idle, limits


async def test_interrupt_with_nothing_to_interrupt() -> None:
    log = await talk([vl.Session.interrupt, Delay(0.1)], cascade())
    assert of(log, vl.Interrupted) == []


async def test_a_polite_end_waits_for_speech() -> None:
    async def end(running: vl.Session) -> None:
        await running.end()

    log = await talk(["Hi", Until(vl.AudioChunk), end, Delay(60)], cascade([], ["Good."]))
    assert ends(log) == [(1, "completed", "Good.")]
    assert the(log, vl.SessionEnded).reason == "ended"


async def test_an_end_at_once_cuts_the_speech() -> None:
    async def end(running: vl.Session) -> None:
        await running.end(after_speech=False)

    log = await talk(["Hi", Until(vl.AudioChunk, after=1.0), end, Delay(60)], cascade([], [LONG]))
    assert ends(log)[0][1] == "interrupted"
    assert the(log, vl.SessionEnded).reason == "ended"


async def test_a_session_has_a_longest_time() -> None:
    log = await talk([Delay(100)], cascade(), limits=vl.Limits(session=3))
    assert the(log, vl.SessionEnded).reason == "limit"
    assert the(log, vl.SessionEnded).at == pytest.approx(3.0, abs=0.05)


async def test_the_limit_lets_the_assistant_finish() -> None:
    log = await talk([Delay(2.5), "Hi", Delay(100)], cascade([], ["Good."]), limits=vl.Limits(session=3))
    assert ends(log) == [(1, "completed", "Good.")]
    assert the(log, vl.SessionEnded).reason == "limit"


async def test_idle_prompts_and_the_end() -> None:
    idle = vl.Idle(after=5, say="Are you still there?", times=2, then_end=True)
    log = await talk([Delay(100)], cascade(), idle=idle)
    started = of(log, vl.TurnStarted)
    assert [event.cause for event in started] == ["idle", "idle"]
    assert started[0].at == 5
    assert started[1].at == pytest.approx(of(log, vl.TurnEnded)[0].at + 5)
    assert the(log, vl.SessionEnded).reason == "idle"


async def test_an_idle_prompt_in_the_models_words() -> None:
    model = cascade([], ["Still here?"])
    log = await talk([Delay(14)], model, idle=vl.Idle(after=5, prompt="Ask whether they are there", times=1))
    assert ends(log) == [(1, "completed", "Still here?")]
    assert questions(model)[0][-1] == ("user", "Ask whether they are there")


async def test_speech_puts_idle_off_and_starts_its_count_again() -> None:
    idle = vl.Idle(after=5, say="Hello?", times=1)
    model = cascade(["yes please"], ["Good."])
    log = await talk([Delay(4), Speak(600), Until(vl.TurnEnded), Delay(20)], model, idle=idle)
    assert [event.cause for event in of(log, vl.TurnStarted)] == ["reply", "idle"]


# ---------------------------------------------------------------- replies of all kinds


@pytest.mark.parametrize("reply", ["", " ", "😀", "…", "***"])
async def test_a_reply_without_anything_to_speak(reply: str) -> None:
    model = cascade([], [reply, "Good."])
    log = await talk(["Hi", Until(vl.TurnEnded), "Again", Until(vl.TurnEnded)], model)
    assert ends(log)[0] == (1, "completed", reply)
    assert ends(log)[1][2] == "Good."


async def test_text_only() -> None:
    model = cascade(["yes please"], ["It is fine."])
    log = await talk([Speak(600), Until(vl.TurnEnded)], model, speak=False)
    assert of(log, vl.AudioChunk) == []
    assert "".join(event.text for event in of(log, vl.ReplyText)) == "It is fine."
    assert ends(log) == [(1, "completed", "It is fine.")]
    assert the(log, vl.TurnEnded).heard.basis == "measured"
    assert the(log, vl.TurnMetrics).synthesis == 0


async def test_speech_can_be_switched_off_and_on() -> None:
    async def mute(running: vl.Session) -> None:
        assert await running.update(speak=False) == "applied"

    async def unmute(running: vl.Session) -> None:
        assert await running.update(speak=True) == "applied"

    model = cascade([], ["One.", "Two.", "Three."])
    over = Until(vl.TurnEnded)
    log = await talk(["a", over, mute, "b", over, unmute, "c", over], model)
    assert sorted({chunk.turn for chunk in of(log, vl.AudioChunk)}) == [1, 3]
    assert [event.settings for event in of(log, vl.SettingApplied)] == [("speak",), ("speak",)]
    assert [end[2] for end in ends(log)] == ["One.", "Two.", "Three."]


async def test_new_instructions_hold_from_the_next_reply() -> None:
    async def change(running: vl.Session) -> None:
        await running.update(instructions="Be brief.", temperature=0.5)

    model = cascade([], ["One.", "Two."])
    await talk(["a", Until(vl.TurnEnded), change, "b", Until(vl.TurnEnded)], model, instructions="Be kind.")
    requests = model.reasoner.requests  # type: ignore[attr-defined]
    assert [(request.instructions, request.temperature) for request in requests] == [
        ("Be kind.", None),
        ("Be brief.", 0.5),
    ]


async def test_changes_at_the_same_time_all_hold() -> None:
    model = cascade([], ["One."])
    async with session(model, instructions="Be kind.") as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, [])
        async with anyio.create_task_group() as changes:
            changes.start_soon(lambda: running.update(instructions="Be brief."))
            changes.start_soon(lambda: running.update(temperature=0.5))
        await running.send_text("Hi")
        await running.end_input()
    [request] = model.reasoner.requests  # type: ignore[attr-defined]
    assert (request.instructions, request.temperature) == ("Be brief.", 0.5)


async def test_a_whole_reply_in_one_piece_may_take_long_to_speak() -> None:
    text = " ".join(f"This is sentence number {n} of a very long answer to you." for n in range(30))
    model = cascade([], [[TextDelta(text)]])
    log = await talk(["Hi", Until(vl.TurnEnded, limit=300)], model)
    assert ends(log) == [(1, "completed", text)]


async def test_audio_as_an_iterable_ends_the_input() -> None:
    async def microphone():  # type: ignore[no-untyped-def]
        for _ in range(40):
            await anyio.sleep(0.02)
            yield tone(20)

    log: list[vl.Event] = []
    async with session(cascade(["yes please"], ["Good."]), audio=microphone()) as running:
        await collect(running, log)
    assert_log(log)
    assert finals(log) == ["yes please"]
    assert the(log, vl.SessionEnded).reason == "input ended"


async def test_input_that_stops_arriving_counts_as_silence() -> None:
    log: list[vl.Event] = []
    async with session(cascade(["yes please"], ["Good."])) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        for _ in range(40):
            await running.send_audio(tone(20))
            await anyio.sleep(0.02)
        await anyio.sleep(5)
        await running.end_input()
    assert finals(log) == ["yes please"]
    assert ends(log) == [(1, "completed", "Good.")]


async def test_the_detector_may_miss_what_the_recognizer_hears() -> None:
    model = cascade(["we saw seven big red dogs there"], ["Ten."], hears={"word_ms": 400})
    log = await talk([Speak(3000), Delay(3)], model, turns=_Deaf())
    assert finals(log) == ["we saw seven big red dogs there"]
    assert of(log, vl.UserSpeechEnded)[0].ms >= 2900


class _Deaf(TurnDetector):
    def start(self, format: vl.AudioFormat) -> TurnState:
        class State(TurnState):
            def audio(self, pcm: bytes) -> tuple[()]:
                return ()

        return State()


async def test_a_caller_can_be_used_on_its_own() -> None:
    caller = ScriptedCaller(["Hi", Until(vl.TurnEnded)])
    async with session(cascade([], ["Good."])) as running:
        log = await caller.talk(running)
    assert caller.listened == {1: 300.0}
    assert ends(log) == [(1, "completed", "Good.")]


async def test_until_sees_the_first_events() -> None:
    async with session(cascade()) as running:
        started = await until(running, vl.SessionStarted)
    assert (started.input, started.output) == (vl.PCM16_16K, vl.PCM16_24K)


@pytest.mark.virtual_time
async def test_what_the_user_was_saying_when_the_session_ended_is_kept() -> None:
    async def hang_up(session: vl.Session) -> None:
        await session.end(after_speech=False)

    memory = InProcessMemory()
    log = await talk([Speak(600), hang_up], cascade(["book a room"]), memory=memory, conversation_id="c")
    (entry,) = await memory.load("c")
    assert [t.text for t in log if isinstance(t, vl.Transcript) and t.final] == [entry.text]  # type: ignore[union-attr]


@pytest.mark.virtual_time
async def test_words_that_come_late_at_the_end_of_the_input_are_answered() -> None:
    model = cascade(["book a room"], ["For when?"], hears={"final_after": 3.5, "partials": False})
    log = await talk([Speak(600), Delay(2.5)], model)
    assert finals(log) == ["book a room"]
    assert [end[2] for end in ends(log)] == ["For when?"]
