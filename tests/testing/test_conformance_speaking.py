from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import evolve

from voiceloop.conversation import Message
from voiceloop.errors import ProviderRefused, UnknownName
from voiceloop.interfaces import (
    Clause,
    Expectation,
    MarksUntil,
    Reasoner,
    ReasonerCapabilities,
    ReasonerItem,
    ReasonerRequest,
    ReasonerUsage,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Stop,
    Synthesizer,
    SynthesizerCapabilities,
    TextDelta,
    ToolCall,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.conformance import ConformanceError, check_reasoner, check_synthesizer
from voiceloop.testing.scripted import Delay, Fail, Hang, ScriptedReasoner, ScriptedSynthesizer, Short

pytestmark = pytest.mark.virtual_time

stray: list[asyncio.Task[None]] = []


@pytest.fixture(autouse=True)
def no_strays() -> Iterable[None]:
    yield
    while stray:
        stray.pop().cancel()


def leave_a_task() -> None:
    stray.append(asyncio.create_task(anyio.sleep_forever(), name="stray"))


@asynccontextmanager
async def left_slowly() -> AsyncIterator[None]:
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(8)


# ---------------------------------------------------------------- reasoners


async def test_right_reasoners_pass() -> None:
    await check_reasoner(lambda: ScriptedReasoner(["Hello there."], cycle=True))
    call = ToolCall("a", "time_of_day", {})
    with_calls = ScriptedReasoner(
        lambda request: ["Let me see.", call, ReasonerUsage({"output_tokens": 4})] if request.tools else "No."
    )
    await check_reasoner(with_calls)


class BentReasoner(Reasoner):
    """A right reasoner whose replies are bent."""

    def __init__(self, bend: Callable[[ReasonerItem], Iterable[Any]], around: Any = None) -> None:
        self.inner = ScriptedReasoner(["Hello there."], cycle=True)
        self.capabilities = ReasonerCapabilities()
        self.bend, self.around = bend, around

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        async def bent() -> AsyncIterator[ReasonerItem]:
            async for item in items:
                for one in self.bend(item):
                    yield one

        async with self.inner.reply(request) as items, aclosing(bent()) as result:  # type: ignore[type-var]
            if self.around is None:
                yield result
            else:
                async with self.around():
                    yield result


class Moody(ScriptedReasoner):
    """Expects something else each time."""

    def expect(self, messages: Sequence[Message]) -> Expectation | None:
        self.outcomes.append("asked")
        return Expectation(str(len(self.outcomes)))


class Odd(ScriptedReasoner):
    def expect(self, messages: Sequence[Message]) -> Any:
        return "yes"


class Busy(ScriptedReasoner):
    """Takes one request at a time."""

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        if "running" in self.outcomes:
            raise ProviderRefused("busy", provider=self.name)
        async with super().reply(request) as items:
            yield items


@asynccontextmanager
async def with_a_task() -> AsyncIterator[None]:
    leave_a_task()
    yield


def at_stop(*items: Any) -> Callable[[ReasonerItem], Iterable[Any]]:
    return lambda item: items if isinstance(item, Stop) else (item,)


REASONERS: dict[str, tuple[Callable[[], Reasoner], str]] = {
    "no text": (lambda: BentReasoner(at_stop(TextDelta(""))), "a TextDelta holds no text"),
    "nothing": (lambda: BentReasoner(lambda item: ()), "neither text nor tool calls"),
    "goes on after stop": (lambda: BentReasoner(at_stop(Stop("end"), TextDelta("x"))), "items follow its Stop"),
    "stops for no reason": (lambda: BentReasoner(at_stop(Stop(""))), "a Stop gives no reason"),
    "unknown tool": (lambda: BentReasoner(at_stop(ToolCall("a", "x", {}))), "calls a tool that it was not given"),
    "one id for two calls": (
        lambda: BentReasoner(at_stop(*[ToolCall("a", "time_of_day", {})] * 2)),
        "id is blank or was used before",
    ),
    "odd usage": (lambda: BentReasoner(at_stop(ReasonerUsage({"tokens": -1}))), "usage is not numbers"),
    "foreign item": (lambda: BentReasoner(at_stop(7)), "int is no item of a reasoner"),
    "leaves a task": (lambda: BentReasoner(lambda item: (item,), with_a_task), "left the task stray behind"),
    "leaves tasks": (lambda: BentReasoner(lambda item: (item,), with_a_task), "a running task behind each time"),
    "leaves slowly": (lambda: BentReasoner(lambda item: (item,), left_slowly), "leaving it early took longer"),
    "is cancelled slowly": (lambda: BentReasoner(lambda item: (item,), left_slowly), "cancelling it took longer"),
    "another library's error": (lambda: ScriptedReasoner([Fail(KeyError("x"))], cycle=True), "KeyError ('x'), which"),
    "fails": (lambda: ScriptedReasoner([["half", Fail()]], cycle=True), "failed with ProviderUnavailable"),
    "hangs": (lambda: ScriptedReasoner([["half", Hang()]], cycle=True), "was not done within 60 s"),
    "takes one at a time": (lambda: Busy(["One."], cycle=True), "two replies at once: failed with ProviderRefused"),
    "is moody": (lambda: Moody(["Hello."], cycle=True), "it is not pure"),
    "expects oddly": (lambda: Odd(["Hello."], cycle=True), "no Expectation and no None"),
}


@pytest.mark.parametrize("name", REASONERS)
async def test_every_breach_of_a_reasoner_is_reported(name: str) -> None:
    make, expected = REASONERS[name]
    with pytest.raises(ConformanceError) as caught:
        await check_reasoner(make())
    assert any(expected in violation for violation in caught.value.violations), caught.value


# ---------------------------------------------------------------- synthesizers


@pytest.mark.parametrize(
    "options",
    [
        {"usage": True},
        {"marks": False},
        {"marks": frozenset({"word"})},
        {"streams": True},
        {"marks_late": 0.5},
        {"speed": 1},
    ],
)
async def test_right_synthesizers_pass(options: dict[str, Any]) -> None:
    await check_synthesizer(lambda: ScriptedSynthesizer(**options))


class BentSynthesizer(Synthesizer):
    """A right synthesizer whose speech is bent. ``greedy``: makes marks that nobody wants."""

    def __init__(
        self,
        bend: Callable[[Speech], Iterable[Any]] = lambda item: (item,),
        *,
        around: Any = None,
        greedy: bool = False,
    ) -> None:
        self.inner = ScriptedSynthesizer()
        self.capabilities = self.inner.capabilities
        self.bend, self.around, self.greedy = bend, around, greedy

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        async def bent() -> AsyncIterator[Speech]:
            async for item in items:
                for one in self.bend(item):
                    yield one

        if self.greedy:
            config = evolve(config, want=self.capabilities.marks)
        async with self.inner.speak(clause, config) as items, aclosing(bent()) as result:  # type: ignore[type-var]
            if self.around is None:
                yield result
            else:
                async with self.around():
                    yield result


class OneAtATime(ScriptedSynthesizer):
    """Speaks the clause it spoke last, whatever is asked for meanwhile."""

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        busy = "running" in self.outcomes
        async with super().speak(Clause("Mm.") if busy else clause, config) as items:
            yield items


class Deaf(ScriptedSynthesizer):
    """Says that it streams, and speaks the first clause only."""

    @asynccontextmanager
    async def stream(
        self, clauses: AsyncIterable[Clause], config: SpeakConfig
    ) -> AsyncIterator[AsyncIterator[Speech]]:
        first = await anext(aiter(clauses))
        async with super().speak(first, config) as items:
            yield items


class Choosy(ScriptedSynthesizer):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        object.__setattr__(self, "error", error)

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        if config.voice is not None:
            raise self.error
        async with super().speak(clause, config) as items:
            yield items


def on(kind: type, change: Callable[[Any], Iterable[Any]]) -> Callable[[Speech], Iterable[Any]]:
    return lambda item: change(item) if isinstance(item, kind) else (item,)


def bent(kind: type, change: Callable[[Any], Iterable[Any]]) -> Callable[[], Synthesizer]:
    return lambda: BentSynthesizer(on(kind, change))


SYNTHESIZERS: dict[str, tuple[Callable[[], Synthesizer], str]] = {
    "half a sample": (bent(SpeechAudio, lambda item: (SpeechAudio(item.pcm + b"x"),)), "not whole samples"),
    "no audio": (bent(SpeechAudio, lambda item: ()), "no audio came"),
    "less audio than marks": (
        lambda: ScriptedSynthesizer(faults=dict.fromkeys(range(99), Short(50))),
        "mark lies after",
    ),
    "no visemes": (bent(VisemeMark, lambda item: ()), "viseme marks are promised and wanted, but none came"),
    "no words": (bent(WordMark, lambda item: ()), "word marks are promised and wanted, but none came"),
    "lost marks": (lambda: ScriptedSynthesizer(marks_lost=True), "promised and wanted, but none came"),
    "disorder": (lambda: ScriptedSynthesizer(marks_disordered=True, ms_per_char=10), "are not in order of time"),
    "marks nobody wanted": (lambda: BentSynthesizer(greedy=True), "word marks that nobody wanted"),
    "visemes nobody wanted": (lambda: BentSynthesizer(greedy=True), "viseme marks that nobody wanted"),
    "mark too early": (bent(VisemeMark, lambda item: (evolve(item, ms=-9.0),)), "viseme mark lies before the audio"),
    "mark too late": (
        bent(WordMark, lambda item: (evolve(item, ms=1e6, end_ms=2e6),)),
        "word mark lies after the end",
    ),
    "mark ends early": (bent(WordMark, lambda item: (evolve(item, end_ms=-1.0),)), "word mark ends before it begins"),
    "unknown mouth": (bent(VisemeMark, lambda item: (evolve(item, code="qq"),)), "viseme 'qq' is not in Polly's"),
    "untrue MarksUntil": (
        bent(MarksUntil, lambda item: (MarksUntil(item.ms + 500),)),
        "mark came after MarksUntil had passed it",
    ),
    "MarksUntil goes back": (bent(MarksUntil, lambda item: (item, MarksUntil(0))), "MarksUntil goes back"),
    "bytes for characters": (
        bent(WordMark, lambda item: (evolve(item, start=item.start + 30, end=item.end + 30),)),
        "not in the text (are they bytes?)",
    ),
    "words with spaces": (
        bent(WordMark, lambda item: (evolve(item, end=item.end + 1),)),
        "begin or end with a space",
    ),
    "same word again": (bent(WordMark, lambda item: (item, item)), "words overlap in the text"),
    "foreign item": (bent(MarksUntil, lambda item: (item, None)), "NoneType is no item of a synthesizer"),
    "leaves a task": (lambda: BentSynthesizer(around=with_a_task), "left the task stray behind"),
    "leaves tasks": (lambda: BentSynthesizer(around=with_a_task), "a running task behind each time"),
    "leaves slowly": (lambda: BentSynthesizer(around=left_slowly), "leaving it early took longer than 5 s"),
    "is cancelled slowly": (lambda: BentSynthesizer(around=left_slowly), "cancelling it took longer than 5 s"),
    "another library's error": (lambda: ScriptedSynthesizer(faults={0: Fail(OSError())}), "OSError (), which is no"),
    "hangs": (lambda: ScriptedSynthesizer(faults={0: Hang()}), "was not done within 60 s"),
    "too slow": (lambda: ScriptedSynthesizer(faults={0: Delay(70)}), "was not done within 60 s"),
    "one clause at a time": (lambda: OneAtATime(), "they are mixed up"),
    "streams one clause": (lambda: Deaf(streams=True), "no longer than one of them"),
    "says it streams": (
        lambda: SaysItStreams(),
        "NotImplementedError (synthesizer does not stream clauses), which is no VoiceloopError",
    ),
    "odd error for a voice": (lambda: Choosy(KeyError("voice")), "KeyError ('voice'), which is no VoiceloopError"),
}


class SaysItStreams(BentSynthesizer):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = SynthesizerCapabilities(marks=self.inner.capabilities.marks, streams=True)


async def test_a_voice_that_does_not_exist_may_be_refused() -> None:
    await check_synthesizer(Choosy(UnknownName("voice", "no such voice", ["Joanna"])))


@pytest.mark.parametrize("name", SYNTHESIZERS)
async def test_every_breach_of_a_synthesizer_is_reported(name: str) -> None:
    make, expected = SYNTHESIZERS[name]
    with pytest.raises(ConformanceError) as caught:
        await check_synthesizer(make())
    assert any(expected in violation for violation in caught.value.violations), caught.value
