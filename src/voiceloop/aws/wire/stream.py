"""An event stream both ways: what Transcribe, Nova Sonic and Polly's bidirectional stream run on."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from attrs import field, frozen

if TYPE_CHECKING:
    from voiceloop.aws.account import Access
    from voiceloop.aws.wire.requests import Requests

HeaderValue: TypeAlias = bool | int | bytes | str | datetime | UUID


@frozen
class Message:
    """One event-stream message: headers as they stand on the wire (``:event-type`` and so on) and a payload."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = field(default=b"", repr=lambda payload: f"<{len(payload)} bytes>")

    @property
    def kind(self) -> str:
        """``event``, ``exception`` or ``error``; ``event`` where it is not said."""
        return str(self.headers.get(":message-type", "event"))

    @property
    def name(self) -> str:
        """The event's or exception's name, or the error's code."""
        key = {"event": ":event-type", "exception": ":exception-type"}.get(self.kind, ":error-code")
        return str(self.headers.get(key, ""))


@frozen
class StreamRequest:
    """The request that opens an event stream.

    ``service`` names the endpoint (``transcribestreaming``, ``bedrock-runtime``, ``polly``), ``signs_as`` is its
    signing name, ``path`` is percent-encoded as it goes on the wire, ``operation`` is for errors.
    """

    service: str
    signs_as: str
    operation: str
    path: str
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Deadlines:
    """How long to wait, in seconds.

    ``connect``: name look-up, TCP, TLS and proxy together. ``headers``: the response's headers, from the first
    message sent, or the first wait for them. ``idle``: nothing at all comes from the peer, whether or not anybody
    waits for a message (None: no limit). ``close``: nothing of the response comes after our end, nor the peer's end.
    ``send``: the peer takes nothing of what is sent. A peer that cannot send because nobody takes what it sent is
    not late.
    """

    connect: float = 5.0
    headers: float = 20.0
    idle: float | None = None
    close: float = 3.0
    send: float = 20.0


class EventStream(abc.ABC):
    """One open event stream. One task sends, one receives; frames are signed in the order of :meth:`send`.

    Everything it raises is a ProviderError from ``voiceloop.aws.faults``, with the service's own words in its cause.
    """

    @abc.abstractmethod
    async def send(self, message: Message) -> None:
        """Sign and write one message. Waits for the peer's window. Cancelled half-way, the stream is reset.

        Once the peer has ended the stream, its exception is raised here too, after it was given to the receiver.
        """

    @abc.abstractmethod
    async def end(self) -> None:
        """Say that nothing more is sent: the signed empty frame, then END_STREAM. Idempotent."""

    @abc.abstractmethod
    async def response(self) -> Mapping[str, str]:
        """The headers of the 200 response, lower case. Waits for them: some services answer only to first events."""

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[Message]:
        """The peer's messages; ends when the peer ends the stream. Exceptions and errors are raised, not yielded."""


class Wire(abc.ABC):
    """What carries event streams: HTTP/2 over TLS, or a test's own, which may carry plain requests too."""

    @abc.abstractmethod
    def open(
        self, request: StreamRequest, access: Access, deadlines: Deadlines
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open a stream on a connection of its own. Entering returns when events can be written: TLS and HTTP/2 stand
        and the request is sent; it does not wait for the response. Leaving resets what has not ended, and closes.
        """

    def requests(self) -> Requests | None:
        """What carries plain requests where no sockets do; None: sockets."""
        return None
