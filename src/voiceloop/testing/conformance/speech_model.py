"""The conformance suite for speech models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
from attrs import define, evolve, field

from voiceloop import clock
from voiceloop.conversation import HistoryLimits, Message, TextPart
from voiceloop.engine.pool import Pool
from voiceloop.events import Heard
from voiceloop.interfaces import (
    Command,
    Cut,
    EndOfTurn,
    Final,
    Link,
    LinkContext,
    Partial,
    Pause,
    ReplyAudio,
    ReplyTextDelta,
    Resources,
    Say,
    Settings,
    SpeechModel,
    ToolResult,
    UserText,
)
from voiceloop.testing.conformance.findings import Findings, until
from voiceloop.testing.conformance.replies import Replies
from voiceloop.testing.conformance.transcripts import Transcripts


async def check_speech_model(
    model: SpeechModel | Callable[[], SpeechModel],
    audio: bytes,
    *,
    settings: Settings = Settings(instructions="Answer in one sentence."),
    realtime: bool = False,
    silence_ms: float = 3000,
    timeout: float = 60.0,
    pool: Callable[[], AbstractAsyncContextManager[Resources]] = Pool,
) -> None:
    """Check a speech model, or what a function makes, against the contract of its interface.

    ``audio``: one utterance with clear words that it should answer, in ``capabilities.input``; in the check
    ``silence_ms`` of silence follow. ``realtime``: send it at the pace of speech. Each of the phases has ``timeout``
    seconds. Raises ConformanceError with every breach found: replies and what belongs to them, transcripts, commands
    it says it takes, cutting, commands about what is gone, closing, leaving early, cancelling, two links at once, and
    what is left behind.
    """
    findings = Findings("the speech model", timeout, pool)
    made = findings.construct(model)
    findings.name = f"{made.name} ({type(made).__name__})"
    capabilities = made.capabilities
    suite = _Suite(findings, made, audio, settings, realtime, silence_ms)
    await findings.phase("answering speech", suite.speech)
    if capabilities.says:
        await findings.phase("saying given words", suite.says)
    if capabilities.text_input:
        await findings.phase("answering typed text", suite.text)
    if capabilities.can_cut and (capabilities.says or capabilities.text_input):
        await findings.phase("cutting a reply", suite.cut)
    await findings.phase("commands about what is gone", suite.gone)
    await findings.phase("leaving early", suite.leaving)
    await findings.phase("cancelling", suite.cancelling)
    await findings.phase("two links at once", suite.two)
    findings.finish()


@define(eq=False)
class _Suite:
    findings: Findings
    model: SpeechModel
    audio: bytes
    settings: Settings
    realtime: bool
    silence_ms: float

    async def speech(self, resources: Resources) -> None:
        talk = _Talk(self)
        async with talk.open(resources) as link:
            await talk.say_audio(link)
            if not self.model.capabilities.owns_turns:
                await link.send(Pause())
                talk.history = (Message("user", (TextPart("Hello, who are you?"),)),)
                await link.send(EndOfTurn(1))
            answered = await until(lambda: bool(talk.replies.ended), 20)
        turn = None if self.model.capabilities.owns_turns else 1
        self.findings.check(answered, "speech got no complete reply")
        self._answers(talk, turn)
        spoken = any(final.text.strip() for final in talk.transcripts.finals)
        self.findings.check(spoken, "no Final with text came of the speech that was answered")

    async def says(self, resources: Resources) -> None:
        await self._asks(resources, Say(1, "Good morning. This is a test."))

    async def text(self, resources: Resources) -> None:
        await self._asks(resources, UserText("Hello, who are you?", turn=1))

    async def _asks(self, resources: Resources, command: Command) -> None:
        talk = _Talk(self, history=(Message("user", (TextPart("Hello, who are you?"),)),))
        async with talk.open(resources) as link:
            await link.send(command)
            answered = await until(lambda: bool(talk.replies.ended), 20)
        self.findings.check(answered, f"{type(command).__name__} got no complete reply")
        self._answers(talk, 1)

    def _answers(self, talk: _Talk, turn: int | None) -> None:
        turns = set(talk.replies.turns.values())
        self.findings.check(turns <= {turn}, f"a reply belongs to turn {turns - {turn}}, expected {turn}")
        for kind in (ReplyTextDelta, ReplyAudio):
            came = any(isinstance(event, kind) for event in talk.replies.seen)
            self.findings.check(came or not talk.replies.ended, f"a reply has no {kind.__name__}")

    async def cut(self, resources: Resources) -> None:
        talk = _Talk(self, history=(Message("user", (TextPart("Tell me a long story."),)),))
        long = "This is a rather long sentence that is going to be cut. " * 8
        async with talk.open(resources) as link:
            await link.send(
                Say(1, long) if self.model.capabilities.says else UserText("Tell me a long story.", turn=1)
            )
            if not await until(lambda: talk.replies.audio_ms > 0, 20):
                self.findings.wrong("a long reply brought no audio")
                return
            await link.send(Cut(1, Heard("")))
            await link.send(Cut(1, Heard("")))
            await anyio.sleep(0.5)
            before = talk.replies.audio_ms
            await anyio.sleep(2)
            went_on = talk.replies.audio_ms > before
        self.findings.check(not went_on, "capabilities say can_cut, but a reply's audio goes on after its Cut")

    async def gone(self, resources: Resources) -> None:
        talk = _Talk(self)
        async with talk.open(resources) as link:
            await link.send(Cut(99, Heard("")))
            await link.send(ToolResult(99, "no such call", "none", "nothing"))
            await link.send(Pause())
            await anyio.sleep(1)
        self.findings.check(not talk.replies.turns, "a command about what is gone started a reply")

    async def leaving(self, resources: Resources) -> None:
        async def use() -> float:
            talk = _Talk(self)
            async with talk.open(resources) as link:
                await link.send_audio(self.audio[: self.model.capabilities.input.bytes_of(1600)])
                if self.model.capabilities.text_input:
                    await link.send(UserText("Hello, who are you?", turn=1))
                    await until(lambda: bool(talk.replies.turns), 1)
                return clock.now()

        await self.findings.left(use)

    async def cancelling(self, resources: Resources) -> None:
        async def use() -> None:
            async with self.model.connect(_Talk(self).context(resources)) as link:
                async for _ in link:
                    pass
                self.findings.wrong("the iteration ended while the link was open")

        for after in (0.0, 0.5):
            await self.findings.cancelled(use, after=after)

    async def two(self, resources: Resources) -> None:
        one, other = _Talk(self), _Talk(self)
        async with one.open(resources) as link, other.open(resources):
            await one.say_audio(link)
            await anyio.sleep(1)
        heard = [item for item in other.transcripts.finals if item.text.strip()]
        self.findings.check(not other.replies.seen and not heard, "a link got what belongs to another one")


@define(eq=False)
class _Talk:
    """One link, and what came on it."""

    suite: _Suite
    history: tuple[Message, ...] = ()
    replies: Replies = field(init=False)
    transcripts: Transcripts = field(init=False)

    @replies.default
    def _replies(self) -> Replies:
        return Replies(self.suite.findings, self.suite.model.capabilities)

    @transcripts.default
    def _transcripts(self) -> Transcripts:
        return Transcripts(self.suite.findings, flushes=True, word_times=False)

    def context(self, resources: Resources) -> LinkContext:
        """A session's side of the link: it always has room, and wants every kind of marks."""

        async def room() -> None:
            await anyio.lowlevel.checkpoint()

        def history(limits: HistoryLimits) -> tuple[Message, ...]:
            return self.history

        want = self.suite.model.capabilities.marks
        return LinkContext(lambda: evolve(self.suite.settings), history, room, resources, want)

    def open(self, resources: Resources) -> AbstractAsyncContextManager[Link]:
        opening = self.suite.model.connect(self.context(resources))
        return self.suite.findings.reading(opening, lambda link: link, self._see)

    async def say_audio(self, link: Link) -> None:
        """The utterance and silence, in chunks of 100 ms."""
        taken = self.suite.model.capabilities.input
        audio = self.suite.audio + taken.silence(taken.samples_in(self.suite.silence_ms))
        size = taken.bytes_of(taken.samples_in(100))
        for at in range(0, len(audio), size):
            chunk = audio[at : at + size]
            self.transcripts.sent_ms += taken.ms(taken.samples(chunk))
            await link.send_audio(chunk)
            await anyio.sleep(0.1 if self.suite.realtime else 0)

    def _see(self, event: object) -> None:
        if isinstance(event, Partial | Final):
            self.transcripts.see(event)
        else:
            self.replies.see(event)
