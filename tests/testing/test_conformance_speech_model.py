from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import evolve

from voiceloop.errors import ProviderRefused
from voiceloop.interfaces import (
    Command,
    Cut,
    EndOfTurn,
    Final,
    Link,
    LinkContext,
    LinkEvent,
    ModelCapabilities,
    ModelUsage,
    Pause,
    ReplyAudio,
    ReplyEnded,
    ReplyFailed,
    ReplyMarksUntil,
    ReplyStarted,
    ReplyTextDelta,
    ReplyViseme,
    ReplyWord,
    Say,
    SpeechModel,
    ToolResult,
    UserText,
)
from voiceloop.testing.conformance import ConformanceError, check_speech_model
from voiceloop.testing.scripted import Delay, Fail, Hang, ScriptedRecognizer, ScriptedSpeechModel, tone

pytestmark = pytest.mark.virtual_time

AUDIO = tone(800)
REPLY = "Good day to you, and many thanks for all of that."
OWNS = ModelCapabilities(owns_turns=True, can_cut=False, says=False)
stray: list[Any] = []


@pytest.fixture(autouse=True)
def no_strays() -> Iterable[None]:
    yield
    while stray:
        thing = stray.pop()
        if isinstance(thing, asyncio.Task):
            thing.cancel()


def scripted(capabilities: ModelCapabilities | None = None, **options: Any) -> ScriptedSpeechModel:
    recognizer = options.pop("recognizer", None) or ScriptedRecognizer(["hello there"])
    if capabilities is not None:
        options["capabilities"] = capabilities
    return ScriptedSpeechModel([REPLY] * 9, recognizer, **options)


@pytest.mark.parametrize("capabilities", [None, OWNS, ModelCapabilities(can_flush=True, text_input=False)])
async def test_right_models_pass(capabilities: ModelCapabilities | None) -> None:
    await check_speech_model(lambda: scripted(capabilities), AUDIO)


class Bent(SpeechModel):
    """A right model whose events are bent, and whose commands are too."""

    name = "bent"

    def __init__(
        self,
        bend: Callable[[LinkEvent], Iterable[Any]] = lambda event: (event,),
        *,
        command: Callable[[Command], Command | None] = lambda command: command,
        around: Callable[[Link], Any] | None = None,
        capabilities: ModelCapabilities | None = None,
    ) -> None:
        self.inner = scripted(capabilities)
        self.bend, self.command, self.around = bend, command, around

    @property
    def capabilities(self) -> ModelCapabilities:
        return self.inner.capabilities

    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        async with self.inner.connect(context) as link:
            if self.around is None:
                yield BentLink(link, self)
            else:
                async with self.around(link) as bent:
                    yield BentLink(bent, self)


class BentLink(Link):
    def __init__(self, inner: Link, model: Bent) -> None:
        self.inner, self.model = inner, model

    async def send_audio(self, pcm: bytes) -> None:
        await self.inner.send_audio(pcm)

    async def send(self, command: Command) -> None:
        changed = self.model.command(command)
        if changed is not None:
            await self.inner.send(changed)

    async def __aiter__(self) -> AsyncIterator[LinkEvent]:
        async for event in self.inner:
            for bent in self.model.bend(event):
                yield bent


def bent(kind: type, change: Callable[[Any], Iterable[Any]]) -> Callable[[], SpeechModel]:
    return lambda: Bent(lambda event: change(event) if isinstance(event, kind) else (event,))


def refuse(kind: type[Command]) -> Callable[[Command], Command | None]:
    def command(given: Command) -> Command | None:
        if isinstance(given, kind):
            raise ProviderRefused("no", provider="bent")
        return given

    return command


def ignore(kind: type[Command]) -> Callable[[Command], Command | None]:
    return lambda command: None if isinstance(command, kind) else command


@asynccontextmanager
async def with_a_task(link: Link) -> AsyncIterator[Link]:
    stray.append(asyncio.create_task(anyio.sleep_forever(), name="stray"))
    yield link


@asynccontextmanager
async def left_slowly(link: Link) -> AsyncIterator[Link]:
    try:
        yield link
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(8)


class Around(Link):
    def __init__(self, inner: Link) -> None:
        self.inner = inner

    async def send_audio(self, pcm: bytes) -> None:
        await self.inner.send_audio(pcm)

    async def send(self, command: Command) -> None:
        await self.inner.send(command)

    async def __aiter__(self) -> AsyncIterator[LinkEvent]:
        async for event in self.inner:
            yield event


@asynccontextmanager
async def never_ending(link: Link) -> AsyncIterator[Link]:
    class Endless(Around):
        async def __aiter__(self) -> AsyncIterator[LinkEvent]:
            async for event in self.inner:
                yield event
            await anyio.sleep_forever()

    yield Endless(link)


@asynccontextmanager
async def ending_at_once(link: Link) -> AsyncIterator[Link]:
    class Short(Around):
        async def __aiter__(self) -> AsyncIterator[LinkEvent]:
            for event in ():
                yield event

    yield Short(link)


@asynccontextmanager
async def overheard(link: Link) -> AsyncIterator[Link]:
    """Every link hears what is sent on any."""
    stray.append(link)

    class Shared(Around):
        async def send_audio(self, pcm: bytes) -> None:
            for one in stray:
                await one.send_audio(pcm)

    try:
        yield Shared(link)
    finally:
        stray.remove(link)


def again(event: Any) -> Iterable[Any]:
    return (event, event)


def nothing(event: Any) -> Iterable[Any]:
    return ()


BREACHES: dict[str, tuple[Callable[[], SpeechModel], str]] = {
    "no answer": (lambda: Bent(command=ignore(EndOfTurn)), "speech got no complete reply"),
    "does not say": (lambda: Bent(command=ignore(Say)), "Say got no complete reply"),
    "does not read": (lambda: Bent(command=ignore(UserText)), "UserText got no complete reply"),
    "refuses to say": (lambda: Bent(command=refuse(Say)), "saying given words: failed with ProviderRefused"),
    "cannot cut": (
        lambda: Bent(command=lambda given: evolve(given, turn=7) if isinstance(given, Cut) else given),
        "a reply's audio goes on after its Cut",
    ),
    "minds what is gone": (lambda: Bent(command=refuse(ToolResult)), "what is gone: failed with ProviderRefused"),
    "answers what is gone": (
        lambda: Bent(command=lambda given: Say(1, "What?") if isinstance(given, ToolResult) else given),
        "a command about what is gone started a reply",
    ),
    "another turn": (bent(ReplyStarted, lambda event: (evolve(event, turn=9),)), "belongs to turn {9}, expected 1"),
    "not started": (bent(ReplyStarted, nothing), "of a reply that was not started"),
    "started twice": (bent(ReplyStarted, again), "a reply's number was used before"),
    "not ended": (bent(ReplyEnded, nothing), "got no complete reply"),
    "ended twice": (bent(ReplyEnded, again), "ReplyEnded of a reply that was over"),
    "no audio": (bent(ReplyAudio, nothing), "a reply has no ReplyAudio"),
    "no text": (bent(ReplyTextDelta, nothing), "a reply has no ReplyTextDelta"),
    "blank text": (bent(ReplyTextDelta, lambda event: (event, evolve(event, text=""))), "holds no text"),
    "half a sample": (bent(ReplyAudio, lambda event: (evolve(event, pcm=event.pcm + b"x"),)), "not whole samples"),
    "marks it does not name": (
        lambda: Bent(
            lambda event: (event, ReplyViseme(event.reply, "p", 0)) if isinstance(event, ReplyStarted) else (event,),
            capabilities=ModelCapabilities(),
        ),
        "viseme marks that capabilities do not name",
    ),
    "marks in disorder": (
        bent(ReplyViseme, lambda event: (event, evolve(event, ms=event.ms - 1, end_ms=None))),
        "viseme marks are not in order",
    ),
    "mark after the end": (bent(ReplyWord, lambda event: (evolve(event, ms=1e6, end_ms=1e7),)), "a mark lies after"),
    "mark ends early": (bent(ReplyWord, lambda event: (evolve(event, end_ms=-1.0),)), "a word mark ends before"),
    "untrue until": (bent(ReplyMarksUntil, lambda event: (evolve(event, ms=1e6),)), "ReplyMarksUntil had passed it"),
    "until goes back": (
        bent(ReplyMarksUntil, lambda event: (event, evolve(event, ms=0.0))),
        "ReplyMarksUntil goes back",
    ),
    "unknown mouth": (bent(ReplyViseme, lambda event: (evolve(event, code="qq"),)), "viseme 'qq' is not"),
    "word elsewhere": (bent(ReplyWord, lambda event: (evolve(event, end=999),)), "not in the reply's text so far"),
    "same word again": (bent(ReplyWord, again), "words overlap in the text"),
    "reply fails": (
        bent(ReplyEnded, lambda event: (ReplyFailed(event.reply, KeyError("x")),)),
        "failed with KeyError",
    ),
    "odd usage": (bent(ReplyEnded, lambda event: (event, ModelUsage("x", {"a": -1}))), "usage is not numbers"),
    "foreign event": (bent(ReplyEnded, lambda event: (event, Pause())), "Pause is no event of a link"),
    "no transcript": (bent(Final, nothing), "no Final with text came"),
    "stable text changes": (bent(Final, lambda event: (evolve(event, text="yellow"),)), "said to be stable changed"),
    "leaves a task": (lambda: Bent(around=with_a_task), "left the task stray behind"),
    "leaves tasks": (lambda: Bent(around=with_a_task), "a running task behind each time"),
    "leaves slowly": (lambda: Bent(around=left_slowly), "leaving it early took longer than 5 s"),
    "is cancelled slowly": (lambda: Bent(around=left_slowly), "cancelling it took longer than 5 s"),
    "never ends": (lambda: Bent(around=never_ending), "does not end when the stream is closed"),
    "ends at once": (lambda: Bent(around=ending_at_once), "the iteration ended while the link was open"),
    "links mixed up": (lambda: Bent(around=overheard), "a link got what belongs to another one"),
    "fails": (lambda: scripted(on_connect=Fail()), "failed with ProviderUnavailable"),
    "another library's error": (lambda: scripted(on_connect=Fail(OSError("x"))), "OSError (x), which is no"),
    "hangs": (lambda: scripted(on_connect=Hang()), "was not done within 60 s"),
    "connects slowly": (lambda: scripted(on_connect=Delay(70)), "was not done within 60 s"),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_every_breach_is_reported(name: str) -> None:
    make, expected = BREACHES[name]
    with pytest.raises(ConformanceError) as caught:
        await check_speech_model(make(), AUDIO)
    assert any(expected in violation for violation in caught.value.violations), caught.value
