"""The emulated StartSpeechSynthesisStream, over an exchange in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest

from voiceloop import clock
from voiceloop.audio import PCM16_16K
from voiceloop.aws.wire.stream import Message
from voiceloop.engine.pool import Pool
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import Caller, ConnectionLost, Exchange, Refusal, UncleanEnd
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.polly_stream import PollyStream
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.aws.stage import Stage
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

virtual = pytest.mark.virtual_time(seed=0)
HEADERS = {"x-amzn-engine": "generative", "x-amzn-voiceid": "Ruth", "x-amzn-outputformat": "pcm"}


class Script(Exchange):
    """Gives what a list says: messages, seconds to wait, errors."""

    def __init__(self, *steps: Any, headers: Mapping[str, str] = HEADERS) -> None:
        self.path, self.headers, self.caller = "/v1/synthesisStream", headers, Caller("key")
        self.steps = steps
        self.sent: list[Message] = []
        self.finished = self.responded = False

    async def __aiter__(self) -> AsyncIterator[Message]:
        for step in self.steps:
            if isinstance(step, float):
                await anyio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    async def respond(self, headers: Mapping[str, str]) -> None:
        self.responded = True

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def finish(self) -> None:
        self.finished = True

    @property
    def audio(self) -> bytes:
        return b"".join(message.payload for message in self.sent if message.name == "AudioEvent")


def text(words: str, *, force: bool = False, kind: str | None = None) -> Message:
    told: dict[str, Any] = {"Text": words}
    if force:
        told["FlushStreamConfiguration"] = {"Force": True}
    if kind:
        told["TextType"] = kind
    return event("TextEvent", told)


def event(name: str, told: Mapping[str, Any]) -> Message:
    return Message({":message-type": "event", ":event-type": name}, json.dumps(told).encode())


CLOSE = event("CloseStreamEvent", {})


async def serve(exchange: Script, delay: float = 0.0, scale: float = 1.0) -> list[str]:
    """Serve ``exchange``; what was said, clause by clause."""
    synthesizer = ScriptedSynthesizer(0.0, format=PCM16_16K, speed=1e6)
    async with Pool() as pool:
        backing = Backing(ScriptedRecognizer(), ScriptedReasoner(), synthesizer, 0.0, delay)
        await PollyStream(Stage(backing, pool, Timers(scale), Settings(), Faults())).serve(exchange)
    return [clause.text for clause in synthesizer.clauses]


@virtual
async def test_sentences_are_spoken_as_they_are_whole() -> None:
    exchange = Script(text("Good"), text(" day. How"), text(" are you"), CLOSE)
    assert await serve(exchange) == ["Good day.", "How are you"]
    assert len(exchange.audio) == 2 * 960 * (9 + 11)
    closed = exchange.sent[-1]
    assert closed.name == "StreamClosedEvent"
    assert json.loads(closed.payload) == {"RequestCharacters": 21}
    assert exchange.responded
    assert exchange.finished


@virtual
async def test_a_forced_flush_speaks_what_there_is() -> None:
    exchange = Script(text("One moment", force=True), 1.0, text("", force=True), 1.0, text("Done."), CLOSE)
    assert await serve(exchange) == ["One moment", "Done."]


@virtual
async def test_ssml_is_a_whole_document_and_mixes_with_text() -> None:
    exchange = Script(text("Well"), text("<speak>a<break time='1s'/>b</speak>", kind="ssml"), CLOSE)
    assert await serve(exchange) == ["Well", "a", "b"]
    assert len(exchange.audio) == 2 * 960 * 6 + 32_000


@virtual
async def test_an_end_without_a_close_event_speaks_the_rest() -> None:
    exchange = Script(text("Bye"))
    assert await serve(exchange) == ["Bye"]
    assert exchange.sent[-1].name == "StreamClosedEvent"


@virtual
@pytest.mark.parametrize(("scale", "waited"), [(1.0, 5.0), (0.1, 0.5)])
async def test_five_seconds_without_an_event_end_the_stream(scale: float, waited: float) -> None:
    began = clock.now()
    with pytest.raises(Refusal) as error:
        await serve(Script(text("Hello"), 20.0), scale=scale)
    assert clock.now() - began == pytest.approx(waited)
    assert error.value.code == "ServiceQuotaExceededException"
    assert error.value.extra == {"quotaCode": "input-stream-inbound-event-timeout", "serviceCode": "polly"}


@virtual
async def test_blank_text_keeps_the_stream_alive_for_ten_minutes() -> None:
    steps = [step for _ in range(200) for step in (4.0, text(" "))]
    began = clock.now()
    with pytest.raises(Refusal) as error:
        await serve(Script(*steps))
    assert clock.now() - began == pytest.approx(600)
    assert error.value.extra["quotaCode"] == "input-stream-timeout"


@virtual
@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (event("AudioEvent", {}), "invalidInboundEvent"),
        (event("TextEvent", {}), "fieldValidationFailed"),
        (text("a" * 3001), "fieldValidationFailed"),
        (text("<speak>", kind="ssml"), "fieldValidationFailed"),
        (Message({":message-type": "event", ":event-type": "TextEvent"}, b"{"), "invalidInboundEvent"),
        (UncleanEnd(), "invalidInboundEvent"),
    ],
)
async def test_wrong_events_end_the_stream(step: Any, reason: str) -> None:
    with pytest.raises(Refusal) as error:
        await serve(Script(step))
    assert (error.value.code, error.value.extra["reason"]) == ("ValidationException", reason)


@virtual
async def test_a_lost_connection_is_raised_bare() -> None:
    with pytest.raises(ConnectionLost):
        await serve(Script(text("Hello. "), 1.0, ConnectionLost()))


@virtual
@pytest.mark.parametrize(
    "change",
    [{"x-amzn-engine": "neural"}, {"x-amzn-outputformat": "json"}, {"x-amzn-voiceid": "Joey"}],
)
async def test_refused_before_the_stream_opens(change: dict[str, str]) -> None:
    exchange = Script(headers={**HEADERS, **change})
    with pytest.raises(Refusal, match="ValidationException"):
        await serve(exchange)
    assert not exchange.responded
