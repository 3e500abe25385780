"""A whole reply on one bidirectional stream, which generative voices have (StartSpeechSynthesisStream).

Source: Amazon Polly developer guide, "Bidirectional streaming": a stream ends after 5 s without an event and after
ten minutes in all; an empty text keeps it; a flush speaks at once what was sent so far; there are no speech marks.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.aws.account import Access
from voiceloop.aws.polly.gate import LISTENED, Gate
from voiceloop.aws.polly.limiter import Crowded, Urgency
from voiceloop.aws.polly.marks import NO_MORE
from voiceloop.aws.polly.speech import PROVIDER, SERVICE, Outlet, Whole, broke
from voiceloop.aws.polly.text import scripts
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest
from voiceloop.errors import ProviderError, ProviderMisbehaved, ProviderTimeout, ProviderUnavailable, VoiceloopError
from voiceloop.interfaces import Clause, SpeechAudio, SynthesizerUsage
from voiceloop.rules.backoff import Backoff

_KEEP_ALIVE = 2.5  # seconds without a clause after which an empty text is sent
_PAUSE = 0.3  # seconds without a clause after which what was sent is spoken, though its sentence goes on
_LONGEST = 480.0  # seconds after which the next clause goes to a new stream
_ANSWER = 8.0  # seconds until text that was flushed makes a sound: told before a listener gives up
_BACKOFF = Backoff()
_OPERATION = "StartSpeechSynthesisStream"


@define(eq=False)
class Streaming:
    """Speaks clauses into ``outlet``, on one stream or, after ``_LONGEST``, on one after the other."""

    access: Access
    gate: Gate
    headers: Mapping[str, str]
    rate: float | None
    format: AudioFormat
    marked: bool
    outlet: Outlet

    async def run(self, clauses: AsyncIterable[Clause]) -> None:
        """Speak all; a failure is raised by the outlet."""
        give, take = anyio.create_memory_object_stream[Clause](1)
        self.outlet.put(NO_MORE if self.marked else ())
        async with give, take, anyio.create_task_group() as group:
            group.start_soon(_pull, clauses, give, self.outlet)
            try:
                await self._speak(take)
            except VoiceloopError as error:
                self.outlet.close(error)
            else:
                self.outlet.close()
            group.cancel_scope.cancel()

    async def _speak(self, take: MemoryObjectReceiveStream[Clause]) -> None:
        again: list[Message] = []
        attempt, more = 0, True
        while more:
            connection = _Connection(self.outlet, Whole(self.format), self.rate, again)
            try:
                async with (
                    self.gate.passing(Urgency.FIRST, LISTENED),
                    self.access.stream(self._request(), Deadlines(idle=None)) as wire,
                ):
                    more = await connection.run(wire, take)
                attempt, again = 0, []
            except ProviderError as error:
                attempt += 1
                delay = _BACKOFF.delay(attempt, clock.random())
                if connection.heard:
                    raise broke(error) from error
                if isinstance(error, Crowded) or not error.retryable or delay is None:
                    raise
                again = connection.sent
                await anyio.sleep(delay)

    def _request(self) -> StreamRequest:
        return StreamRequest(SERVICE, "polly", _OPERATION, "/v1/synthesisStream", self.headers)


@define(eq=False)
class _Connection:
    """One stream. ``again``: what another one was told, without having been heard."""

    outlet: Outlet
    whole: Whole
    rate: float | None
    again: Sequence[Message]
    heard: bool = False
    sent: list[Message] = field(factory=list)
    """What was sent before anything was heard."""
    _more: bool = False
    _ended: bool = False
    _resting: bool = False
    _watch: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def run(self, wire: EventStream, take: MemoryObjectReceiveStream[Clause]) -> bool:
        """Speak what comes; whether more is to come on another stream. Raises ProviderError."""
        failures: list[ProviderError] = []

        async def send() -> None:
            try:
                await self._send(wire, take)
            except ProviderError as error:
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            try:
                with self._watch:
                    await self._receive(wire)
            except ProviderError as error:
                failures.insert(0, error)
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]
        if self._watch.cancelled_caught:
            raise ProviderTimeout(
                f"no audio within {_ANSWER:g} s of the text", provider=PROVIDER, doing="speaking", retryable=True
            )
        return self._more

    async def _send(self, wire: EventStream, take: MemoryObjectReceiveStream[Clause]) -> None:
        if self.again:
            await self._tell(wire, self.again, due=True)
        until = clock.now() + _LONGEST
        waits = False  # whether text was sent that makes a sound and is not flushed
        try:
            while waits or clock.now() < until:
                clause = None
                with anyio.move_on_after(_PAUSE if waits else _KEEP_ALIVE):
                    clause = await take.receive()
                if clause is None:
                    await self._tell(wire, [_text("", flush=waits)], due=waits)
                    waits = False
                else:
                    flush = clause.first or clause.ends != "clause"
                    waits = waits or any(map(str.isalnum, clause.text))
                    await self._clause(wire, clause, flush=flush, sounds=waits)
                    waits = waits and not flush
            self._more = True
        except anyio.EndOfStream:
            pass
        self._ended = True
        self._expect()
        await wire.send(_event("CloseStreamEvent", {}))
        await wire.end()

    async def _clause(self, wire: EventStream, clause: Clause, *, flush: bool, sounds: bool) -> None:
        pieces = scripts(f"{clause.text.rstrip()} ", self.rate)
        last = pieces[-1]
        texts = [_text(piece.text, ssml=piece.ssml, flush=flush and piece is last) for piece in pieces]
        await self._tell(wire, texts, due=flush and sounds)

    async def _tell(self, wire: EventStream, messages: Sequence[Message], *, due: bool) -> None:
        """Send ``messages``; ``due``: audio must come after them."""
        if not self.heard:
            self.sent += messages  # all of them, however many are sent before the stream breaks
        if due and math.isinf(self._watch.deadline):
            self._expect()
        for message in messages:
            await wire.send(message)

    def _expect(self) -> None:
        """From now on, audio is due."""
        if not self._resting:
            self._watch.deadline = clock.now() + _ANSWER

    async def _rest(self) -> None:
        """Take nothing more until what came was used, then expect the rest."""
        self._resting, self._watch.deadline = True, math.inf
        await self.outlet.room()
        self._resting = False
        if self._ended:
            self._expect()

    async def _receive(self, wire: EventStream) -> None:
        closed = False
        async for message in wire:
            match message.name:
                case "AudioEvent":
                    if pcm := self.whole.feed(message.payload):
                        self.outlet.put((SpeechAudio(pcm),))
                    self.heard = True
                    await self._rest()
                case "StreamClosedEvent":
                    closed = True
                    self.outlet.put((SynthesizerUsage({"characters": _billed(message.payload)}),))
        if not (closed and self._ended):
            raise ProviderUnavailable("ended the stream early", provider=PROVIDER, doing="speaking", retryable=True)


async def _pull(clauses: AsyncIterable[Clause], give: MemoryObjectSendStream[Clause], outlet: Outlet) -> None:
    """Take clauses as they come: waiting for one must not be cut short, or their source would end."""
    async with give:
        try:
            async for clause in clauses:
                await give.send(clause)
        except Exception as error:  # noqa: BLE001 - raised by the outlet: it is the caller's own
            outlet.close(error)


def _billed(payload: bytes) -> int:
    try:
        return int(json.loads(payload or b"{}").get("RequestCharacters", 0))
    except (ValueError, TypeError, AttributeError):
        raise ProviderMisbehaved(
            "a StreamClosedEvent is no JSON object", provider=PROVIDER, doing="speaking", retryable=True
        ) from None


def _text(text: str, *, ssml: bool = False, flush: bool = False) -> Message:
    event: dict[str, Any] = {"Text": text, "TextType": "ssml" if ssml else "text"}
    return _event("TextEvent", event | ({"FlushStreamConfiguration": {"Force": True}} if flush else {}))


def _event(name: str, payload: Mapping[str, Any]) -> Message:
    headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
    return Message(headers, json.dumps(payload).encode())
