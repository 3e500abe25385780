"""HTTP to one server: its connections, its answers, and its failures to answer."""

from __future__ import annotations

import json
import math
import ssl
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
from attrs import define, field

from voiceloop import clock
from voiceloop.errors import ProviderError, ProviderMisbehaved, ProviderRefused, ProviderTimeout, ProviderUnavailable
from voiceloop.openai import sse
from voiceloop.openai.address import proxy_of
from voiceloop.openai.faults import ASKING, PROVIDER, Refusal, nothing_there

_CONNECT = 5.0  # seconds until a connection stands
_KEEP = 55.0  # seconds that an idle one is kept: less than what load balancers allow
_BODY = 4_000_000  # bytes of an answer that is no stream
_LISTING = 5.0  # seconds for the list of models
_DRAIN = 0.5  # seconds in which an answer that is over must end, so that its connection serves the next one
_MOST = 256  # models that something is known of
_READING = "reading a reply"
_DONE = "[DONE]"


class Answer:
    """A streamed reply, chunk by chunk. ``done``: the server said that there is no more. Close it."""

    def __init__(self, response: aiohttp.ClientResponse, base_url: str, whole: bytes | None = None) -> None:
        self.done = False
        self._response = response
        self._base_url = base_url
        self._events = sse.Events()
        self._waiting: deque[sse.Event] = deque()
        self._over = whole is not None
        if whole is not None:
            self._waiting += (sse.Event("message", whole.decode("utf-8", "replace")), sse.Event("message", _DONE))

    async def next(self, seconds: float) -> Mapping[str, Any] | Refusal | None:
        """The next chunk, or None at the end; a Refusal, where the stream tells of an error.

        Raises ProviderError, ProviderTimeout after ``seconds``.
        """
        with _within(seconds, _READING), translated(self._base_url, _READING):
            while not self._waiting and not self._over:
                await self._read()
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        if event.data.strip() == _DONE:
            self.done = True
            return None
        chunk = _object(event.data)
        if chunk is None:
            if self._over and not self._waiting:  # half a chunk: it was cut off
                return None
            raise _no_reply("it sent what is no JSON object")
        return Refusal.told(chunk) if event.name == "error" or chunk.get("error") else chunk

    async def _read(self) -> None:
        piece = await self._response.content.readany()
        self._over = not piece
        try:
            self._waiting.extend(self._events.feed(piece) if piece else self._events.end())
        except sse.TooLong:
            raise _no_reply(f"an event of more than {sse.LONGEST} bytes") from None

    async def close(self, *, over: bool) -> None:
        """Free the connection: at once, or for the next request when the reply is ``over``."""
        try:
            if over:
                with clock.outside_work(), anyio.move_on_after(_DRAIN), suppress(aiohttp.ClientError, OSError):
                    while await self._response.content.readany():
                        pass
        finally:
            self._response.close()  # does nothing to a connection whose answer was read to its end


@define(eq=False)
class Server:
    """A server, and what is known of it. ``refused``: by key and model, what it does not take."""

    base_url: str
    _http: aiohttp.ClientSession
    _proxy: str | None
    _refused: OrderedDict[tuple[str | None, str], set[str]] = field(factory=OrderedDict)
    _chosen: OrderedDict[str | None, str] = field(factory=OrderedDict)
    _used: float = -math.inf

    def refused(self, key: str | None, model: str) -> set[str]:
        """What ``model`` was seen not to take; to be added to."""
        refused: set[str] = _kept(self._refused, (key, model), set())
        return refused

    async def ask(self, body: Mapping[str, Any], key: str | None, seconds: float) -> Answer | Refusal:
        """Send a request. Raises ProviderError, ProviderTimeout when no answer begins within ``seconds``."""
        with _within(seconds, ASKING), translated(self.base_url, ASKING):
            response = await self._request("POST", "chat/completions", key, json=body)
        try:
            if response.status != 200:
                refusal = await self._refusal(response, seconds)
                response.close()
                return refusal
            kind = response.content_type
            if kind == "application/json":  # from a server that does not stream
                return Answer(response, self.base_url, await self._body(response, seconds))
            if kind != "text/event-stream":
                raise _no_reply(f"it sent {kind}", "Is the base_url right? It usually ends in /v1.")
        except BaseException:
            response.close()
            raise
        return Answer(response, self.base_url)

    async def _refusal(self, response: aiohttp.ClientResponse, seconds: float) -> Refusal:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = b""
        with suppress(ProviderError):  # its status says enough
            body = await self._body(response, seconds)
        return Refusal.of(response.status, body, headers)

    async def _body(self, response: aiohttp.ClientResponse, seconds: float) -> bytes:
        body = b""
        with _within(seconds, _READING), translated(self.base_url, _READING):
            while (piece := await response.content.readany()) and len(body) < _BODY:
                body += piece
        return body

    async def models(self, key: str | None, seconds: float = _LISTING) -> tuple[str, ...]:
        """The names of its models. Raises ProviderError; a list that cannot be read is empty."""
        doing = "asking for its models"
        with _within(seconds, doing), translated(self.base_url, doing):
            async with await self._request("GET", "models", key) as response:
                told = _object(await response.read()) if response.status == 200 else None
        listed = told.get("data") if told is not None else None
        known = listed if isinstance(listed, list) else ()
        return tuple(str(each["id"]) for each in known if isinstance(each, Mapping) and each.get("id"))

    async def choose(self, key: str | None) -> str:
        """The first model of its list that can talk; asked for once. Raises ProviderError."""
        if key not in self._chosen:
            models = await self.models(key)
            talking = [name for name in models if "embed" not in name.lower()]
            if not talking:
                hint = "Load one, e.g. by `ollama pull` or `lms load`, or name it: ChatCompletions(model=...)."
                raise ProviderRefused(
                    f"{self.base_url} lists no model", provider=PROVIDER, doing=ASKING, hint=hint, retryable=True
                )
            _kept(self._chosen, key, talking[0])
        return self._chosen[key]

    def forget(self, key: str | None) -> None:
        """Choose again, the next time."""
        self._chosen.pop(key, None)

    async def warm(self) -> None:
        """Have a connection open. Raises ProviderError."""
        if clock.now() - self._used > _KEEP / 2:
            await self.models(None)  # without the key: a refusal is shorter than the list

    async def _request(self, method: str, path: str, key: str | None, **more: Any) -> aiohttp.ClientResponse:
        headers = {"Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self.base_url}/{path}"
        response = await self._http.request(
            method, url, headers=headers, proxy=self._proxy, allow_redirects=False, **more
        )
        self._used = clock.now()
        return response


def _object(text: str | bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Mapping) else None


def _kept(things: OrderedDict[Any, Any], key: Any, default: Any) -> Any:
    value = things.setdefault(key, default)
    things.move_to_end(key)
    while len(things) > _MOST:
        things.popitem(last=False)
    return value


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[Server]:
    """Connections to a server, as a resource of a pool."""
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=512, keepalive_timeout=_KEEP),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    async with http:
        yield Server(base_url, http, proxy_of(base_url))


@contextmanager
def _within(seconds: float, doing: str) -> Iterator[None]:
    with clock.outside_work(), anyio.move_on_after(seconds) as patience:
        yield
    if patience.cancelled_caught:
        raise ProviderTimeout(
            f"nothing came within {seconds:g} s",
            provider=PROVIDER,
            doing=doing,
            retryable=True,
            hint="A model that is being loaded, or a slow machine, needs a longer timeout=.",
        )


@contextmanager
def translated(base_url: str, doing: str) -> Iterator[None]:
    """A context in which what aiohttp or a socket raises leaves as a ProviderError."""
    failure: ProviderError
    try:
        yield
        return
    except aiohttp.ClientConnectorCertificateError as error:
        failure = _wrong(f"the certificate of {error.host} is not trusted", doing, "Set SSL_CERT_FILE to its CA.")
    except aiohttp.ClientConnectorSSLError as error:
        wrong = isinstance(error.os_error, ssl.SSLError) and "WRONG_VERSION" in str(error.os_error)
        hint = "It may speak plain http: give http://, not https://." if wrong else ""
        failure = _wrong(f"there is no TLS with {error.host}", doing, hint)
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        # Its text has the proxy's URL, and that may have a password.
        kind = f"HTTP {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else "it cannot be reached"
        failure = _wrong(f"the proxy did not connect ({kind})", doing, "See HTTPS_PROXY, HTTP_PROXY and NO_PROXY.")
    except aiohttp.ClientConnectorDNSError as error:
        failure = _gone(f"the name {error.host} cannot be resolved", doing)
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, ConnectionRefusedError)
        words = error.os_error.strerror or type(error.os_error).__name__
        failure = nothing_there(base_url) if refused else _gone(f"{error.host} cannot be reached: {words}", doing)
    except aiohttp.ServerTimeoutError:
        failure = _gone(f"{urlsplit(base_url).netloc} cannot be reached within {_CONNECT:g} s", doing)
    except (aiohttp.ClientError, OSError) as error:
        failure = _gone(f"the connection broke off ({type(error).__name__})", doing)
    raise failure from None


def _wrong(message: str, doing: str, hint: str) -> ProviderError:
    return ProviderRefused(message, provider=PROVIDER, doing=doing, hint=hint)


def _gone(message: str, doing: str) -> ProviderError:
    return ProviderUnavailable(message, provider=PROVIDER, doing=doing, retryable=True)


def _no_reply(message: str, hint: str = "") -> ProviderError:
    return ProviderMisbehaved(f"this is no reply: {message}", provider=PROVIDER, doing=_READING, hint=hint)
