"""Speaks the clauses of one reply: several at once, out in order, on one timeline with their marks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Literal, TypeAlias

import anyio
import attrs
from attrs import define, frozen

from voiceloop.cascade.boxes import Box, Patience
from voiceloop.engine.blame import blame
from voiceloop.interfaces import (
    Clause,
    LinkEvent,
    MarksUntil,
    ModelUsage,
    ReplyAudio,
    ReplyMarksUntil,
    ReplySpan,
    ReplyViseme,
    ReplyWord,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.rules.segmentation import Piece

Mark: TypeAlias = VisemeMark | WordMark

_ITEMS = 256
"""Items of a clause that may wait for their turn to leave."""


def load() -> None:
    """Load what a voice needs (numpy) now, so that no first reply waits for it."""
    import voiceloop.rules.joints  # noqa: F401


@frozen
class Spoken:
    """A piece of the reply to speak; ``base`` is where the text it was cut from begins in the whole reply."""

    piece: Piece
    base: int
    handed: float


@define
class _Job:
    spoken: Spoken
    items: Box[Speech]


class ReplyVoice:
    """Turns the clauses of one reply into its audio and marks. ``emit`` takes link events; ``room`` is awaited
    before each piece of audio."""

    def __init__(
        self,
        reply: int,
        synthesizer: Synthesizer,
        config: SpeakConfig,
        *,
        first_audio: float,
        audio_gap: float,
        emit: Callable[[LinkEvent], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        from voiceloop.rules.joints import Joints  # loads numpy

        self._reply = reply
        self._synthesizer = synthesizer
        self._config = config
        self._deadlines = (first_audio, audio_gap)
        self._emit = emit
        self._room = room
        self._joints = Joints(synthesizer.capabilities.output.rate)
        self._first: float | None = None
        self._offsets: list[int] = []  # for each character that is being spoken, where it is in the reply
        self._marks: list[Mark] = []
        self._complete_to = 0.0

    async def run(self, clauses: Box[Spoken]) -> None:
        """Speak ``clauses`` until they end: one is leaving while the next is being made, or all in one stream."""
        if self._synthesizer.capabilities.streams:
            await self._stream(clauses)
            return
        jobs: Box[_Job] = Box(size=1)
        async with anyio.create_task_group() as children:
            children.start_soon(self._leave, jobs)
            async for spoken in clauses:
                job = _Job(spoken, Box(_ITEMS))
                children.start_soon(self._make, job, self._first is None)
                if self._first is None:
                    self._first = spoken.handed
                await jobs.put(job)
            jobs.close()

    async def _make(self, job: _Job, first: bool) -> None:
        """Speak one clause; a failure leaves behind what was made before it."""
        name, (wait, gap) = self._synthesizer.name, self._deadlines
        clause = Clause(text=job.spoken.piece.text, ends=job.spoken.piece.ends, first=first)
        try:
            with (
                blame(name, "speaking a clause"),
                Patience(wait, gap, provider=name, doing="speaking a clause") as patience,
            ):
                async with self._synthesizer.speak(clause, self._config) as items:
                    async for item in items:
                        if job.items.full:
                            with patience.paused():
                                await job.items.put(item)
                        else:
                            job.items.add(item)
                            patience.fed()
        except Exception as failure:  # noqa: BLE001 - raised by whoever takes the items
            job.items.close(failure)
        else:
            job.items.close()

    async def _leave(self, jobs: Box[_Job]) -> None:
        async for job in jobs:
            span = self._begin(job.spoken)
            async for item in job.items:
                await self._take(item)
            await self._end(span, "reply" if jobs.finished else None)

    async def _stream(self, clauses: Box[Spoken]) -> None:
        """Speak all clauses on one stream of the synthesizer, which says what text it speaks only all together."""
        name, (wait, gap) = self._synthesizer.name, self._deadlines
        spans: list[ReplySpan] = []

        async def handed() -> AsyncGenerator[Clause, None]:
            while True:
                with patience.paused():  # there is nothing to speak
                    spoken = await anext(clauses, None)
                if spoken is None:
                    return
                first = not spans
                if spans:
                    spans[0] = attrs.evolve(spans[0], end=spoken.base + spoken.piece.end)
                    self._emit(spans[0])
                    self._offsets += _places(spoken)
                else:
                    self._first = spoken.handed
                    spans.append(self._begin(spoken))
                yield Clause(spoken.piece.text, ends=spoken.piece.ends, first=first)

        with blame(name, "speaking"), Patience(wait, gap, provider=name, doing="speaking") as patience:
            async with aclosing(handed()) as pieces, self._synthesizer.stream(pieces, self._config) as items:
                async for item in items:
                    if isinstance(item, SpeechAudio):
                        with patience.paused():  # for room at the listener's
                            await self._take(item)
                    else:
                        await self._take(item)
                        patience.fed()
        if spans:
            await self._end(spans[0], "reply")

    def _begin(self, spoken: Spoken) -> ReplySpan:
        """The audio that comes next speaks ``spoken``."""
        piece = spoken.piece
        self._joints.begin(piece.ends)
        self._offsets, self._complete_to = _places(spoken), 0.0
        span = ReplySpan(
            reply=self._reply, start=spoken.base + piece.start, end=spoken.base + piece.end, ms=self._ms()
        )
        self._emit(span)
        return span

    async def _end(self, span: ReplySpan, ends: Literal["reply"] | None) -> None:
        """All audio of ``span`` came."""
        self._complete_to = float("inf")
        await self._out(self._joints.end(ends))
        self._marks.clear()
        self._emit(attrs.evolve(span, end_ms=self._ms()))

    def _ms(self) -> float:
        return self._synthesizer.capabilities.output.ms(self._joints.samples)

    async def _take(self, item: Speech) -> None:
        match item:
            case SpeechAudio(pcm=pcm):
                with blame(self._synthesizer.name, "making audio"):
                    audio = self._joints.audio(pcm)
                await self._out(audio)
            case VisemeMark() | WordMark():
                self._marks.append(item)
                self._place()
            case MarksUntil(ms=ms):
                self._complete_to = max(self._complete_to, ms)
                self._place()
            case SynthesizerUsage(amounts=amounts):
                usage = ModelUsage(provider=self._synthesizer.name, amounts=amounts, reply=self._reply)
                self._emit(usage)

    async def _out(self, audio: bytes) -> None:
        self._place()
        if audio:
            await self._room()
            self._emit(ReplyAudio(reply=self._reply, pcm=audio, first_clause_at=self._first))

    def _place(self) -> None:
        """Give out the marks whose place on the reply is known."""
        if not self._config.want:
            return
        waiting: list[Mark] = []
        for mark in self._marks:
            ms = self._joints.place(mark.ms)
            if ms is None:
                waiting.append(mark)
            else:
                self._emit(self._placed(mark, ms))
        self._marks = waiting
        known = self._joints.place(min(self._complete_to, self._joints.decided_ms))
        if known is not None:
            self._emit(ReplyMarksUntil(reply=self._reply, ms=known))

    def _placed(self, mark: Mark, ms: float) -> ReplyViseme | ReplyWord:
        ends = None if mark.end_ms is None else ms + mark.end_ms - mark.ms
        if isinstance(mark, VisemeMark):
            return ReplyViseme(reply=self._reply, code=mark.code, ms=ms, end_ms=ends, phoneme=mark.phoneme)
        offsets = self._offsets
        start, end = (offsets[max(0, min(at, len(offsets) - 1))] for at in (mark.start, mark.end - 1))
        return ReplyWord(reply=self._reply, start=start, end=end + 1, ms=ms, end_ms=ends)


def _places(spoken: Spoken) -> list[int]:
    """For each character of the spoken text, where it is in the reply."""
    return [spoken.base + offset for offset in spoken.piece.offsets]
