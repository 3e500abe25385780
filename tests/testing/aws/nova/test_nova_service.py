"""The connection: held headers, timers, quotas, failures, and every way in which a stream can end."""

from __future__ import annotations

import re

import anyio
import anyio.lowlevel
import pytest

from voiceloop import clock
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import ConnectionLost, Refusal, UncleanEnd
from voiceloop.testing.aws.nova import NovaLimits, NovaProfile, NovaTimers
from voiceloop.testing.scripted import Fail

from .nova_kit import (
    Client,
    audio_input,
    audio_start,
    calling,
    content_end,
    opening,
    path_of,
    prompt_end,
    prompt_start,
    service,
    session_end,
    session_start,
    text_start,
)

pytestmark = pytest.mark.virtual_time

GENERIC = "Invalid input request, please fix your input and try again."
GAP = (
    "Timed out waiting for audio bytes or interactive content. "
    "Please ensure gaps between audio bytes and interactive content are less than 55 seconds."
)
NO_SPEECH = GAP.replace("55", "295")
RESET_531 = "InternalErrorCode=531::RST_STREAM closed stream. HTTP/2 error code: NO_ERROR"


def scripted() -> Backing:
    return Backing.scripted(["book a room", "tomorrow"], ["Yes."])


async def streaming(client: Client, seconds: float) -> None:
    """Silence for so long, in large chunks, unless the stream ends."""
    until = clock.now() + seconds
    while clock.now() < until and not client.over.is_set():
        await client.send(audio_input(bytes(32_000)))
        await anyio.sleep(min(1.0, until - clock.now()))


# ------------------------------------------------------------ the beginning


async def test_headers_are_held_back_until_the_session_starts() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await anyio.sleep(20)
        assert client.exchange.responded is None
        await client.send(session_start())
        await anyio.lowlevel.checkpoint()
        assert client.exchange.responded == clock.now()


async def test_a_wrong_first_event_is_refused_in_the_stream() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.send(prompt_start())
        assert await client.ended() == GENERIC
    assert client.exchange.responded is not None
    assert isinstance(client.error, Refusal)
    assert client.error.code == "ValidationException"
    assert re.fullmatch(r"RequestId=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", client.error.message.split(" : ")[0])
    assert nova.connections[0].ended == "validationException"
    assert nova.connections[0].message == GENERIC


async def test_an_unknown_model() -> None:
    async with service(scripted()) as nova, calling(nova, "amazon.nova-9-sonic") as client:
        await client.over.wait()
    assert isinstance(client.error, Refusal)
    assert (client.error.status, client.error.code) == (400, "ValidationException")
    assert client.exchange.responded is None


async def test_a_model_named_by_its_arn() -> None:
    arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-5-sonic"
    async with service(scripted()) as nova:
        assert nova.matches("POST", path_of(arn))
        async with calling(nova, arn) as client:
            await client.open()
            await client.turn()
    assert nova.connections[0].model == "amazon.nova-2-5-sonic"


async def test_one_stream_too_many() -> None:
    async with service(scripted(), limits=NovaLimits(streams=1)) as nova:
        async with calling(nova) as first:
            await first.open()
            async with calling(nova) as second:
                await second.over.wait()
            assert isinstance(second.error, Refusal)
            assert (second.error.status, second.error.code) == (400, "ServiceQuotaExceededException")
            await first.turn()
            await first.close()
        async with calling(nova) as third:
            await third.open()
            await third.turn()


# ------------------------------------------------------------ timers


async def test_no_events_at_all() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        assert await client.ended() == "Timed out waiting for input events"
        assert nova.connections[0].closed == pytest.approx(nova.connections[0].opened + 60)


async def test_a_gap_in_the_input() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await streaming(client, 100)
        last = clock.now()
        assert not client.over.is_set()
        assert await client.ended() == GAP
        assert clock.now() == pytest.approx(last + 54, abs=1.1)


async def test_a_session_without_audio() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.send(*opening())
        began = clock.now()
        assert await client.ended() == GAP
        assert clock.now() == pytest.approx(began + 55)


async def test_typed_text_is_input_too() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await streaming(client, 1)
        await anyio.sleep(50)
        await client.type("Hello.")
        await anyio.sleep(50)
        assert not client.over.is_set()
        assert await client.ended() == GAP


async def test_silence_may_not_count() -> None:
    timers = NovaTimers(silence_counts=False)
    async with service(scripted(), timers=timers) as nova, calling(nova) as client:
        await client.open()
        await streaming(client, 60)
        assert await client.ended() == GAP


@pytest.mark.parametrize(("error", "message"), [("timed out", NO_SPEECH), ("531", RESET_531)])
async def test_no_speech(error: str, message: str) -> None:
    timers = NovaTimers(quiet=295, quiet_error=error)  # type: ignore[arg-type]
    async with service(scripted(), timers=timers) as nova, calling(nova) as client:
        await client.open()
        await streaming(client, 100)
        await client.turn()
        last = clock.now()
        await streaming(client, 300)
        assert await client.ended() == message
        assert clock.now() == pytest.approx(last + 295, abs=2)


async def test_eight_minutes() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await streaming(client, 500)
        assert await client.ended() == "Model has timed out in processing the request"
        assert isinstance(client.error, Refusal)
        assert (client.error.code, client.error.status) == ("ModelTimeoutException", 408)
    (record,) = nova.connections
    assert record.ended == "modelTimeoutException"
    assert record.closed == pytest.approx(record.opened + 480)


async def test_eight_minutes_may_end_otherwise() -> None:
    async with service(scripted(), timers=NovaTimers(longest_error="end")) as nova:
        async with calling(nova) as client:
            await client.open()
            await streaming(client, 500)
        assert client.error is None
        assert client.exchange.finished
        nova.timers = NovaTimers(longest_error="531")
        async with calling(nova) as client:
            await client.open()
            await streaming(client, 500)
            assert await client.ended() == RESET_531
    assert [record.ended for record in nova.connections] == ["limit", "validationException"]


async def test_timers_are_scaled() -> None:
    async with service(scripted(), 0.01) as nova, calling(nova) as client:
        await client.send(*opening())
        began = clock.now()
        assert await client.ended() == GAP
        assert clock.now() == pytest.approx(began + 0.55)


# ------------------------------------------------------------ failures


async def test_instability_is_random_but_seeded() -> None:
    async def replies(seed: int) -> int:
        profile = NovaProfile(instability=0.3, seed=seed)
        async with service(scripted(), profile=profile) as nova, calling(nova) as client:
            await client.open()
            for number in range(20):
                await client.type("Hello.")
                await client.quiet(1000)
                if client.over.is_set():
                    assert await client.ended() == "System instability detected. Please retry your request."
                    return number
        return 20

    counts = [await replies(seed) for seed in range(4)]
    assert counts == [await replies(seed) for seed in range(4)]
    assert len(set(counts)) > 1


async def test_errors_may_come_as_a_list() -> None:
    async with service(scripted(), profile=NovaProfile(multi_error=True)) as nova, calling(nova) as client:
        await client.send(*opening(), text_start("h", "USER"), prompt_end())
        assert await client.ended() == "Error(s):\nError 1 : All contents must be closed before ending prompt"


async def test_an_engine_that_fails_ends_the_stream() -> None:
    async with service(Backing.scripted(["a"], [Fail()])) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.quiet(2000)
        text = "The system encountered an unexpected error during processing. Try your request again."
        assert await client.ended() == text
    assert isinstance(client.error, Refusal)
    assert client.error.code == "ModelStreamErrorException"
    assert set(client.error.extra) == {"originalStatusCode", "originalMessage"}


async def test_a_refusal_in_the_middle_of_a_reply() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        await client.send(session_start())
        assert await client.ended() == GENERIC


# ------------------------------------------------------------ the end


async def test_input_that_ends_too_early() -> None:
    async with service(scripted()) as nova:
        async with calling(nova) as client:
            await client.open()
            client.exchange.put(None)
            await client.over.wait()
        assert client.error is None
        async with calling(nova) as client:
            client.exchange.put(None)
            assert await client.ended() == GENERIC
        async with calling(nova) as client:
            await client.open()
            client.exchange.put(UncleanEnd())
            await client.over.wait()
        assert isinstance(client.error, UncleanEnd)
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            client.exchange.put(ConnectionLost())
            await client.over.wait()
        assert isinstance(client.error, ConnectionLost)
    assert [record.ended for record in nova.connections] == ["unfinished", "validationException", "unclean", "lost"]


async def test_a_caller_that_is_gone_while_the_model_speaks() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await client.speak(600)
        await client.until("audioOutput")
        client.exchange.lost = True
        with anyio.fail_after(60):
            await client.over.wait()
    assert isinstance(client.error, ConnectionLost)
    assert nova.connections[0].ended == "lost"


async def test_a_caller_that_takes_nothing_keeps_no_stream_open() -> None:
    async with service(scripted()) as nova:
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.until("audioOutput")
            client.exchange.stuck = True
            await streaming(client, 500)
            assert await client.ended() == "Model has timed out in processing the request"
        async with calling(nova) as client:
            await client.open()
            await client.speak(600)
            await client.until("audioOutput")
            client.exchange.stuck = True
            await client.quiet(500)
    assert [record.ended for record in nova.connections] == ["modelTimeoutException", "lost"]


async def test_something_after_the_end_of_the_session() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await client.quiet(20)
        await client.send(content_end("audio"), prompt_end(), session_end(), session_start())
        assert await client.ended() == GENERIC


async def test_a_caller_that_waits_for_the_end_is_not_kept_waiting() -> None:
    async with service(scripted()) as nova, calling(nova) as client:
        await client.open()
        await client.quiet(20)
        await client.send(content_end("audio"), prompt_end(), session_end())
        with anyio.fail_after(5):
            await client.over.wait()
    assert nova.connections[0].ended == "closed"


async def test_two_calls_at_once_do_not_mix() -> None:
    async with service(scripted()) as nova, calling(nova) as first, calling(nova) as second:
        await first.open()
        await second.open()
        async with anyio.create_task_group() as group:
            group.start_soon(first.turn)
            await anyio.sleep(0.4)
            group.start_soon(second.turn)
        assert first.outline() == second.outline()
        await second.send(audio_start("audio2"))
        await second.ended()
        await first.turn()
