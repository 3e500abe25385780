"""Cancellations from within, detectors that break, events of no kind, links and iterables that do not end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.conversation import Entry
from voiceloop.interfaces import (
    Final,
    Link,
    LinkContext,
    Partial,
    ReasonerItem,
    ReasonerRequest,
    ToolCall,
    TurnDetector,
    TurnSignal,
    TurnState,
)
from voiceloop.memory import InProcessMemory
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    ScriptedTurns,
    Until,
    silence,
    tone,
)

from .session_kit import LONG, cascade, collect, ends, of, others, session, talk, the, until

pytestmark = pytest.mark.virtual_time
OVER = Until(vl.TurnEnded)


async def cancelled_within() -> Any:
    """Wait for something that somebody cancels: this raises CancelledError in a task that nobody cancelled."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


# ---------------------------------------------------------------- cancellations from within


async def test_a_tool_that_is_cancelled_from_within_has_a_result() -> None:
    @vl.tool
    async def look() -> str:
        """Look."""
        await cancelled_within()
        return "never"

    model = cascade([], [[ToolCall("1", "look", {})], "I could not."])
    log = await talk(["Hi", OVER], model, tools=[look])
    returned = the(log, vl.ToolReturned)
    assert (returned.error, returned.result) == (True, "The tool failed: CancelledError")
    assert ends(log) == [(1, "completed", "I could not.")]


class StrayReasoner(ScriptedReasoner):
    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        await cancelled_within()
        async with super().reply(request) as items:
            yield items


class StrayRecognizer(ScriptedRecognizer):
    @asynccontextmanager
    async def open(self, config: Any) -> AsyncIterator[Any]:
        async with super().open(config) as listening:
            yield _Stray(listening)


class _Stray:
    """A stream whose items end in a cancellation."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        await anyio.sleep(1)
        yield await cancelled_within()


class StrayModel(ScriptedSpeechModel):
    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        async with super().connect(context) as link:
            yield _Stray(link)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (vl.Cascade(ScriptedRecognizer(), StrayReasoner(["Hi"]), ScriptedSynthesizer()), "scripted reasoner"),
        (vl.Cascade(StrayRecognizer(), ScriptedReasoner(["Hi"]), ScriptedSynthesizer()), "scripted recognizer"),
        (StrayModel(["Hi"]), "scripted speech model"),
    ],
    ids=["reasoner", "recognizer", "speech model"],
)
async def test_a_provider_that_is_cancelled_from_within_fails_and_is_named(model: Any, name: str) -> None:
    with pytest.raises(vl.ProviderMisbehaved, match=name):
        async with vl.Session(model, turns="manual") as running:
            await running.send_text("Hi")
            with anyio.fail_after(25):
                await collect(running, [])
    assert others() == set()


async def test_a_memory_that_is_cancelled_from_within_is_a_notice_each_time() -> None:
    class Stray(InProcessMemory):
        async def append(self, conversation: str, entries: Sequence[Entry], *, after: int) -> None:
            await cancelled_within()

    log = await talk(["Hi", OVER, "And you?", OVER], cascade([], ["Good.", "Fine."]), memory=Stray())
    assert [notice.code for notice in of(log, vl.Notice)].count("memory-failed") >= 2
    assert the(log, vl.SessionEnded).reason == "input ended"


async def test_audio_that_is_cancelled_from_within_fails_the_session() -> None:
    async def microphone() -> AsyncGenerator[bytes, None]:
        yield silence(20)
        await cancelled_within()

    with pytest.raises(vl.VoiceloopError, match="audio="):
        async with session(cascade(), audio=microphone()) as running:
            with anyio.fail_after(5):
                await collect(running, [])
    assert others() == set()


# ---------------------------------------------------------------- turn detectors


class Breaks(TurnDetector):
    """Breaks at one of the calls of its state, or where it is made."""

    name = "broken turns"

    def __init__(self, where: str) -> None:
        self.where = where
        self.asked = 0

    def start(self, format: AudioFormat) -> TurnState:
        if self.where == "start":
            raise RuntimeError("a bug")
        return _Broken(self, ScriptedTurns().start(format))


class _Broken(TurnState):
    def __init__(self, turns: Breaks, inner: TurnState) -> None:
        self._turns = turns
        self._inner = inner

    def _ask(self, where: str, answer: Sequence[TurnSignal]) -> Sequence[TurnSignal]:
        if self._turns.where == where:
            self._turns.asked += 1
            raise RuntimeError("a bug")
        return answer

    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        return self._ask("audio", self._inner.audio(pcm))

    def transcript(self, item: Partial | Final) -> Sequence[TurnSignal]:
        return self._ask("transcript", self._inner.transcript(item))

    def silence(self, ms: float) -> Sequence[TurnSignal]:
        return self._ask("silence", self._inner.silence(ms))


@pytest.mark.parametrize("where", ["audio", "transcript", "silence"])
async def test_a_turn_detector_that_breaks_fails_the_session_and_not_who_sends(where: str) -> None:
    turns = Breaks(where)
    with pytest.raises(vl.ProviderMisbehaved, match="broken turns") as failure:
        async with session(cascade(["yes please"], ["Good."]), turns=turns) as running:
            await running.send_audio(tone(600))
            await running.send_audio(tone(20))
            with anyio.fail_after(10):
                await collect(running, [])
    assert isinstance(failure.value.__cause__, RuntimeError)
    assert turns.asked == 1
    assert others() == set()


async def test_a_turn_detector_that_does_not_start_is_named() -> None:
    with pytest.raises(vl.ProviderMisbehaved, match="broken turns"):
        async with session(cascade(), turns=Breaks("start")):
            raise AssertionError("entered")
    assert others() == set()


# ---------------------------------------------------------------- events, the end, the microphone


async def test_an_event_of_no_known_kind_is_the_models_fault() -> None:
    model = ScriptedSpeechModel(opening=[(1.0, "hello")])  # type: ignore[list-item]
    with pytest.raises(vl.ProviderMisbehaved, match=r"scripted speech model.*str"):
        async with vl.Session(model, turns="manual") as running:
            await collect(running, [])


class Lingering(ScriptedSpeechModel):
    """Takes for ever to close; ``closed`` when it is cancelled in that."""

    closed: list[float] = []  # noqa: RUF012 - one for the test

    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        async with super().connect(context) as link:
            try:
                yield link
            finally:
                try:
                    await anyio.sleep_forever()
                finally:
                    self.closed.append(clock.now())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_model_that_does_not_close_keeps_nobody_waiting(fails: bool) -> None:
    model = Lingering(["Good.", [Fail()]] if fails else ["Good."])
    Lingering.closed.clear()
    log: list[vl.Event] = []
    running = vl.Session(model, turns="manual", limits=vl.Limits(close=2))
    async with running:
        await running.send_text("Hi")
        await until(running, vl.TurnEnded, log)
        began = clock.now()
        if fails:
            await running.send_text("And you?")
            with pytest.raises(vl.ProviderUnavailable):
                await collect(running, log)
        else:
            await running.end()
            await collect(running, log)
    assert len(Lingering.closed) == 1
    assert clock.now() - began < 5
    assert the(log, vl.SessionEnded).reason == ("failed" if fails else "ended")
    assert [notice.code for notice in of(log, vl.Notice)] == ["closing-cancelled"]
    assert others() == set()


@pytest.mark.parametrize("stalled", [False, True])
async def test_a_generator_of_audio_is_closed_with_the_session(stalled: bool) -> None:
    closed = []

    async def microphone() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                await anyio.sleep(0 if stalled else 0.02)
                yield silence(1000 if stalled else 20)
        finally:
            closed.append(True)

    limits = vl.Limits(input_buffer=2, input_stall=30)
    hears = {"on_send": [None, *[Delay(10)] * 50]} if stalled else {}
    async with session(cascade([], [LONG], hears=hears), audio=microphone(), limits=limits):
        await anyio.sleep(1)
    assert closed == [True]
    assert others() == set()
