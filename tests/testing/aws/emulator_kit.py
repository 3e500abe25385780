"""A small client of Transcribe's HTTP/2 stream, by h2, botocore and amazon-transcribe alone; it may misbehave."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import h2.config
import h2.connection
import h2.events
from amazon_transcribe.auth import Credentials as SigningCredentials
from amazon_transcribe.eventstream import EventSigner, EventStreamBuffer, EventStreamMessageSerializer
from anyio.streams.tls import TLSStream
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from voiceloop.aws import Keys
from voiceloop.testing.aws import Call, Emulator

OPTIONS = {"language-code": "en-US", "sample-rate": "16000", "media-encoding": "pcm"}
PATH = "/stream-transcription"
_SERIALIZER = EventStreamMessageSerializer()


def trusting(aws: Emulator, *protocols: str) -> ssl.SSLContext:
    """A client's TLS context that trusts the emulator alone."""
    context = ssl.create_default_context(cafile=str(aws.ca_file))
    context.set_alpn_protocols(list(protocols))
    return context


@asynccontextmanager
async def connected(aws: Emulator, *protocols: str) -> AsyncIterator[TLSStream]:
    """A TLS connection to the emulator."""
    port = int(aws.url.rpartition(":")[2])
    stream = await anyio.connect_tcp(
        "127.0.0.1", port, ssl_context=trusting(aws, *protocols), tls_standard_compatible=False
    )
    try:
        yield stream
    finally:
        await anyio.aclose_forcefully(stream)


def signed_headers(
    aws: Emulator, options: Mapping[str, str], keys: Keys | None = None, *, streaming: bool = True, path: str = PATH
) -> dict[str, str]:
    """The signed headers of a request, in the shape of the guide (``streaming``) or of amazon-transcribe."""
    keys = keys or aws.keys
    request = AWSRequest("POST", aws.url + path)
    for name, value in options.items():
        request.headers[f"x-amzn-transcribe-{name}"] = value
    request.headers["host"] = aws.url.removeprefix("https://")
    if streaming:
        request.headers["content-type"] = "application/vnd.amazon.eventstream"
        request.headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    SigV4Auth(credentials, "transcribe", "us-east-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


class Stream:
    """One stream on a connection of its own."""

    def __init__(self, tls: TLSStream, aws: Emulator, keys: Keys | None) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reset: int | None = None
        self.gone = False
        self.farewell = False
        self.pieces = 0
        self._tls = tls
        self._aws = aws
        self._keys = keys or aws.keys
        self._prior = b""
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._parsed = EventStreamBuffer()
        self._messages: list[Any] = []
        self.skew = timedelta()

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.ended or self.gone or self.reset is not None

    async def open(self, headers: Mapping[str, str], path: str = PATH) -> None:
        """Send the request."""
        self._h2.initiate_connection()
        special = [(":method", "POST"), (":scheme", "https"), (":authority", headers["host"]), (":path", path)]
        rest = [(name, value) for name, value in headers.items() if name != "host"]
        self._h2.send_headers(1, special + rest)
        signature = headers.get("authorization", "").rpartition("Signature=")[2]
        self._prior = bytes.fromhex(signature) if signature else b""
        await self._flush()

    def event(self, name: str, payload: bytes) -> bytes:
        """A signed frame; an empty ``name`` is the end."""
        headers = {":message-type": "event", ":event-type": name, ":content-type": "application/octet-stream"}
        inner = _SERIALIZER.serialize(headers, payload) if name else b""
        now = datetime.now(UTC) + self.skew
        signer = EventSigner("transcribe", "us-east-1", utc_now=lambda: now)
        signed = signer.sign(inner, self._prior, SigningCredentials(self._keys.access_key, self._keys.secret_key))
        self._prior = signed[":chunk-signature"]
        return bytes(_SERIALIZER.serialize(signed, inner))

    async def audio(self, pcm: bytes, chunk: int = 3200) -> None:
        """Send audio in chunks, as fast as it is taken."""
        for at in range(0, len(pcm), chunk):
            await self.raw(self.event("AudioEvent", pcm[at : at + chunk]))

    async def end(self) -> None:
        """The signed empty frame, and END_STREAM."""
        await self.raw(self.event("", b""), end=True)

    async def raw(self, data: bytes, *, end: bool = False) -> None:
        """Send any bytes, as long as they are taken; END_STREAM after them."""
        while (data or end) and not self.over:
            room = min(self._h2.local_flow_control_window(1), self._h2.max_outbound_frame_size)
            if data and not room:
                await self._read()
                continue
            self._h2.send_data(1, data[:room], end_stream=end and len(data) <= room)
            end = end and len(data) > room
            data = data[room:]
            await self._flush()

    async def answered(self) -> int:
        """The response's status."""
        while self.status is None:
            await self._read()
        return self.status

    async def all(self) -> list[Any]:
        """Every message until the end."""
        while not self.over:
            await self._read()
        return self._messages

    async def some(self, count: int) -> list[Any]:
        """At least ``count`` messages."""
        while len(self._messages) < count:
            assert not self.over, "the stream ended early"
            await self._read()
        return self._messages

    async def results(self) -> list[dict[str, Any]]:
        """Every result until the end."""
        return [result for message in await self.all() for result in results_of(message)]

    async def failure(self) -> tuple[str, str]:
        """The exception that ends the stream: its name and text."""
        last = (await self.all())[-1]
        assert last.headers[":message-type"] == "exception"
        return last.headers[":exception-type"], json.loads(last.payload)["Message"]

    async def _read(self) -> None:
        try:
            with anyio.fail_after(20):
                data = await self._tls.receive(65536)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self.gone = True
            return
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.ResponseReceived(headers=headers):
                    self.headers = dict(headers)
                    self.status = int(self.headers[":status"])
                case h2.events.DataReceived(data=data, flow_controlled_length=length):
                    self._h2.acknowledge_received_data(length, 1)
                    self._take(data)
                case h2.events.StreamEnded():
                    self.ended = True
                case h2.events.StreamReset(error_code=code):
                    self.reset = int(code)
                case h2.events.ConnectionTerminated():
                    self.farewell = True
        await self._flush()

    def _take(self, data: bytes) -> None:
        self.body += data
        self.pieces += 1
        if self.status == 200:
            self._parsed.add_data(data)
            self._messages.extend(self._parsed)

    async def _flush(self) -> None:
        try:
            if data := self._h2.data_to_send():
                await self._tls.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.gone = True


async def over(call: Call) -> None:
    """Wait until ``call`` has ended; there is no event for it."""
    with anyio.fail_after(5):
        while not call.over:  # noqa: ASYNC110
            await anyio.sleep(0.001)


def results_of(message: Any) -> list[dict[str, Any]]:
    """The results in a TranscriptEvent."""
    assert message.headers[":event-type"] == "TranscriptEvent", message.headers
    results: list[dict[str, Any]] = json.loads(message.payload)["Transcript"]["Results"]
    return results


@asynccontextmanager
async def transcribing(
    aws: Emulator, options: Mapping[str, str] = OPTIONS, *, keys: Keys | None = None, streaming: bool = True
) -> AsyncIterator[Stream]:
    """An open stream."""
    async with connected(aws, "h2") as tls:
        stream = Stream(tls, aws, keys)
        await stream.open(signed_headers(aws, options, keys, streaming=streaming))
        yield stream
