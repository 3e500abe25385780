"""A recognizer that hears, in each stretch of loud audio, the next utterance of its script."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from attrs import define, field, frozen

from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.events import SpokenWord
from voiceloop.interfaces import (
    Expectation,
    Final,
    ListenConfig,
    Listening,
    Partial,
    Recognizer,
    RecognizerCapabilities,
    RecognizerItem,
    RecognizerUsage,
)
from voiceloop.testing.checks import items
from voiceloop.testing.scripted.sound import is_speech
from voiceloop.testing.scripted.steps import Fail, Hang, Outbox, Steps, nth, perform


@frozen
class Spoken:
    """An utterance: ``text`` in its partials, and ``final`` in its final when that differs.

    ``final_after`` in seconds after the end of speech; None: the recognizer's; infinity: never.
    """

    text: str
    final: str | None = None
    final_after: float | None = None
    confidence: float | None = None
    language: str | None = None


Utterance: TypeAlias = str | Spoken | Fail | Hang


def check_utterances(name: str, utterances: object) -> None:
    """Raise BadInput unless they are a list of utterances."""
    items(name, utterances, (str, Spoken, Fail, Hang), "texts, Spoken, Fail or Hang")


@frozen(eq=False)
class ScriptedRecognizer(Recognizer):
    """Each stretch of speech is the next of ``utterances``; every stream begins with the first.

    A chunk is speech when its first sample is loud (see ``tone`` and ``silence``). A partial comes with each word, at
    one word per ``word_ms`` of speech; at the end of speech one with all words, spread evenly over the stretch; the
    final ``final_after`` seconds later. With ``can_flush`` finals come on ``flush`` instead. Speech beyond the script
    is heard as empty text. In the place of an utterance, ``Fail`` breaks the stream when that stretch begins, and
    ``Hang`` lets it pass in silence. ``on_open`` happens when a stream is opened, ``on_send`` with each chunk after
    ``send_ms`` ms of audio. ``usage`` adds a RecognizerUsage after each final.

    ``opened``, ``flushed`` and ``expected`` record the calls of all streams. Raises BadInput for what cannot be a
    script.
    """

    name = "scripted recognizer"

    utterances: Sequence[Utterance] = field(
        default=(), validator=lambda _, __, given: check_utterances("utterances", given)
    )
    final_after: float = 0.1
    can_flush: bool = field(default=False, kw_only=True)
    partials: bool = field(default=True, kw_only=True)
    word_ms: float = field(default=250, kw_only=True)
    partial_after: float = field(default=0.0, kw_only=True)
    usage: bool = field(default=False, kw_only=True)
    on_open: Steps = field(default=None, kw_only=True)
    on_send: Steps = field(default=None, kw_only=True)
    send_ms: float = field(default=0.0, kw_only=True)
    input: AudioFormat = field(default=PCM16_16K, kw_only=True)
    capabilities: RecognizerCapabilities = field(init=False)
    opened: list[ListenConfig] = field(init=False, factory=list, repr=False)
    flushed: list[bool] = field(init=False, factory=list, repr=False)
    expected: list[Expectation | None] = field(init=False, factory=list, repr=False)

    @capabilities.default
    def _capabilities(self) -> RecognizerCapabilities:
        return RecognizerCapabilities(self.input, self.can_flush)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        self.opened.append(config)
        await perform(nth(self.on_open, len(self.opened) - 1))
        stream = RecognizerStream(self)
        try:
            yield stream
        finally:
            stream.out.close()


@define(eq=False)
class _Stretch:
    """One stretch of speech: what is said in it, and from where to where, in samples."""

    spoken: Spoken
    start: int
    end: int
    shown: int = 0


@define(eq=False)
class RecognizerStream(Listening):
    script: ScriptedRecognizer
    out: Outbox[RecognizerItem] = field(factory=Outbox)
    _samples: int = 0
    _stretch: _Stretch | None = None
    _next_word: float = math.inf
    _count: int = 0
    _item: int = 1
    _turn: list[_Stretch] = field(factory=list)
    _sends: int = 0

    async def send_audio(self, pcm: bytes) -> None:
        self.out.check()
        if self.script.on_send is not None:
            await self._fault()
        speech = is_speech(pcm)
        if speech and self._stretch is None:
            self._begin()
        elif not speech and self._stretch is not None:
            self._end()
        self._samples += len(pcm) // 2
        if self._stretch is not None and self._samples >= self._next_word:
            self._show(self._stretch)

    async def flush(self, *, end_of_turn: bool) -> None:
        self.out.check()
        self.script.flushed.append(end_of_turn)
        if not self.script.can_flush:
            return
        if self._stretch is not None:
            self._stretch.end = self._samples
        self._put_final()
        if end_of_turn:
            self._turn, self._stretch, self._next_word = [], None, math.inf
            self._item += 1

    def _put_final(self) -> None:
        """One final for all stretches of the turn that get one."""
        stretches = [stretch for stretch in self._turn if not math.isinf(self._after(stretch))]
        if self._turn and not stretches:
            return
        parts = [self._final(stretch) for stretch in stretches]
        text = " ".join(part.text for part in parts if part.text)
        words = tuple(word for part in parts for word in part.words)
        scores = [part.confidence for part in parts if part.confidence is not None]
        after = max(map(self._after, stretches), default=self.script.final_after)
        self.out.put(Final(str(self._item), text, words, min(scores, default=None)), after)

    async def expect(self, expectation: Expectation | None) -> None:
        self.script.expected.append(expectation)

    def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        return self.out

    async def _fault(self) -> None:
        if self.script.input.ms(self._samples) >= self.script.send_ms:
            self._sends += 1
            try:
                await perform(nth(self.script.on_send, self._sends - 1))
            except Exception as error:
                self.out.fail(error)
                raise

    def _begin(self) -> None:
        said = self.script.utterances[self._count] if self._count < len(self.script.utterances) else ""
        self._count += 1
        if isinstance(said, Fail):
            self.out.fail(said.exception)
            raise said.exception
        if isinstance(said, Hang):
            said = Spoken("", final_after=math.inf)
        self._stretch = _Stretch(Spoken(said) if isinstance(said, str) else said, self._samples, self._samples)
        self._turn.append(self._stretch)
        self._next_word = self._samples + self.script.word_ms * self.script.input.rate / 1000

    def _end(self) -> None:
        stretch, self._stretch = self._stretch, None
        assert stretch is not None
        stretch.end = self._samples
        stretch.shown = len(stretch.spoken.text.split())
        self._partial(stretch, ended=True)
        if not self.script.can_flush:
            self._turn = []
            self.out.put(self._final(stretch), self._after(stretch))
            if self.script.usage:
                seconds = self.script.input.ms(stretch.end - stretch.start) / 1000
                self.out.put(RecognizerUsage({"seconds": round(seconds, 3)}), self._after(stretch))
            self._item += 1

    def _show(self, stretch: _Stretch) -> None:
        stretch.end = self._samples
        stretch.shown += 1
        self._partial(stretch, ended=False)
        more = stretch.shown < len(stretch.spoken.text.split())
        self._next_word = self._next_word + self.script.word_ms * self.script.input.rate / 1000 if more else math.inf

    def _partial(self, stretch: _Stretch, *, ended: bool) -> None:
        if not self.script.partials or not stretch.spoken.text:
            return
        earlier = [self._final(part) for part in self._turn if part is not stretch]
        words = stretch.spoken.text.split()[: stretch.shown]
        stable = words if ended else words[:-1]
        before = " ".join(part.text for part in earlier if part.text)
        text = " ".join(filter(None, (before, *words)))
        timed = tuple(word for part in earlier for word in part.words) + self._timed(
            stretch, words, stable=len(stable)
        )
        self.out.put(
            Partial(
                str(self._item), text, timed, len(" ".join(filter(None, (before, *stable)))), stretch.spoken.language
            ),
            self.script.partial_after,
        )

    def _final(self, stretch: _Stretch) -> Final:
        spoken = stretch.spoken
        text = spoken.text if spoken.final is None else spoken.final
        words = self._timed(stretch, text.split(), stable=len(text.split()), confidence=spoken.confidence)
        return Final(str(self._item), text, words, spoken.confidence, spoken.language)

    def _timed(
        self, stretch: _Stretch, words: Sequence[str], *, stable: int, confidence: float | None = None
    ) -> tuple[SpokenWord, ...]:
        """``words`` spread evenly over the stretch."""
        start = self.script.input.ms(stretch.start)
        each = self.script.input.ms(stretch.end - stretch.start) / max(1, len(words))
        timed = (
            SpokenWord(word, start + n * each, start + (n + 1) * each, confidence, n < stable)
            for n, word in enumerate(words)
        )
        return tuple(timed)

    def _after(self, stretch: _Stretch) -> float:
        after = stretch.spoken.final_after
        return self.script.final_after if after is None else after
