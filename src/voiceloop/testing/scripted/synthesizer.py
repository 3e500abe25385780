"""A synthesizer that makes audio of exact length, with marks, from any text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import anyio
from attrs import evolve, field, frozen

from voiceloop import clock
from voiceloop.audio import PCM16_24K, AudioFormat
from voiceloop.interfaces import (
    Clause,
    MarkKind,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
    SynthesizerUsage,
    WordMark,
)
from voiceloop.testing.scripted.sound import Piece, pieces
from voiceloop.testing.scripted.steps import Step, perform

_BOTH: frozenset[MarkKind] = frozenset(("viseme", "word"))


@frozen
class Short:
    """The clause's audio ends after ``ms``; its marks do not."""

    ms: float


@frozen(eq=False)
class ScriptedSynthesizer(Synthesizer):
    """A character takes ``ms_per_char`` ms; every sample of a clause has the value ``level(clause.text)``.

    The first audio comes ``first_audio`` seconds after the request, in chunks of ``chunk_ms``, made ``speed`` times
    as fast as they play. Marks come just before the audio they belong to, or ``marks_late`` seconds after it;
    ``marks_lost``: never; ``marks_disordered``: backwards within a chunk. ``faults`` maps the number of a clause
    (from 0, over all calls) to a ``Delay``, ``Fail`` or ``Hang`` before its audio, or to ``Short``. ``usage`` counts
    characters.

    ``clauses`` and ``outcomes`` ("running", "complete", "cut", "failed") record every clause.
    """

    name = "scripted synthesizer"

    first_audio: float = 0.1
    speed: float = 10.0
    ms_per_char: float = 60
    format: AudioFormat = PCM16_24K
    marks: bool | frozenset[MarkKind] = field(default=True, kw_only=True)
    marks_late: float = field(default=0.0, kw_only=True)
    marks_lost: bool = field(default=False, kw_only=True)
    marks_disordered: bool = field(default=False, kw_only=True)
    chunk_ms: float = field(default=100, kw_only=True)
    streams: bool = field(default=False, kw_only=True)
    usage: bool = field(default=False, kw_only=True)
    faults: Mapping[int, Step | Short] = field(factory=dict, kw_only=True)
    capabilities: SynthesizerCapabilities = field(init=False)
    clauses: list[Clause] = field(init=False, factory=list, repr=False)
    outcomes: list[str] = field(init=False, factory=list, repr=False)

    @capabilities.default
    def _capabilities(self) -> SynthesizerCapabilities:
        kinds = self.marks if isinstance(self.marks, frozenset) else _BOTH if self.marks else frozenset()
        return SynthesizerCapabilities(self.format, kinds, self.streams)

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        number = self._begin(clause)
        async with aclosing(self._clause(number, clause, config, self.first_audio, 0.0)) as items:
            try:
                yield items
            finally:
                self._cut(number)

    @asynccontextmanager
    async def stream(
        self, clauses: AsyncIterable[Clause], config: SpeakConfig
    ) -> AsyncIterator[AsyncIterator[Speech]]:
        first = len(self.clauses)
        async with aclosing(self._stream(clauses, config)) as items:
            try:
                yield items
            finally:
                for number in range(first, len(self.clauses)):
                    self._cut(number)

    async def _stream(self, clauses: AsyncIterable[Clause], config: SpeakConfig) -> AsyncGenerator[Speech, None]:
        start_ms, chars = 0.0, 0
        async for clause in clauses:
            samples = 0
            number = self._begin(clause)
            wait = self.first_audio if start_ms == 0 else 0.0
            async with aclosing(self._clause(number, clause, config, wait, start_ms)) as items:
                async for item in items:
                    if isinstance(item, SpeechAudio):
                        samples += self.format.samples(item.pcm)
                    if isinstance(item, WordMark):
                        item = evolve(item, start=item.start + chars, end=item.end + chars)
                    yield item
            start_ms += self.format.ms(samples)
            chars += len(clause.text)

    def _begin(self, clause: Clause) -> int:
        self.clauses.append(clause)
        self.outcomes.append("running")
        return len(self.clauses) - 1

    def _cut(self, number: int) -> None:
        if self.outcomes[number] == "running":
            self.outcomes[number] = "cut"

    async def _clause(
        self, number: int, clause: Clause, config: SpeakConfig, wait: float, start_ms: float
    ) -> AsyncGenerator[Speech, None]:
        fault = self.faults.get(number)
        try:
            await anyio.sleep(wait)
            if not isinstance(fault, Short):
                await perform(fault)
            began = clock.now()
            for at, items in self._pieces(clause, config.want & self.capabilities.marks, fault, start_ms):
                wait = began + at - clock.now()
                if wait > 0:
                    await anyio.sleep(wait)
                for item in items:
                    yield item
            if self.usage:
                yield SynthesizerUsage({"characters": len(clause.text)})
        except Exception:
            self.outcomes[number] = "failed"
            raise
        self.outcomes[number] = "complete"

    def _pieces(
        self, clause: Clause, want: frozenset[MarkKind], fault: Step | Short | None, start_ms: float
    ) -> list[tuple[float, tuple[Speech, ...]]]:
        """What comes when, in seconds after the first audio."""
        due: list[tuple[float, tuple[Speech, ...]]] = []
        made_ms = 0.0
        for piece in pieces(clause.text, self.format, want, self.ms_per_char, self.chunk_ms, start_ms):
            at = made_ms / 1000 / self.speed
            made_ms = piece.end_ms - start_ms
            marks = self._marks(piece)
            audio: tuple[Speech, ...] = (piece.audio,)
            if isinstance(fault, Short) and made_ms > fault.ms:
                over = self.format.samples_in(made_ms - fault.ms)
                rest = piece.audio.pcm[: max(0, len(piece.audio.pcm) - self.format.bytes_of(over))]
                audio = (SpeechAudio(rest),) if rest else ()
            if self.marks_late and marks:
                due += [(at, audio), (at + self.marks_late, marks)]
            else:
                due.append((at, (*marks, *audio)))
        return sorted(due, key=lambda entry: entry[0])

    def _marks(self, piece: Piece) -> tuple[Speech, ...]:
        if self.marks_lost:
            return ()
        return (*reversed(piece.marks[:-1]), *piece.marks[-1:]) if self.marks_disordered else piece.marks
