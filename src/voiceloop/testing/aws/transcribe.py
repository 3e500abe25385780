"""Amazon Transcribe: StartStreamTranscription over HTTP/2 and over WebSocket.

Sources: Amazon Transcribe API reference, "StartStreamTranscription"; developer guide, "Partial results and
stabilization", "Quotas"; error texts as the service gives them.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar
from uuid import UUID

import anyio
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import Converter, converter
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import BadInput
from voiceloop.interfaces import Final, ListenConfig, Listening, Partial, Silent, Speaking, TurnOver, TurnState
from voiceloop.testing.aws.exchange import Exchange, Refusal, StreamService, UncleanEnd
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.aws.transcribe_options import PREFIX, Options, read
from voiceloop.testing.aws.transcribe_results import result
from voiceloop.testing.aws.words import words_of

_NO_AUDIO = 15.0
_LONGEST = 4 * 3600.0
_LAST_FINAL = 60.0  # that the engine behind may take for the last final

TIMED_OUT = Refusal(
    400,
    "BadRequestException",
    "Your request timed out because no new audio was received for 15 seconds.",
)
TOO_LONG = Refusal(
    429,
    "LimitExceededException",
    "Your client has exceeded one of the Amazon Transcribe limits. This is typically the limit on audio length. "
    "Break your audio stream into smaller chunks and try your request again.",
)
CONFLICT = Refusal(
    409,
    "ConflictException",
    "A new stream started with the same session ID. The current stream has been terminated.",
)
TOO_BIG = Refusal(
    400,
    "BadRequestException",
    "Your audio chunk is longer than 1 second. Reduce the chunk size and try your request again.",
)
UNCLEAN = Refusal(400, "BadRequestException", "A complete signal was sent without the preceding empty frame.")


@define(eq=False)
class Transcription(StreamService):
    """StartStreamTranscription, behind ``Backing.recognizer``."""

    service: ClassVar[str] = "transcribestreaming"
    operation: ClassVar[str] = "StartStreamTranscription"
    route: ClassVar[tuple[str, str]] = ("POST", "/stream-transcription")

    stage: Stage
    running: dict[str, anyio.Event] = field(factory=dict, init=False)
    """Streams that are open, by session id; set when a newer one takes the id."""

    def matches(self, method: str, path: str) -> bool:
        return (method, path) == self.route

    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        return ((f"transcribe:{self.operation}", "*"),)

    async def serve(self, exchange: Exchange) -> None:
        options = read(exchange.headers)
        async with self._admitted(options) as replaced:
            echo = {PREFIX + name: value for name, value in options.given.items()}
            request = str(UUID(clock.new_id()))
            await exchange.respond({**echo, "x-amzn-request-id": request, f"{PREFIX}session-id": options.session})
            backing = self.stage.backing
            config = ListenConfig(self.stage.resources, options.language)
            try:
                async with backing.recognizer.open(config) as listening:
                    ear = _Ear.of(self.stage, options)
                    await _Stream(self.stage, exchange, listening, self.operation, ear).run(replaced)
            except BadInput as error:
                raise Refusal(400, "BadRequestException", str(error)) from error

    @asynccontextmanager
    async def _admitted(self, options: Options) -> AsyncIterator[anyio.Event]:
        """Count the stream in, and end an older one of the same session."""
        if options.session not in self.running and len(self.running) >= self.stage.settings.transcribe_streams:
            raise words_of(self.service).busy
        if options.session in self.running:
            self.running[options.session].set()
        mine = self.running[options.session] = anyio.Event()
        try:
            yield mine
        finally:
            if self.running.get(options.session) is mine:
                del self.running[options.session]


@define(eq=False)
class WebSocketTranscription(Transcription):
    """The same over a WebSocket, by a presigned URL."""

    operation: ClassVar[str] = "StartStreamTranscriptionWebSocket"
    route: ClassVar[tuple[str, str]] = ("GET", "/stream-transcription-websocket")


@define(eq=False)
class _Segment:
    """A stretch of speech: one result id, its partials, then one final."""

    number: str = field(factory=lambda: str(UUID(clock.new_id())))
    begin_ms: float = 0.0
    newest: Partial | None = None
    sent: Partial | None = None
    sent_at_ms: float = -math.inf


@define(eq=False)
class _Ear:
    """Takes the caller's audio, in the recognizer's format, and hears where a segment ends."""

    options: Options
    pause_ms: float
    _input: Converter
    _turns: TurnState
    _bytes: int = 0
    _silent_since: float | None = None

    @classmethod
    def of(cls, stage: Stage, options: Options) -> _Ear:
        engine = stage.backing.recognizer.capabilities.input
        pause_ms = stage.settings.transcribe_pause * 1000
        return cls(options, pause_ms, converter(options.format, engine), stage.backing.turns.start(engine))

    @property
    def heard_ms(self) -> float:
        """How much audio has come."""
        return self.options.format.ms(self.options.format.samples(self._bytes))

    def take(self, audio: bytes) -> bytes:
        """One chunk, converted. Raises Refusal for more than a second, or parts of samples."""
        given = self.options.format
        if len(audio) > given.bytes_of(given.rate):
            raise TOO_BIG
        if len(audio) % given.sample_bytes:
            raise Refusal(400, "BadRequestException", "The audio chunk does not hold whole samples.")
        self._bytes += len(audio)
        pcm = self._input.push(audio)
        for signal in self._turns.audio(pcm):
            match signal:
                case Speaking():
                    self._silent_since = None
                case Silent(since_ms):
                    self._silent_since = since_ms
                case TurnOver():
                    self._silent_since = -math.inf
        return pcm

    def paused(self) -> bool:
        """Whether a pause has just become long enough to end the segment; told once."""
        over = self._silent_since is not None and self.heard_ms - self._silent_since >= self.pause_ms
        if over:
            self._silent_since = None
        return over

    def rest(self) -> bytes:
        """The last samples, after the end."""
        return self._input.finish()


@define(eq=False)
class _Results:
    """Sends what is heard: partials at their pace, and one final for each segment."""

    _stage: Stage
    _exchange: Exchange
    _ear: _Ear
    _empty_due_ms: float
    _segments: dict[str, _Segment] = field(factory=dict)
    _sending: anyio.Lock = field(factory=anyio.Lock)

    async def partial(self, item: Partial) -> None:
        """Send it now or later; a newer one takes its place."""
        self._segments.setdefault(item.item, _Segment(begin_ms=self._ear.heard_ms)).newest = item
        await self.show()

    async def show(self) -> None:
        """Send the oldest open segment's newest partial, if it is news and enough audio has passed since the last."""
        segment, heard_ms = next(iter(self._segments.values()), None), self._ear.heard_ms
        newest = segment.newest if segment is not None else None
        if segment is None or newest is None or newest == segment.sent or not newest.text:
            return
        if heard_ms - segment.sent_at_ms >= self._stage.settings.transcribe_partials * 1000:
            segment.sent, segment.sent_at_ms = newest, heard_ms
            await self._result(segment, newest)

    async def final(self, item: Final) -> None:
        """Close a segment."""
        segment = self._segments.pop(item.item, None) or _Segment(begin_ms=self._ear.heard_ms)
        if item.text or segment.sent is not None:
            await self._result(segment, item)

    async def close(self) -> None:
        """Close what is still open, with what was heard last."""
        for left in [segment.newest for segment in self._segments.values() if segment.newest is not None]:
            await self.final(Final(left.item, left.text, left.words, None, left.language))

    async def keep_alive(self) -> None:
        """An event without results, now and then."""
        if self._ear.heard_ms >= self._empty_due_ms:
            self._empty_due_ms += self._stage.settings.transcribe_empty * 1000
            await self._send([])

    async def _result(self, segment: _Segment, heard: Partial | Final) -> None:
        options, punctuate = self._ear.options, self._stage.backing.punctuate
        made = result(heard, segment.number, segment.begin_ms, self._ear.heard_ms, options, punctuate=punctuate)
        await self._send([made])

    async def _send(self, results: list[object]) -> None:
        headers = {
            ":message-type": "event",
            ":event-type": "TranscriptEvent",
            ":content-type": "application/json",
        }
        body = json.dumps({"Transcript": {"Results": results}}).encode()
        async with self._sending:
            await self._exchange.send(Message(headers, body))


@define(eq=False)
class _Stream:
    """One stream of audio, and what is heard in it."""

    _stage: Stage
    _exchange: Exchange
    _listening: Listening
    _operation: str
    _ear: _Ear
    _results: _Results = field(init=False)
    _audio_at: float = field(factory=clock.now)
    _flushes: int = 0
    _settled: anyio.Event = field(factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        first_empty = self._stage.settings.transcribe_empty * 1000
        self._results = _Results(self._stage, self._exchange, self._ear, first_empty)

    async def run(self, replaced: anyio.Event) -> None:
        """Hear until the caller ends the stream; every segment has its final then."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            group.start_soon(self._give_way, replaced)
            group.start_soon(self._tell)
            await self._read()
            await self._close()
            group.cancel_scope.cancel()

    async def _read(self) -> None:
        ended = False
        try:
            async for message in self._exchange:
                if message.name != "AudioEvent":
                    raise Refusal(
                        400,
                        "SerializationException",
                        f"Unexpected event {message.name[:64]!r}: AudioEvent is expected.",
                    )
                ended = not message.payload
                if message.payload:
                    await self._hear(message.payload)
                elif self._operation.endswith("WebSocket"):
                    return
        except UncleanEnd:
            if not ended:
                raise UNCLEAN from None

    async def _hear(self, audio: bytes) -> None:
        pcm = self._ear.take(audio)
        self._audio_at = clock.now()
        await self._listening.send_audio(pcm)
        if self._ear.paused():
            await self._flush()
        await self._results.show()
        await self._results.keep_alive()

    async def _flush(self) -> None:
        if self._stage.backing.recognizer.capabilities.can_flush:
            self._flushes += 1
            await self._listening.flush(end_of_turn=True)

    async def _tell(self) -> None:
        """What the recognizer hears, as results."""
        async for item in self._listening:
            match item:
                case Partial():
                    await self._results.partial(item)
                case Final():
                    await self._results.final(item)
                    self._flushes = max(0, self._flushes - 1)
                    self._settled.set()

    async def _close(self) -> None:
        """Have the last segment's final."""
        tail = self._ear.rest()
        if tail:
            await self._listening.send_audio(tail)
        await self._flush()
        with anyio.move_on_after(_LAST_FINAL):
            while self._flushes:
                self._settled = anyio.Event()
                await self._settled.wait()
        await self._results.close()

    async def _watch(self) -> None:
        """The service's timers."""
        began, timers = clock.now(), self._stage.timers
        while True:
            quiet = self._audio_at + timers.of(_NO_AUDIO) - clock.now()
            if quiet <= 0:
                raise TIMED_OUT
            left = began + timers.of(_LONGEST) - clock.now()
            if left <= 0:
                raise TOO_LONG
            await anyio.sleep(min(quiet, left))

    async def _give_way(self, replaced: anyio.Event) -> None:
        await replaced.wait()
        raise CONFLICT
