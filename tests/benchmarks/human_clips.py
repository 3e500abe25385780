"""Clips of people speaking, and a recognizer that knows them and is timed as Amazon Transcribe is.

An engine on this machine would add its own slowness and errors to what is measured. So the words are those of the
clips' transcripts, at the times that forced alignment gives them, as Transcribe writes them (with punctuation in its
partials too: Amazon Transcribe developer guide, "Streaming and partial results").
"""

from __future__ import annotations

import json
import os
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
from attrs import define, evolve, field, frozen

from voiceloop.audio import PCM16_16K
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
)

FOLDER = Path(os.environ.get("VOICELOOP_CLIPS", Path(__file__).parents[3] / "shared" / "audio"))

# What people say to an assistant, as Transcribe writes it: each word with the number of words that it was spoken as.
_WRITTEN = {
    "df_book_a_room.wav": "Book a room.",
    "df_mountain_view.wav": "Mountain View.",
    "df_today.wav": "Today.",
    "df_230pm.wav": "2:30/2 PM./2",
    "df_half_an_hour.wav": "Half an hour.",
    "df_two_people.wav": "Two people.",
    "go_brooklyn.wav": "How old is the Brooklyn Bridge?",
    "az_weather.wav": "What's the weather like?",
    "ps_goforward.wav": "Go forward 10 meters.",
    "ps_cards_005.wav": "8 of spades, 4 of clubs, 7 of hearts.",
    "ps_tidigits_2934z.wav": "29340./5",
}
_MARKS = ".,?"


@frozen
class Clip:
    """A clip: 16 kHz PCM, and the words with their times in ms; ``end_ms``: where the last one ends."""

    name: str
    pcm: bytes = field(repr=False)
    words: tuple[SpokenWord, ...]
    fingerprint: bytes = field(repr=False)
    fingerprint_at: int

    @property
    def end_ms(self) -> float:
        return self.words[-1].end_ms


def clips() -> list[Clip]:
    """The clips, in a fixed order. Raises FileNotFoundError without their folder."""
    from pocketsphinx import Decoder

    spoken = {entry["file"]: entry["transcript"] for entry in json.loads((FOLDER / "index.json").read_text())}
    decoder = Decoder(lm=None, loglevel="FATAL")
    return [_clip(name, spoken[name], written, decoder) for name, written in _WRITTEN.items()]


def _clip(name: str, spoken: str, written: str, decoder: object) -> Clip:
    with wave.open(str(FOLDER / name)) as file:
        pcm = file.readframes(file.getnframes())
    decoder.set_align_text(spoken)
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    times = [(at.start_frame * 10.0, at.end_frame * 10.0 + 10) for at in decoder.seg() if at.word[0] not in "<["]
    words, place = [], 0
    for token in written.split():
        text, _, count = token.partition("/")
        first, place = place, place + int(count or 1)
        words.append(SpokenWord(text, times[first][0], times[place - 1][1]))
    at = _loud(pcm, words[0])
    return Clip(name, pcm, tuple(words), pcm[at : at + 200], at)


def _loud(pcm: bytes, word: SpokenWord) -> int:
    """Where in the first word it is loudest, in bytes."""
    first, last = (PCM16_16K.samples_in(ms) for ms in (word.start_ms, word.end_ms))
    sound = np.abs(np.frombuffer(pcm, np.int16)[first:last].astype(np.int32))
    return (first + min(int(sound.argmax()), max(0, len(sound) - 200))) * 2


@frozen(eq=False)
class TimedRecognizer(Recognizer):
    """Recognizes the clips in any audio. ``lag``: seconds of audio from the end of a word until it is known.
    ``settle``: seconds from a flush to the final. ``punctuates``: its partials too, at the end of a clip."""

    known: Sequence[Clip]
    lag: float = 0.1
    settle: float = 0.3
    punctuates: bool = True

    name = "timed recognizer"
    capabilities = RecognizerCapabilities(PCM16_16K, can_flush=True, word_times=True)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        yield _Hearing(self)


@define(eq=False)
class _Hearing(Listening):
    script: TimedRecognizer
    _bytes: int = 0
    _tail: bytes = b""
    _coming: list[SpokenWord] = field(factory=list)
    _said: list[SpokenWord] = field(factory=list)
    _item: int = 1
    _news: list[tuple[float, RecognizerItem]] = field(factory=list)
    _wake: anyio.Event = field(factory=anyio.Event)

    async def send_audio(self, pcm: bytes) -> None:
        held = self._tail + pcm
        begins = self._bytes - len(self._tail)
        for clip in self.script.known:
            at = held.find(clip.fingerprint)
            if at >= 0:
                start = PCM16_16K.ms((begins + at - clip.fingerprint_at) // 2)
                self._coming += [evolve(w, start_ms=start + w.start_ms, end_ms=start + w.end_ms) for w in clip.words]
        self._bytes += len(pcm)
        self._tail = held[-199:]
        heard_ms = PCM16_16K.ms(self._bytes // 2) - self.script.lag * 1000
        count = sum(1 for word in self._coming if word.end_ms <= heard_ms)
        if count:
            self._said += self._coming[:count]
            del self._coming[:count]
            self._put(Partial(str(self._item), self._text(self._said), tuple(self._said), 0, "en-US"), 0.0)

    def _text(self, words: Sequence[SpokenWord]) -> str:
        text = " ".join(word.text for word in words)
        return text if self.script.punctuates else text.rstrip(_MARKS)

    async def flush(self, *, end_of_turn: bool) -> None:
        words = tuple(evolve(word, stable=True) for word in self._said)
        final = Final(str(self._item), " ".join(word.text for word in words), words, 0.95, "en-US")
        self._item, self._said = self._item + 1, []
        self._put(final, self.script.settle)

    async def expect(self, expectation: Expectation | None) -> None:
        pass

    def _put(self, item: RecognizerItem, after: float) -> None:
        self._news.append((anyio.current_time() + after, item))
        self._wake.set()

    def __aiter__(self) -> _Hearing:
        return self

    async def __anext__(self) -> RecognizerItem:
        while True:
            self._wake = anyio.Event()
            due = min(self._news, key=lambda news: news[0], default=None)
            if due is not None and due[0] <= anyio.current_time():
                self._news.remove(due)
                return due[1]
            with anyio.move_on_after(None if due is None else due[0] - anyio.current_time()) as scope:
                if due is None:
                    scope.deadline = float("inf")
                await self._wake.wait()
