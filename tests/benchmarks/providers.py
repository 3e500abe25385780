"""Providers of known timing on bare asyncio, cheap enough that what is measured is what joins them.

A transcript comes 100 ms after the end of speech; the first token 200 ms after the request, 40 tokens 10 ms apart, in
three sentences; the first audio 100 ms after a clause was handed over, then audio ten times as fast as it plays.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from voiceloop.audio import PCM16_24K, AudioFormat
from voiceloop.interfaces import (
    Clause,
    Final,
    ListenConfig,
    Listening,
    Reasoner,
    ReasonerRequest,
    Recognizer,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
    TextDelta,
)

TRANSCRIPT_S, FIRST_TOKEN_S, TOKEN_S, FIRST_AUDIO_S = 0.1, 0.2, 0.01, 0.1
SPEED = 10
CHUNK_MS = 100
REPLY = (
    "It is ten past five just now. The next train to the coast leaves in twenty minutes from the third platform over "
    "there. You can still catch it without running if you leave the house within the next few minutes."
)
TOKENS = tuple(re.findall(r"\s*\S+", REPLY))
FIRST_SENTENCE = TOKENS.index(" now.") + 1
CRITICAL_PATH_S = TRANSCRIPT_S + FIRST_TOKEN_S + (FIRST_SENTENCE - 1) * TOKEN_S + FIRST_AUDIO_S
"""From the end of speech to the first audio, if everything between the providers took no time."""


async def until(when: float) -> None:
    """Sleep until the loop's time is ``when``."""
    wait = when - asyncio.get_running_loop().time()
    if wait > 0:
        await asyncio.sleep(wait)


class TimedRecognizer(Recognizer):
    """Says the same of every stretch of loud audio."""

    name = "timed recognizer"

    def open(self, config: ListenConfig) -> AbstractAsyncContextManager[Listening]:
        return TimedListening()


class TimedListening(Listening):
    """One stream; speech ends with the first silent chunk."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[Final] = asyncio.Queue()
        self._speech = False
        self._count = 0

    async def __aenter__(self) -> TimedListening:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def send_audio(self, pcm: bytes) -> None:
        loud = pcm[1] != 0
        if self._speech and not loud:
            self._count += 1
            final = Final(item=str(self._count), text="what time is it now")
            asyncio.get_running_loop().call_later(TRANSCRIPT_S, self._items.put_nowait, final)
        self._speech = loud

    def __aiter__(self) -> AsyncIterator[Final]:
        return self

    async def __anext__(self) -> Final:
        return await self._items.get()


class TimedReasoner(Reasoner):
    """Writes the same reply to every request."""

    name = "timed reasoner"

    def reply(self, request: ReasonerRequest) -> AbstractAsyncContextManager[AsyncIterator[TextDelta]]:
        return TimedTokens()


class TimedTokens:
    """The tokens of one reply."""

    def __init__(self) -> None:
        self._next = 0
        self._began = 0.0

    async def __aenter__(self) -> TimedTokens:
        self._began = asyncio.get_running_loop().time() + FIRST_TOKEN_S
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def __aiter__(self) -> TimedTokens:
        return self

    async def __anext__(self) -> TextDelta:
        if self._next == len(TOKENS):
            raise StopAsyncIteration
        await until(self._began + self._next * TOKEN_S)
        self._next += 1
        return TextDelta(TOKENS[self._next - 1])


class TimedSynthesizer(Synthesizer):
    """Speaks at ``ms_per_char``, in chunks of 100 ms."""

    name = "timed synthesizer"

    def __init__(self, ms_per_char: float = 30.0, format: AudioFormat = PCM16_24K) -> None:
        self.ms_per_char = ms_per_char
        self.capabilities = SynthesizerCapabilities(output=format)

    def speak(self, clause: Clause, config: SpeakConfig) -> AbstractAsyncContextManager[AsyncIterator[Speech]]:
        return self.speech(clause.text)

    def speech(self, text: str) -> TimedSpeech:
        """The audio of ``text``."""
        return TimedSpeech(len(text) * self.ms_per_char, self.capabilities.output)


class TimedSpeech:
    """The audio of one clause; every chunk is memory of its own, as from a socket."""

    def __init__(self, ms: float, format: AudioFormat) -> None:
        self._chunks = max(1, round(ms / CHUNK_MS))
        self._size = format.bytes_of(format.samples_in(CHUNK_MS))
        self._next = 0
        self._began = 0.0

    async def __aenter__(self) -> TimedSpeech:
        self._began = asyncio.get_running_loop().time() + FIRST_AUDIO_S
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def __aiter__(self) -> TimedSpeech:
        return self

    async def __anext__(self) -> SpeechAudio:
        if self._next == self._chunks:
            raise StopAsyncIteration
        await until(self._began + self._next * CHUNK_MS / 1000 / SPEED)
        self._next += 1
        return SpeechAudio(b"\x10" * self._size)
