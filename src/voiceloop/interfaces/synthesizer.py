"""Synthesizer: text to speech, with marks. One implementation is one short file."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Literal, TypeAlias

from attrs import field, frozen

from voiceloop.audio import PCM16_24K, AudioFormat
from voiceloop.interfaces.pool import Resources

MarkKind: TypeAlias = Literal["viseme", "word"]


@frozen
class SynthesizerCapabilities:
    """What a synthesizer gives: the ``output`` format of its audio, the kinds of ``marks`` it can make.

    ``streams``: it overrides :meth:`Synthesizer.stream`, one connection for many clauses.
    """

    output: AudioFormat = PCM16_24K
    marks: frozenset[MarkKind] = frozenset()
    streams: bool = False


@frozen
class Clause:
    """A piece of text to speak, cut where a voice can pause. ``text`` has no mark-up and is not blank.

    ``ends``: what its end is, which decides the pause after it. ``first``: the reply's first clause, whose audio
    somebody is waiting for.
    """

    text: str
    ends: Literal["clause", "sentence", "reply"] = "sentence"
    first: bool = False


@frozen
class SpeakConfig:
    """How to speak: which marks are wanted, and the session's voice (None: the synthesizer's own)."""

    resources: Resources
    want: frozenset[MarkKind] = frozenset()
    voice: str | None = None


@frozen
class SpeechAudio:
    """More audio: whole samples of ``capabilities.output``, contiguous."""

    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")


@frozen
class VisemeMark:
    """A mouth shape in Polly's alphabet from ``ms`` of this clause's audio on, until the next one or ``end_ms``."""

    code: str
    ms: float
    end_ms: float | None = None
    phoneme: str | None = None


@frozen
class WordMark:
    """A word is spoken from ``ms`` on; ``start`` and ``end`` are its characters (not bytes) in the clause's text."""

    start: int
    end: int
    ms: float
    end_ms: float | None = None


@frozen
class MarksUntil:
    """All marks before ``ms`` have been given; audio up to there need not wait for any."""

    ms: float


@frozen
class SynthesizerUsage:
    """Consumption, by unit, such as ``{"characters": 42}``."""

    amounts: dict[str, float]


Speech: TypeAlias = SpeechAudio | VisemeMark | WordMark | MarksUntil | SynthesizerUsage


class Synthesizer(abc.ABC):
    """Text to speech. An immutable value; constructing it does no I/O."""

    name: ClassVar[str] = "synthesizer"
    capabilities: SynthesizerCapabilities = SynthesizerCapabilities()

    @abc.abstractmethod
    def speak(self, clause: Clause, config: SpeakConfig) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        """Speak one clause: audio as it is made, marks with or before the audio they belong to, or later.

        Marks of a kind are in order of time. The iterator ends with the clause; whoever asks for no marks gets none.
        Several clauses are spoken at once (the next is prepared while one plays). Leaving early cancels at once.
        Raises ProviderError; UnknownName for a voice or language that does not exist, with near matches.
        """

    async def prepare(self, resources: Resources) -> None:
        """Open what :meth:`speak` will need, so that its first audio is not late. The default does nothing.

        Called when a session opens and whenever the user begins to speak; a failure shows at the next call instead.
        """

    def stream(
        self, clauses: AsyncIterable[Clause], config: SpeakConfig
    ) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        """Speak clauses as they come, on one connection.

        Times are from the first sample of all; the characters of a WordMark count through all clauses' texts, put
        together without anything between them. Only called with ``capabilities.streams``; otherwise the engine
        overlaps :meth:`speak` and keeps the order.
        """
        raise NotImplementedError(f"{self.name} does not stream clauses")
