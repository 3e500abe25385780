from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop import Pool, clock
from voiceloop.audio import MULAW_8K, AudioFormat
from voiceloop.aws import Account, Keys, Transcribe
from voiceloop.aws.faults import fault_of
from voiceloop.errors import (
    BadInput,
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    SessionClosed,
)
from voiceloop.interfaces import Final, ListenConfig, Listening, Partial, RecognizerItem, RecognizerUsage
from voiceloop.testing import virtual_time

from .numbered_words import FORMAT, Connection, Service, Word, event, speech, utterance

pytestmark = pytest.mark.virtual_time

CHUNK = FORMAT.bytes_of(FORMAT.samples_in(20))
AWAY = ProviderUnavailable("cannot be reached", provider="Amazon Transcribe", retryable=True)


@define(eq=False)
class Call:
    """One open stream and what it tells."""

    listening: Listening
    service: Service
    items: list[RecognizerItem] = field(factory=list)
    failure: Exception | None = None

    async def read(self) -> None:
        try:
            async for item in self.listening:
                self.items.append(item)
        except ProviderError as error:
            self.failure = error

    async def say(self, pcm: bytes, *, size: int = CHUNK) -> None:
        """At the pace of speech."""
        for at in range(0, len(pcm), size):
            await self.listening.send_audio(pcm[at : at + size])
            await anyio.sleep(FORMAT.ms(FORMAT.samples(len(pcm[at : at + size]))) / 1000)

    async def until(self, done: Callable[[], object], seconds: float = 60) -> None:
        with anyio.fail_after(seconds):
            while not done():  # noqa: ASYNC110 - virtual time
                await anyio.sleep(0.01)

    @property
    def finals(self) -> list[Final]:
        return [item for item in self.items if isinstance(item, Final)]

    @property
    def texts(self) -> list[str]:
        return [final.text for final in self.finals]

    @property
    def words(self) -> list[tuple[str, float, float]]:
        return [(word.text, word.start_ms, word.end_ms) for final in self.finals for word in final.words]

    @property
    def connection(self) -> Connection:
        return self.service.connections[-1]


def account(service: Service, **keys: Any) -> Account:
    return Account(region="us-east-1", keys=Keys("AKIDEXAMPLE", "secret", **keys), wire=service)


@asynccontextmanager
async def call(
    service: Service | None = None, *, keys: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Call]:
    service = service or Service()
    recognizer = Transcribe(account=account(service, **(keys or {})), **options)
    async with Pool() as pool, recognizer.open(ListenConfig(pool)) as listening:
        made = Call(listening, service)
        reader = asyncio.create_task(made.read())
        try:
            yield made
        finally:
            reader.cancel()
            await asyncio.wait((reader,))


async def test_speech_becomes_partials_then_a_final() -> None:
    async with call() as c:
        await c.say(speech([utterance(4), utterance(3)]))
        await c.until(lambda: len(c.finals) == 2)
    assert c.texts == ["w1 w2 w3 w4.", "w5, w6 w7."]
    first = next(item for item in c.items if isinstance(item, Partial | Final))
    assert isinstance(first, Partial)
    assert c.words[0] == ("w1", 0, 250)
    assert c.words[4][1] == 4 * 300 + 1000
    assert c.service.connections[0].ended


async def test_chunks_are_of_50_ms_whatever_is_given() -> None:
    async with call() as c:
        await c.say(speech([utterance(3)]), size=2 * 333)
        await c.until(lambda: c.finals)
    assert {len(chunk) for chunk in c.connection.chunks[:-1]} == {FORMAT.bytes_of(800)}


async def test_audio_that_is_not_live_is_sent_at_its_pace() -> None:
    pcm = speech([utterance(10)] * 4)
    async with call() as c:
        began = clock.now()
        await c.listening.send_audio(pcm)
        assert clock.now() - began == pytest.approx(FORMAT.ms(FORMAT.samples(pcm)) / 1000 - 1, abs=0.2)
        await c.until(lambda: len(c.finals) == 4)
    sent = 0.0
    for chunk, at in zip(c.connection.chunks, c.connection.at, strict=True):
        sent += len(chunk) / 32_000
        assert sent <= at - began + 1.1


async def test_without_a_pace_audio_goes_as_fast_as_the_service_takes_it() -> None:
    async with call(pace=None) as c:
        began = clock.now()
        await c.listening.send_audio(speech([utterance(10)] * 4))
        await c.until(lambda: len(c.finals) == 4)
        assert clock.now() - began < 5


async def test_muted_audio_keeps_the_stream_alive_and_shifts_no_word() -> None:
    async with call() as c:
        await c.say(speech([utterance(3)]))
        await anyio.sleep(3600)
        await c.say(speech([utterance(3)]))
        await c.until(lambda: len(c.finals) == 2)
    assert len(c.service.connections) == 1
    assert c.words[3] == ("w1", 1900, 2150)
    assert len(b"".join(c.connection.chunks)) / 32_000 < 100, "what was muted is billed by the fiftieth"


async def test_a_final_comes_although_audio_stops_with_the_last_word() -> None:
    async with call() as c:
        await c.say(speech([utterance(3)], pause_ms=0)[:-1600])
        await c.until(lambda: c.finals, 3)
    assert c.texts == ["w1 w2 w3."]


async def test_the_final_comes_at_once_when_audio_stops_at_the_end_of_a_turn() -> None:
    async with call() as c:
        await c.say(speech([utterance(3)], pause_ms=0)[:-1600])
        await c.listening.flush(end_of_turn=False)
        await c.until(lambda: c.finals, 0.3)
        await anyio.sleep(10)
        await c.say(speech([utterance(3)], pause_ms=0))
        await c.listening.flush(end_of_turn=False)
        await c.until(lambda: len(c.finals) == 2, 0.3)
    assert c.texts == ["w1 w2 w3."] * 2
    assert c.words[3][1] == pytest.approx(c.words[2][2], abs=50), "silence that is sent shifts no word"


async def test_a_pause_with_audio_gets_no_silence_put_in() -> None:
    pcm = speech([utterance(3)] * 2)
    async with call() as c:
        await c.say(pcm[:32_000], size=8000)  # in pieces that take longer than the release of a button
        await c.listening.flush(end_of_turn=False)
        await c.say(pcm[32_000:], size=8000)
        await c.until(lambda: len(c.finals) == 2)
    assert b"".join(c.connection.chunks)[: len(pcm)] == pcm


async def test_silence_at_the_ends_of_turns_stays_close_to_the_clock() -> None:
    async with call() as c:
        began = clock.now()
        for _ in range(20):
            await c.say(speech([utterance(2)], pause_ms=0))
            await c.listening.flush(end_of_turn=True)
            await anyio.sleep(0.3)
        sent = 0.0
        for chunk, at in zip(c.connection.chunks, c.connection.at, strict=True):
            sent += len(chunk) / 32_000
            assert sent <= at - began + 1.2


async def test_a_stream_without_any_audio_stays_open() -> None:
    async with call() as c:
        await anyio.sleep(600)
    assert len(c.service.connections) == 1
    assert {type(item) for item in c.items} == {RecognizerUsage}


async def test_the_refusal_for_silence_ends_no_session() -> None:
    service = Service(timeout=3.0)
    async with call(service) as c:
        await anyio.sleep(30)
        await c.say(speech([utterance(3)]))
        await c.until(lambda: c.finals)
    assert len(service.connections) > 3
    assert c.texts == ["w1 w2 w3."]
    assert c.failure is None


async def test_four_hours_are_no_limit() -> None:
    service = Service()
    async with call(service) as c:
        for _ in range(9):
            await c.say(speech([utterance(2)]))
            await anyio.sleep(3600)
        await c.until(lambda: len(c.finals) == 9)
    assert len(service.connections) == 3
    assert all(connection.ended for connection in service.connections)
    starts = [start for _, start, _ in c.words]
    assert starts == sorted(starts)
    assert starts[-1] == 8 * 1600 + 300


async def test_a_limit_that_comes_early_is_no_limit_either() -> None:
    service = Service(longest=40.0)
    async with call(service) as c:
        for _ in range(12):
            await c.say(speech([utterance(4)]), size=2 * 1600)
            await anyio.sleep(5)
        await c.until(lambda: len(c.finals) == 12)
    assert len(service.connections) > 1
    assert c.texts == ["w1 w2 w3 w4."] * 12


async def test_a_new_connection_comes_before_credentials_expire_between_two_segments() -> None:
    ends = clock.utcnow() + timedelta(minutes=15)
    async with call(keys={"session_token": "token", "expires": ends}) as c:
        await anyio.sleep(9 * 60)
        for _ in range(60):
            await c.say(speech([utterance(4)]), size=2 * 1600)
            if len(c.service.connections) == 2:
                break
        assert clock.utcnow() < ends - timedelta(minutes=4)
        await c.until(lambda: c.finals and len(c.service.connections) == 2)
    assert set(c.texts) == {"w1 w2 w3 w4."}


words = st.builds(Word, st.integers(120, 400), st.integers(20, 300))
spoken = st.lists(st.lists(words, min_size=1, max_size=6), min_size=1, max_size=4)


@settings(max_examples=40)
@given(spoken, st.lists(st.floats(0, 12), max_size=4), st.floats(0, 1.5), st.lists(st.booleans(), max_size=3))
def test_a_transcript_survives_any_drops(
    utterances: Sequence[Sequence[Word]], drops: Sequence[float], delay: float, away: list[bool]
) -> None:
    async def heard(drops: Sequence[float]) -> list[tuple[str, list[tuple[str, float, float]]]]:
        service = Service(delay=delay)

        async def drop() -> None:
            began = clock.now()
            for at in sorted(drops):
                await anyio.sleep(max(0.0, began + at - clock.now()))
                service.refusals = [AWAY if gone else (503, "ServiceUnavailableException", "") for gone in away]
                service.connections[-1].drop()

        async with call(service) as c, anyio.create_task_group() as group:
            group.start_soon(drop)
            await c.say(speech(utterances))
            await c.until(lambda: len(c.finals) >= len(utterances))
            await anyio.sleep(13)
        assert c.failure is None
        return [(final.text, [(word.text, word.start_ms, word.end_ms) for word in final.words]) for final in c.finals]

    undisturbed = virtual_time.run(lambda: heard(()))
    assert virtual_time.run(lambda: heard(drops)) == undisturbed


IN_STREAM = {
    "BadRequestException": ("Your request is not valid.", ProviderRefused),
    "SerializationException": ("malformed", ProviderRefused),
    "AccessDeniedException": ("User: arn:aws:iam::1:user/x is not authorized", ProviderRefused),
    "UnrecognizedClientException": ("The security token included in the request is invalid.", ProviderRefused),
    "InvalidSignatureException": ("The request signature we calculated does not match", ProviderRefused),
    "ConflictException": ("A new stream started with the same session ID.", ProviderRefused),
}
RECOVERED = {
    "LimitExceededException": "Your client has exceeded one of the Amazon Transcribe limits.",
    "InternalFailureException": "A problem occurred while processing the audio.",
    "ServiceUnavailableException": "The service is currently unavailable.",
    "ExpiredTokenException": "The security token included in the request is expired",
    "BadRequestException": "Your request timed out because no new audio was received for 15 seconds.",
    "badrequestexception": "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (... - 5 min.)",
}
STATUS = {"SerializationException": 400, "BadRequestException": 400, "ConflictException": 409}


@pytest.mark.parametrize("name", IN_STREAM)
async def test_what_a_new_stream_would_not_help_ends_it_with_a_clear_error(name: str) -> None:
    text, kind = IN_STREAM[name]
    async with call() as c:
        await c.say(speech([utterance(3)]))
        c.connection.throw(name, text)
        await c.until(lambda: c.failure)
        assert isinstance(c.failure, kind)
        fault = fault_of(c.failure)
        assert fault is not None
        assert fault.code == name
        assert c.texts == ["w1 w2 w3."], "what came before is told"
        with pytest.raises(kind):
            await c.listening.send_audio(bytes(640))
    assert len(c.service.connections) == 1


@pytest.mark.parametrize("name", RECOVERED)
async def test_what_a_new_stream_helps_is_never_seen(name: str) -> None:
    async with call() as c:
        pcm = speech([utterance(6)])
        await c.say(pcm[: len(pcm) // 2])
        c.connection.throw(name, RECOVERED[name])
        await c.say(pcm[len(pcm) // 2 :])
        await c.until(lambda: c.finals)
    assert len(c.service.connections) == 2
    assert c.texts == ["w1 w2 w3 w4 w5, w6."]
    assert c.failure is None


@pytest.mark.parametrize("name", IN_STREAM)
async def test_a_refused_request_is_raised_at_once(name: str) -> None:
    text, kind = IN_STREAM[name]
    service = Service(refusals=[(STATUS.get(name, 403), name, text)])
    with pytest.raises(kind) as caught:
        async with call(service):
            pass
    fault = fault_of(caught.value)
    assert fault is not None
    assert (fault.code, fault.status) == (name, STATUS.get(name, 403))
    assert len(service.connections) == 1


@pytest.mark.parametrize(
    ("status", "name"),
    [(429, "LimitExceededException"), (500, "InternalFailureException"), (503, "ServiceUnavailableException")],
)
async def test_a_busy_service_is_asked_again_and_then_no_more(status: int, name: str) -> None:
    service = Service(refusals=[(status, name, "busy")] * 3)
    async with call(service) as c:
        await c.say(speech([utterance(2)]))
        await c.until(lambda: c.finals)
    service = Service(refusals=[(status, name, "busy")] * 99)
    with pytest.raises(ProviderError) as caught:
        async with call(service):
            pass
    assert caught.value.retryable
    assert len(service.connections) == 5


async def test_a_service_that_breaks_every_stream_at_once_is_given_up() -> None:
    began = clock.now()
    async with call(Service(timeout=0.05)) as c:
        await c.until(lambda: c.failure)
    assert isinstance(c.failure, ProviderTimeout)
    assert 20 < clock.now() - began < 30
    assert len(c.service.connections) < 50


async def test_an_outage_longer_than_audio_is_kept_ends_the_stream() -> None:
    service = Service()
    async with call(service) as c:
        await c.say(speech([utterance(2)]))
        service.refusals = [AWAY] * 1000
        c.connection.drop()
        await c.until(lambda: c.failure)
    assert c.failure is AWAY
    assert c.texts == ["w1 w2."]


@pytest.mark.parametrize("deaf", [1, 2])
async def test_a_service_that_says_nothing_is_replaced(deaf: int) -> None:
    async with call(Service(deaf=deaf)) as c:
        await c.say(speech([utterance(70)]))
        await c.until(lambda: c.finals)
    assert c.words[0] == ("w1", 0, 250)
    assert len(c.service.connections) == deaf + 1


async def test_noise_without_a_word_ends_nothing_and_is_tried_ever_less() -> None:
    async with call(Service(deaf=1000)) as c:
        for _ in range(6):
            await c.say(speech([utterance(100, ms=1000)]), size=2 * 1600)
    assert c.failure is None
    assert len(c.service.connections) < 10


async def test_a_stream_that_ends_by_itself_goes_on() -> None:
    async with call() as c:
        await c.say(speech([utterance(2)]))
        c.connection.finish()
        await c.say(speech([utterance(2)]))
        await c.until(lambda: len(c.finals) == 2)
    assert len(c.service.connections) == 2


async def test_a_service_that_does_not_answer_is_reported() -> None:
    class Mute(Connection):
        async def response(self) -> Any:
            await anyio.sleep_forever()

    class MuteService(Service):
        @asynccontextmanager
        async def open(self, request: Any, access: Any, deadlines: Any) -> AsyncIterator[Any]:
            self.connections.append(Mute(self, request, len(self.connections) + 1, None))
            yield self.connections[-1]

    with pytest.raises(ProviderTimeout, match="did not answer"):
        async with call(MuteService()):
            pass


async def test_an_event_that_is_no_json_is_the_provider_s_fault() -> None:
    async with call() as c:
        broken = event([])
        c.connection.add(type(broken)(broken.headers, b"{"))
        await c.until(lambda: c.failure)
    assert isinstance(c.failure, ProviderMisbehaved)


async def test_empty_events_and_unknown_ones_are_nothing() -> None:
    async with call(Service(empty_events=True)) as c:
        strange = event([])
        c.connection.add(type(strange)({":event-type": "NewEvent"}, b"?"))
        await c.say(speech([utterance(2)]))
        await c.until(lambda: c.finals)
    assert c.texts == ["w1 w2."]


async def test_usage_counts_every_second_that_was_sent() -> None:
    async with call() as c:
        await c.say(speech([utterance(60)], pause_ms=4000), size=2 * 1600)
        await c.until(lambda: c.finals)
        sent = len(b"".join(c.connection.chunks)) / 32_000
        told = sum(item.amounts["seconds"] for item in c.items if isinstance(item, RecognizerUsage))
    assert sent - 5 <= told <= sent


async def test_the_request_names_its_options_and_session_and_keeps_the_session_over_drops() -> None:
    async with call(language="de-DE", vocabulary="names") as c:
        first = c.connection.request
        c.connection.drop()
        await c.until(lambda: len(c.service.connections) == 2)
        assert c.connection.request == first
    assert (first.service, first.signs_as, first.path) == (
        "transcribestreaming",
        "transcribe",
        "/stream-transcription",
    )
    assert first.headers["x-amzn-transcribe-language-code"] == "de-DE"
    assert first.headers["x-amzn-transcribe-vocabulary-name"] == "names"
    assert len(first.headers["x-amzn-transcribe-session-id"]) == 36


async def test_a_session_may_ask_for_another_language_where_none_is_identified() -> None:
    service = Service()
    async with Pool() as pool:
        async with Transcribe(account=account(service)).open(ListenConfig(pool, "fr-FR")):
            assert service.connections[0].request.headers["x-amzn-transcribe-language-code"] == "fr-FR"
        identifying = Transcribe(account=account(service), identify="single", languages=("en-US", "fr-FR"))
        with pytest.raises(BadInput, match="identify="):
            identifying.open(ListenConfig(pool, "fr-FR"))


async def test_silence_is_in_the_encoding_that_was_named() -> None:
    async with call(input=MULAW_8K) as c:
        await anyio.sleep(6)
    assert c.connection.chunks == [b"\xff" * 800]


async def test_audio_waits_for_a_connection_and_no_longer_than_it_is_kept() -> None:
    service = Service()
    async with call(service) as c:
        service.refusals = [AWAY] * 4
        c.connection.drop()
        pcm = speech([utterance(20)])
        await c.say(pcm)
        await c.until(lambda: c.finals)
    assert c.words[-1][0] == "w20"


async def test_nothing_is_left_when_it_is_left_or_cancelled_anywhere() -> None:
    service = Service(delay=0.2)
    for steps in range(60):
        service.refusals = [(503, "ServiceUnavailableException", "busy")] if steps % 3 else []
        task = asyncio.ensure_future(_use(service))
        for _ in range(steps):
            await asyncio.sleep(0.002 * (steps % 7))
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        assert {each for each in asyncio.all_tasks() if each is not asyncio.current_task()} == set()
    assert all(connection.left for connection in service.connections)


async def _use(service: Service) -> None:
    async with call(service) as c:
        await c.say(speech([utterance(40)]))
        await anyio.sleep_forever()


async def test_audio_after_the_end_is_told_so() -> None:
    async with call() as c:
        pass
    with pytest.raises(SessionClosed):
        await c.listening.send_audio(bytes(640))
    with pytest.raises(ValueError, match="whole samples"):
        async with call() as c:
            await c.listening.send_audio(bytes(641))
    assert AudioFormat(16_000) == FORMAT
