"""espeak-ng: text to speech for over a hundred languages, with visemes and words, in a worker process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from attrs import Attribute, field, frozen

from voiceloop.audio import PCM16_22K
from voiceloop.errors import BadInput
from voiceloop.interfaces import (
    Clause,
    MarksUntil,
    Resources,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.local.worker import Reply, Worker, shared_worker

_WORKER = "voiceloop.local.espeak_worker"


@frozen
class EspeakVoice:
    """A voice: the ``name`` to ask for, what people call it, and its language as a tag ("en-us")."""

    name: str
    title: str
    language: str


def _between(low: float, high: float) -> Any:
    def check(instance: object, attribute: Attribute[float], value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadInput(f"{attribute.name}={value!r}: a number from {low:g} to {high:g} is allowed, 1 is usual")

    return check


@frozen
class EspeakSynthesizer(Synthesizer):
    """Speaks with espeak-ng: not beautiful, but at once (first audio within milliseconds), offline and exact in time.

    ``voice``: a language tag ("en-US", "fr"), a voice of espeak ("en-gb-scotland"), each with a variant if wanted
    ("en-us+f3"); :meth:`voices` lists them. ``rate`` (0.5 to 2.5), ``pitch`` and ``volume`` (0 to 2) are relative
    to the usual. All sessions of a pool share one process. Text is plain: mark-up is spoken as it stands.

    Raises BadInput for values out of range; at the first use UnknownName for the voice, MissingExtra if the package
    is not installed. espeak-ng is under the GPL, see NOTICE.
    """

    voice: str = "en-us"
    rate: float = field(default=1.0, validator=_between(0.5, 2.5))
    pitch: float = field(default=1.0, validator=_between(0, 2))
    volume: float = field(default=1.0, validator=_between(0, 2))

    name = "espeak"
    capabilities = SynthesizerCapabilities(output=PCM16_22K, marks=frozenset({"viseme", "word"}))

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        """Speak one clause; see :meth:`Synthesizer.speak`. Audio comes in blocks of about 60 ms, marks before it."""
        worker = await _worker(config.resources)
        request = {
            "op": "speak",
            "text": clause.text,
            "voice": config.voice or self.voice,
            "rate": round(175 * self.rate),
            "pitch": round(50 * self.pitch),
            "volume": round(100 * self.volume),
            "pause": clause.ends != "reply",
            "marks": bool(config.want),
        }
        async with worker.request(request) as replies, aclosing(_speech(replies, clause, config)) as speech:
            yield speech

    async def prepare(self, resources: Resources) -> None:
        """Start the worker process, about 250 ms, before the first sentence needs it."""
        await _worker(resources)

    async def voices(self, resources: Resources) -> Sequence[EspeakVoice]:
        """All voices that there are. Raises MissingExtra or ProviderError."""
        reply = await (await _worker(resources)).call({"op": "voices"})
        return [EspeakVoice(file.rpartition("/")[2], title, tag) for file, title, tag in reply.header["voices"]]


async def _worker(resources: Resources) -> Worker:
    return await shared_worker(resources, _WORKER, name=EspeakSynthesizer.name)


async def _speech(replies: AsyncIterator[Reply], clause: Clause, config: SpeakConfig) -> AsyncGenerator[Speech]:
    async for reply in replies:
        if "viseme" in config.want:
            for code, ms, end_ms, ipa in reply.header["visemes"]:
                yield VisemeMark(code, ms, end_ms, ipa or None)
        if "word" in config.want:
            for start, end, ms, end_ms in reply.header["words"]:
                yield WordMark(start, end, ms, end_ms)
        if config.want:
            yield MarksUntil(reply.header["until"])
        yield SpeechAudio(reply.payload)
    yield SynthesizerUsage({"characters": len(clause.text)})
