"""Speech made of numbered words, and a service that understands it: an ideal Transcribe.

Word number k is a stretch of samples that all have the value 10 000 + k. Every fifth word is followed by a comma; a
segment ends after a pause, with a full stop.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.aws.account import Access
from voiceloop.aws.faults import from_message, from_response
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest, Wire
from voiceloop.errors import ProviderError, ProviderUnavailable

RATE = 16_000
FORMAT = AudioFormat(RATE)
PAUSE_MS = 700
_BASE = 10_000


@frozen
class Word:
    """A word of an utterance: how long it is, and how much quiet comes after it, in ms."""

    ms: int
    gap_ms: int


def speech(utterances: Sequence[Sequence[Word]], pause_ms: int = PAUSE_MS + 300) -> bytes:
    """Audio of ``utterances``, numbered from 1, with a pause after each."""
    number, pcm = 0, bytearray()
    for utterance in utterances:
        for word in utterance:
            number += 1
            pcm += (_BASE + number).to_bytes(2, "little") * (RATE * word.ms // 1000)
            pcm += bytes(2 * (RATE * word.gap_ms // 1000))
        pcm += bytes(2 * (RATE * pause_ms // 1000))
    return bytes(pcm)


def utterance(words: int, ms: int = 250) -> list[Word]:
    """An utterance of ``words`` words."""
    return [Word(ms, 50)] * words


@define
class _Heard:
    number: int
    start: int
    end: int


@define
class Ear:
    """Hears one connection's audio: :meth:`hear` gives results as Transcribe's JSON would have them."""

    name: str = "c1"
    partial_ms: float = 300
    stable_ms: float = 300
    stabilized: bool = True
    samples: int = 0
    segments: int = 0
    _words: list[_Heard] = field(factory=list)
    _running: bool = False
    _shown: float = 0

    def hear(self, pcm: bytes) -> list[dict[str, Any]]:
        results = []
        samples = np.frombuffer(pcm, "<i2")
        starts = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
        for start, end in pairwise(starts):
            number = int(samples[start]) - _BASE
            results += self._quiet(end - start) if number < 0 else self._loud(number, end - start)
        if self._words and self.samples - self._shown >= self.partial_ms * RATE / 1000:
            self._shown = self.samples
            results.append(self._result(partial=True))
        return results

    def _loud(self, number: int, length: int) -> list[dict[str, Any]]:
        if not (self._running and self._words and self._words[-1].number == number):
            self._words.append(_Heard(number, self.samples, self.samples))
        self.samples += length
        self._words[-1].end = self.samples
        self._running = True
        return []

    def _quiet(self, length: int) -> list[dict[str, Any]]:
        self._running = False
        self.samples += length
        if self._words and self.samples - self._words[-1].end >= PAUSE_MS * RATE / 1000:
            result = self._result(partial=False)
            self._words, self.segments = [], self.segments + 1
            return [result]
        return []

    def _result(self, *, partial: bool) -> dict[str, Any]:
        items = [item for word in self._words for item in self._items(word, partial)]
        if not partial:
            end = self._words[-1].end / RATE
            items.append({"Type": "punctuation", "Content": ".", "StartTime": end, "EndTime": end, "Stable": True})
        text = "".join(("" if item["Type"] == "punctuation" else " ") + item["Content"] for item in items)
        return {
            "ResultId": f"{self.name}-{self.segments}",
            "IsPartial": partial,
            "StartTime": self._words[0].start / RATE,
            "EndTime": self._words[-1].end / RATE,
            "Alternatives": [{"Transcript": text.strip(), "Items": items}],
        }

    def _items(self, word: _Heard, partial: bool) -> Iterator[dict[str, Any]]:
        stable = not partial or self.samples - word.end >= self.stable_ms * RATE / 1000
        times = {
            "StartTime": word.start / RATE,
            "EndTime": word.end / RATE,
            "Stable": stable and (self.stabilized or not partial),
        }
        content = f"w{word.number}" if stable else f"maybe{word.number}"
        yield {"Type": "pronunciation", "Content": content, "Confidence": 0.9, **times}
        if word.number % 5 == 0 and stable:
            yield {"Type": "punctuation", "Content": ",", **times | {"StartTime": word.end / RATE}}


def event(results: Sequence[Mapping[str, Any]]) -> Message:
    """A TranscriptEvent."""
    headers = {":message-type": "event", ":event-type": "TranscriptEvent", ":content-type": "application/json"}
    return Message(headers, json.dumps({"Transcript": {"Results": list(results)}}).encode())


def exception(name: str, text: str) -> Message:
    """An exception within a stream."""
    return Message({":message-type": "exception", ":exception-type": name}, json.dumps({"Message": text}).encode())


@define(eq=False)
class Service(Wire):
    """The service on a wire in memory. ``refusals``: how the next connections are answered, (status, code, text), or
    an error to raise; None is an answer of 200. ``deaf``: how many connections
    say nothing."""

    refusals: list[tuple[int, str, str] | ProviderError | None] = field(factory=list)
    delay: float = 0.0
    timeout: float = 15.0
    longest: float = 4 * 3600.0
    empty_events: bool = False
    deaf: int = 0
    connections: list[Connection] = field(factory=list)

    @asynccontextmanager
    async def open(self, request: StreamRequest, access: Access, deadlines: Deadlines) -> AsyncIterator[EventStream]:
        refusal = self.refusals.pop(0) if self.refusals else None
        if isinstance(refusal, ProviderError):
            raise refusal
        connection = Connection(self, request, len(self.connections) + 1, refusal)
        self.connections.append(connection)
        watching = asyncio.create_task(connection.watch())
        try:
            yield connection
        finally:
            connection.left = True
            watching.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((watching,))


@define(eq=False)
class Connection(EventStream):
    service: Service
    request: StreamRequest
    number: int
    refusal: tuple[int, str, str] | None
    ear: Ear = field(init=False)
    chunks: list[bytes] = field(factory=list)
    at: list[float] = field(factory=list)
    bytes_since: float = 0.0
    ended: bool = False
    left: bool = False
    _due: list[tuple[float, Message | ProviderError | None]] = field(factory=list)
    _more: anyio.Event = field(factory=anyio.Event)
    _broken: ProviderError | None = None

    @ear.default
    def _ear(self) -> Ear:
        return Ear(f"c{self.number}")

    async def watch(self) -> None:
        """The service's own timers."""
        opened = self.bytes_since = anyio.current_time()
        while True:
            now = anyio.current_time()
            if now - self.bytes_since >= self.service.timeout:
                text = "Your request timed out because no new audio was received for 15 seconds."
                self.throw("BadRequestException", text)
                return
            if now - opened >= self.service.longest:
                self.throw("LimitExceededException", "The maximum duration of a stream is 14400 seconds.")
                return
            left = min(self.bytes_since + self.service.timeout, opened + self.service.longest) - now
            await anyio.sleep(max(0.001, left))

    def throw(self, name: str, text: str) -> None:
        self.add(from_message("transcribestreaming", "StartStreamTranscription", exception(name, text)))

    def drop(self) -> None:
        """The connection breaks, with all that is under way."""
        self._due.clear()
        self.add(ProviderUnavailable("went away", provider="Amazon Transcribe", retryable=True))

    def finish(self) -> None:
        """End the stream without being asked."""
        self.add(None)

    def add(self, message: Message | ProviderError | None, after: float = 0.0) -> None:
        self._due.append((anyio.current_time() + after, message))
        self._more.set()

    async def send(self, message: Message) -> None:
        if self._broken is not None:
            raise self._broken
        assert message.headers[":event-type"] == "AudioEvent"
        self.bytes_since = anyio.current_time()
        self.chunks.append(message.payload)
        self.at.append(anyio.current_time())
        results = self.ear.hear(message.payload) if self.number > self.service.deaf else []
        if results:
            self.add(event(results), self.service.delay)
        if self.service.empty_events:
            self.add(event([]))
        await anyio.lowlevel.checkpoint()

    async def end(self) -> None:
        self.ended = True

    async def response(self) -> Mapping[str, str]:
        await anyio.lowlevel.checkpoint()
        if self.refusal is not None:
            status, code, text = self.refusal
            body = json.dumps({"Message": text}).encode()
            headers = {"x-amzn-errortype": f"{code}:http://internal.amazon.com/"}
            raise from_response("transcribestreaming", "StartStreamTranscription", status, headers, body)
        return {"x-amzn-transcribe-session-id": self.request.headers["x-amzn-transcribe-session-id"]}

    async def __aiter__(self) -> AsyncIterator[Message]:
        while True:
            while not self._due or self._due[0][0] > anyio.current_time():
                self._more = anyio.Event()
                with anyio.CancelScope(deadline=self._due[0][0] if self._due else math.inf):
                    await self._more.wait()
            _, message = self._due.pop(0)
            if message is None:
                return
            if isinstance(message, ProviderError):
                self._broken = message
                raise message
            yield message
