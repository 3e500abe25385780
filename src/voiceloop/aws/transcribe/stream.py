"""The open stream: one transcript, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import anyio

from voiceloop import clock
from voiceloop.aws.account import Access
from voiceloop.aws.transcribe.continuity import Hearing
from voiceloop.aws.transcribe.keeping import SILENCE_MS, Age, Attention, Deaf, Lull, Persistence
from voiceloop.aws.transcribe.outbox import ItemOutbox
from voiceloop.aws.transcribe.results import read
from voiceloop.aws.transcribe.sending import RING_MS, Pace, Sending
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest
from voiceloop.errors import ProviderError, ProviderTimeout, ProviderUnavailable, SessionClosed
from voiceloop.events import Link
from voiceloop.interfaces import Listening, ListeningChanged, RecognizerItem, RecognizerUsage, Resources

if TYPE_CHECKING:
    from voiceloop.aws.transcribe.recognizer import Transcribe

PROVIDER = "Amazon Transcribe"
OPERATION = "StartStreamTranscription"

_AUDIO = {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"}
_DEADLINES = Deadlines(send=10.0)
_RESPONSE = 10.0  # s until the service has accepted the request
_GOODBYE = 0.5  # s to end a stream politely

_PIECE_MS = 100.0  # audio is taken in pieces of that size when it must wait


@asynccontextmanager
async def open_stream(recognizer: Transcribe, resources: Resources) -> AsyncIterator[Listening]:
    """Open the first connection, and keep one open until the context is left."""
    stream = _Stream(recognizer, await recognizer.account.access(resources))
    keeper = asyncio.create_task(stream.run(), name="Transcribe stream")
    try:
        await stream.opened()
        yield stream
    finally:
        with anyio.CancelScope(shield=True):
            keeper.cancel()
            await asyncio.wait((keeper,))


class _Stream(Listening):
    """See :class:`Listening`. One task (:meth:`run`) keeps a connection open; two within it send and receive."""

    def __init__(self, recognizer: Transcribe, access: Access) -> None:
        self._recognizer = recognizer
        self._access = access
        self._session_id = str(UUID(clock.new_id()))
        self._pace = Pace(recognizer.pace)
        self._sending = Sending(recognizer.input)
        self._hearing = Hearing(self._sending, recognizer.spoken_language, finals_only=recognizer.pii == "redact")
        self._lull = Lull()
        self._attention = Attention(recognizer.input)
        self._persistence = Persistence()
        self._out = ItemOutbox()
        self._state: Link = "connecting"
        self._ready, self._filled, self._room = anyio.Event(), anyio.Event(), anyio.Event()

    # ------------------------------------------------------------ Listening

    async def send_audio(self, pcm: bytes) -> None:
        """Take audio; waits when it comes faster than the pace, or when 30 s of it wait for a connection."""
        audio = self._recognizer.input
        self._lull.given(audio.ms(audio.samples(pcm)))
        most = audio.bytes_of(audio.samples_in(_PIECE_MS))
        for at in range(0, len(pcm), most):
            piece = pcm[at : at + most]
            await self._admitted(audio.ms(audio.samples(piece)))
            if self._out.closed:
                raise self._out.failure or SessionClosed("the stream is closed", doing="sending audio")
            self._sending.add(piece)
            self._filled.set()

    async def _admitted(self, ms: float) -> None:
        """Wait until there is time and room for so much audio, or none will be needed."""
        ahead = self._pace.admit(ms, clock.now())
        if ahead and not self._out.closed:
            await anyio.sleep(ahead)
        while not self._out.closed and self._sending.waiting_ms + ms > RING_MS:
            self._room = anyio.Event()
            await self._room.wait()

    async def flush(self, *, end_of_turn: bool) -> None:
        """Have the final of the last words soon, if no more audio comes; see ``can_finish``."""
        self._lull.paused()
        self._filled.set()

    def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        return self._out

    # ------------------------------------------------------------ inside

    async def opened(self) -> None:
        """Wait for the first connection. Raises why there is none."""
        await self._ready.wait()
        if self._out.failure is not None:
            raise self._out.failure

    async def run(self) -> None:
        """Keep a connection open until cancelled, or until a new one would not help."""
        try:
            while True:
                opened = clock.now()
                try:
                    await self._connection()
                    self._changed("renewing")
                except Deaf as deaf:
                    self._changed("recovering", str(deaf))
                except ProviderError as error:
                    stood, chance = self._ready.is_set(), clock.random()
                    wait = self._persistence.wait(error, opened, clock.now(), stood=stood, chance=chance)
                    self._changed("recovering", str(error))
                    await anyio.sleep(wait)
                self._attention.restart()
                self._hearing.restart()
                self._sending.restart()
        except Exception as failure:  # noqa: BLE001 - whoever reads or sends is told
            self._out.close(failure)
        finally:
            if seconds := self._sending.report(rest=True):
                self._out.add(RecognizerUsage({"seconds": seconds}))
            self._out.close()
            for event in (self._ready, self._filled, self._room):
                event.set()

    async def _connection(self) -> None:
        """One connection, until it is old. Raises ProviderError when it broke."""
        request = StreamRequest(
            service="transcribestreaming",
            signs_as="transcribe",
            operation=OPERATION,
            path="/stream-transcription",
            headers=self._recognizer.headers(self._session_id),
        )
        expires = (await self._access.credentials()).expires
        age = Age.of(clock.now(), (expires - clock.utcnow()).total_seconds() if expires is not None else None)
        async with self._access.stream(request, _DEADLINES) as stream:
            await _accepted(stream)
            self._changed("ready")
            self._ready.set()
            try:
                await _first_of(lambda: self._receive(stream), lambda: self._send(stream, age))
            finally:
                # of a broken stream there is nothing to end
                with anyio.move_on_after(_GOODBYE, shield=True), contextlib.suppress(ProviderError):
                    await stream.end()
                    async for _ in stream:  # what the service still says of audio that is settled, or sent again
                        pass

    def _changed(self, state: Link, detail: str = "") -> None:
        """Tell of a change after the first connection, once."""
        if self._ready.is_set() and state != self._state:
            self._out.put(ListeningChanged(state, detail))
        self._state = state

    async def _send(self, stream: EventStream, age: Age) -> None:
        """Send audio, and silence where there is none, until the connection is old."""
        audio = self._recognizer.input
        while not age.over(clock.now(), quiet=not self._hearing.open):
            pcm = await self._next()
            silence = not pcm
            pcm = pcm or self._sending.silence(SILENCE_MS)
            await stream.send(Message(_AUDIO, pcm))
            self._lull.sent(audio.ms(audio.samples(pcm)), clock.now(), silence=silence)
            self._room.set()
            if seconds := self._sending.report():
                self._out.put(RecognizerUsage({"seconds": seconds}))
            self._attention.sent(pcm, clock.now())

    async def _next(self) -> bytes:
        """The next chunk of audio, a shorter one when no more comes in time; empty when there is none."""
        since = clock.now()
        while not (pcm := self._sending.chunk()):
            self._filled = anyio.Event()
            patience = self._lull.patience(since, unfinished=self._hearing.open)
            with anyio.move_on_at(since + patience) as waiting:
                await self._filled.wait()
            if waiting.cancelled_caught:
                return self._sending.chunk(rest=True)
        return pcm

    async def _receive(self, stream: EventStream) -> None:
        """Take what the service says until it ends the stream, which it must not."""
        async for message in stream:
            self._attention.heard()
            if message.name == "TranscriptEvent":
                for item in self._hearing.take(read(message.payload)):
                    self._persistence.works()
                    self._out.put(item)
        raise ProviderUnavailable("ended the stream", provider=PROVIDER, doing="listening", retryable=True)


async def _accepted(stream: EventStream) -> None:
    try:
        with anyio.fail_after(_RESPONSE):
            await stream.response()
    except TimeoutError:
        raise ProviderTimeout(
            f"did not answer within {_RESPONSE:g} s", provider=PROVIDER, doing="opening a stream", retryable=True
        ) from None


async def _first_of(*works: Callable[[], Awaitable[None]]) -> None:
    """Do all at once until the first is done. Raises the first failure, bare."""
    failures: list[Exception] = []

    async def work(job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except Exception as failure:  # noqa: BLE001 - raised below
            failures.append(failure)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for job in works:
            group.start_soon(work, job)
    if failures:
        raise failures[0]
