"""A service for ``channel.py``: answers each event of Transcribe with a transcript, and looks at nothing closely.

``python channel_server.py DIRECTORY`` writes its authority's certificate there and prints its port and that file.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any, cast

import h2.config
import h2.connection
import h2.events
import trustme
from amazon_transcribe.eventstream import EventStreamMessageSerializer

_WORDS = [
    {"StartTime": n / 4, "EndTime": n / 4 + 0.2, "Type": "pronunciation", "Content": f"word{n}", "Confidence": 0.99}
    for n in range(12)
]
_RESULT = {
    "ResultId": "9b8e3c2a-0000-4000-8000-000000000001",
    "StartTime": 0.0,
    "EndTime": 3.0,
    "IsPartial": True,
    "Alternatives": [{"Transcript": " ".join(str(word["Content"]) for word in _WORDS), "Items": _WORDS}],
}
ANSWER = EventStreamMessageSerializer().serialize(
    {":message-type": "event", ":event-type": "TranscriptEvent", ":content-type": "application/json"},
    json.dumps({"Transcript": {"Results": [_RESULT]}}).encode(),
)


class Service(asyncio.Protocol):
    """One connection with one stream."""

    def __init__(self) -> None:
        self._http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._transport: asyncio.Transport | None = None
        self._pending = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        events = self._http2.receive_data(data)
        if any(isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)) for event in events):
            events = []  # nobody is there to be answered
        for event in events:
            match event:
                case h2.events.RequestReceived():
                    fields = [(":status", "200"), ("content-type", "application/vnd.amazon.eventstream")]
                    self._http2.send_headers(1, fields)
                case h2.events.DataReceived():
                    self._http2.acknowledge_received_data(event.flow_controlled_length or 0, 1)
                    self._answer(event.data or b"")
                case h2.events.StreamEnded():
                    self._http2.end_stream(1)
        self._flush()

    def _answer(self, data: bytes) -> None:
        """Once for each whole event; the empty one that ends the stream is not counted."""
        self._pending += data
        while len(self._pending) >= 4 and len(self._pending) >= (size := int.from_bytes(self._pending[:4], "big")):
            del self._pending[:size]
            if size > 100:
                self._http2.send_data(1, ANSWER)

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(self._http2.data_to_send())


async def main(folder: Path) -> None:
    authority, ca_file = trustme.CA(), folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    server: Any = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, ssl=context, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "ca": str(ca_file)}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
