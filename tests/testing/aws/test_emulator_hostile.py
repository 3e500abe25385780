"""Whatever bytes come, a connection ends in peace: nothing is raised, and no service is blamed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import anyio
import anyio.lowlevel
import h2.config
import h2.connection
import pytest
from anyio.abc import ByteStream
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

import voiceloop as vl
from voiceloop.testing import virtual_time
from voiceloop.testing.aws import Backing, Settings
from voiceloop.testing.aws.desk import Desk
from voiceloop.testing.aws.exchange import ConnectionLost
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.http1 import serve_http1
from voiceloop.testing.aws.http2 import Http2Connection
from voiceloop.testing.aws.record import Record
from voiceloop.testing.aws.server import Wires
from voiceloop.testing.aws.settings import Timers
from voiceloop.testing.aws.signatures import Keyring
from voiceloop.testing.aws.stage import Stage, services


class Bytes(ByteStream):
    """What a caller sends, chunk by chunk; what it gets is thrown away."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = [chunk for chunk in chunks if chunk]

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep(0.01)
        if not self._chunks:
            raise anyio.EndOfStream
        return self._chunks.pop(0)

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        pass

    async def aclose(self) -> None:
        self._chunks.clear()


async def serve(protocol: str, chunks: Sequence[bytes]) -> None:
    async with vl.Pool() as pool:
        faults = Faults()
        stage = Stage(Backing.scripted(["hello"]), pool, Timers(), Settings(), faults)
        desk = Desk(services(stage), Keyring(), Record(), faults)
        wires = Wires(Bytes(chunks), 5.0)
        try:
            if protocol == "h2":
                await Http2Connection(wires, desk, Settings(), 1).serve()
            else:
                await serve_http1(wires, desk, Settings(), 1)
        except ConnectionLost:
            pass
        assert desk.failures == []


def request() -> bytes:
    """A request for a stream, and some of its body."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    pairs = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/stream-transcription")]
    client.send_headers(1, [*pairs, ("authorization", "AWS4-HMAC-SHA256 x"), ("x-amz-date", "20260101T000000Z")])
    client.send_data(1, b"\x00" * 40, end_stream=True)
    client.send_headers(3, [(":method", "GET"), *pairs[1:3], (":path", "/v1/voices")], end_stream=True)
    client.ping(b"12345678")
    return bytes(client.data_to_send())


def upgrade() -> bytes:
    client = WSConnection(ConnectionType.CLIENT)
    return client.send(Request(host="x", target="/stream-transcription-websocket?language-code=en-US"))


PLAIN = b"POST /v1/speech HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"
STARTS = {"h2": [request(), request()[:24], b""], "http/1.1": [PLAIN, upgrade(), PLAIN + PLAIN, b""]}


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
@settings(max_examples=60)
@given(data=st.data())
def test_any_bytes_end_in_peace(protocol: str, data: st.DataObject) -> None:
    start = bytearray(data.draw(st.sampled_from(STARTS[protocol])))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)):
        if at < len(start):
            start[at] = value
    cuts = sorted(data.draw(st.lists(st.integers(0, len(start)), max_size=3)))
    edges = [0, *cuts, len(start)]
    chunks = [bytes(start[a:b]) for a, b in pairwise(edges)]
    virtual_time.run(serve, protocol, [*chunks, data.draw(st.binary(max_size=60))])
