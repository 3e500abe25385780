"""HTTP/2 for one request on a connection of its own, without I/O. On top of h2."""

from __future__ import annotations

from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection, H2ConnectionStateMachine
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple

__all__ = ("WINDOW", "Http2", "ProtocolError")

WINDOW = 1 << 20
"""Bytes that the peer may send before any of them is consumed."""

# All connections share them: what is told at the beginning stays.
_SETTINGS = Settings(
    client=True,
    initial_values={
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
        SettingCodes.MAX_HEADER_LIST_SIZE: 64 * 1024,
    },
)
_CONFIGURATION = H2Configuration(client_side=True, header_encoding="utf-8")


class _PatientStateMachine(H2ConnectionStateMachine):
    """After GOAWAY the streams that are open go on (RFC 9113, 6.8); h2 itself closes the connection at once."""

    def process_input(self, input_: ConnectionInputs) -> list[Event]:
        if input_ is ConnectionInputs.RECV_GOAWAY:
            return []
        return super().process_input(input_)


class _PatientConnection(H2Connection):
    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.state_machine = _PatientStateMachine()
        self.local_settings = _SETTINGS

    def clear_outbound_data_buffer(self) -> None:
        """h2 forgets at a GOAWAY what it has not sent yet, such as the answer to a PING. It is sent."""


class Http2:
    """One request and its response, as far as they have come.

    ``status`` and ``headers`` are the response's. ``ended``: the peer ended its side. ``reset``: the error code
    with which it reset the stream. ``goodbye``: the error code of its GOAWAY. ``unserved``: it said that it has not
    looked at the request. ``said_end``: our side is ended.
    """

    def __init__(self) -> None:
        self._h2 = _PatientConnection(_CONFIGURATION)
        self._stream = 0
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.ended = self.unserved = self.said_end = False
        self.reset: str | None = None
        self.goodbye: str | None = None
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW - 65_535)

    def request(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send the request's headers.

        No second request would profit from a table of them, in which the session token would be kept too.
        """
        self._stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._stream, [NeverIndexedHeaderTuple(name, value) for name, value in headers])

    @property
    def room(self) -> int:
        """How many bytes may be sent now, in one frame; 0 or less when the peer has to make room first."""
        if self.reset is not None:
            return 0
        return min(self._h2.local_flow_control_window(self._stream), self._h2.max_outbound_frame_size)

    def send(self, data: bytes | memoryview) -> None:
        """Send no more than there is room for."""
        self._h2.send_data(self._stream, data)

    def end(self) -> None:
        """End our side."""
        self.said_end = True
        if self.reset is None:
            self._h2.end_stream(self._stream)

    def receive(self, data: bytes) -> list[tuple[bytes, int]]:
        """Take bytes from the peer: the parts of the response's body in them, each with what it costs of the window.

        Raises ProtocolError when the peer breaks HTTP/2.
        """
        parts: list[tuple[bytes, int]] = []
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self.reset = ErrorCodes.PROTOCOL_ERROR.name  # h2 has told the peer
            raise
        for event in events:
            match event:
                case DataReceived():
                    parts.append((event.data or b"", event.flow_controlled_length or 0))
                case ResponseReceived():
                    self._answer(event)
                case StreamEnded():
                    self.ended = True
                case StreamReset():
                    self.reset = _name(event.error_code)
                case ConnectionTerminated():
                    self.goodbye = _name(event.error_code)
                    self.unserved = (event.last_stream_id or 0) < self._stream
        return parts

    def taken(self, count: int) -> None:
        """Bytes of the window are consumed: the peer may send as many again."""
        if count:
            self._h2.acknowledge_received_data(count, self._stream)

    def give_up(self) -> None:
        """Reset the stream, unless both sides have ended."""
        if self._stream and self.reset is None and not (self.ended and self.said_end):
            self.reset = ErrorCodes.CANCEL.name
            self._h2.reset_stream(self._stream, ErrorCodes.CANCEL)

    def close(self) -> None:
        """Say goodbye."""
        self._h2.close_connection()

    def output(self) -> bytes:
        """The bytes that are to be sent to the peer."""
        return self._h2.data_to_send()

    def _answer(self, event: ResponseReceived) -> None:
        fields = {str(name): str(value) for name, value in event.headers or ()}
        self.status = int(fields.pop(":status"))
        self.headers = fields


def _name(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"error {code}"
