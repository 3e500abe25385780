from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Any

import anyio
import pytest

from voiceloop import clock
from voiceloop.audio import PCM16_16K
from voiceloop.conversation import HistoryLimits, Message, TextPart
from voiceloop.errors import ProviderMisbehaved, ProviderUnavailable, SettingRefused
from voiceloop.events import Heard
from voiceloop.interfaces import (
    Clause,
    Cut,
    EndOfTurn,
    Expectation,
    Final,
    LinkContext,
    LinkEvent,
    ListenConfig,
    MarksUntil,
    ModelCapabilities,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelToolCall,
    Partial,
    Pause,
    ReasonerRequest,
    RecognizerUsage,
    ReplyAudio,
    ReplyEnded,
    ReplyMarksUntil,
    ReplyStarted,
    ReplyTextDelta,
    ReplyViseme,
    ReplyWord,
    Resources,
    Say,
    Settings,
    Silent,
    SpeakConfig,
    Speaking,
    SpeechAudio,
    Stop,
    SynthesizerUsage,
    TextDelta,
    ToolCall,
    ToolResult,
    TurnOver,
    Update,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    ScriptedTurns,
    Short,
    Spoken,
    level,
    silence,
    tone,
)

pytestmark = pytest.mark.virtual_time


class NoResources(Resources):
    async def get(self, key: Hashable, open: Callable[[], AbstractAsyncContextManager[Any]]) -> Any:
        raise AssertionError("a scripted provider needs no resources")

    async def discard(self, key: Hashable, resource: object) -> None:
        raise AssertionError("a scripted provider needs no resources")


LISTEN = ListenConfig(NoResources())
SPEAK = SpeakConfig(NoResources(), frozenset({"viseme", "word"}))
REQUEST = ReasonerRequest((Message("user", (TextPart("hello"),)),), NoResources())


async def hear(recognizer: ScriptedRecognizer, *sounds: bytes | bool) -> list[tuple[float, Any]]:
    """Send sound in real time (a bool flushes), then wait 5 s; all items, with the seconds at which they came."""
    began, items = clock.now(), []

    async def read(items_of: AsyncIterator[Any]) -> None:
        async for item in items_of:
            note(item)

    def note(item: Any) -> None:
        items.append((round(clock.now() - began, 3), item))

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(anyio.create_task_group())
        listening = await stack.enter_async_context(recognizer.open(LISTEN))
        group.start_soon(read, listening.__aiter__())
        for sound in sounds:
            if isinstance(sound, bool):
                await listening.flush(end_of_turn=sound)
                continue
            for at in range(0, len(sound), 640):
                await listening.send_audio(sound[at : at + 640])
                await anyio.sleep(0.02)
        await anyio.sleep(5)
    return items


async def test_each_stretch_of_speech_is_the_next_utterance() -> None:
    recognizer = ScriptedRecognizer(["one two", "three"], usage=True)
    items = await hear(
        recognizer, silence(100), tone(800), silence(500), tone(200), silence(100), tone(40), silence(40)
    )
    finals = [(at, item.item, item.text) for at, item in items if isinstance(item, Final)]
    assert finals == [(1.0, "1", "one two"), (1.7, "2", "three"), (1.84, "3", "")]
    partials = [(at, item.item, item.text, item.stable_chars) for at, item in items if isinstance(item, Partial)]
    assert partials == [
        (0.34, "1", "one", 0),
        (0.58, "1", "one two", 3),
        (0.9, "1", "one two", 7),
        (1.6, "2", "three", 5),
    ]
    words = next(item for _, item in items if isinstance(item, Final)).words
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [("one", 100, 500), ("two", 500, 900)]
    assert next(item for _, item in items if isinstance(item, RecognizerUsage)).amounts == {"seconds": 0.8}


async def test_finals_differ_come_late_or_never() -> None:
    script = [Spoken("recognise speech", "wreck a nice beach", 2.0, 0.4), Spoken("b", final_after=math.inf), "c"]
    items = await hear(ScriptedRecognizer(script, partials=False), *[tone(300), silence(300)] * 3)
    assert [(at, item.text, item.confidence) for at, item in items] == [
        (1.6, "c", None),
        (2.3, "wreck a nice beach", 0.4),
    ]


async def test_a_flushing_recognizer_has_one_item_for_each_turn() -> None:
    recognizer = ScriptedRecognizer(["one", "two", "three"], 0.2, can_flush=True, partials=False)
    sounds = [tone(300), silence(100), False, silence(300), tone(300), silence(100), True, silence(400)]
    items = await hear(recognizer, *sounds, tone(300), True, tone(300), silence(500))
    assert [(at, item.item, item.text) for at, item in items] == [
        (0.6, "1", "one"),
        (1.3, "1", "one two"),
        (2.0, "2", "three"),
    ]
    assert recognizer.flushed == [False, True, True]


async def test_recognizer_faults() -> None:
    with pytest.raises(ProviderUnavailable):
        await ScriptedRecognizer(on_open=Fail()).open(LISTEN).__aenter__()
    with pytest.raises(BaseExceptionGroup) as caught:
        await hear(ScriptedRecognizer(["one", Fail(ValueError("dropped"))]), tone(100), silence(100), tone(100))
    assert caught.group_contains(ValueError, match="dropped")
    with pytest.raises(BaseExceptionGroup):
        await hear(ScriptedRecognizer(on_send=Fail(), send_ms=100), tone(200))
    assert [item for _, item in await hear(ScriptedRecognizer([Hang()]), tone(100), silence(100))] == []
    second = ScriptedRecognizer(["a"], on_open=[Hang()])
    with anyio.move_on_after(3) as scope:
        await hear(second)
    assert scope.cancelled_caught
    assert [item.text for _, item in await hear(second, tone(100), silence(100)) if isinstance(item, Final)] == ["a"]
    with anyio.move_on_after(1) as scope:
        await hear(ScriptedRecognizer(on_send=Hang(), send_ms=100), tone(200))
    assert scope.cancelled_caught


def signals(turns: ScriptedTurns, *sounds: bytes) -> list[object]:
    state = turns.start(PCM16_16K)
    sound = b"".join(sounds)
    return [signal for at in range(0, len(sound), 640) for signal in state.audio(sound[at : at + 640])]


def test_scripted_turns_are_exact_to_the_chunk() -> None:
    turns = ScriptedTurns(over_ms=600)
    sounds = [silence(200), tone(180), silence(80), tone(120), silence(700), tone(60), silence(200), tone(100)]
    assert signals(turns, *sounds) == [
        Speaking(200, 100),
        Speaking(200, 260),
        Silent(580),
        TurnOver("silence"),
        Speaking(1540, 100),
    ]
    state = turns.start(PCM16_16K)
    state.audio(tone(100))
    assert state.silence(150) == [Silent(100)]


async def write(reasoner: ScriptedReasoner, request: ReasonerRequest = REQUEST) -> list[tuple[float, Any]]:
    began = clock.now()
    async with reasoner.reply(request) as items:
        return [(round(clock.now() - began, 3), item) async for item in items]


async def test_text_is_written_word_by_word() -> None:
    reasoner = ScriptedReasoner(["Hello there, you."], first_token=0.2, token=0.05)
    items = await write(reasoner)
    assert items == [
        (0.2, TextDelta("Hello")),
        (0.25, TextDelta(" there,")),
        (0.3, TextDelta(" you.")),
        (0.3, Stop("end")),
    ]
    with pytest.raises(ProviderMisbehaved, match="has 1 replies, this is request 2"):
        await write(reasoner)
    assert reasoner.outcomes == ["complete", "failed"]
    assert reasoner.requests == [REQUEST, REQUEST]


async def test_replies_of_items_steps_and_functions() -> None:
    call = ToolCall("1", "look", {"at": "moon"})

    def answer(request: ReasonerRequest) -> str:
        return request.messages[-1].text

    reasoner = ScriptedReasoner([["Let me see.", Delay(1), call], answer, Fail(), ["half", Fail()]], token=0)
    assert await write(reasoner) == [
        *[(0.2, TextDelta(text)) for text in ("Let", " me", " see.")],
        (1.2, call),
        (1.2, Stop("tools")),
    ]
    assert [item for _, item in await write(reasoner)] == [TextDelta("hello"), Stop("end")]
    began = clock.now()
    with pytest.raises(ProviderUnavailable):
        async with reasoner.reply(REQUEST):
            pytest.fail("a step alone happens on entering")
    assert clock.now() == began
    with pytest.raises(ProviderUnavailable):
        await write(reasoner)
    assert reasoner.outcomes == ["complete", "complete", "failed", "failed"]


async def test_a_reply_can_be_left_and_hang() -> None:
    reasoner = ScriptedReasoner(["one two three", ["one", Hang()]], cycle=True)
    async with reasoner.reply(REQUEST) as items:
        await anext(items)
    with anyio.move_on_after(10):
        await write(reasoner)
    await write(reasoner)
    assert reasoner.outcomes == ["cut", "cut", "complete"]


def test_expectations() -> None:
    expectation = Expectation("#JSGF V1.0; grammar g; public <g> = yes | no;")
    assert ScriptedReasoner().expect(REQUEST.messages) is None
    assert ScriptedReasoner(expectation=expectation).expect(REQUEST.messages) is expectation
    assert ScriptedReasoner(expectation=lambda messages: expectation).expect(()) is expectation


async def speak(synthesizer: ScriptedSynthesizer, text: str, config: SpeakConfig = SPEAK) -> list[tuple[float, Any]]:
    began = clock.now()
    async with synthesizer.speak(Clause(text), config) as items:
        return [(round(clock.now() - began, 3), item) async for item in items]


def samples(items: list[tuple[float, Any]]) -> list[int]:
    pcm = b"".join(item.pcm for _, item in items if isinstance(item, SpeechAudio))
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


async def test_speech_is_exact_and_tells_its_clause() -> None:
    items = await speak(ScriptedSynthesizer(usage=True), "Hi you.")
    assert samples(items) == [level("Hi you.")] * (7 * 60 * 24)
    assert [at for at, item in items if isinstance(item, SpeechAudio)] == [0.1, 0.11, 0.12, 0.13, 0.14]
    assert [item for _, item in items if isinstance(item, WordMark)] == [
        WordMark(0, 2, 0, 120),
        WordMark(3, 7, 180, 420),
    ]
    visemes = [item for _, item in items if isinstance(item, VisemeMark)]
    assert [mark.ms for mark in visemes] == [0, 180, 300]
    assert [item.ms for _, item in items if isinstance(item, MarksUntil)] == [100, 200, 300, 400, 420]
    assert items[-1][1] == SynthesizerUsage({"characters": 7})


async def test_only_marks_that_are_wanted_come() -> None:
    items = await speak(ScriptedSynthesizer(), "Hello", SpeakConfig(NoResources()))
    assert {type(item) for _, item in items} == {SpeechAudio}
    items = await speak(ScriptedSynthesizer(marks=frozenset({"word"})), "Hello")
    assert {type(item) for _, item in items} == {SpeechAudio, WordMark, MarksUntil}


async def test_synthesizer_faults() -> None:
    late = await speak(ScriptedSynthesizer(marks_late=0.5), "Hello there")
    assert [at for at, item in late if isinstance(item, WordMark)] == [0.6, 0.63]
    lost = await speak(ScriptedSynthesizer(marks_lost=True), "Hello there")
    assert {type(item) for _, item in lost} == {SpeechAudio}
    disordered = await speak(ScriptedSynthesizer(marks_disordered=True, ms_per_char=10), "Hello there")
    times = [item.ms for _, item in disordered if isinstance(item, VisemeMark)]
    assert times != sorted(times)
    synthesizer = ScriptedSynthesizer(faults={0: Short(150), 1: Fail(), 2: Hang(), 3: Delay(2)})
    assert len(samples(await speak(synthesizer, "Hello"))) == 150 * 24
    with pytest.raises(ProviderUnavailable):
        await speak(synthesizer, "Hello")
    with anyio.move_on_after(1):
        await speak(synthesizer, "Hello")
    assert (await speak(synthesizer, "Hello"))[0][0] == 2.1
    assert synthesizer.outcomes == ["complete", "failed", "cut", "complete"]
    assert [clause.text for clause in synthesizer.clauses] == ["Hello"] * 4


async def test_a_stream_of_clauses_has_one_timeline() -> None:
    async def clauses() -> AsyncIterator[Clause]:
        yield Clause("One.", first=True)
        await anyio.sleep(1)
        yield Clause("Two.")

    synthesizer = ScriptedSynthesizer(streams=True)
    async with aclosing(clauses()) as source, synthesizer.stream(source, SPEAK) as items:
        got = [(clock.now(), item) async for item in items]
    assert samples(got) == [level("One.")] * (4 * 60 * 24) + [level("Two.")] * (4 * 60 * 24)
    assert [item.ms for _, item in got if isinstance(item, WordMark)] == [0, 240]
    assert synthesizer.outcomes == ["complete", "complete"]


def context() -> LinkContext:
    async def room() -> None:
        await anyio.lowlevel.checkpoint()

    def history(limits: HistoryLimits) -> tuple[Message, ...]:
        return ()

    return LinkContext(Settings, history, room, NoResources(), frozenset({"viseme", "word"}))


class Talk:
    """Runs a link beside the test: ``events`` are what came, with the seconds at which they did."""

    def __init__(self, model: ScriptedSpeechModel) -> None:
        self.model = model
        self.events: list[tuple[float, LinkEvent]] = []

    async def __aenter__(self) -> Talk:
        self._stack = AsyncExitStack()
        group = await self._stack.enter_async_context(anyio.create_task_group())
        self.link = await self._stack.enter_async_context(self.model.connect(context()))
        group.start_soon(self._read, clock.now())
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._stack.__aexit__(*details)

    async def _read(self, began: float) -> None:
        async for event in self.link:
            self.events.append((round(clock.now() - began, 3), event))

    async def sound(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 640):
            await self.link.send_audio(pcm[at : at + 640])
            await anyio.sleep(0.02)

    def of(self, *kinds: type) -> list[tuple[float, Any]]:
        return [(at, event) for at, event in self.events if isinstance(event, kinds)]


async def test_a_model_answers_commands() -> None:
    async with Talk(ScriptedSpeechModel([["Hi.", " You."]])) as talk:
        await talk.link.send(EndOfTurn(4))
        await anyio.sleep(5)
        await talk.link.send(Say(5, "Bye"))
        await anyio.sleep(5)
    assert talk.of(ReplyStarted, ReplyTextDelta, ReplyEnded) == [
        (0, ReplyStarted(1, 4)),
        (0, ReplyTextDelta(1, "Hi.")),
        (0.31, ReplyTextDelta(1, " You.")),
        (0.33, ReplyEnded(1)),
        (5.0, ReplyStarted(2, 5)),
        (5.0, ReplyTextDelta(2, "Bye")),
        (5.31, ReplyEnded(2)),
    ]
    words = [(word.start, word.end, word.ms) for _, word in talk.of(ReplyWord) if word.reply == 1]
    assert words == [(0, 3, 0), (4, 8, 240)]
    audio = sum(len(event.pcm) for _, event in talk.of(ReplyAudio) if event.reply == 1)
    assert audio == 8 * 60 * 24 * 2
    assert talk.of(ReplyAudio)[0][1].first_clause_at is not None
    assert talk.of(ReplyViseme)
    assert [until.ms for _, until in talk.of(ReplyMarksUntil) if until.reply == 1][-1] == 480


async def test_a_model_waits_for_tools_and_can_be_cut_and_refuse() -> None:
    call = ModelToolCall(0, 1, "c", "look", {})
    refusal = {Update: Fail(SettingRefused("no"))}
    model = ScriptedSpeechModel([[(0.5, call), ToolResult, "Seen."], "A very long reply indeed."], on=refusal)
    async with Talk(model) as talk:
        await talk.link.send(EndOfTurn(1))
        await anyio.sleep(2)
        assert talk.of(ModelToolCall)[0][1].reply == 1
        assert not talk.of(ReplyEnded)
        await talk.link.send(ToolResult(1, "c", "look", "a moon"))
        await anyio.sleep(2)
        assert len(talk.of(ReplyEnded)) == 1
        await talk.link.send(EndOfTurn(2))
        await anyio.sleep(0.35)
        await talk.link.send(Cut(2, Heard("")))
        with pytest.raises(SettingRefused):
            await talk.link.send(Update(Settings(), frozenset({"voice"})))
        await anyio.sleep(5)
    assert len(talk.of(ReplyEnded)) == 1
    assert talk.events[-1][0] < 4.4
    assert [type(command) for command in model.commands] == [EndOfTurn, ToolResult, EndOfTurn, Cut, Update]


async def test_a_model_that_owns_its_turns() -> None:
    model = ScriptedSpeechModel(
        ["A long, long answer.", "Yes."],
        ScriptedRecognizer(["hello", "stop"]),
        ModelCapabilities(owns_turns=True, can_cut=False),
        self_cut=0.3,
        speed=1,
    )
    async with Talk(model) as talk:
        await talk.sound(tone(400) + silence(1600) + tone(400) + silence(2000))
    assert talk.of(ModelSpeechStarted, ModelSpeechStopped, ModelCut, ReplyStarted, ReplyEnded, Final)[:4] == [
        (0, ModelSpeechStarted(0)),
        *talk.of(Final)[:1],
        (0.9, ModelSpeechStopped(400)),
        (0.9, ReplyStarted(1, None)),
    ]
    assert talk.of(ModelCut) == [(2.3, ModelCut(1))]
    assert talk.of(ReplyEnded)[0][1] == ReplyEnded(2)
    assert [event.text for _, event in talk.of(Final)] == ["hello", "stop"]


async def answer(model: ScriptedSpeechModel) -> None:
    async with model.connect(context()) as link:
        await link.send(EndOfTurn(1))
        async for _ in link:
            pass


async def test_a_model_breaks_bare() -> None:
    for model in (ScriptedSpeechModel([[Delay(1), Fail()]]), ScriptedSpeechModel(on_connect=Fail())):
        with pytest.raises(ProviderUnavailable):
            await answer(model)


async def test_a_model_hears_by_its_recognizer() -> None:
    flushing = ScriptedSpeechModel(recognizer=ScriptedRecognizer(["a"], can_flush=True))
    async with Talk(flushing) as talk:
        await talk.sound(tone(100))
        await talk.link.send(Pause())
        await anyio.sleep(1)
    assert [event.text for _, event in talk.of(Final)] == ["a"]
