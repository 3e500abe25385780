"""Who calls AWS, where, and through what: region, credentials, endpoints, proxy and certificates."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from voiceloop.aws.wire.stream import Deadlines, EventStream, StreamRequest, Wire
from voiceloop.interfaces import Resources


@frozen
class Keys:
    """Credentials given by hand, held in memory only; no part of them shows in a repr.

    ``expires``: when temporary credentials end (aware UTC), so that long streams are renewed before.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: datetime | None = None


@frozen
class Account:
    """Whose AWS account is used, and how it is reached. An immutable value; making one does no I/O.

    ``region``: by default ``AWS_REGION``, then ``AWS_DEFAULT_REGION``, then the profile's. ``profile``: a name in
    the shared AWS files. ``keys``: credentials for this account alone; by default boto's whole chain. ``endpoints``:
    a URL by service (``transcribestreaming``, ``bedrock-runtime``, ``polly``), or one under ``""`` for all; by
    default boto's ``AWS_ENDPOINT_URL*`` variables and configuration. ``ca_bundle``: a PEM file; by default
    ``AWS_CA_BUNDLE``, then the system's. ``proxy``: by default ``HTTPS_PROXY`` and ``NO_PROXY``. ``wire``:
    what carries event streams, for tests.
    """

    region: str | None = None
    profile: str | None = None
    keys: Keys | None = None
    endpoints: Mapping[str, str] = field(factory=dict, hash=False)
    ca_bundle: Path | str | None = None
    proxy: str | None = field(default=None, repr=False)
    wire: Wire | None = None

    async def access(self, resources: Resources) -> Access:
        """The account made ready: configuration read, region known. Shared by all that use the same pool.

        Raises BadInput for an unknown profile or no region (naming the variables), never contacts AWS.
        """
        raise NotImplementedError


class Credentials(Protocol):
    """A frozen set of credentials: what botocore's signers take. ``expires`` None: never, or it is unknown."""

    access_key: str
    secret_key: str
    token: str | None
    expires: datetime | None


class Access(Protocol):
    """An account made ready, in one pool: what providers call."""

    @property
    def region(self) -> str: ...

    async def credentials(self) -> Credentials:
        """Fresh credentials, frozen. Raises ProviderRefused, naming the variables and commands, without any."""
        ...

    def endpoint(self, service: str) -> str:
        """The URL of ``service`` in the region, without a path."""
        ...

    def proxy(self, url: str) -> str | None:
        """The proxy through which ``url`` is reached."""
        ...

    async def tls(self) -> ssl.SSLContext:
        """The shared TLS context, made once, off the event loop. ALPN is not set."""
        ...

    def stream(
        self, request: StreamRequest, deadlines: Deadlines | None = None
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open an event stream."""
        ...

    async def client(self, service: str) -> Any:
        """The pool's aiobotocore client of ``service`` (``bedrock-runtime``, ``polly``): one attempt per call, enough
        connections for hundreds of sessions, kept alive for minutes."""
        ...

    async def warm(self, service: str, connections: int = 1) -> None:
        """Have that many open connections of the client ready; returns soon, a failure shows at the next call."""
        ...
