"""Amazon Polly's bidirectional stream: StartSpeechSynthesisStream.

Source: Amazon Polly API reference (StartSpeechSynthesisStream) and developer guide ("Bidirectional streaming",
"Quotas").
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, NoReturn

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define

from voiceloop import clock
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import MissingExtra, VoiceloopError
from voiceloop.testing.aws.exchange import ConnectionLost, Exchange, Refusal, StreamService, UncleanEnd
from voiceloop.testing.aws.polly import Order, Throttle, checked, documented, invalid
from voiceloop.testing.aws.polly_speech import Mouth, encoded
from voiceloop.testing.aws.polly_ssml import Document
from voiceloop.testing.aws.settings import Timers
from voiceloop.testing.aws.stage import Stage

IDLE, LONGEST = 5.0, 600.0
_ENDS = re.compile(r"[.!?…][\"')\]”’]*\s+|[。！？]")
_QUEUE = 1024  # documents waiting to be spoken
_HEADERS = {
    "Engine": "x-amzn-engine",
    "LanguageCode": "x-amzn-languagecode",
    "OutputFormat": "x-amzn-outputformat",
    "SampleRate": "x-amzn-samplerate",
    "VoiceId": "x-amzn-voiceid",
}


class PollyStream(StreamService):
    """StartSpeechSynthesisStream: text in as it is written, audio out as it is made, for generative voices.

    The stage's timers scale the service's own: 5 s without an event, 10 minutes in all.
    """

    service: ClassVar[str] = "polly"
    operation: ClassVar[str] = "StartSpeechSynthesisStream"

    def __init__(self, stage: Stage) -> None:
        self._mouth = Mouth(stage.backing.synthesizer, stage.resources)
        self._delay = stage.backing.polly_delay
        self._timers = stage.timers
        self._lexicons = stage.settings.polly_lexicons
        self._throttle = Throttle(stage.settings.polly_quotas)

    def matches(self, method: str, path: str) -> bool:
        return (method, path) == ("POST", "/v1/synthesisStream")

    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        return (("polly:StartSpeechSynthesisStream", "*"),)

    async def serve(self, exchange: Exchange) -> None:
        order = self._order(exchange.headers)
        with self._throttle.request(exchange.caller.region, order.engine):
            await exchange.respond({"content-type": "application/vnd.amazon.eventstream"})
            await self._converse(exchange, order)
            await exchange.finish()

    def _order(self, headers: Mapping[str, str]) -> Order:
        body: dict[str, Any] = {key: headers.get(name) for key, name in _HEADERS.items()}
        if body["Engine"] != "generative":
            invalid(f"The engine {body['Engine']} is not supported by this operation. Supported: generative")
        if body["OutputFormat"] == "json":
            invalid("The output format json is not supported by this operation.")
        names = headers.get("x-amzn-lexiconnames", "")
        body["LexiconNames"] = [name.strip() for name in names.split(",") if name.strip()]
        return checked({**body, "Text": ""}, "generative", self._lexicons)

    async def _converse(self, exchange: Exchange, order: Order) -> None:
        """Read and speak at the same time until the text is over. Raises Refusal."""
        give, take = anyio.create_memory_object_stream[Document](_QUEUE)
        reader = _Reader(exchange, order, self._timers, give)
        failed: list[Refusal | ConnectionLost] = []
        async with anyio.create_task_group() as group:

            async def read() -> None:
                async with give:
                    try:
                        await reader.read()
                    except (Refusal, ConnectionLost) as error:
                        failed.append(error)
                        group.cancel_scope.cancel()

            async def speak() -> None:
                try:
                    await self._speak(exchange, order, take)
                except (Refusal, ConnectionLost) as error:
                    failed.append(error)
                    group.cancel_scope.cancel()

            group.start_soon(read)
            group.start_soon(speak)
        if failed:
            raise failed[0]
        told = json.dumps({"RequestCharacters": reader.billed}).encode()
        await exchange.send(Message(_headers("event", "StreamClosedEvent"), told))

    async def _speak(self, exchange: Exchange, order: Order, documents: MemoryObjectReceiveStream[Document]) -> None:
        try:
            async with documents:
                async for document in documents:
                    await anyio.sleep(self._delay)
                    await self._say(exchange, order, document)
        except MissingExtra as error:
            raise Refusal(400, "ValidationException", str(error), {"reason": "unsupportedOperation"}) from error
        except VoiceloopError as error:
            message = "An unknown condition has caused a service failure."
            raise Refusal(500, "ServiceFailureException", message) from error

    async def _say(self, exchange: Exchange, order: Order, document: Document) -> None:
        pcm = self._mouth.audio(document.pieces, order.format)
        raw = order.output in ("pcm", "mulaw", "alaw")
        async with aclosing(pcm if raw else encoded(pcm, order.rate, order.output)) as chunks:
            async for chunk in chunks:
                await exchange.send(Message(_headers("event", "AudioEvent", "application/octet-stream"), chunk))


@define(eq=False)
class _Reader:
    """Takes the caller's events; gives on what can be spoken: whole sentences, and all at a flush or the end."""

    exchange: Exchange
    order: Order
    timers: Timers
    give: MemoryObjectSendStream[Document]
    billed: int = 0
    _text: str = ""

    async def read(self) -> None:
        """Read to the end. Raises Refusal."""
        end = clock.now() + self.timers.of(LONGEST)
        messages = aiter(self.exchange)
        while (message := await self._next(messages, end)) is not None:
            match message.name:
                case "TextEvent":
                    await self._take(_payload(message))
                case "CloseStreamEvent":
                    break
                case name:
                    _wrong("invalidInboundEvent", f"Unknown event {name!r}")
        await self._flush()

    async def _next(self, messages: AsyncIterator[Message], end: float) -> Message | None:
        idle = clock.now() + self.timers.of(IDLE)
        with anyio.move_on_at(min(idle, end)):
            try:
                return await anext(messages, None)
            except UncleanEnd:
                _wrong("invalidInboundEvent", "A complete signal was sent without the preceding empty frame.")
        code = "input-stream-inbound-event-timeout" if idle <= end else "input-stream-timeout"
        message = "The stream was closed because it exceeded the quota for waiting or duration."
        raise Refusal(402, "ServiceQuotaExceededException", message, {"quotaCode": code, "serviceCode": "polly"})

    async def _take(self, event: Mapping[str, Any]) -> None:
        text, kind = event.get("Text"), event.get("TextType") or "text"
        if not isinstance(text, str) or kind not in ("text", "ssml"):
            _wrong("fieldValidationFailed", "Text is required; TextType is text or ssml", "Text")
        try:
            document = documented(text, kind, self.order.engine, self.order.voice.id)
        except Refusal as refusal:
            _wrong("fieldValidationFailed", refusal.message, "Text")
        self.billed += document.billed
        if kind == "ssml":
            await self._flush()
            await self.give.send(document)
        else:
            self._text += text
            ends = [found.end() for found in _ENDS.finditer(self._text)]
            if ends:
                await self._flush(ends[-1])
        if (event.get("FlushStreamConfiguration") or {}).get("Force"):
            await self._flush()

    async def _flush(self, end: int | None = None) -> None:
        ready, self._text = self._text[:end], "" if end is None else self._text[end:]
        if ready.strip():
            order = self.order
            for start in range(0, len(ready), 3000):
                await self.give.send(documented(ready[start : start + 3000], "text", order.engine, order.voice.id))


def _payload(message: Message) -> Mapping[str, Any]:
    try:
        told = json.loads(message.payload or b"{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        _wrong("invalidInboundEvent", "The event's payload is not a JSON object")
    return told


def _wrong(reason: str, message: str, name: str | None = None) -> NoReturn:
    fields = {} if name is None else {"fields": [{"name": name, "message": message}]}
    raise Refusal(400, "ValidationException", message, {"reason": reason, **fields})


def _headers(kind: str, name: str, content: str = "application/json") -> dict[str, str]:
    return {f":{kind}-type": name, ":content-type": content, ":message-type": kind}


__all__ = ("PollyStream",)
