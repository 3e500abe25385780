"""Clients that we did not write: amazon-transcribe as it is shipped, boto3, and a WebSocket by wsproto."""

from __future__ import annotations

import asyncio
import contextlib
import json
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import boto3
import pytest
from amazon_transcribe.auth import StaticCredentialResolver
from amazon_transcribe.client import TranscribeStreamingClient
from amazon_transcribe.endpoints import StaticEndpointResolver
from amazon_transcribe.eventstream import EventStreamBuffer, EventStreamMessageSerializer, ParserError
from awscrt import io
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, ConnectionClosedError, EventStreamError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Upgrade

from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted.sound import silence, tone

from .emulator_kit import connected, over, results_of

_SERIALIZER = EventStreamMessageSerializer()


def shipped_client(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> TranscribeStreamingClient:
    """amazon-transcribe's client. Its TLS context is given the emulator's authority, for which it has no option."""
    make = io.ClientTlsContext

    def trusting(options: io.TlsContextOptions) -> io.ClientTlsContext:
        options.override_default_trust_store_from_path(ca_filepath=str(aws.ca_file))
        return make(options)

    with monkeypatch.context() as patched:
        patched.setattr(io, "ClientTlsContext", trusting)
        return TranscribeStreamingClient(
            region="us-east-1",
            credential_resolver=StaticCredentialResolver(aws.keys.access_key, aws.keys.secret_key),
            endpoint_resolver=StaticEndpointResolver(aws.url),
        )


async def test_amazon_transcribe_hears_a_human(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wave.open(str(clips / "ps_goforward.wav")) as clip:
        rate, pcm = clip.getframerate(), clip.readframes(clip.getnframes())
    said = next(
        entry["transcript"]
        for entry in json.loads((clips / "index.json").read_text())
        if entry["file"] == "ps_goforward.wav"
    )
    async with Emulator(Backing.offline()) as aws:
        stream = await shipped_client(aws, monkeypatch).start_stream_transcription(
            language_code="en-US", media_sample_rate_hz=rate, media_encoding="pcm", show_speaker_label=True
        )
        for at in range(0, len(pcm), 3200):
            await stream.input_stream.send_audio_event(audio_chunk=pcm[at : at + 3200])
        await stream.input_stream.end_stream()
        results = [result async for event in stream.output_stream for result in event.transcript.results]
        assert aws.calls[0].error is None
        assert stream.response.session_id
        assert stream.response.media_sample_rate_hz == rate
    final = results[-1]
    assert not final.is_partial
    assert final.alternatives[0].transcript.rstrip(".").lower() == said
    words = [item for item in final.alternatives[0].items if item.item_type == "pronunciation"]
    assert [word.content.lower() for word in words] == said.split()
    assert all(word.speaker == "0" and 0 <= word.start_time < word.end_time <= 2.8 for word in words)


@contextmanager
def polly(aws: Emulator, **config: Any) -> Iterator[Any]:
    settings = Config(retries={"total_max_attempts": 1}, **config)
    session = boto3.Session(aws.keys.access_key, aws.keys.secret_key, region_name="eu-west-1")
    client = session.client("polly", endpoint_url=aws.url, verify=str(aws.ca_file), config=settings)
    try:
        yield client
    finally:
        client.close()


async def in_thread(work: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def test_boto3_calls_a_plain_operation_on_one_kept_connection() -> None:
    async with Emulator(Backing.scripted()) as aws:

        def work() -> tuple[int, int]:
            with polly(aws) as client:
                voices = client.describe_voices(LanguageCode="en-US")["Voices"]
                spoken = client.synthesize_speech(
                    Text="Hello there.", VoiceId="Joanna", Engine="neural", OutputFormat="pcm"
                )
                return len(voices), len(spoken["AudioStream"].read())

        voices, size = await in_thread(work)
        assert voices > 5
        assert size > 1000
        assert {call.connection for call in aws.calls} == {1}
        assert {call.region for call in aws.calls} == {"eu-west-1"}
        assert aws.actions == {("polly:DescribeVoices", "*"), ("polly:SynthesizeSpeech", "*")}


async def test_boto3_understands_what_it_is_refused() -> None:
    async with Emulator(Backing.scripted(), denied=["polly:DescribeVoices"], faults=[Fault("throttle")]) as aws:

        def ask() -> tuple[str, str, int]:
            with polly(aws) as client, pytest.raises(ClientError) as caught:
                client.describe_voices()
            answer = caught.value.response
            return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]

        code, text, status = await in_thread(ask)
        assert (code, status) == ("AccessDeniedException", 403)
        assert "is not authorized to perform: polly:DescribeVoices on resource: *" in text
        aws.denied.clear()
        assert await in_thread(ask) == ("ThrottlingException", "Rate exceeded", 400)


@pytest.mark.parametrize("kind", ["drop", "stall", "reset"])
async def test_boto3_finds_the_line_broken(kind: str) -> None:
    async with Emulator(Backing.scripted(), faults=[Fault(kind)]) as aws:

        def ask() -> None:
            with polly(aws, read_timeout=0.3) as client, pytest.raises((ConnectionClosedError, ReadTimeoutError)):
                client.describe_voices()
            with polly(aws) as client:
                client.describe_voices()

        await in_thread(ask)
        assert aws.calls[0].faults == [kind]
        await over(aws.calls[0])


def converse(aws: Emulator) -> str:
    session = boto3.Session(aws.keys.access_key, aws.keys.secret_key, region_name="us-east-1")
    settings = Config(retries={"total_max_attempts": 1})
    client = session.client("bedrock-runtime", endpoint_url=aws.url, verify=str(aws.ca_file), config=settings)
    try:
        answer = client.converse_stream(
            modelId="us.amazon.nova-2-lite-v1:0", messages=[{"role": "user", "content": [{"text": "Hello?"}]}]
        )
        with contextlib.closing(answer["stream"]) as events:
            deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
        return "".join(deltas)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("throttle", EventStreamError),
        ("bad_crc", ChecksumMismatch),
        ("truncate", ProtocolError),
        ("drop", ProtocolError),
    ],
)
async def test_boto3_finds_a_stream_broken(kind: str, error: type[Exception]) -> None:
    async with Emulator(Backing.scripted((), ["Hello to you."]), faults=[Fault(kind, at=2)]) as aws:
        with pytest.raises(error):
            await in_thread(lambda: converse(aws))
        assert await in_thread(lambda: converse(aws)) == "Hello to you."
        assert aws.calls[0].faults == [kind]


@pytest.mark.parametrize("kind", ["split", "drip", "goaway"])
async def test_boto3_reads_a_stream_in_pieces(kind: str) -> None:
    async with Emulator(Backing.scripted((), ["Hello to you."]), faults=[Fault(kind, at=0, seconds=0.0)]) as aws:
        assert await in_thread(lambda: converse(aws)) == "Hello to you."


async def test_what_is_no_operation_is_said_so() -> None:
    async with Emulator(Backing.scripted()) as aws, connected(aws, "http/1.1") as tls:
        for _ in range(2):  # on a connection that is kept
            await tls.send(b"POST /nothing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            assert (await tls.receive()).startswith(b"HTTP/1.1 100 ")
            await tls.send(b"{}")
            answer = await tls.receive()
            while b'"message"' not in answer:
                answer += await tls.receive()
            assert answer.startswith(b"HTTP/1.1 404 ")
            assert b"x-amzn-errortype: UnknownOperationException" in answer
        await tls.send(
            b"POST /stream-transcription HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert b"400" in (await tls.receive())[:20]
        assert [(call.operation, call.status, call.error) for call in aws.calls] == [
            *[("POST /nothing", 404, "UnknownOperationException")] * 2,
            ("StartStreamTranscription", 400, "BadRequestException"),
        ]
        assert all(call.over and call.message for call in aws.calls)


async def test_a_connection_that_is_opened_for_later_is_no_call() -> None:
    async with Emulator(Backing.scripted()) as aws, connected(aws, "http/1.1") as tls:
        await tls.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await tls.receive()).startswith(b"HTTP/1.1 404 ")
        assert aws.calls == []


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01garbage", b"GET\r\n\r\n", b"A" * 70_000, b"\r\n" * 10 + b"x y z\r\n\r\n"]
)
async def test_garbage_on_http1_does_not_kill_it(garbage: bytes) -> None:
    async with Emulator(Backing.scripted()) as aws:
        async with connected(aws, "http/1.1") as tls:
            await tls.send(garbage)
            with anyio.move_on_after(0.2):
                await tls.receive()
        async with await anyio.connect_tcp("127.0.0.1", int(aws.url.rpartition(":")[2])) as plain:
            await plain.send(garbage)
        async with connected(aws, "http/1.1") as tls:
            await tls.send(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await tls.receive()).startswith(b"HTTP/1.1 404 ")


OPTIONS = {"language-code": "en-US", "sample-rate": "16000", "media-encoding": "pcm"}


def presigned(aws: Emulator, options: Mapping[str, str] = OPTIONS, *, expires: int = 300, secret: str = "") -> str:
    """The target of a presigned WebSocket URL, by botocore."""
    request = AWSRequest("GET", f"{aws.url}/stream-transcription-websocket", params=dict(options))
    credentials = Credentials(aws.keys.access_key, secret or aws.keys.secret_key)
    SigV4QueryAuth(credentials, "transcribe", "us-east-1", expires=expires).add_auth(request)
    return str(request.prepare().url).removeprefix(aws.url)


class Socket:
    """A WebSocket by wsproto."""

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        self._ws = WSConnection(ConnectionType.CLIENT)

    async def open(self, aws: Emulator, target: str) -> Any:
        await self._tls.send(self._ws.send(Upgrade(host=aws.url.removeprefix("https://"), target=target)))
        return await anext(self.events())

    async def send(self, event: Any) -> None:
        await self._tls.send(self._ws.send(event))

    async def audio(self, pcm: bytes) -> None:
        headers = {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"}
        await self.send(BytesMessage(data=_SERIALIZER.serialize(headers, pcm)))

    async def events(self) -> AsyncIterator[Any]:
        while True:
            for event in self._ws.events():
                yield event
            with anyio.fail_after(10):
                self._ws.receive_data(await self._tls.receive())

    async def messages(self) -> list[Any]:
        """Every message until the close."""
        parsed, messages = EventStreamBuffer(), []
        async for event in self.events():
            match event:
                case BytesMessage(data=data):
                    parsed.add_data(bytes(data))
                    messages.extend(parsed)
                case CloseConnection():
                    break
        return messages


@asynccontextmanager
async def socket(aws: Emulator) -> AsyncIterator[Socket]:
    async with connected(aws, "http/1.1") as tls:
        yield Socket(tls)


async def test_a_websocket_is_transcribed() -> None:
    options = {**OPTIONS, "identify-language": "true", "language-options": "en-US,es-US"}
    del options["language-code"]
    async with Emulator(Backing.scripted(["book a room please"])) as aws, socket(aws) as ws:
        assert isinstance(await ws.open(aws, presigned(aws, options)), AcceptConnection)
        await ws.send(Ping(b"there?"))
        assert isinstance(await anext(ws.events()), Pong)
        speech = tone(1200) + silence(300)
        for at in range(0, len(speech), 3200):
            await ws.audio(speech[at : at + 3200])
        await ws.audio(b"")
        results = [result for message in await ws.messages() for result in results_of(message)]
        assert results[-1]["Alternatives"][0]["Transcript"] == "book a room please"
        assert results[-1]["LanguageCode"] == "en-US"
        assert [entry["LanguageCode"] for entry in results[-1]["LanguageIdentification"]] == ["en-US", "es-US"]
        assert aws.actions == {("transcribe:StartStreamTranscriptionWebSocket", "*")}


async def test_a_websocket_takes_no_text() -> None:
    async with Emulator(Backing.scripted()) as aws, socket(aws) as ws:
        await ws.open(aws, presigned(aws))
        await ws.send(TextMessage(data="{}"))
        (message,) = await ws.messages()
        assert message.headers[":exception-type"] == "BadRequestException"
        assert json.loads(message.payload) == {"Message": "Unexpected WebSocket frame received."}


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"secret": "another"}, 403, b"InvalidSignatureException"),
        ({"expires": 301}, 400, b"BadRequestException"),
        ({"options": {**OPTIONS, "sample-rate": "4000"}}, 400, b"BadRequestException"),
    ],
    ids=["secret", "expiry", "option"],
)
async def test_a_wrong_url_fails_the_upgrade(wrong: dict[str, Any], status: int, code: bytes) -> None:
    async with Emulator(Backing.scripted()) as aws, socket(aws) as ws:
        answer = await ws.open(aws, presigned(aws, **wrong))
        assert isinstance(answer, RejectConnection)
        assert answer.status_code == status
        assert (b"x-amzn-errortype", code) in list(answer.headers)
        assert isinstance(await anext(ws.events()), RejectData)
        assert aws.calls[0].error == code.decode()


async def test_a_changed_url_breaks_its_signature() -> None:
    async with Emulator(Backing.scripted()) as aws, socket(aws) as ws:
        target = presigned(aws).replace("sample-rate=16000", "sample-rate=8000")
        answer = await ws.open(aws, target)
        assert isinstance(answer, RejectConnection)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "LimitExceededException"),
        ("access_denied", 403, "AccessDeniedException"),
        ("expired_token", 403, "ExpiredTokenException"),
        ("instability", 500, "InternalFailureException"),
        ("unavailable", 503, "ServiceUnavailableException"),
    ],
)
async def test_an_error_strikes_the_upgrade_or_the_websocket(kind: str, status: int, code: str) -> None:
    name = "StartStreamTranscriptionWebSocket"
    async with Emulator(Backing.scripted(), faults=[Fault(kind, name), Fault(kind, name, after=2)]) as aws:
        async with socket(aws) as ws:
            answer = await ws.open(aws, presigned(aws))
            assert isinstance(answer, RejectConnection)
            assert answer.status_code == status
            assert (b"x-amzn-errortype", code.encode()) in list(answer.headers)
        async with socket(aws) as ws:
            assert isinstance(await ws.open(aws, presigned(aws)), AcceptConnection)
            for _ in range(2):
                await ws.audio(silence(100))
            (message,) = await ws.messages()
            assert message.headers[":exception-type"] == code
        assert aws.faults.left == ()


_GONE = (anyio.EndOfStream, anyio.BrokenResourceError)


@pytest.mark.parametrize(("kind", "error"), [("reset", _GONE), ("drop", _GONE), ("bad_crc", ParserError)])
async def test_a_websocket_breaks(kind: str, error: Any) -> None:
    async with (
        Emulator(Backing.scripted(["book a room please"]), faults=[Fault(kind, at=1)]) as aws,
        socket(aws) as ws,
    ):
        await ws.open(aws, presigned(aws))
        for speech in (tone(900), tone(900), silence(900)):
            await ws.audio(speech)
        with pytest.raises(error):
            await ws.messages()
        assert aws.calls[0].faults == [kind]


async def test_a_websocket_ends_within_a_message() -> None:
    backing = Backing.scripted(["book a room please"])
    async with Emulator(backing, faults=[Fault("truncate", at=1)]) as aws, socket(aws) as ws:
        await ws.open(aws, presigned(aws))
        for speech in (tone(900), tone(900), silence(900)):
            await ws.audio(speech)
        (message,) = await ws.messages()
        assert results_of(message)[0]["IsPartial"]


@pytest.mark.parametrize("kind", ["split", "drip", "goaway", "stall"])
async def test_a_websocket_is_slow_or_cut_anywhere(kind: str) -> None:
    fault = Fault(kind, at=0, seconds=0.05 if kind == "stall" else 0.0001)
    async with Emulator(Backing.scripted(["book a room please"]), faults=[fault]) as aws, socket(aws) as ws:
        await ws.open(aws, presigned(aws))
        await ws.audio(tone(900))
        await ws.audio(silence(900))
        await ws.audio(b"")
        results = [result for message in await ws.messages() for result in results_of(message)]
        assert results[-1]["Alternatives"][0]["Transcript"] == "book a room please"
