"""What an emulated service sees of a request, whatever carried it: real sockets or memory."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Collection, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from attrs import field, frozen

from voiceloop.aws.wire.stream import Message


@frozen
class Caller:
    """Who asks: checked credentials, and the connection's number, counted from 1."""

    access_key: str = field(repr=False)
    region: str = "us-east-1"
    connection: int = 1


asking: ContextVar[str] = ContextVar("voiceloop_emulator_asking", default="")
"""The access key of the request that is being answered, for what stands behind the services."""


@frozen(eq=False)
class Refusal(Exception):
    """An error: ``status``, AWS's error ``code`` and its ``message``; ``extra`` members stand beside the message.

    Raised before anything streams it is an HTTP error; after that, the exception that ends the stream.
    """

    status: int
    code: str
    message: str
    extra: Mapping[str, Any] = field(factory=dict)


@frozen
class Request:
    """One plain HTTP request, its signature checked. ``path`` and ``query`` are decoded; headers lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    caller: Caller = field()


@frozen
class Response:
    """The answer: a whole body, or one that streams (chunked)."""

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | AsyncIterator[bytes] = field(default=b"", repr=False)


class Exchange(abc.ABC):
    """One event stream being answered. Iterate it for the caller's messages: signatures checked, unwrapped.

    The iteration ends when the caller ended its stream properly; without the signed empty frame it raises
    :class:`UncleanEnd`, and :class:`ConnectionLost` when the connection went away.
    """

    path: str
    headers: Mapping[str, str]
    caller: Caller

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[Message]: ...

    @abc.abstractmethod
    async def respond(self, headers: Mapping[str, str]) -> None:
        """Send status 200 and headers. Until then a :class:`Refusal` may be raised instead."""

    @abc.abstractmethod
    async def send(self, message: Message) -> None:
        """Send one message (unsigned, as AWS does). Raises ConnectionLost."""

    @abc.abstractmethod
    async def finish(self) -> None:
        """End the stream."""


class UncleanEnd(Exception):
    """The caller ended its stream without the signed empty frame."""


class ConnectionLost(Exception):
    """The caller is gone."""


class StreamService(abc.ABC):
    """An operation with an event stream both ways, such as StartStreamTranscription."""

    service: ClassVar[str]
    operation: ClassVar[str]

    @abc.abstractmethod
    def matches(self, method: str, path: str) -> bool:
        """Whether a request for ``path`` (decoded) is this operation's."""

    @abc.abstractmethod
    def actions(self, path: str) -> tuple[tuple[str, str], ...]:
        """The IAM actions and resources that the call is authorised by."""

    @abc.abstractmethod
    async def serve(self, exchange: Exchange) -> None:
        """Answer one stream; returns when it is over. Raises Refusal before :meth:`Exchange.respond`."""


def form(query: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The fields of a request of AWS's query protocol: those of the URL, and of the form in its body."""
    try:
        return {**query, **dict(parse_qsl(body.decode()))}
    except UnicodeDecodeError:
        return dict(query)


class RestService(abc.ABC):
    """Operations that answer one request, such as SynthesizeSpeech; the answer may stream."""

    service: ClassVar[str]

    @abc.abstractmethod
    def operation(self, method: str, path: str) -> str | None:
        """The operation's name, or None if the request is not this service's."""

    @abc.abstractmethod
    def actions(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The IAM actions and resources that the call is authorised by."""

    @abc.abstractmethod
    async def answer(self, request: Request) -> Response:
        """Answer. Raises Refusal."""


class QueryService(RestService):
    """Operations of AWS's query protocol, such as those of STS: the field ``Action`` of a :func:`form` names one.

    ``version``: the field ``Version`` of its requests, which no two services share.
    """

    version: ClassVar[str]
    operations: ClassVar[Collection[str]]

    def operation(self, method: str, path: str) -> str | None:
        """None: the path does not tell."""
        return None
