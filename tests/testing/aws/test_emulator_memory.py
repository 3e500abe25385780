"""The emulated services without sockets, on virtual time: the long timers, and the same faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop import clock
from voiceloop.aws import Keys
from voiceloop.aws.faults import fault_of
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest
from voiceloop.errors import ProviderError, ProviderMisbehaved, ProviderTimeout, ProviderUnavailable
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted.sound import silence, tone

pytestmark = pytest.mark.virtual_time(seed=0)

OPTIONS = {"language-code": "en-US", "sample-rate": "16000", "media-encoding": "pcm"}
HEADERS = {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"}


@asynccontextmanager
async def transcribing(
    aws: Emulator,
    options: Mapping[str, str] = OPTIONS,
    *,
    keys: Keys | None = None,
    deadlines: Deadlines = Deadlines(),
    pool: vl.Pool | None = None,
) -> AsyncIterator[EventStream]:
    headers = {f"x-amzn-transcribe-{name}": value for name, value in options.items()}
    request = StreamRequest(
        "transcribestreaming", "transcribe", "StartStreamTranscription", "/stream-transcription", headers
    )
    async with AsyncExitStack() as stack:
        pool = pool or await stack.enter_async_context(vl.Pool())
        access = await aws.account(memory=True, keys=keys).access(pool)
        async with access.stream(request, deadlines) as stream:
            yield stream


async def say(stream: EventStream, pcm: bytes, *, real_time: bool = False) -> None:
    for at in range(0, len(pcm), 3200):
        await stream.send(Message(HEADERS, pcm[at : at + 3200]))
        if real_time:
            await anyio.sleep(0.1)


async def results(stream: EventStream) -> list[dict[str, Any]]:
    return [result async for message in stream for result in json.loads(message.payload)["Transcript"]["Results"]]


def emulator(**options: Any) -> Emulator:
    return Emulator(Backing.scripted(["book a room please", "for two"]), **options)


async def test_segments_have_their_finals_after_a_pause() -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        await stream.response()
        began = clock.now()

        async def speak() -> None:
            await say(stream, tone(1000) + silence(1500) + tone(400) + silence(100), real_time=True)
            await stream.end()

        speaking = asyncio.create_task(speak())
        finals = []
        async for message in stream:
            told = json.loads(message.payload)["Transcript"]["Results"]
            texts = [result["Alternatives"][0]["Transcript"] for result in told if not result["IsPartial"]]
            finals += [(text, clock.now() - began) for text in texts]
        await speaking
    assert [text for text, _ in finals] == ["book a room please", "for two"]
    assert finals[0][1] == pytest.approx(1.7, abs=0.15)  # the pause of 0.7 s after 1 s of speech
    assert finals[1][1] == pytest.approx(3.0, abs=0.15)  # at the end of the stream


async def test_partials_come_every_half_second_of_audio_and_keep_their_id() -> None:
    backing = Backing.scripted(["one two three four five six seven eight nine ten"])
    async with Emulator(backing) as aws, transcribing(aws) as stream:

        async def speak() -> None:
            await say(stream, tone(2500) + silence(1000), real_time=True)
            await stream.end()

        speaking = asyncio.create_task(speak())
        came, told = [], []
        async for message in stream:
            came.append(clock.now())
            told += json.loads(message.payload)["Transcript"]["Results"]
        await speaking
    assert [result["IsPartial"] for result in told] == [True] * (len(told) - 1) + [False]
    assert all(later - earlier == pytest.approx(0.5, abs=0.11) for earlier, later in pairwise(came[:-1]))
    assert 5 <= len(told) <= 8
    assert len({result["ResultId"] for result in told}) == 1


async def test_there_is_no_port_on_virtual_time() -> None:
    async with emulator() as aws:
        with pytest.raises(vl.BadInput, match="memory=True"):
            _ = aws.url


async def test_silence_of_bytes_for_fifteen_seconds() -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        began = clock.now()
        await say(stream, silence(100))
        with pytest.raises(ProviderError) as caught:
            await results(stream)
        assert clock.now() - began == pytest.approx(15, abs=0.1)
        fault = fault_of(caught.value)
        assert fault is not None
        assert fault.code == "BadRequestException"
        assert fault.message == "Your request timed out because no new audio was received for 15 seconds."
        with pytest.raises(ProviderError):
            await stream.send(Message(HEADERS, silence(100)))


async def test_a_stream_lasts_four_hours() -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        began = clock.now()

        async def keep_alive() -> None:
            while True:
                await stream.send(Message(HEADERS, silence(500)))
                await anyio.sleep(10)

        keeping = asyncio.create_task(keep_alive())
        with pytest.raises(ProviderError) as caught:
            await results(stream)
        keeping.cancel()
        assert clock.now() - began == pytest.approx(4 * 3600, abs=1)
        assert fault_of(caught.value).code == "LimitExceededException"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", ProviderError),
        ("unavailable", ProviderUnavailable),
        ("reset", ProviderUnavailable),
        ("drop", ProviderUnavailable),
        ("truncate", ProviderUnavailable),
        ("bad_crc", ProviderMisbehaved),
    ],
)
async def test_faults_end_the_stream(kind: str, error: type[ProviderError]) -> None:
    fault = Fault(kind, at=1)
    async with emulator(faults=[fault]) as aws, transcribing(aws) as stream:
        assert aws.faults.left == (fault,)
        await say(stream, tone(1000) + silence(1000))
        await stream.end()
        got = []
        with pytest.raises(error):
            async for message in stream:
                got += [message]
        assert len(got) == 1
        assert aws.calls[0].faults == [kind]
        assert aws.faults.left == ()


@pytest.mark.parametrize("when", [{"at": 0}, {"after": 1}])
@pytest.mark.parametrize("kind", ["split", "drip", "goaway"])
async def test_faults_that_do_not_end_it(kind: str, when: dict[str, int]) -> None:
    async with emulator(faults=[Fault(kind, **when)]) as aws, transcribing(aws) as stream:
        await say(stream, tone(1000) + silence(1000))
        await stream.end()
        assert (await results(stream))[-1]["Alternatives"][0]["Transcript"] == "book a room please"


async def test_a_stall_meets_the_idle_deadline() -> None:
    async with (
        emulator(faults=[Fault("stall", at=1)]) as aws,
        transcribing(aws, deadlines=Deadlines(idle=7)) as stream,
    ):
        await say(stream, tone(1000) + silence(500))
        began = clock.now()
        with pytest.raises(ProviderTimeout):
            await results(stream)
        assert clock.now() - began == pytest.approx(7, abs=0.5)


async def test_who_leaves_in_a_stall_is_noticed_at_once() -> None:
    async with emulator(faults=[Fault("stall", after=1)]) as aws:
        async with transcribing(aws) as stream:
            await say(stream, tone(1000) + silence(500))
            left = clock.now()
        assert clock.now() == left
        assert aws.calls[0].error == "connection lost"


async def test_a_refused_request_is_told_by_whoever_waits() -> None:
    async with emulator() as aws:
        async with transcribing(aws, {**OPTIONS, "sample-rate": "96000"}) as stream:
            with pytest.raises(ProviderError, match="sample-rate"):
                await stream.response()
            with pytest.raises(ProviderError, match="sample-rate"):
                await results(stream)
        assert aws.calls[0].status == 400
        async with transcribing(aws, keys=Keys("AKIAUNKNOWN", "secret")) as stream:
            with pytest.raises(ProviderError):
                await stream.response()


async def test_credentials_expire_in_an_open_stream() -> None:
    async with emulator() as aws, transcribing(aws, keys=aws.issue(seconds=60)) as stream:
        await say(stream, silence(59_900), real_time=True)
        with pytest.raises(ProviderError) as caught:
            await say(stream, silence(1000), real_time=True)
            await results(stream)
        assert fault_of(caught.value).code == "ExpiredTokenException"  # type: ignore[union-attr]


async def test_the_deadline_of_the_response_begins_with_the_first_message() -> None:
    from voiceloop.testing.aws.transcribe import Transcription

    class Silent(Transcription):
        async def serve(self, exchange: Any) -> None:
            await anyio.sleep_forever()

    async with (
        emulator(services=lambda stage: [Silent(stage)]) as aws,
        transcribing(aws, deadlines=Deadlines(headers=20)) as stream,
    ):
        waiting = asyncio.create_task(stream.response())
        await anyio.sleep(300)
        await say(stream, silence(100))
        began = clock.now()
        with pytest.raises(ProviderTimeout):
            await waiting
        assert clock.now() - began == pytest.approx(20)


async def test_who_leaves_early_is_noticed() -> None:
    async with emulator() as aws:
        async with transcribing(aws) as stream:
            await say(stream, tone(500))
        assert aws.calls[0].error == "connection lost"
        assert aws.calls[0].over


async def test_a_fault_strikes_as_often_as_it_is_said_and_by_chance() -> None:
    faults = [Fault("throttle", times=2), Fault("unavailable", times=None, probability=0.5)]
    async with emulator(faults=faults) as aws, vl.Pool() as pool:
        for _ in range(30):
            async with transcribing(aws, pool=pool) as stream:
                with suppress(ProviderError):
                    await stream.response()
    struck = [kind for call in aws.calls for kind in call.faults]
    assert struck.count("throttle") == 2
    assert 5 <= struck.count("unavailable") <= 25


async def test_an_error_inside_a_service_is_raised_at_the_end() -> None:
    from voiceloop.testing.aws.transcribe import Transcription

    class Broken(Transcription):
        async def serve(self, exchange: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with emulator(services=lambda stage: [Broken(stage)]) as aws, transcribing(aws) as stream:
            with pytest.raises(ProviderError) as caught:
                await stream.response()
            assert fault_of(caught.value).status == 500  # type: ignore[union-attr]
