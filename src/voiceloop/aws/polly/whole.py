"""Speech outside of sessions: whole recordings, compressed ones too, and every kind of speech mark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

import anyio
from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.aws.polly.limiter import Urgency
from voiceloop.aws.polly.marks import Lines
from voiceloop.aws.polly.speech import Asker
from voiceloop.aws.polly.text import BILLED_LIMIT, TOTAL_LIMIT, Script, scripts
from voiceloop.errors import BadInput, ProviderError, UnknownName
from voiceloop.interfaces import Resources

if TYPE_CHECKING:
    from voiceloop.aws.polly.polly import Polly

T = TypeVar("T")

Format: TypeAlias = Literal["mp3", "ogg_opus", "ogg_vorbis", "pcm", "mulaw", "alaw"]
MarkType: TypeAlias = Literal["sentence", "word", "viseme", "ssml"]

# The rates of each format, the default first (Amazon Polly API reference, SynthesizeSpeech).
_COMPRESSED = (8000, 16000, 22050, 24000, 44100, 48000)
_RATES: dict[str, tuple[int, ...]] = {
    "mp3": _COMPRESSED,
    "ogg_vorbis": _COMPRESSED,
    "ogg_opus": (48000,),
    "pcm": (16000, 8000),
    "mulaw": (8000,),
    "alaw": (8000,),
}
_SAMPLES: dict[str, Literal["pcm16", "mulaw", "alaw"]] = {"pcm": "pcm16", "mulaw": "mulaw", "alaw": "alaw"}


@frozen
class SpeechMark:
    """Something that happens ``ms`` after the beginning of the audio: a sentence, word, viseme or SSML mark.

    ``value`` is its text, Polly's symbol, or the mark's name; ``start`` and ``end`` are its characters in the text
    that was spoken, mark-up included; a viseme has none.
    """

    type: str
    ms: float
    value: str = field(repr=False)
    start: int | None = None
    end: int | None = None


@frozen
class Recording:
    """Speech that was synthesized whole: ``audio`` in ``format``, its ``marks`` in order of time, and the
    ``characters`` that were billed, marks included."""

    audio: bytes = field(repr=lambda audio: f"<{len(audio)} bytes>")
    format: Format
    marks: tuple[SpeechMark, ...] = field(default=(), repr=lambda marks: f"<{len(marks)} marks>")
    characters: int = 0


async def record(
    polly: Polly,
    text: str,
    format: Format,
    sample_rate: int | None,
    ssml: bool,
    marks: Sequence[str],
    pool: Resources | None,
) -> Recording:
    """See :meth:`Polly.synthesize`."""
    _check(polly, format, sample_rate, ssml, marks)
    if not text.strip():
        raise BadInput("text is blank; there is nothing to speak")
    if not ssml and text.lstrip().startswith("<speak"):
        raise BadInput("text is an SSML document, and its mark-up would be read out", hint="Give ssml=True.")
    pieces = [_document(text)] if ssml else scripts(text, polly.rate)
    if marks and len(pieces) > 1 and format not in _SAMPLES:
        raise BadInput(
            f"text is longer than one request takes ({BILLED_LIMIT} characters), and format={format!r} does not tell "
            "where its marks are",
            hint="Ask for marks with format='pcm', or speak the text in parts.",
        )
    more = {"OutputFormat": format} | ({"SampleRate": str(sample_rate)} if sample_rate else {})
    rate = sample_rate or _RATES[format][0]
    recorder = _Recorder(more, tuple(marks), AudioFormat(rate, _SAMPLES.get(format, "pcm16")))
    if pool is not None:
        await recorder.run(await polly.asker(pool), pieces)
    else:
        async with _own() as own:
            await recorder.run(await polly.asker(own), pieces)
    return Recording(bytes(recorder.audio), format, tuple(recorder.marks), recorder.characters)


def _check(polly: Polly, format: str, sample_rate: int | None, ssml: bool, marks: Sequence[str]) -> None:
    if format not in _RATES:
        raise UnknownName("format", str(format), _RATES)
    if sample_rate is not None and sample_rate not in _RATES[format]:
        allowed = ", ".join(map(str, sorted(_RATES[format])))
        raise BadInput(f"sample_rate={sample_rate!r}: {allowed} Hz is allowed for {format}")
    for kind in marks:
        if kind not in get_args(MarkType):
            raise UnknownName("kind of mark", str(kind), get_args(MarkType))
    if marks and polly.engine == "generative":
        raise BadInput("marks: generative voices have none", hint="Use engine='neural'.")
    if "ssml" in marks and not ssml:
        raise BadInput("marks: 'ssml' needs a text with ssml=True")


def _document(text: str) -> Script:
    if len(text) > TOTAL_LIMIT:
        raise BadInput(
            f"text has {len(text)} characters; an SSML document may have {TOTAL_LIMIT}, of which {BILLED_LIMIT} are "
            "not mark-up"
        )
    [script] = scripts(text) if len(text) <= BILLED_LIMIT else [_long(text)]
    return Script(text, script.text, True, 0, script.bytes_at)


def _long(text: str) -> Script:
    halves = scripts(text)
    bytes_at = [0]
    for half in halves:
        ends = half.bytes_at or range(len(half.source) + 1)
        bytes_at += [bytes_at[-1] + end for end in list(ends)[1:]]
    return Script(text, "".join(half.text for half in halves), bytes_at=bytes_at)


@define(eq=False)
class _Recorder:
    """Collects the answers of all pieces."""

    more: dict[str, str]
    kinds: tuple[str, ...]
    sound: AudioFormat
    audio: bytearray = field(factory=bytearray)
    marks: list[SpeechMark] = field(factory=list)
    characters: int = 0

    async def run(self, asker: Asker, pieces: Sequence[Script]) -> None:
        """Speak ``pieces`` one after the other. Raises ProviderError."""
        for piece in pieces:
            start_ms = self.sound.ms(len(self.audio) // self.sound.sample_bytes)
            failed: list[ProviderError] = []

            async def part(work: Any, failed: list[ProviderError] = failed) -> None:
                try:
                    await work
                except ProviderError as error:
                    failed.append(error)
                    group.cancel_scope.cancel()

            async with anyio.create_task_group() as group:
                if self.kinds:
                    group.start_soon(part, self._mark(asker, piece, start_ms))
                await part(self._speak(asker, piece))
            if failed:
                raise failed[0]

    async def _speak(self, asker: Asker, piece: Script) -> None:
        async with aclosing(asker.answer(piece, Urgency.AUDIO, self._billed, **self.more)) as chunks:
            async for chunk in chunks:
                self.audio += chunk

    async def _mark(self, asker: Asker, piece: Script, start_ms: float) -> None:
        lines = Lines()
        wanted = {"OutputFormat": "json", "SpeechMarkTypes": list(self.kinds)}
        async with aclosing(asker.answer(piece, Urgency.MARKS, self._billed, **wanted)) as chunks:
            async for chunk in chunks:
                self.marks += [_mark(line, piece, start_ms) for line in lines.feed(chunk)]
        self.marks += [_mark(line, piece, start_ms) for line in lines.finish()]

    def _billed(self, characters: int) -> None:
        self.characters += characters


def _mark(line: Any, piece: Script, start_ms: float) -> SpeechMark:
    span = piece.span(line["start"], line["end"]) if "start" in line and "end" in line else None
    start, end = span or (None, None)
    return SpeechMark(str(line.get("type", "")), start_ms + line["time"], str(line.get("value", "")), start, end)


class _Own(Resources):
    """The shared things of one call."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._held: dict[Hashable, object] = {}

    async def get(self, key: Hashable, open: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        if key not in self._held:
            self._held[key] = await self._stack.enter_async_context(open())
        held: Any = self._held[key]
        value: T = held
        return value

    async def discard(self, key: Hashable, resource: object) -> None:
        if self._held.get(key) is resource:
            del self._held[key]


@asynccontextmanager
async def _own() -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        yield _Own(stack)
