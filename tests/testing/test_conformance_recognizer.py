from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import evolve

from voiceloop.events import SpokenWord
from voiceloop.interfaces import (
    Final,
    ListenConfig,
    Listening,
    Partial,
    Recognizer,
    RecognizerCapabilities,
    RecognizerItem,
    RecognizerUsage,
)
from voiceloop.testing.conformance import ConformanceError, check_recognizer
from voiceloop.testing.scripted import Delay, Fail, Hang, ScriptedRecognizer, tone

pytestmark = pytest.mark.virtual_time

AUDIO = tone(800)
Bend = Callable[[RecognizerItem], Iterable[Any]]


@pytest.mark.parametrize("options", [{}, {"can_flush": True}, {"partials": False}, {"usage": True}])
async def test_a_right_recognizer_passes(options: dict[str, bool]) -> None:
    await check_recognizer(lambda: ScriptedRecognizer(["hello there", "again"], **options), AUDIO)  # type: ignore[arg-type]


class Bent(Recognizer):
    """A right recognizer whose items are bent."""

    name = "bent"

    def __init__(self, bend: Bend, *, can_flush: bool = False) -> None:
        self.inner = ScriptedRecognizer(["hello there", "again"], can_flush=can_flush, usage=True)
        self.capabilities = self.inner.capabilities
        self.bend = bend

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with self.inner.open(config) as listening:
            yield BentListening(listening, self.bend)


class BentListening(Listening):
    def __init__(self, inner: Listening, bend: Bend) -> None:
        self.inner, self.bend = inner, bend

    async def send_audio(self, pcm: bytes) -> None:
        await self.inner.send_audio(pcm)

    async def flush(self, *, end_of_turn: bool) -> None:
        await self.inner.flush(end_of_turn=end_of_turn)

    async def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        async for item in self.inner:
            for bent in self.bend(item):
                yield bent


def finals(change: Callable[[Final], Iterable[Any]]) -> Bend:
    return lambda item: change(item) if isinstance(item, Final) else (item,)


def words(*given: SpokenWord) -> Bend:
    return finals(lambda final: (evolve(final, words=given),))


def word(start: float, end: float, confidence: float | None = None) -> SpokenWord:
    return SpokenWord("x", start, end, confidence)


class Flushing(ScriptedRecognizer):
    """Says that it can flush; brings finals of items with these ids."""

    def __init__(self, *items: str) -> None:
        super().__init__(["a"])
        object.__setattr__(self, "capabilities", RecognizerCapabilities(can_flush=True))
        object.__setattr__(self, "items", items)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with super().open(config) as listening:
            count = 0

            class Numbered(BentListening):
                async def send_audio(self, pcm: bytes) -> None:
                    """Hear nothing."""

                async def flush(self, *, end_of_turn: bool) -> None:
                    nonlocal count
                    if count < len(items):
                        listening.out.put(Final(items[count], "a" * (9 - count), (word(0, 100),)))
                    count += 1

            items = self.items
            yield Numbered(listening, lambda item: (item,))


class Opening(ScriptedRecognizer):
    """Does something odd around each stream."""

    def __init__(self, around: Callable[[Listening], Any]) -> None:
        super().__init__(["hello there"])
        object.__setattr__(self, "around", around)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with super().open(config) as listening, self.around(listening) as bent:
            yield bent


stray: list[Any] = []


@asynccontextmanager
async def leaving_a_task(listening: Listening) -> AsyncIterator[Listening]:
    stray.append(asyncio.create_task(anyio.sleep_forever(), name="stray"))
    yield listening


@asynccontextmanager
async def leaving_a_thread(listening: Listening) -> AsyncIterator[Listening]:
    over = threading.Event()
    threading.Thread(target=over.wait, name="stray", daemon=True).start()
    stray.append(over)
    yield listening


@asynccontextmanager
async def leaving_a_socket(listening: Listening) -> AsyncIterator[Listening]:
    stray.append(socket.socket())
    yield listening


@asynccontextmanager
async def leaving_slowly(listening: Listening) -> AsyncIterator[Listening]:
    try:
        yield listening
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(8)


@asynccontextmanager
async def never_ending(listening: Listening) -> AsyncIterator[Listening]:
    class Endless(BentListening):
        async def __aiter__(self) -> AsyncIterator[RecognizerItem]:
            async for item in self.inner:
                yield item
            await anyio.sleep_forever()

    yield Endless(listening, lambda item: (item,))


@asynccontextmanager
async def ending_at_once(listening: Listening) -> AsyncIterator[Listening]:
    class Short(BentListening):
        async def __aiter__(self) -> AsyncIterator[RecognizerItem]:
            for item in ():
                yield item

    yield Short(listening, lambda item: (item,))


@asynccontextmanager
async def overhearing(listening: Listening) -> AsyncIterator[Listening]:
    """Every stream gets what the newest one hears."""
    stray.append(listening)

    class Shared(BentListening):
        async def send_audio(self, pcm: bytes) -> None:
            for one in stray:
                if not one.out._closed:
                    await one.send_audio(pcm)

    yield Shared(listening, lambda item: (item,))


@pytest.fixture(autouse=True)
def no_strays() -> Iterable[None]:
    yield
    while stray:
        thing = stray.pop()
        end = getattr(thing, "cancel", None) or getattr(thing, "set", None) or getattr(thing, "close", None)
        if end is not None:
            end()


BREACHES: dict[str, tuple[Callable[[], Recognizer], str]] = {
    "partial after final": (
        lambda: Bent(finals(lambda final: (final, Partial(final.item, final.text, final.words)))),
        "a Partial came after its item's Final",
    ),
    "two finals": (lambda: Bent(finals(lambda final: (final, final))), "two Finals came of one item"),
    "shorter final": (
        lambda: Bent(finals(lambda final: (final, evolve(final, text="h"))), can_flush=True),
        "a later Final of the same item is shorter",
    ),
    "stable text changes": (
        lambda: Bent(finals(lambda final: (evolve(final, text="yellow there"),))),
        "text that was said to be stable changed",
    ),
    "too much is stable": (
        lambda: Bent(lambda item: (evolve(item, stable_chars=99) if isinstance(item, Partial) else item,)),
        "stable_chars is more than the text has",
    ),
    "too sure": (lambda: Bent(finals(lambda final: (evolve(final, confidence=1.5),))), "a confidence is not from 0"),
    "too sure of a word": (lambda: Bent(words(word(0, 9, 7))), "a confidence is not from 0"),
    "no word times": (lambda: Bent(words()), "capabilities say word_times"),
    "words in disorder": (lambda: Bent(words(word(300, 400), word(100, 200))), "not in order of time"),
    "word ends early": (lambda: Bent(words(word(300, 200))), "a word ends before it begins"),
    "word in the future": (lambda: Bent(words(word(300, 90_000))), "a word ends after the audio that was sent"),
    "foreign item": (lambda: Bent(finals(lambda final: (final, "surprise"))), "str is no item of a recognizer"),
    "odd usage": (
        lambda: Bent(finals(lambda final: (final, RecognizerUsage({"seconds": -1})))),
        "usage is not numbers",
    ),
    "no final": (lambda: ScriptedRecognizer(["hello"], float("inf")), "no Final with text came"),
    "flushes nothing": (Flushing, "flush brought no Final within 5 s"),
    "two items of one turn": (lambda: Flushing("1", "2"), "Finals of different items"),
    "one item of two turns": (lambda: Flushing("1", "1", "1"), "has no item of its own"),
    "another library's error": (lambda: ScriptedRecognizer(on_open=Fail(OSError("x"))), "OSError (x), which is no"),
    "fails": (lambda: ScriptedRecognizer(on_open=Fail()), "failed with ProviderUnavailable"),
    "hangs on opening": (lambda: ScriptedRecognizer(on_open=Hang()), "was not done within 60 s"),
    "hangs on sending": (lambda: ScriptedRecognizer(["a"], on_send=Hang()), "was not done within 60 s"),
    "dawdles on sending": (lambda: ScriptedRecognizer(["a"], on_send=Delay(4)), "was not done within 60 s"),
    "leaves a task": (lambda: Opening(leaving_a_task), "left the task stray behind"),
    "leaves a task each time": (lambda: Opening(leaving_a_task), "leaves a running task behind each time"),
    "leaves a thread": (lambda: Opening(leaving_a_thread), "left the thread stray behind"),
    "leaves a socket": (lambda: Opening(leaving_a_socket), "left the socket"),
    "leaves slowly": (lambda: Opening(leaving_slowly), "leaving it early took longer than 5 s"),
    "is cancelled slowly": (lambda: Opening(leaving_slowly), "cancelling it took longer than 5 s"),
    "never ends": (lambda: Opening(never_ending), "does not end when the stream is closed"),
    "ends at once": (lambda: Opening(ending_at_once), "the iteration ended while the stream was open"),
    "streams mixed up": (lambda: Opening(overhearing), "a stream of silence got another stream's words"),
}


@pytest.mark.parametrize("name", BREACHES)
async def test_every_breach_is_reported(name: str) -> None:
    make, expected = BREACHES[name]
    with pytest.raises(ConformanceError) as caught:
        await check_recognizer(make(), AUDIO)
    assert any(expected in violation for violation in caught.value.violations), caught.value


async def test_construction_that_does_io_is_reported() -> None:
    def make() -> Recognizer:
        stray.append(socket.socket())
        return ScriptedRecognizer(["hello there"])

    with pytest.raises(ConformanceError, match="constructing did I/O: it left the socket"):
        await check_recognizer(make, AUDIO)
