"""The conformance suite for recognizers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.engine.pool import Pool
from voiceloop.interfaces import (
    Final,
    ListenConfig,
    Listening,
    ListeningChanged,
    Partial,
    Recognizer,
    RecognizerUsage,
    Resources,
)
from voiceloop.testing.conformance.findings import Findings, until
from voiceloop.testing.conformance.transcripts import Transcripts, amounts


async def check_recognizer(
    recognizer: Recognizer | Callable[[], Recognizer],
    audio: bytes,
    *,
    realtime: bool = False,
    silence_ms: float = 3000,
    timeout: float = 60.0,
    pool: Callable[[], AbstractAsyncContextManager[Resources]] = Pool,
) -> None:
    """Check a recognizer, or what a function makes, against the contract of its interface.

    ``audio``: one utterance with clear words, in ``capabilities.input``, followed in the check by ``silence_ms``.
    ``realtime``: send it at the pace of speech, for services that need it. Each of the phases has ``timeout``
    seconds. Raises ConformanceError with every breach found: items, word times, flushing, closing, leaving early,
    cancelling, two streams at once, and what is left behind.
    """
    findings = Findings("the recognizer", timeout, pool)
    made = findings.construct(recognizer)
    findings.name = f"{made.name} ({type(made).__name__})"
    suite = _Suite(findings, made, audio, realtime, silence_ms)
    await findings.phase("one utterance", suite.utterance)
    if made.capabilities.can_flush:
        await findings.phase("flushing", suite.flushing)
    await findings.phase("leaving early", suite.leaving)
    await findings.phase("cancelling", suite.cancelling)
    await findings.phase("two streams at once", suite.two)
    findings.finish()


@define(eq=False)
class _Suite:
    findings: Findings
    recognizer: Recognizer
    audio: bytes
    realtime: bool
    silence_ms: float
    taken: AudioFormat = field(init=False)

    @taken.default
    def _taken(self) -> AudioFormat:
        return self.recognizer.capabilities.input

    async def utterance(self, resources: Resources) -> None:
        stream = _Stream(self)
        async with stream.open(resources) as listening:
            await stream.send(listening, self.audio)
            await stream.send(listening, self.taken.silence(self.taken.samples_in(self.silence_ms)))
            await listening.flush(end_of_turn=True)
            await listening.expect(None)
            heard = await until(lambda: bool(stream.text()), 15)
        self.findings.check(heard, "no Final with text came after an utterance and silence")

    async def flushing(self, resources: Resources) -> None:
        stream = _Stream(self)
        async with stream.open(resources) as listening:
            await stream.send(listening, self.audio)
            await listening.flush(end_of_turn=False)
            if not await until(lambda: bool(stream.transcripts.finals), 5):
                self.findings.wrong("capabilities say can_flush, but flush brought no Final within 5 s")
                return
            await listening.flush(end_of_turn=True)
            await anyio.sleep(1)
            first = {final.item for final in stream.transcripts.finals}
            self.findings.check(len(first) == 1, "a pause and the end of its turn brought Finals of different items")
            await stream.send(listening, self.audio)
            await listening.flush(end_of_turn=True)
            await until(lambda: stream.transcripts.finals[-1].item not in first, 5)
            last = stream.transcripts.finals[-1].item
        self.findings.check(last not in first, "what came after an end of turn has no item of its own")

    async def leaving(self, resources: Resources) -> None:
        async def use() -> float:
            stream = _Stream(self)
            async with stream.open(resources) as listening:
                await stream.send(listening, self.audio[: self.taken.bytes_of(self.taken.samples_in(200))])
                return clock.now()

        await self.findings.left(use)

    async def cancelling(self, resources: Resources) -> None:
        async def use() -> None:
            async with self.recognizer.open(ListenConfig(resources)) as listening:
                async for _ in listening:
                    pass
                self.findings.wrong("the iteration ended while the stream was open")

        await self.findings.cancelled(use, after=0.5)

    async def two(self, resources: Resources) -> None:
        quiet, loud = _Stream(self), _Stream(self)
        async with quiet.open(resources) as nobody, loud.open(resources) as somebody:
            await loud.send(somebody, self.audio)
            hush = self.taken.silence(self.taken.samples_in(self.silence_ms))
            async with anyio.create_task_group() as group:
                group.start_soon(loud.send, somebody, hush)
                group.start_soon(quiet.send, nobody, hush)
            await somebody.flush(end_of_turn=True)
            await until(lambda: bool(loud.text()), 15)
        self.findings.check(bool(loud.text()), "a stream heard nothing while another was open")
        self.findings.check(not quiet.text(), "a stream of silence got another stream's words")


@define(eq=False)
class _Stream:
    """One stream, what was sent on it and what came."""

    suite: _Suite
    transcripts: Transcripts = field(init=False)

    @transcripts.default
    def _transcripts(self) -> Transcripts:
        capabilities = self.suite.recognizer.capabilities
        return Transcripts(self.suite.findings, capabilities.can_flush, capabilities.word_times)

    def open(self, resources: Resources) -> AbstractAsyncContextManager[Listening]:
        opening = self.suite.recognizer.open(ListenConfig(resources))
        return self.suite.findings.reading(opening, lambda listening: listening, self._see)

    async def send(self, listening: Listening, audio: bytes) -> None:
        """In chunks of 100 ms, at the pace of speech if asked for."""
        taken = self.suite.taken
        size = taken.bytes_of(taken.samples_in(100))
        for at in range(0, len(audio), size):
            chunk = audio[at : at + size]
            self.transcripts.sent_ms += taken.ms(taken.samples(chunk))
            await listening.send_audio(chunk)
            await anyio.sleep(0.1 if self.suite.realtime else 0)

    def text(self) -> str:
        """All that the stream's finals say."""
        return " ".join(final.text for final in self.transcripts.finals).strip()

    def _see(self, item: object) -> None:
        match item:
            case Partial() | Final():
                self.transcripts.see(item)
            case RecognizerUsage(given):
                amounts(self.suite.findings, given)
            case ListeningChanged():
                pass
            case _:
                self.suite.findings.wrong(f"{type(item).__name__} is no item of a recognizer")
