"""One process full of event streams: ``python channel.py KIND STREAMS --port P --ca FILE`` prints what it measured.

Each stream sends 100 ms of audio every 100 ms, in real time, on a connection of its own as AWS asks for, and reads
the transcripts that come back. KIND is the client: this library's, amazon-transcribe as it comes, or the official
SDK, which may run under another Python that has neither this library nor its tools.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

SOUND = bytes(3200)
STEP = 0.1
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

Send = Callable[[], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Open = Callable[[], AbstractAsyncContextManager[tuple[Send, Receive]]]


@asynccontextmanager
async def by_voiceloop(options: argparse.Namespace) -> AsyncIterator[Open]:
    from voiceloop import Pool
    from voiceloop.aws import Account, Keys
    from voiceloop.aws.wire.stream import Message, StreamRequest

    headers = {
        "x-amzn-transcribe-language-code": "en-US",
        "x-amzn-transcribe-sample-rate": "16000",
        "x-amzn-transcribe-media-encoding": "pcm",
    }
    request = StreamRequest(
        "transcribestreaming", "transcribe", "StartStreamTranscription", "/stream-transcription", headers
    )
    event = {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"}
    url = f"https://localhost:{options.port}"
    account = Account("us-east-1", keys=Keys(KEY, SECRET), endpoints={"": url}, ca_bundle=options.ca)
    async with Pool() as pool:
        access = await account.access(pool)

        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[Send, Receive]]:
            async with access.stream(request) as stream:
                await stream.response()
                messages = aiter(stream)

                async def send() -> None:
                    await stream.send(Message(event, SOUND))

                async def receive() -> Any:
                    return json.loads((await anext(messages)).payload)

                yield send, receive

        yield opened


def trust(ca_file: str) -> None:
    """Make the CRT trust the server: its clients here have no setting for that."""
    from awscrt import io

    class Trusting(io.TlsContextOptions):
        def __init__(self) -> None:
            super().__init__()
            self.override_default_trust_store_from_path(None, ca_file)

    io.TlsContextOptions = Trusting


@asynccontextmanager
async def by_amazon_transcribe(options: argparse.Namespace) -> AsyncIterator[Open]:
    from amazon_transcribe.auth import StaticCredentialResolver
    from amazon_transcribe.client import TranscribeStreamingClient
    from amazon_transcribe.endpoints import StaticEndpointResolver

    trust(options.ca)

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Send, Receive]]:
        client = TranscribeStreamingClient(
            region="us-east-1",
            endpoint_resolver=StaticEndpointResolver(f"https://localhost:{options.port}"),
            credential_resolver=StaticCredentialResolver(KEY, SECRET),
        )
        stream = await client.start_stream_transcription(
            language_code="en-US", media_sample_rate_hz=16000, media_encoding="pcm"
        )
        events = stream.output_stream.__aiter__()
        yield lambda: stream.input_stream.send_audio_event(SOUND), lambda: anext(events)
        await stream.input_stream.end_stream()

    yield opened


@asynccontextmanager
async def by_official(options: argparse.Namespace) -> AsyncIterator[Open]:
    from aws_sdk_transcribe_streaming.client import AsyncTranscribeStreamingClient
    from aws_sdk_transcribe_streaming.config import AsyncTranscribeStreamingConfig
    from aws_sdk_transcribe_streaming.models import (
        AudioEvent,
        AudioStreamAudioEvent,
        StartStreamTranscriptionInput,
    )
    from smithy_http.aio.crt import AWSCRTHTTPClient

    trust(options.ca)

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Send, Receive]]:
        config = await AsyncTranscribeStreamingConfig.resolve(
            region="us-east-1",
            endpoint_uri=f"https://localhost:{options.port}",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            transport=AWSCRTHTTPClient(),
        )
        client = AsyncTranscribeStreamingClient(config)
        request = StartStreamTranscriptionInput(
            language_code="en-US", media_sample_rate_hertz=16000, media_encoding="pcm"
        )
        stream = await client.start_stream_transcription(request)
        _, output = await stream.await_output()

        async def send() -> None:
            await stream.input_stream.send(AudioStreamAudioEvent(AudioEvent(audio_chunk=SOUND)))

        yield send, output.receive
        await stream.close()

    yield opened


KINDS = {"voiceloop": by_voiceloop, "amazon-transcribe": by_amazon_transcribe, "official": by_official}


def resident_kb() -> float:
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1000


async def talk(send: Send, first: float, last: float) -> None:
    """Send in real time."""
    loop, due = asyncio.get_running_loop(), first
    while due < last:
        await asyncio.sleep(max(0.0, due - loop.time()))
        await send()
        due += STEP


async def listen(receive: Receive, counts: list[int]) -> None:
    while True:
        await receive()
        counts[0] += 1


async def opening(opened: Open, count: int) -> float:
    """Milliseconds from nothing to the response of the service: the median of one after another, idle in between."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        async with opened() as (send, _):
            took.append((time.perf_counter() - began) * 1000)
            await send()
    return statistics.median(took)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Open all, let them settle, measure for a while."""
    loop, counts = asyncio.get_running_loop(), [0]
    async with KINDS[options.kind](options) as opened, AsyncExitStack() as stack:
        await opening(opened, 1)  # what is loaded or made once
        gc.collect()
        before = resident_kb()
        streams = [await stack.enter_async_context(opened()) for _ in range(options.streams)]
        start = loop.time() + 1.0
        end = start + 1.0 + options.seconds
        tasks = [asyncio.create_task(listen(receive, counts)) for _, receive in streams]
        talking = [
            asyncio.create_task(talk(send, start + STEP * number / len(streams), end + 0.5))
            for number, (send, _) in enumerate(streams)
        ]
        await asyncio.sleep(start + 1.0 - loop.time())
        cpu, wall, heard = time.process_time(), time.perf_counter(), counts[0]
        await asyncio.sleep(end - loop.time())
        cpu, wall, heard = time.process_time() - cpu, time.perf_counter() - wall, counts[0] - heard
        memory = (resident_kb() - before) / len(streams)
        await asyncio.gather(*talking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stack.aclose()
        opening_ms = await opening(opened, options.openings)
    return {
        "kind": options.kind,
        "streams": options.streams,
        "cpu_per_stream_minute": cpu / (wall / 60) / len(streams),
        "memory_kb": memory,
        "opening_ms": opening_ms,
        "answered": heard / (wall / STEP * len(streams)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("streams", type=int)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True, help="the file of the server's authority")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--openings", type=int, default=5, help="how many streams to open after that, one by one")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options))), flush=True)
    os._exit(0)  # the CRT's threads may not end by themselves


if __name__ == "__main__":
    main()
