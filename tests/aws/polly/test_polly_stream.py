"""Generative voices on one stream, on virtual time: flush, keep-alive, renewal, and what goes wrong."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest

from voiceloop import Cascade, Event, Notice, Session, TurnEnded, clock
from voiceloop.aws import Account, Keys, Polly
from voiceloop.aws.account import Access
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest, Wire
from voiceloop.engine.pool import Pool
from voiceloop.errors import (
    BadInput,
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from voiceloop.interfaces import Clause, MarksUntil, SpeakConfig, Speech, SpeechAudio, SynthesizerUsage
from voiceloop.testing.aws import Emulator, Fault
from voiceloop.testing.aws.exchange import Exchange, StreamService
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer

from .conftest import backing

pytestmark = pytest.mark.virtual_time(seed=0)
STREAM = "StartSpeechSynthesisStream"
Said = Sequence["Clause | float"]


class Ears(StreamService):
    """Takes a stream and never makes a sound; keeps what it was told, and when."""

    service = "polly"
    operation = STREAM

    def __init__(self) -> None:
        self.told: list[tuple[float, Message]] = []

    def matches(self, method: str, path: str) -> bool:
        return (method, path) == ("POST", "/v1/synthesisStream")

    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        return ()

    async def serve(self, exchange: Exchange) -> None:
        await exchange.respond({})
        async for message in exchange:
            self.told.append((clock.now(), message))
        await exchange.send(Message({":event-type": "AudioEvent"}, bytes(100)))
        await exchange.send(Message({":event-type": "StreamClosedEvent"}, b'{"RequestCharacters": 3}'))
        await exchange.finish()


async def clauses(said: Said) -> AsyncGenerator[Clause]:
    for one in said:
        if isinstance(one, Clause):
            yield one
        else:
            await anyio.sleep(one)


async def spoken(polly: Polly, pool: Pool, said: Said) -> list[Speech]:
    config = SpeakConfig(pool, frozenset({"viseme"}))
    async with aclosing(clauses(said)) as source, polly.stream(source, config) as items:
        return [item async for item in items]


def ruth(aws: Emulator, **options: object) -> Polly:
    return Polly("Ruth", engine="generative", account=aws.account(memory=True), **options)  # type: ignore[arg-type]


def ms(items: Sequence[Speech]) -> float:
    return sum(len(item.pcm) for item in items if isinstance(item, SpeechAudio)) / 32


def operations(aws: Emulator) -> Counter[str]:
    return Counter(call.operation for call in aws.calls)


async def test_a_reply_is_one_stream() -> None:
    async with Emulator(backing()) as aws, Pool() as pool:
        texts = ["Well,", "let me see.", "Friday is free."]
        said = [Clause(texts[0], "clause", True), Clause(texts[1]), Clause(texts[2], "reply")]
        items = await spoken(ruth(aws), pool, said)
        assert operations(aws) == {STREAM: 1}
        assert aws.actions == {("polly:StartSpeechSynthesisStream", "*")}
    assert ms(items) == pytest.approx(60 * sum(map(len, texts)), rel=0.1)
    assert items[0] == MarksUntil(math.inf)
    assert items[-1] == SynthesizerUsage({"characters": sum(len(text) + 1 for text in texts)})


class Torn(Wire, EventStream):
    """Streams of which the first breaks when the second event is sent; ``told`` is what the others were sent."""

    def __init__(self) -> None:
        self.opened, self.sent = 0, 0
        self.told: list[Message] = []
        self._ended = anyio.Event()

    @asynccontextmanager
    async def open(self, request: StreamRequest, access: Access, deadlines: Deadlines) -> AsyncIterator[EventStream]:
        self.opened += 1
        yield self

    async def send(self, message: Message) -> None:
        self.sent += 1
        if self.sent == 2:
            raise ProviderUnavailable("the connection was lost", provider="Amazon Polly", retryable=True)
        if self.opened > 1:
            self.told.append(message)

    async def end(self) -> None:
        self._ended.set()

    async def response(self) -> dict[str, str]:
        return {}

    async def __aiter__(self) -> AsyncIterator[Message]:
        await self._ended.wait()
        yield Message({":event-type": "AudioEvent"}, bytes(100))
        yield Message({":event-type": "StreamClosedEvent"}, b'{"RequestCharacters": 3}')


async def test_a_stream_that_falls_silent_ends_its_reply_and_not_the_session() -> None:
    fault = Fault("stall", STREAM, at=2)
    replies = ["It is ten past five in the afternoon now.", "You are welcome."]
    async with Emulator(backing(), faults=[fault]) as aws, Pool() as pool:
        model = Cascade(ScriptedRecognizer(), ScriptedReasoner(replies), ruth(aws))
        seen: list[Event] = []
        async with Session(model, pool=pool, lead=None) as session:
            for text in ("What time is it?", "Thank you"):
                await session.send_text(text)
                async for event in session:
                    seen.append(event)
                    if isinstance(event, TurnEnded):
                        break
    [notice] = [event for event in seen if isinstance(event, Notice) and event.code == "reply-failed"]
    assert "no audio within 8 s" in notice.text
    assert [event.said for event in seen if isinstance(event, TurnEnded)] == replies


async def test_of_a_clause_in_several_events_none_is_lost_with_its_stream() -> None:
    wire, text = Torn(), "Some words and a comma, and so on. " * 200
    account = Account("us-east-1", keys=Keys("AKIDEXAMPLE", "secret"), wire=wire)
    async with Pool() as pool:
        items = await spoken(Polly("Ruth", engine="generative", account=account), pool, [Clause(text, "reply", True)])
    assert wire.opened == 2
    assert ms(items)
    assert "".join(json.loads(message.payload).get("Text", "") for message in wire.told) == text


async def test_what_is_told_when() -> None:
    ears = Ears()
    async with Emulator(backing(), services=lambda stage: (ears,)) as aws, Pool() as pool:
        began = clock.now()
        said: Said = [Clause("Well,", "clause", True), Clause("then", "clause"), 6.0, Clause("Tom & Co.", "reply")]
        await spoken(ruth(aws), pool, said)
    events = [(round(at - began, 1), message.name, json.loads(message.payload)) for at, message in ears.told]
    flush = {"FlushStreamConfiguration": {"Force": True}}
    assert events == [
        (0.0, "TextEvent", {"Text": "Well, ", "TextType": "text", **flush}),
        (0.0, "TextEvent", {"Text": "then ", "TextType": "text"}),
        (0.3, "TextEvent", {"Text": "", "TextType": "text", **flush}),
        (2.8, "TextEvent", {"Text": "", "TextType": "text"}),
        (5.3, "TextEvent", {"Text": "", "TextType": "text"}),
        (6.0, "TextEvent", {"Text": "Tom & Co. ", "TextType": "text", **flush}),
        (6.0, "CloseStreamEvent", {}),
    ]


async def test_a_rate_is_told_in_a_document_of_its_own() -> None:
    ears = Ears()
    async with Emulator(backing(), services=lambda stage: (ears,)) as aws, Pool() as pool:
        await spoken(ruth(aws, rate=0.9), pool, [Clause("Tom & Co.", "reply")])
    event = json.loads(ears.told[0][1].payload)
    assert event["TextType"] == "ssml"
    assert event["Text"] == '<speak><prosody rate="90%">Tom &amp; Co. </prosody></speak>'


async def test_it_waits_for_the_next_clause_longer_than_the_service_does() -> None:
    async with Emulator(backing()) as aws, Pool() as pool:
        items = await spoken(ruth(aws), pool, [Clause("One moment.", first=True), 60.0, Clause("Yes.", "reply")])
        assert operations(aws) == {STREAM: 1}
    assert ms(items) == pytest.approx(60 * 15, rel=0.1)


async def test_a_reply_longer_than_a_stream_goes_on_on_another() -> None:
    async with Emulator(backing()) as aws, Pool() as pool:
        said: Said = [Clause("One.", first=True), *([100.0, Clause("And one.")] * 13), Clause("Last.", "reply")]
        items = await spoken(ruth(aws), pool, said)
        assert operations(aws) == {STREAM: 3}
        assert not [call for call in aws.calls if call.error]
    assert ms(items) == pytest.approx(60 * (4 + 13 * 8 + 5), rel=0.1)


@pytest.mark.parametrize("kind", ["throttle", "unavailable", "drop", "reset", "instability"])
async def test_what_fails_before_a_sound_is_said_again(kind: str) -> None:
    async with Emulator(backing(), faults=[Fault(kind, STREAM)]) as aws, Pool() as pool:
        said = [Clause("Well,", "clause", True), Clause("let me see.", "reply")]
        items = await spoken(ruth(aws), pool, said)
        assert operations(aws) == {STREAM: 2}
    assert ms(items) == pytest.approx(60 * 16, rel=0.1)


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "bad_crc", "instability"])
async def test_what_fails_later_is_told_after_what_came(kind: str) -> None:
    async with Emulator(backing(), faults=[Fault(kind, STREAM, at=3)]) as aws, Pool() as pool:
        got: list[Speech] = []
        async with ruth(aws).stream(clauses([Clause("A long sentence to be spoken.")]), SpeakConfig(pool)) as items:
            with pytest.raises(ProviderError):
                while True:
                    got.append(await anext(items))
        assert operations(aws) == {STREAM: 1}
    assert ms(got) > 100


async def test_a_refusal_is_told_with_what_to_do() -> None:
    async with Emulator(backing(), denied=["polly:StartSpeechSynthesisStream"]) as aws, Pool() as pool:
        with pytest.raises(ProviderRefused, match="Allow polly:StartSpeechSynthesisStream"):
            await spoken(ruth(aws), pool, [Clause("Well.", "reply")])
        assert operations(aws) == {STREAM: 1}


async def test_silence_after_a_flush_has_a_deadline() -> None:
    async with Emulator(backing(), services=lambda stage: (Ears(),)) as aws, Pool() as pool:
        began = clock.now()
        with pytest.raises(ProviderTimeout, match="no audio within 8 s"):
            await spoken(ruth(aws), pool, [Clause("Well.", first=True), 1000.0, Clause("Yes.", "reply")])
        assert clock.now() - began < 60


async def test_what_makes_no_sound_is_not_waited_for() -> None:
    async with Emulator(backing(), services=lambda stage: (Ears(),)) as aws, Pool() as pool:
        said: Said = [Clause("👍", first=True), 20.0, Clause("…", "clause"), 20.0, Clause("Yes.", "reply")]
        assert ms(await spoken(ruth(aws), pool, said))
        assert operations(aws) == {STREAM: 1}


async def test_an_end_that_cannot_be_read_is_told() -> None:
    class Mumbling(Ears):
        async def serve(self, exchange: Exchange) -> None:
            await exchange.respond({})
            await exchange.send(Message({":event-type": "StreamClosedEvent"}, b"[]"))

    async with Emulator(backing(), services=lambda stage: (Mumbling(),)) as aws, Pool() as pool:
        with pytest.raises(ProviderMisbehaved, match="StreamClosedEvent"):
            await spoken(ruth(aws), pool, [Clause("Well.", "reply")])


async def test_an_account_that_cannot_carry_a_stream_is_told_bare() -> None:
    plain = Polly("Ruth", engine="generative", account=Account("us-east-1", endpoints={"": "http://127.0.0.1:9"}))
    async with Pool() as pool:
        with pytest.raises(BadInput, match="https://"):
            await spoken(plain, pool, [Clause("Well.", "reply")])


async def test_a_stream_that_ends_by_itself_is_an_error() -> None:
    class Short(Ears):
        async def serve(self, exchange: Exchange) -> None:
            await exchange.respond({})
            await exchange.send(Message({":event-type": "AudioEvent"}, bytes(100)))
            await exchange.finish()

    async with Emulator(backing(), services=lambda stage: (Short(),)) as aws, Pool() as pool:
        with pytest.raises(ProviderUnavailable, match="ended the stream early"):
            await spoken(ruth(aws), pool, [Clause("Well.", first=True), 5.0, Clause("Yes.", "reply")])


async def test_who_listens_slowly_holds_up_the_stream_and_misses_nothing() -> None:
    async with Emulator(backing()) as aws, Pool() as pool:
        text = "word " * 500
        async with ruth(aws).stream(clauses([Clause(text), Clause(text, "reply")]), SpeakConfig(pool)) as items:
            got = [await anext(items)]
            await anyio.sleep(200)
            async for item in items:
                got.append(item)
                await anyio.sleep(0.05)
        assert operations(aws) == {STREAM: 1}
    assert ms(got) == pytest.approx(60 * 2 * len(text), rel=0.01)


async def test_leaving_early_ends_the_stream_and_the_source() -> None:
    ended: list[bool] = []

    async def source() -> AsyncIterator[Clause]:
        try:
            yield Clause("A long sentence to be spoken.", first=True)
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async with Emulator(backing()) as aws, Pool() as pool:
        async with ruth(aws).stream(source(), SpeakConfig(pool)) as items:
            await anext(items)
        assert ended == [True]
        await anyio.sleep(1)
        assert aws.calls[0].over


async def test_the_failure_of_who_gives_the_clauses_is_their_own() -> None:
    async def source() -> AsyncIterator[Clause]:
        yield Clause("Well.", first=True)
        raise ZeroDivisionError

    async with Emulator(backing()) as aws, Pool() as pool:
        with pytest.raises(ZeroDivisionError):
            async with ruth(aws).stream(source(), SpeakConfig(pool)) as items:
                async for _ in items:
                    pass


async def test_other_engines_do_not_stream() -> None:
    async with Pool() as pool:
        with pytest.raises(BadInput, match="generative does"):
            async with Polly().stream(clauses([]), SpeakConfig(pool)):
                pass
