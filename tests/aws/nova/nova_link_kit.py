"""What the tests of the Nova Sonic link share: an emulator in memory, a user who speaks, and a log of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import numpy as np
from attrs import define, field, frozen

from voiceloop import Pool, clock
from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.aws.nova import NovaSonic
from voiceloop.conversation import HistoryLimits, Message
from voiceloop.conversation.view import newest
from voiceloop.errors import VoiceloopError
from voiceloop.interfaces import (
    Final,
    Link,
    LinkContext,
    LinkEvent,
    ListenConfig,
    Listening,
    ModelUsage,
    ReasonerRequest,
    Recognizer,
    RecognizerCapabilities,
    ReplyAudio,
    ReplyEnded,
    ReplySpan,
    ReplyTextDelta,
    Resources,
    Settings,
    Settled,
)
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.aws.nova import NovaSonicStream
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedSynthesizer, ScriptedTurns, silence, tone

from .nova_marked import WordsHeard, quick
from .nova_memory import Memory, Role, messages

E = TypeVar("E")
LIMIT = 60.0


@define(eq=False)
class Talk:
    """One link that is being talked to. ``events`` is all that came, ``history`` what the session would tell; with
    ``memory`` it is what that holds.

    ``watch`` sees each event; a ``long`` talk keeps only those that are few.
    """

    model: NovaSonic
    aws: Emulator
    nova: NovaSonicStream = field(init=False)
    link: Link = field(init=False)
    events: list[LinkEvent] = field(factory=list)
    history: tuple[Message, ...] = ()
    memory: Memory = field(factory=Memory)
    settings: Settings = Settings(instructions="Be brief.")
    failure: VoiceloopError | None = None
    watch: Callable[[LinkEvent], None] = lambda event: None
    long: bool = False

    @nova.default
    def _nova(self) -> NovaSonicStream:
        return self.aws.nova

    def context(self, resources: Resources) -> LinkContext:
        async def room() -> None:
            await anyio.lowlevel.checkpoint()

        def history(limits: HistoryLimits) -> tuple[Message, ...]:
            return self.memory.told(limits, 40) or newest(self.history, limits)

        return LinkContext(lambda: self.settings, history, room, resources)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def read(self) -> None:
        try:
            async for event in self.link:
                self.watch(event)
                if not self.long or not isinstance(event, ReplyAudio | ReplySpan | ModelUsage | Settled):
                    self.events.append(event)
        except VoiceloopError as failure:
            self.failure = failure

    async def until(self, done: Callable[[], bool], limit: float = LIMIT) -> None:
        until = clock.now() + limit
        while not done() and self.failure is None:
            assert clock.now() < until, f"it did not happen within {limit:g} s: {self.events[-6:]}"
            await anyio.sleep(0.02)

    async def ends(self, kind: type[E], count: int = 1) -> list[E]:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def hear(self, pcm: bytes, frame_ms: int = 20) -> None:
        """Send input at the pace of speech."""
        size = self.model.input_rate * frame_ms // 1000 * 2
        for at in range(0, len(pcm), size):
            await self.link.send_audio(pcm[at : at + size])
            await anyio.sleep(frame_ms / 1000)

    async def word(self, number: int, ms: int = 600, quiet_ms: int = 1200, frame_ms: int = 20) -> None:
        """Say a word that is heard as ``w<number>``."""
        await self.hear(word(number, ms) + silence(quiet_ms), frame_ms)

    async def says(self, ms: int = 600, quiet_ms: int = 1200) -> None:
        taken = self.model.capabilities.input
        await self.hear(tone(ms, taken) + silence(quiet_ms, taken))

    @property
    def heard(self) -> list[str]:
        return list({event.item: event.text for event in self.of(Final)}.values())

    def said(self) -> list[str]:
        replies: dict[int, str] = {}
        for event in self.of(ReplyTextDelta):
            replies[event.reply] = replies.get(event.reply, "") + event.text
        return list(replies.values())

    @property
    def ended(self) -> list[int]:
        return [event.reply for event in self.of(ReplyEnded)]


@asynccontextmanager
async def talk(
    *,
    heard: Sequence[Any] = ("a table for two",),
    replies: Sequence[Any] = ("For when? I can look now.",),
    backing: Backing | None = None,
    settings: Settings | None = None,
    faults: Sequence[Any] = (),
    before: Callable[[Emulator], None] = lambda aws: None,
    history: Sequence[tuple[Role, str]] = (),
    keys_for: float | None = None,
    **options: Any,
) -> AsyncIterator[Talk]:
    """A link to an emulated Nova Sonic, in memory. ``keys_for``: how many seconds the credentials last."""
    async with Emulator(backing or Backing.scripted(heard, replies), faults=faults) as aws:
        aws.nova.profile = quick()
        before(aws)
        keys = None if keys_for is None else aws.issue(keys_for)
        model = NovaSonic(account=aws.account(memory=True, keys=keys), **options)
        running = Talk(model, aws)
        running.history = messages(history)
        if settings is not None:
            running.settings = settings
        async with Pool() as pool, model.connect(running.context(pool)) as link:
            running.link = link
            async with anyio.create_task_group() as group:
                group.start_soon(running.read)
                yield running
                group.cancel_scope.cancel()


# ---------------------------------------------------------------- speech that says what it is

_FIRST = 2_000


def word(number: int, ms: float = 600, rate: int = 16_000) -> bytes:
    """Speech that is heard as ``w<number>``: every sample has a value of its own."""
    return (_FIRST + number).to_bytes(2, "little") * round(ms * rate / 1000)


@frozen(eq=False)
class MarkedRecognizer(Recognizer):
    """Hears :func:`word`, whichever connection it comes on. ``samples``: how many of each word, by connection."""

    name = "marked recognizer"
    input: AudioFormat = PCM16_16K
    samples: list[Counter[int]] = field(factory=list)

    @property
    def capabilities(self) -> RecognizerCapabilities:
        return RecognizerCapabilities(self.input, can_flush=True)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        self.samples.append(Counter())
        yield _Marked(samples=self.samples[-1])


@define(eq=False)
class _Marked(WordsHeard):
    _samples: Counter[int] = field(factory=Counter)

    async def send_audio(self, pcm: bytes) -> None:
        if pcm.count(0) < len(pcm):
            for number, count in words_in(pcm).items():
                self._samples[number] += count
                self.hear(number)


def echo(request: ReasonerRequest) -> str:
    """Answers with what was said."""
    return f"You said {request.messages[-1].text}."


def marked(reply: Callable[[ReasonerRequest], Any] = echo, recognizer: MarkedRecognizer | None = None) -> Backing:
    """A service that hears :func:`word` and answers with ``reply``."""
    return Backing(
        recognizer or MarkedRecognizer(),
        ScriptedReasoner([reply], 0.0, 0.0, cycle=True),
        ScriptedSynthesizer(0.0),
        turns=ScriptedTurns(),
    )


def words_in(pcm: bytes) -> dict[int, int]:
    """How many samples of each word are in ``pcm``."""
    values, counts = np.unique(np.frombuffer(pcm, "<i2"), return_counts=True)
    return {int(value) - _FIRST: int(count) for value, count in zip(values, counts, strict=True) if value >= _FIRST}
