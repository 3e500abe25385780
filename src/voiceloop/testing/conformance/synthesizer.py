"""The conformance suite for synthesizers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

import anyio
import anyio.lowlevel
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.engine.pool import Pool
from voiceloop.errors import AudioFormatError, ProviderError, UnknownName
from voiceloop.interfaces import (
    Clause,
    MarkKind,
    MarksUntil,
    Resources,
    SpeakConfig,
    SpeechAudio,
    Synthesizer,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.conformance.findings import Findings
from voiceloop.testing.conformance.transcripts import amounts
from voiceloop.visemes import CODES

_ALL: frozenset[MarkKind] = frozenset(("viseme", "word"))
_NONE: frozenset[MarkKind] = frozenset()
_SLACK_MS = 60.0
_AWKWARD = ("5 < 7 & so on.", "“Café” – naïve…", "No!", "It's 3.14, isn't it?")


async def check_synthesizer(
    synthesizer: Synthesizer | Callable[[], Synthesizer],
    text: str = "Good morning, this is a short test.",
    *,
    timeout: float = 60.0,
    pool: Callable[[], AbstractAsyncContextManager[Resources]] = Pool,
) -> None:
    """Check a synthesizer, or what a function makes, against the contract of its interface.

    ``text``: a clause of several words in its language. Each of the phases has ``timeout`` seconds. Raises
    ConformanceError with every breach found: whole samples, marks in order, inside the audio and only as wanted,
    characters of words, text with signs, a voice that does not exist, streaming, leaving early, cancelling, two
    clauses at once, and what is left behind.
    """
    findings = Findings("the synthesizer", timeout, pool)
    made = findings.construct(synthesizer)
    findings.name = f"{made.name} ({type(made).__name__})"
    suite = _Suite(findings, made, text)
    await findings.phase("one clause", suite.one)
    await findings.phase("without marks", suite.unmarked)
    await findings.phase("one kind of marks", suite.one_kind)
    await findings.phase("text with signs", suite.awkward)
    await findings.phase("a voice that does not exist", suite.unknown_voice)
    if made.capabilities.streams:
        await findings.phase("a stream of clauses", suite.stream)
    await findings.phase("leaving early", suite.leaving)
    await findings.phase("cancelling", suite.cancelling)
    await findings.phase("two clauses at once", suite.two)
    findings.finish()


@define(eq=False)
class _Suite:
    findings: Findings
    synthesizer: Synthesizer
    text: str
    output: AudioFormat = field(init=False)

    @output.default
    def _output(self) -> AudioFormat:
        return self.synthesizer.capabilities.output

    async def one(self, resources: Resources) -> None:
        await self._speak(self.text, SpeakConfig(resources, _ALL))

    async def unmarked(self, resources: Resources) -> None:
        await self._speak(self.text, SpeakConfig(resources))

    async def one_kind(self, resources: Resources) -> None:
        for kind in sorted(self.synthesizer.capabilities.marks):
            await self._speak(self.text, SpeakConfig(resources, frozenset((kind,))))

    async def awkward(self, resources: Resources) -> None:
        for text in _AWKWARD:
            await self._speak(text, SpeakConfig(resources, _ALL))

    async def unknown_voice(self, resources: Resources) -> None:
        try:
            async with self.synthesizer.speak(
                Clause(self.text), SpeakConfig(resources, voice="no such voice")
            ) as items:
                async for _ in items:
                    pass
        except (UnknownName, ProviderError):
            pass

    async def stream(self, resources: Resources) -> None:
        async def clauses() -> AsyncGenerator[Clause, None]:
            yield Clause(self.text, first=True)
            await anyio.lowlevel.checkpoint()
            yield Clause(self.text, ends="reply")

        alone = await self._speak(self.text, SpeakConfig(resources))
        speech = _Spoken(self, None, _ALL & self.synthesizer.capabilities.marks)
        async with (
            aclosing(clauses()) as source,
            self.synthesizer.stream(source, SpeakConfig(resources, _ALL)) as items,
        ):
            async for item in items:
                speech.see(item)
        speech.finish()
        self.findings.check(speech.audio_ms > 1.5 * alone, "a stream of two clauses is no longer than one of them")

    async def leaving(self, resources: Resources) -> None:
        async def use() -> float:
            async with self.synthesizer.speak(Clause(self.text), SpeakConfig(resources, _ALL)) as items:
                while not isinstance(await anext(items, SpeechAudio(b"")), SpeechAudio):
                    pass
                return clock.now()

        await self.findings.left(use)

    async def cancelling(self, resources: Resources) -> None:
        async def use() -> None:
            async with self.synthesizer.speak(Clause(self.text), SpeakConfig(resources, _ALL)) as items:
                async for _ in items:
                    pass

        for after in (0.0, 0.02, 0.15):
            await self.findings.cancelled(use, after=after)

    async def two(self, resources: Resources) -> None:
        texts = (self.text, f"{self.text} {self.text}")
        config = SpeakConfig(resources, _ALL)
        alone = [await self._speak(text, config) for text in texts]
        together = [0.0, 0.0]

        async def speak(number: int) -> None:
            together[number] = await self._speak(texts[number], config)

        async with anyio.create_task_group() as group:
            for number in range(2):
                group.start_soon(speak, number)
        for one, both in zip(alone, together, strict=True):
            same = abs(one - both) <= max(0.2 * one, 100)
            self.findings.check(same, "a clause spoken beside another has another length: they are mixed up")

    async def _speak(self, text: str, config: SpeakConfig) -> float:
        """Speak a clause and look at all of it; how many ms it has."""
        speech = _Spoken(self, text, config.want & self.synthesizer.capabilities.marks)
        async with self.synthesizer.speak(Clause(text, ends="reply", first=True), config) as items:
            async for item in items:
                speech.see(item)
        speech.finish()
        return speech.audio_ms


@define(eq=False)
class _Spoken:
    """Looks at one clause (or a stream: ``text`` None) item by item."""

    suite: _Suite
    text: str | None
    wanted: frozenset[MarkKind]
    audio_ms: float = 0.0
    visemes: list[VisemeMark] = field(factory=list)
    words: list[WordMark] = field(factory=list)
    until: float = 0.0

    def see(self, item: object) -> None:
        findings = self.suite.findings
        match item:
            case SpeechAudio(pcm):
                try:
                    self.audio_ms += self.suite.output.ms(self.suite.output.samples(pcm))
                except AudioFormatError:
                    findings.wrong("audio that is not whole samples")
            case VisemeMark():
                findings.check("viseme" in self.wanted, "viseme marks that nobody wanted")
                findings.check(item.code in CODES, f"viseme {item.code!r} is not in Polly's alphabet")
                self._mark(item, self.visemes)
                self.visemes.append(item)
            case WordMark():
                findings.check("word" in self.wanted, "word marks that nobody wanted")
                self._mark(item, self.words)
                self._word(item)
                self.words.append(item)
            case MarksUntil(ms):
                findings.check(ms >= self.until, "MarksUntil goes back")
                self.until = max(self.until, ms)
            case SynthesizerUsage(given):
                amounts(findings, given)
            case _:
                findings.wrong(f"{type(item).__name__} is no item of a synthesizer")

    def finish(self) -> None:
        findings = self.suite.findings
        findings.check(self.audio_ms > 0, "no audio came")
        for kind, marks in (("viseme", self.visemes), ("word", self.words)):
            promised = kind in self.wanted
            findings.check(bool(marks) or not promised, f"{kind} marks are promised and wanted, but none came")
            last = max((mark.ms for mark in marks), default=0.0)
            findings.check(last <= self.audio_ms + _SLACK_MS, f"a {kind} mark lies after the end of the audio")

    def _mark(self, item: VisemeMark | WordMark, before: Sequence[VisemeMark | WordMark]) -> None:
        findings, kind = self.suite.findings, "viseme" if isinstance(item, VisemeMark) else "word"
        findings.check(item.ms >= 0, f"a {kind} mark lies before the audio")
        findings.check(item.ms >= self.until, f"a {kind} mark came after MarksUntil had passed it")
        findings.check(not before or item.ms >= before[-1].ms, f"{kind} marks are not in order of time")
        findings.check(item.end_ms is None or item.end_ms >= item.ms, f"a {kind} mark ends before it begins")

    def _word(self, word: WordMark) -> None:
        findings = self.suite.findings
        if self.text is None:
            return
        inside = 0 <= word.start < word.end <= len(self.text)
        findings.check(inside, "a word's characters are not in the text (are they bytes?)")
        spoken = self.text[word.start : word.end]
        findings.check(not inside or spoken == spoken.strip() != "", "a word's characters begin or end with a space")
        backwards = bool(self.words) and word.start < self.words[-1].end
        findings.check(not backwards, "words overlap in the text, or come in another order than in it")
