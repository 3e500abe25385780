"""PocketSphinx: English speech to text on this machine, without an account or a download."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, ClassVar, Literal

import anyio
from attrs import define, frozen

from voiceloop import clock
from voiceloop.audio import PCM16_16K
from voiceloop.errors import BadInput, UnknownName, VoiceloopError
from voiceloop.events import SpokenWord
from voiceloop.interfaces.recognizer import (
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
from voiceloop.local.worker import Worker, shared_worker

_MODULE = "voiceloop.local.recognizer_worker"
_MOST_AUDIO = 2 * PCM16_16K.bytes_of(PCM16_16K.rate)  # that may wait for the worker: 2 s, then send_audio waits
_MOST_OPERATIONS = 64
_MOST_ITEMS = 64
_READY = 30.0  # s until a worker has started
_ANSWER = 60.0  # s until it has answered


class PocketSphinx(Recognizer):
    """Recognizes English with pocketsphinx, in worker processes of the pool.

    ``mode`` "grammar" follows what the reasoner expects (a JSGF grammar), and checks it by dictation: what agrees has
    a confidence of at least 0.8, what does not is still told, with one below 0.5. Where nothing is expected, and in
    ``mode`` "dictation", it takes free speech, with a fourth of the words wrong. ``grammar`` holds until the reasoner
    expects something. ``words``: pronunciations in ARPABET for words that the dictionary lacks, such as
    ``{"aloha": "AH L OW HH AA"}``. ``workers``: how many processes a pool starts at most, by default one
    a core and no more than 4.

    Raises BadInput for another mode or number of workers. Opening raises MissingExtra without the extra ``local``.
    """

    name: ClassVar[str] = "pocketsphinx"
    capabilities = RecognizerCapabilities(input=PCM16_16K, can_flush=True, word_times=True)

    def __init__(
        self,
        mode: Literal["grammar", "dictation"] = "grammar",
        *,
        grammar: str | None = None,
        words: Mapping[str, str] | None = None,
        workers: int | None = None,
    ) -> None:
        if mode not in ("grammar", "dictation"):
            raise UnknownName("mode", mode, ("grammar", "dictation"))
        if workers is not None and workers < 1:
            raise BadInput(f"workers={workers}: at least 1 is needed")
        self.mode = mode
        self.grammar = grammar
        self.words = dict(words or {})
        self.workers = workers or min(4, os.cpu_count() or 1)

    def open(self, config: ListenConfig) -> AbstractAsyncContextManager[Listening]:
        """Listen, in English. Raises BadInput for another language, MissingExtra, ProviderUnavailable."""
        return self._open(config)

    @asynccontextmanager
    async def _open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        if config.language is not None and config.language.lower().partition("-")[0] != "en":
            raise BadInput(
                f"language {config.language!r}: pocketsphinx understands English only", hint='Use "en-US".'
            )
        key = (_MODULE, self.workers)
        crew = await config.resources.get(key, lambda: _open_crew(self.workers))
        with crew.seat() as number:
            worker = await shared_worker(
                config.resources, _MODULE, name=self.name, ready_timeout=_READY, key=(*key, number)
            )
            session = clock.new_id()
            about = {"session": session, "mode": self.mode, "grammar": self.grammar, "words": self.words}
            try:
                await worker.call({"op": "open", **about}, timeout=_ANSWER)
                async with _pumped(_Listening(worker, session)) as listening:
                    yield listening
            finally:
                with anyio.CancelScope(shield=True):
                    await _forget(worker, session)


@asynccontextmanager
async def _pumped(listening: _Listening) -> AsyncIterator[_Listening]:
    pump = asyncio.create_task(listening.run())
    try:
        yield listening
    finally:
        with anyio.CancelScope(shield=True):
            pump.cancel()
            await asyncio.wait((pump,))
            listening.close()
        if not pump.cancelled():
            pump.result()


async def _forget(worker: Worker, session: str) -> None:
    """Tell the worker that the session is over; a busy one is told all the same, and not waited for."""
    with anyio.move_on_after(1.0), contextlib.suppress(VoiceloopError):  # a worker that is gone has forgotten it
        await worker.call({"op": "close", "session": session, "must": True}, timeout=1.0)


@define(eq=False)
class _Crew:
    """How many sessions each worker of a pool has."""

    sessions: list[int]

    @contextmanager
    def seat(self) -> Iterator[int]:
        """The number of the worker with the fewest sessions, which has one more until the context is left."""
        number = self.sessions.index(min(self.sessions))
        self.sessions[number] += 1
        try:
            yield number
        finally:
            self.sessions[number] -= 1


@asynccontextmanager
async def _open_crew(workers: int) -> AsyncIterator[_Crew]:
    yield _Crew([0] * workers)


@frozen
class _Audio:
    item: str
    pcm: bytes


@frozen
class _Expect:
    grammar: str | None


@frozen
class _Finish:
    item: str
    end: bool


class _Listening(Listening):
    """One session at its worker. Its operations go to the worker in order, and audio that waits goes as one."""

    def __init__(self, worker: Worker, session: str) -> None:
        self._worker = worker
        self._session = session
        self._waiting: deque[_Audio | _Expect | _Finish] = deque()
        self._filled, self._room = asyncio.Event(), asyncio.Event()
        self._number = 1
        self._told = ("", "")
        self._seconds = 0.0
        self._failure: VoiceloopError | None = None
        self._send, self._receive = anyio.create_memory_object_stream[RecognizerItem](_MOST_ITEMS)

    async def send_audio(self, pcm: bytes) -> None:
        self._seconds += PCM16_16K.samples(pcm) / PCM16_16K.rate
        await self._put(_Audio(self._item, bytes(pcm)))

    async def flush(self, *, end_of_turn: bool) -> None:
        item = self._item
        self._number += end_of_turn
        await self._put(_Finish(item, end_of_turn))

    async def expect(self, expectation: Expectation | None) -> None:
        await self._put(_Expect(expectation.grammar if expectation is not None else None))

    async def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        async for item in self._receive:
            yield item
        if self._failure is not None:
            raise self._failure

    @property
    def _item(self) -> str:
        return f"u{self._number}"

    async def _put(self, operation: _Audio | _Expect | _Finish) -> None:
        while self._failure is None and self._is_full():
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        self._waiting.append(operation)
        self._filled.set()

    def _is_full(self) -> bool:
        audio = sum(len(operation.pcm) for operation in self._waiting if isinstance(operation, _Audio))
        return audio >= _MOST_AUDIO or len(self._waiting) >= _MOST_OPERATIONS

    async def _next(self) -> _Audio | _Expect | _Finish:
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        operation = self._waiting.popleft()
        if isinstance(operation, _Audio):
            chunks = [operation.pcm]
            while self._waiting and isinstance(more := self._waiting[0], _Audio) and more.item == operation.item:
                chunks.append(more.pcm)
                self._waiting.popleft()
            operation = _Audio(operation.item, b"".join(chunks))
        self._room.set()
        return operation

    async def run(self) -> None:
        """Pass operations on, until cancelled or the worker fails."""
        try:
            async with asyncio.TaskGroup() as finishing:
                while self._failure is None:
                    await self._pass_on(await self._next(), finishing)
        finally:
            self._send.close()

    async def _pass_on(self, operation: _Audio | _Expect | _Finish, finishing: asyncio.TaskGroup) -> None:
        try:
            match operation:
                case _Audio(item, pcm):
                    reply = await self._worker.call({"op": "audio", "session": self._session}, pcm, timeout=_ANSWER)
                    self._partial(item, reply.header)
                case _Expect(grammar):
                    header = {"op": "expect", "session": self._session, "grammar": grammar}
                    await self._worker.call(header, timeout=_ANSWER)
                case _Finish():
                    # its decode goes on while audio comes; only its place in the order matters
                    sent = asyncio.Event()
                    finishing.create_task(self._finish(operation, sent))
                    await sent.wait()
        except VoiceloopError as error:
            self._fail(error)

    async def _finish(self, operation: _Finish, sent: asyncio.Event) -> None:
        header = {"op": "finish", "session": self._session, "end": operation.end}
        try:
            async with self._worker.request(header, timeout=_ANSWER) as replies:
                sent.set()
                async for reply in replies:
                    told = reply.header
                    await self._send.send(Final(operation.item, told["text"], _words(told), told["confidence"]))
            if operation.end:
                seconds, self._seconds = self._seconds, 0.0
                await self._send.send(RecognizerUsage({"seconds": round(seconds, 3)}))
        except VoiceloopError as error:
            self._fail(error)
        finally:
            sent.set()

    def _partial(self, item: str, told: Mapping[str, Any]) -> None:
        text = told.get("text", "")
        if text and (item, text) != self._told:
            try:
                self._send.send_nowait(Partial(item, text, _words(told)))
                self._told = (item, text)
            except anyio.WouldBlock:
                return  # nobody reads: a later one will say more

    def _fail(self, error: VoiceloopError) -> None:
        self._failure = self._failure or error
        self._send.close()
        self._filled.set()
        self._room.set()

    def close(self) -> None:
        """Nothing more is sent or read."""
        self._send.close()
        self._receive.close()


def _words(told: Mapping[str, Any]) -> tuple[SpokenWord, ...]:
    return tuple(SpokenWord(text, start, end) for text, start, end in told["words"])
