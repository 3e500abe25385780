"""Event streams on HTTP/2, against a server that does just what a test says, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h2.errors
import h2.events
import h2.settings
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from voiceloop import clock, errors
from voiceloop.aws.faults import fault_of
from voiceloop.aws.wire.stream import Deadlines, EventStream, Message, StreamRequest
from voiceloop.engine.pool import Pool

from .peer import EVENT, Peer, Server, exception, frame, serving

REQUEST = StreamRequest(
    "transcribestreaming",
    "transcribe",
    "StartStreamTranscription",
    "/stream-transcription",
    {"x-amzn-transcribe-language-code": "en-US"},
)
AUDIO = {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"}
SOON = Deadlines(connect=10.0, headers=10.0, idle=None, close=2.0, send=10.0)


def audio(size: int = 320, fill: int = 7) -> Message:
    return Message(AUDIO, bytes([fill]) * size)


@asynccontextmanager
async def opened(
    server: Server, pool: Pool, deadlines: Deadlines = SOON, **settings: Any
) -> AsyncIterator[EventStream]:
    access = await server.account(**settings).access(pool)
    async with access.stream(REQUEST, deadlines) as stream:
        yield stream


async def rest(stream: EventStream) -> list[bytes]:
    return [message.payload async for message in stream]


async def answered(stream: EventStream) -> None:
    """Wait for the response; virtual time stands still, so that it cannot outrun the sockets."""
    with clock.outside_work():
        await stream.response()


async def answers(peer: Peer) -> None:
    """A polite service: tells of each event how long it was."""
    await peer.request()
    peer.respond(x_amzn_request_id="r1")
    while payload := await peer.message():
        await peer.send(frame(b"%d" % len(payload)))
    peer.end()
    await peer.leave()


async def silent(peer: Peer) -> None:
    await peer.leave()


async def test_a_whole_stream(authority: Any, pool: Pool) -> None:
    async with serving(answers, authority) as server, opened(server, pool) as stream:
        assert (await stream.response())["x-amzn-request-id"] == "r1"
        for size in (320, 3200, 2):
            await stream.send(audio(size))
            message = await anext(aiter(stream))
            assert message == Message(EVENT, b"%d" % size)
        await stream.end()
        await stream.end()
        assert await rest(stream) == []
        with pytest.raises(RuntimeError, match="after end"):
            await stream.send(audio())
    (peer,) = server.peers
    assert peer.headers[":authority"] == server.url.removeprefix("https://")
    assert peer.headers["x-amzn-transcribe-language-code"] == "en-US"
    assert [type(event) for event in peer.seen].count(h2.events.StreamEnded) == 1


async def test_a_message_larger_than_the_peers_window(authority: Any, pool: Pool) -> None:
    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 300}
    async with serving(answers, authority, settings=settings) as server, opened(server, pool) as stream:
        await stream.response()  # the settings come before it
        for size in (3200, 100, 299, 5001):
            await stream.send(audio(size))
            assert (await anext(aiter(stream))).payload == b"%d" % size
        await stream.end()
        assert await rest(stream) == []


async def test_a_message_of_many_frames(authority: Any, pool: Pool) -> None:
    async with serving(answers, authority) as server, opened(server, pool) as stream:
        await stream.send(audio(100_000))
        assert (await anext(aiter(stream))).payload == b"100000"


async def test_settings_that_shrink_the_window_below_nothing(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.acknowledges = False
        peer.respond()
        await peer.until(lambda: len(peer.body) > 30_000)
        peer.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
        peer.flush()
        await peer.saw(h2.events.SettingsAcknowledged)
        assert peer.http2.remote_flow_control_window(1) < 0
        peer.acknowledges = True
        peer.http2.acknowledge_received_data(len(peer.body), 1)
        peer.flush()
        await answers_from_now(peer)

    async with serving(script, authority) as server, opened(server, pool) as stream:
        await stream.send(audio(40_000))
        assert (await anext(aiter(stream))).payload == b"40000"
        await stream.send(audio(50_000))
        assert (await anext(aiter(stream))).payload == b"50000"


async def answers_from_now(peer: Peer) -> None:
    while payload := await peer.message():
        await peer.send(frame(b"%d" % len(payload)))


async def test_the_response_may_come_only_after_the_first_event(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.message()
        await answers(peer)

    async with serving(script, authority) as server, opened(server, pool) as stream:
        await stream.send(audio())
        assert (await stream.response())["x-amzn-request-id"] == "r1"


@pytest.mark.parametrize("split", [1, 7, 16384])
async def test_frames_may_be_split_anywhere(authority: Any, pool: Pool, split: int) -> None:
    async def script(peer: Peer) -> None:
        peer.respond() if await peer.request() else None
        await peer.send(b"".join(frame(b"%d" % n) for n in range(20)), end=True, split=split)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert await rest(stream) == [b"%d" % n for n in range(20)]


# --- how streams end


async def test_a_graceful_goaway_leaves_the_stream_open(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.http2.ping(b"01234567")
        data = peer.http2.data_to_send()
        # by hand: h2 would close this side, too
        goaway = bytes.fromhex("000008 07 00 00000000 7fffffff 00000000".replace(" ", ""))
        peer.writer.write(data + goaway + goaway[:-8] + (1).to_bytes(4, "big") + bytes(4))
        peer.respond()
        await peer.saw(h2.events.PingAckReceived)
        await answers_from_now(peer)
        peer.end()
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        for _ in range(3):
            await stream.send(audio(20_000))
            assert (await anext(aiter(stream))).payload == b"20000"
        await stream.end()
        assert await rest(stream) == []


async def test_a_goaway_that_leaves_the_request_unread(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.http2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0)
        peer.flush()
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        with pytest.raises(errors.ProviderUnavailable, match=r"unread .GOAWAY ENHANCE_YOUR_CALM") as caught:
            await stream.response()
    assert caught.value.retryable


@pytest.mark.virtual_time(seed=0)
@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.CANCEL])
async def test_a_refusal_followed_by_a_reset_is_the_refusal(authority: Any, pool: Pool, code: ErrorCodes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond(403, x_amzn_errortype="AccessDeniedException:", x_amzn_requestid="r9")
        await peer.send(b'{"Message": "not authorized to perform: ', split=9)
        await peer.send(b'transcribe:StartStreamTranscription"}', end=code is ErrorCodes.NO_ERROR)
        peer.reset(code)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        for ask in (stream.response, stream.__anext__, lambda: stream.send(audio())):
            with pytest.raises(errors.ProviderRefused, match="Amazon Transcribe") as caught, clock.outside_work():
                await ask()  # at once: no time passes
            fault = fault_of(caught.value)
            assert fault is not None
            assert (fault.status, fault.code, fault.request_id) == (403, "AccessDeniedException", "r9")
            assert fault.message.endswith("transcribe:StartStreamTranscription")
        await stream.end()


async def test_a_refusal_without_a_body_that_ends(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond(503, x_amzn_errortype="ServiceUnavailableException")
        await peer.leave()

    deadlines = Deadlines(close=0.05)
    async with serving(script, authority) as server, opened(server, pool, deadlines) as stream:
        with pytest.raises(errors.ProviderError) as caught:
            await stream.response()
    assert fault_of(caught.value).code == "ServiceUnavailableException"  # type: ignore[union-attr]
    assert caught.value.retryable


async def test_a_long_refusal_is_cut(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond(500)
        await peer.send(b"x" * 3_000_000, end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        with pytest.raises(errors.ProviderError):
            await stream.response()


@pytest.mark.virtual_time(seed=0)
async def test_an_exception_is_given_to_the_receiver_before_the_sender(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.message()
        words = "Your request timed out because no new audio was received for 15 seconds."
        await peer.send(frame(b"last") + exception("BadRequestException", words), end=True)
        await peer.settle()
        await peer.leave()

    order: list[str] = []

    async def keep_sending(stream: EventStream) -> None:
        with pytest.raises(errors.ProviderError, match="15 seconds") as caught:
            while True:
                await stream.send(audio())
                await asyncio.sleep(0.01)
        order.append("sender")
        assert fault_of(caught.value).code == "BadRequestException"  # type: ignore[union-attr]

    async with serving(script, authority) as server, opened(server, pool) as stream:
        sending = asyncio.create_task(keep_sending(stream))
        await answered(stream)
        await asyncio.sleep(SOON.close / 2)  # the sender has found out
        with pytest.raises(errors.ProviderError, match="15 seconds"):
            async for message in stream:
                order += [message.payload.decode()]
        order.append("receiver")
        await sending
        await stream.end()
    assert order == ["last", "receiver", "sender"]


async def test_a_sender_is_told_when_nobody_receives(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(exception("LimitExceededException", "too many"), end=True)
        await peer.leave()

    deadlines = Deadlines(close=0.05)
    async with serving(script, authority) as server, opened(server, pool, deadlines) as stream:
        await stream.response()
        with pytest.raises(errors.ProviderRefused, match="too many"):
            while True:
                await stream.send(audio())
                await asyncio.sleep(0.001)


async def test_a_peer_that_ends_before_all_is_sent(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(b"bye"), end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert await rest(stream) == [b"bye"]
        assert await rest(stream) == []
        with pytest.raises(errors.ProviderUnavailable, match="before all was sent") as caught:
            await stream.send(audio())
        assert caught.value.retryable
        await stream.end()


async def test_a_reset(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(b"first"))
        peer.reset(ErrorCodes.INTERNAL_ERROR)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert (await anext(aiter(stream))).payload == b"first"
        with pytest.raises(errors.ProviderUnavailable, match="INTERNAL_ERROR") as caught:
            await anext(aiter(stream))
        assert caught.value.retryable
        with pytest.raises(errors.ProviderUnavailable, match="INTERNAL_ERROR"):
            await stream.send(audio())


@pytest.mark.parametrize("within_a_frame", [False, True])
async def test_a_lost_connection(authority: Any, pool: Pool, within_a_frame: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(b"first") + frame(b"cut")[: 9 * within_a_frame])

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert (await anext(aiter(stream))).payload == b"first"
        with pytest.raises(errors.ProviderUnavailable, match=r"connection was lost.*Try again") as caught:
            await anext(aiter(stream))
        assert caught.value.retryable


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(b"x")[:-1] + b"\0", "checksum"),
        (b"\0" * 12, "lengths"),
        (frame(b"x")[:20], "within a frame"),
    ],
)
async def test_nonsense_within_the_stream(authority: Any, pool: Pool, data: bytes, words: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(b"good") + data, end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert (await anext(aiter(stream))).payload == b"good"
        with pytest.raises(errors.ProviderMisbehaved, match=words):
            await anext(aiter(stream))


async def test_nonsense_on_http2(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(bytes.fromhex("000001 00 00 00000000 00"))  # data of no stream
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        with pytest.raises(errors.ProviderMisbehaved, match="cannot be read"):
            await stream.response()
        with pytest.raises(errors.ProviderMisbehaved, match="cannot be read"):
            await stream.send(audio())


async def test_what_came_before_nonsense_is_still_there(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(bytes(40_000)) * 20)
        peer.http2.ping(b"01234567")
        peer.flush()
        await peer.saw(h2.events.PingAckReceived)
        peer.writer.write(bytes.fromhex("000001 00 00 00000000 00"))
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        peer = await server.peer()
        await peer.until(lambda: peer.left)
        for _ in range(20):
            assert len((await anext(aiter(stream))).payload) == 40_000
        with pytest.raises(errors.ProviderMisbehaved, match="cannot be read"):
            await anext(aiter(stream))


async def test_an_unmodelled_error_within_the_stream(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(b"", message_type="error", error_code="Odd", error_message="it broke"), end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        with pytest.raises(errors.ProviderError, match="it broke") as caught:
            await anext(aiter(stream))
    assert fault_of(caught.value).code == "Odd"  # type: ignore[union-attr]


# --- back-pressure, pings, cancellation


async def test_what_is_not_consumed_is_not_acknowledged(authority: Any, pool: Pool) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        peer.respond()
        for _ in range(80):
            await peer.send(frame(bytes(50_000)))
            sent += 1
        peer.end()
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        await stream.response()
        peer = await server.peer()
        await peer.until(lambda: peer.http2.local_flow_control_window(1) == 0)
        before = sent
        assert 15 <= before <= 21  # of 50 KB: a megabyte
        peer.http2.ping(b"01234567")
        peer.flush()
        await peer.saw(h2.events.PingAckReceived)
        assert sent == before
        assert [len(payload) for payload in await rest(stream)] == [50_000] * 80


async def test_a_message_larger_than_our_window(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        await peer.send(frame(bytes(3_000_000)), end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool) as stream:
        assert [len(payload) for payload in await rest(stream)] == [3_000_000]


async def test_pings_are_answered_when_nobody_waits(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.http2.ping(b"01234567")
        peer.flush()
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool):
        await (await server.peer()).saw(h2.events.PingAckReceived)


async def test_a_cancelled_send_resets_the_stream(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.acknowledges = False
        peer.respond()
        reset = await peer.saw(h2.events.StreamReset)
        assert reset.error_code == ErrorCodes.CANCEL
        await peer.leave()

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 300}
    async with serving(script, authority, settings=settings) as server, opened(server, pool) as stream:
        await stream.response()
        with anyio.move_on_after(0.05) as scope:
            await stream.send(audio(3200))
        assert scope.cancelled_caught
        for ask in (stream.__anext__, lambda: stream.send(audio())):
            with pytest.raises(errors.ProviderUnavailable, match="cut short"):
                await ask()
        await stream.end()
        await (await server.peer()).saw(h2.events.StreamReset)


async def test_two_tasks_may_send(authority: Any, pool: Pool) -> None:
    """One message after another, even if there is room for a second while the first is under way."""
    got: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.acknowledges = False
        peer.respond()
        await peer.until(lambda: len(peer.body) == 600)
        peer.http2.send_data(1, frame(b"now"))
        peer.http2.acknowledge_received_data(600, 1)
        peer.acknowledges = True
        peer.flush()  # both at once: the receiver wakes before the sender does
        while payload := await peer.message():
            got.append(len(payload))
        peer.end()
        await peer.leave()

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 600}
    async with serving(script, authority, settings=settings) as server, opened(server, pool) as stream:
        await stream.response()
        first = asyncio.create_task(stream.send(audio(1000)))
        assert (await anext(aiter(stream))).payload == b"now"
        assert not first.done()
        await stream.send(audio(10))
        await first
        await stream.end()
        assert await rest(stream) == []
    assert got == [1000, 10]


class Mine(Exception):
    pass


async def test_the_callers_exceptions_come_out_bare(authority: Any, pool: Pool) -> None:
    async with serving(answers, authority) as server:
        with pytest.raises(Mine):
            async with opened(server, pool) as stream:
                await stream.send(audio())
                raise Mine
        await server.peers[0].saw(h2.events.StreamReset)
        with pytest.raises(asyncio.CancelledError):
            async with opened(server, pool):
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(5)
        assert asyncio.current_task().uncancel() == 0  # type: ignore[union-attr]


async def test_leaving_tells_a_task_that_still_waits(authority: Any, pool: Pool) -> None:
    async with serving(silent, authority) as server:
        async with opened(server, pool) as stream:
            receiving = asyncio.create_task(anext(aiter(stream)))
            answering = asyncio.create_task(stream.response())
            await asyncio.sleep(0.01)
        for task in (receiving, answering):
            with pytest.raises(errors.ProviderUnavailable, match="closed"):
                await task
        with pytest.raises(errors.ProviderUnavailable, match="closed"):
            await stream.send(audio())


async def test_nothing_is_left_behind(authority: Any, pool: Pool) -> None:
    threads = threading.active_count()
    async with serving(answers, authority) as server:
        async with opened(server, pool) as stream:
            await stream.send(audio())
            assert not [task for task in asyncio.all_tasks() if "voiceloop/aws" in repr(task)]
        for _ in range(3):
            async with opened(server, pool) as stream:
                await stream.send(audio())
    gc.collect()
    assert threading.active_count() <= threads + 2  # those that asyncio and anyio keep for other work


async def test_every_stream_has_a_connection_of_its_own(authority: Any, pool: Pool) -> None:
    async with serving(answers, authority) as server:
        for _ in range(2):
            async with opened(server, pool) as stream:
                await stream.send(audio())
                await anext(aiter(stream))
    assert len(server.peers) == 2


async def test_small_events_are_not_held_back(authority: Any, pool: Pool) -> None:
    """TCP's delay of small segments is off, on whatever socket is connected to the server."""
    found: list[int] = []
    async with serving(answers, authority) as server, opened(server, pool):
        await server.peer()
        port = int(server.url.rpartition(":")[2])
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(number))) as sock:
                if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                    found.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert len(found) == 1
    assert found[0]


# --- deadlines


@pytest.mark.virtual_time(seed=0)
async def test_no_response(authority: Any, pool: Pool) -> None:
    async with serving(silent, authority) as server, opened(server, pool, Deadlines(headers=20.0)) as stream:
        await asyncio.sleep(60)
        await stream.send(audio())  # counts from here
        began = clock.now()
        await asyncio.sleep(7)
        for ask in (stream.response, stream.__anext__, lambda: stream.send(audio())):
            with pytest.raises(errors.ProviderTimeout, match=r"no response came within 20 s.*HTTPS_PROXY") as caught:
                await ask()
            assert clock.now() - began == pytest.approx(20, abs=0.01)
            assert caught.value.retryable
        await (await server.peer()).saw(h2.events.StreamReset)


@pytest.mark.virtual_time(seed=0)
async def test_no_response_to_the_request_alone(authority: Any, pool: Pool) -> None:
    async with serving(silent, authority) as server, opened(server, pool, Deadlines(headers=20.0)) as stream:
        began = clock.now()
        with pytest.raises(errors.ProviderTimeout, match="no response"):
            await stream.response()
        assert clock.now() - began == pytest.approx(20, abs=0.01)


@pytest.mark.virtual_time(seed=0)
async def test_silence_is_found_when_nobody_receives(authority: Any, pool: Pool) -> None:
    async with serving(answers, authority) as server, opened(server, pool, Deadlines(idle=30.0)) as stream:
        await stream.send(audio())
        await asyncio.sleep(29)
        await stream.send(audio())
        await asyncio.sleep(29)
        await stream.send(audio())
        await asyncio.sleep(60)
        assert len([message async for message in _three(stream)]) == 3
        with pytest.raises(errors.ProviderTimeout, match="nothing came from the service within 30 s"):
            await stream.send(audio())
        await server.peers[0].saw(h2.events.StreamReset)


async def _three(stream: EventStream) -> AsyncIterator[Message]:
    for _ in range(3):
        yield await anext(aiter(stream))


@pytest.mark.virtual_time(seed=0)
async def test_silence_of_a_peer_that_we_hold_back_is_none(authority: Any, pool: Pool) -> None:
    filled, opened_again = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        while peer.http2.local_flow_control_window(1) > 50_000:
            await peer.send(frame(bytes(49_000)))
        await peer.settle()
        filled.set()
        await peer.until(lambda: peer.http2.local_flow_control_window(1) > 500_000)
        opened_again.set()
        await asyncio.sleep(3)  # it has a right to think for a moment
        await peer.send(frame(b"rest"), end=True)
        await peer.settle()
        await peer.leave()

    deadlines = Deadlines(idle=5.0, close=5.0)
    async with serving(script, authority) as server, opened(server, pool, deadlines) as stream:
        await stream.send(audio())
        with clock.outside_work():
            await filled.wait()
            await stream.end()
        await asyncio.sleep(103)  # not a multiple of the deadline
        with clock.outside_work():
            for _ in range(21):
                await anext(aiter(stream))
            await opened_again.wait()
        assert await rest(stream) == [b"rest"]


@pytest.mark.virtual_time(seed=0)
async def test_no_end_after_ours(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.respond()
        while await peer.message():
            pass
        await asyncio.sleep(2)
        await peer.send(frame(b"late"))
        await peer.settle()
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool, Deadlines(close=3.0)) as stream:
        await stream.send(audio())
        await asyncio.sleep(60)
        await stream.end()
        began = clock.now()
        assert (await anext(aiter(stream))).payload == b"late"
        with pytest.raises(errors.ProviderTimeout, match="did not end the stream within 3 s"):
            await anext(aiter(stream))
        assert clock.now() - began == pytest.approx(5, abs=0.01)


@pytest.mark.virtual_time(seed=0)
async def test_a_peer_that_takes_nothing(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.acknowledges = False
        peer.respond()
        while not peer.left:  # it says a lot, but makes no room
            await asyncio.sleep(1)
            await peer.send(frame(b"chatter"))

    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 1000}
    async with (
        serving(script, authority, settings=settings) as server,
        opened(server, pool, Deadlines(send=20.0)) as stream,
    ):
        await answered(stream)
        began = clock.now()
        with pytest.raises(errors.ProviderTimeout, match="took nothing of what was sent within 20 s"):
            await stream.send(audio(5000))
        assert clock.now() - began == pytest.approx(20, abs=0.01)


@pytest.mark.virtual_time(seed=0)
async def test_a_connection_that_takes_nothing(authority: Any, pool: Pool) -> None:
    """The peer gives a window, and then reads no more: TCP fills up."""

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.http2.increment_flow_control_window(1 << 30)
        peer.http2.increment_flow_control_window(1 << 30, 1)
        peer.respond()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3600)

    async with serving(script, authority) as server, opened(server, pool, Deadlines(send=20.0)) as stream:
        await answered(stream)
        with pytest.raises(errors.ProviderTimeout, match="took nothing of what was sent"):
            for _ in range(100):
                await stream.send(audio(1_000_000))


@pytest.mark.virtual_time(seed=0)
async def test_a_connection_that_takes_nothing_for_a_while(authority: Any, pool: Pool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.http2.increment_flow_control_window(1 << 30)
        peer.http2.increment_flow_control_window(1 << 30, 1)
        peer.respond()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await asyncio.sleep(15)
        transport.resume_reading()
        with clock.outside_work():
            await peer.until(lambda: len(peer.body) > 20_000_000)
        await peer.send(frame(b"all of it"), end=True)
        await peer.leave()

    async with serving(script, authority) as server, opened(server, pool, Deadlines(send=20.0)) as stream:
        await answered(stream)
        began = clock.now()
        for _ in range(20):
            await stream.send(audio(1_000_000))
        with clock.outside_work():
            assert await rest(stream) == [b"all of it"]
    assert clock.now() >= began + 15
