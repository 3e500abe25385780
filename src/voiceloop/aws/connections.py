"""The connections under an aiobotocore client: kept open for minutes, and opened before they are needed."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import aiohttp
import anyio
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import DEFAULT_HTTP_SESSION_CLS, AioConfig
from attrs import define, field, frozen
from botocore import exceptions
from multidict import CIMultiDict
from yarl import URL

from voiceloop import clock
from voiceloop.aws.wire.requests import Requests

# A reservation by `warm` that no request took is forgotten after this many seconds.
_SOON = 20.0


@frozen
class Patience:
    """How long to wait, in seconds, and how much to keep open.

    ``connect``: a free place, the name look-up, TCP and TLS together. ``read``: between two pieces of an answer.
    ``keep``: an idle connection is closed after. ``limit``: connections open at once.
    """

    connect: float = 5.0
    read: float = 20.0
    keep: float = 300.0
    limit: int = 512


class Connections(Requests):
    """What aiobotocore calls its HTTP session, on aiohttp.

    aiobotocore's own makes a TLS context for each client on the event loop, does not check whose certificate it is
    (nor any behind a proxy), and closes what was idle for 12 seconds.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Callable[[str], str | None], patience: Patience) -> None:
        self._proxy = proxy
        self._patience = patience
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._use = _Use()
        self._warming = anyio.Lock()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=tls, limit=patience.limit, keepalive_timeout=patience.keep, socket_factory=self._socket
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=patience.connect, sock_connect=patience.connect, sock_read=patience.read
            ),
            skip_auto_headers={"Content-Type", "User-Agent"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @property
    def open(self) -> int:
        """How many connections are open, or being opened."""
        return sum(1 for each in self._sockets if each.fileno() >= 0)

    @property
    def idle(self) -> int:
        """How many connections a request could use at once."""
        return max(0, self.open - self.busy)

    @property
    def busy(self) -> int:
        """How many connections requests are using."""
        return self._use.busy()

    async def send(self, request: Any) -> AioAWSResponse:
        """Send a request that botocore made and signed. Raises botocore's HTTPClientError and its kinds."""
        if self._http.closed:
            raise exceptions.ConnectionClosedError(endpoint_url=request.url)
        self._use.take(clock.now())
        headers = CIMultiDict(
            (name, value.decode() if isinstance(value, bytes) else str(value))
            for name, value in request.headers.items()
        )
        headers["Accept-Encoding"] = "identity"
        chunked = headers.pop("Transfer-Encoding", "").lower() == "chunked" or None
        failure: Exception
        try:
            with clock.outside_work(), self._use:
                answer = await self._http.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=headers,
                    data=request.body,
                    chunked=chunked,
                    proxy=self._proxy(request.url),
                    allow_redirects=False,
                )
                if not request.stream_output:
                    await answer.read()
                self._use.answers.add(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = _as_botocore(error, request.url)
        else:
            raw = {name.decode().lower(): value.decode("latin-1") for name, value in answer.raw_headers}
            return AioAWSResponse(str(answer.url), answer.status, raw, answer)
        raise failure

    async def warm(self, url: str, connections: int = 1) -> None:
        """Have ``connections`` idle connections to ``url`` for who asks, beside those that others asked for.

        Ends when they are open, or could not be opened: that shows at the next request.
        """
        self._use.reserve(clock.now() + _SOON, connections)
        async with self._warming:  # one round at a time, for all who asked before it
            expected = self._use.expected(clock.now())
            if self.idle >= expected:
                return
            # As many at once as shall be idle, since each takes a connection of its own. With several who ask, half
            # as many more, so that a growing number of sessions needs few rounds.
            more = expected // 2 if expected > connections else 0
            count = min(expected + more, self._patience.limit - self.busy)
            with clock.outside_work(), anyio.move_on_after(self._patience.connect):
                async with anyio.create_task_group() as group:
                    for _ in range(count):
                        group.start_soon(self._touch, url)

    async def _touch(self, url: str) -> None:
        """An unsigned request, which AWS refuses in a few bytes without doing anything; the connection stays."""
        if self._http.closed:
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._http.get(url, proxy=self._proxy(url), allow_redirects=False) as answer:
                await answer.read()

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


@define(eq=False)
class _Use:
    """Who uses connections now, and who will soon. Entered while a request is being sent."""

    sending: int = 0
    answers: WeakSet[aiohttp.ClientResponse] = field(factory=WeakSet)
    _reserved: deque[list[float]] = field(factory=deque)  # [until, how many], oldest first

    def __enter__(self) -> None:
        self.sending += 1

    def __exit__(self, *_: object) -> None:
        self.sending -= 1

    def busy(self) -> int:
        """How many connections are in use: requests under way, and answers not yet read to their end."""
        return self.sending + sum(1 for answer in self.answers if answer.connection is not None)

    def reserve(self, until: float, connections: int) -> None:
        """Somebody will send so many requests, before ``until``."""
        self._reserved.append([until, connections])

    def take(self, now: float) -> None:
        """A request is sent: one reservation less."""
        if self.expected(now):
            self._reserved[0][1] -= 1
            if self._reserved[0][1] <= 0:
                self._reserved.popleft()

    def expected(self, now: float) -> int:
        """How many requests are still to come."""
        while self._reserved and self._reserved[0][0] <= now:
            self._reserved.popleft()
        return int(sum(count for _, count in self._reserved))


class CheckedConfig(AioConfig):  # type: ignore[misc]
    """The configuration of clients that the credential chain makes for itself (STS, SSO), over checked connections.

    aiobotocore's own connections take any trusted certificate, whatever host it is for.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Callable[[str], str | None]) -> None:
        super().__init__(
            http_session_cls=lambda **_: Connections(tls, proxy, Patience()),
            retries={"mode": "standard", "total_max_attempts": 2},  # somebody is waiting to speak
        )

    def merge(self, other_config: Any) -> Any:
        """``other_config`` over this one, which aiobotocore would make without the connections of either."""
        merged = super().merge(other_config)
        given = getattr(other_config, "http_session_cls", DEFAULT_HTTP_SESSION_CLS)
        merged.http_session_cls = self.http_session_cls if given is DEFAULT_HTTP_SESSION_CLS else given
        return merged


# In this order: a kind of error comes before its parents.
_KINDS: tuple[tuple[tuple[type[Exception], ...], Callable[..., Exception]], ...] = (
    ((aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError), exceptions.SSLError),
    ((aiohttp.ConnectionTimeoutError,), exceptions.ConnectTimeoutError),
    ((TimeoutError,), exceptions.ReadTimeoutError),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), exceptions.ConnectionClosedError),
    ((aiohttp.ClientConnectorError,), exceptions.EndpointConnectionError),
    ((OSError,), exceptions.ConnectionClosedError),
)


def _as_botocore(error: Exception, url: str) -> Exception:
    """The error that botocore's own HTTP session would raise, from aiohttp's."""
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        # Its text has the proxy's URL, and that may have a password.
        if isinstance(error, aiohttp.ClientHttpProxyError):
            where, words = "that is set", f"status {error.status}"
        else:
            where, words = f"{error.host}:{error.port}", type(error).__name__
        made: Exception = exceptions.ProxyConnectionError(proxy_url=where, error=words)
        return made
    for kinds, make in _KINDS:
        if isinstance(error, kinds):
            return make(endpoint_url=url, error=error)
    other: Exception = exceptions.HTTPClientError(error=error)
    return other
