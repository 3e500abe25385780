"""Audio and speech marks of a document, made by any synthesizer."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from importlib import import_module

import anyio.to_thread
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, converter
from voiceloop.errors import MissingExtra
from voiceloop.interfaces import (
    Clause,
    MarkKind,
    MarksUntil,
    Resources,
    SpeakConfig,
    SpeechAudio,
    Synthesizer,
    VisemeMark,
    WordMark,
)
from voiceloop.testing.aws.polly_ssml import Document, Pause, Piece, Place, Sentence

LONGEST_S = 600  # audio is cut after ten minutes
_RANK = {"sentence": 0, "ssml": 1, "word": 2, "viseme": 3}
_CONTAINERS = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg_vorbis": ("OGG", "VORBIS"), "ogg_opus": ("OGG", "OPUS")}


@frozen
class Mouth:
    """What speaks: a synthesizer, and the pool from which it takes what it needs."""

    synthesizer: Synthesizer
    resources: Resources

    async def audio(self, pieces: Iterable[Piece], target: AudioFormat) -> AsyncGenerator[bytes]:
        """The audio of ``pieces`` in ``target``, as it is made, at most ten minutes."""
        stream = converter(self.synthesizer.capabilities.output, target)
        late = target.bytes_of(stream.delay)
        left = target.bytes_of(LONGEST_S * target.rate)
        async with aclosing(self._pcm(pieces)) as source:
            async for pcm in source:
                made = stream.push(pcm)
                skipped = min(late, len(made))
                late -= skipped
                made = made[skipped : skipped + left]
                left -= len(made)
                if made:
                    yield made
                if not left:
                    return
        if last := stream.finish()[late:]:
            yield last[:left]

    async def marks(self, document: Document, data: bytes, kinds: frozenset[str]) -> AsyncGenerator[bytes]:
        """The speech marks of ``document``, whose input was ``data``, as JSON lines, as soon as they are certain."""
        writer = _Marks(data, kinds)
        offset = 0.0
        for piece in document.pieces:
            if isinstance(piece, Pause):
                writer.pause(piece, offset)
                offset += piece.ms
            else:
                async with aclosing(self._sentence(piece, writer, offset)) as steps:
                    async for until in steps:
                        if lines := writer.lines(until):
                            yield lines
                offset = writer.end
        writer.finish(offset)
        if lines := writer.lines(None):
            yield lines

    async def _pcm(self, pieces: Iterable[Piece]) -> AsyncGenerator[bytes]:
        output = self.synthesizer.capabilities.output
        for piece in pieces:
            if isinstance(piece, Pause):
                yield output.silence(output.samples_in(piece.ms))
                continue
            async with self.synthesizer.speak(Clause(piece.text), SpeakConfig(self.resources)) as speech:
                async for item in speech:
                    if isinstance(item, SpeechAudio) and item.pcm:
                        yield item.pcm

    async def _sentence(self, sentence: Sentence, writer: _Marks, offset: float) -> AsyncGenerator[float]:
        """Give the sentence's marks to ``writer``; yields how far they are complete, in ms."""
        capabilities = self.synthesizer.capabilities
        wanted: set[MarkKind] = set()
        if writer.kinds & {"word", "ssml"}:
            wanted.add("word")
        if "viseme" in writer.kinds:
            wanted.add("viseme")
        want = capabilities.marks & wanted
        samples = 0
        writer.begin(sentence, offset)
        async with self.synthesizer.speak(Clause(sentence.text), SpeakConfig(self.resources, want)) as speech:
            async for item in speech:
                match item:
                    case SpeechAudio(pcm):
                        samples += capabilities.output.samples(pcm)
                    case WordMark() | VisemeMark():
                        writer.mark(item, offset)
                    case MarksUntil(ms) if "word" in want or not sentence.places:
                        yield offset + ms
                    case _:
                        pass
        writer.sentence_over(offset, offset + capabilities.output.ms(samples))
        yield writer.end


@frozen
class _Mark:
    time: int
    type: str
    value: str
    span: tuple[int, int] | None = None

    def line(self) -> bytes:
        told: dict[str, object] = {"time": self.time, "type": self.type}
        if self.span is not None:
            told["start"], told["end"] = self.span
        told["value"] = self.value
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@define
class _Marks:
    """Marks on their way out, in order of time; at one time: sentence, ssml, word, viseme."""

    data: bytes
    kinds: frozenset[str]
    end: float = 0.0
    _waiting: list[_Mark] = field(factory=list)
    _sentence: Sentence | None = None
    _places: list[Place] = field(factory=list)
    _shape: str = "sil"

    def begin(self, sentence: Sentence, offset: float) -> None:
        """A sentence begins."""
        self._sentence, self._places = sentence, list(sentence.places)
        self._add("sentence", offset, self._value(sentence.span), sentence.span)

    def mark(self, mark: WordMark | VisemeMark, offset: float) -> None:
        """A mark of the sentence."""
        if isinstance(mark, VisemeMark):
            self._shape = mark.code
            self._add("viseme", offset + mark.ms, mark.code)
            return
        while self._places and self._places[0].character < mark.end:
            self._place(self._places.pop(0), offset + mark.ms)
        if self._sentence is not None:
            places = self._sentence.bytes[mark.start : mark.end]
            span = places[0][0], places[-1][1]
            self._add("word", offset + mark.ms, self._value(span), span)

    def sentence_over(self, offset: float, end: float) -> None:
        """The sentence's audio ends: places without a word after them stand where their character would be."""
        self.end = end
        length = len(self._sentence.text) if self._sentence is not None else 1
        spoken = any(mark.type == "word" for mark in self._waiting) or "word" in self.kinds
        for place in self._places:
            share = 1.0 if spoken else min(1.0, place.character / length)
            self._place(place, offset + share * (end - offset))
        self._places.clear()

    def pause(self, pause: Pause, offset: float) -> None:
        """Silence, or marks at the end of the text."""
        for place in pause.places:
            self._place(place, offset)
        if pause.ms:
            self.finish(offset)

    def finish(self, offset: float) -> None:
        """The mouth closes, unless it is."""
        if self._shape != "sil":
            self._shape = "sil"
            self._add("viseme", offset, "sil")

    def lines(self, until: float | None) -> bytes:
        """The marks before ``until`` ms (None: all) as lines; they are forgotten."""
        self._waiting.sort(key=lambda mark: (mark.time, _RANK[mark.type]))
        count = len(self._waiting)
        if until is not None:
            count = sum(1 for mark in self._waiting if mark.time < int(until))
        ready, self._waiting = self._waiting[:count], self._waiting[count:]
        return b"".join(mark.line() for mark in ready)

    def _place(self, place: Place, ms: float) -> None:
        self._add("ssml", ms, place.name, (place.start, place.end))

    def _add(self, kind: str, ms: float, value: str, span: tuple[int, int] | None = None) -> None:
        if kind in self.kinds and ms <= LONGEST_S * 1000:
            self._waiting.append(_Mark(round(ms), kind, value, span))

    def _value(self, span: tuple[int, int]) -> str:
        return self.data[span[0] : span[1]].decode()


async def encoded(pcm: AsyncIterator[bytes], rate: int, output: str) -> AsyncGenerator[bytes]:
    """16 bit PCM as one file of a compressed format, made when all of it is there. Raises MissingExtra."""
    try:
        soundfile = import_module("soundfile")
    except ImportError:
        raise MissingExtra(
            f"the emulator makes {output} with the package 'soundfile', which is not installed",
            hint="pip install 'voiceloop[emulator]'",
        ) from None
    container, codec = _CONTAINERS[output]
    whole = b"".join([chunk async for chunk in pcm])

    def write() -> bytes:
        file = io.BytesIO()
        with soundfile.SoundFile(file, "w", rate, 1, codec, format=container) as sound:
            sound.buffer_write(whole, "int16")
        return file.getvalue()

    with clock.outside_work():
        made = await anyio.to_thread.run_sync(write)
    for chunk in _slices(made, 4096):
        yield chunk


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
