"""ChatCompletions: a language model behind OpenAI's chat completions, as a reasoner."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from attrs import Attribute, field, frozen

from voiceloop import clock
from voiceloop.conversation import HistoryLimits, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import BadInput, ProviderError, ProviderUnavailable
from voiceloop.interfaces import Reasoner, ReasonerCapabilities, ReasonerItem, ReasonerRequest, Resources
from voiceloop.openai.address import host_of, is_loopback
from voiceloop.openai.events import Reply
from voiceloop.openai.faults import PROVIDER, Refusal, error_of, learnt, no_address, unknown_model
from voiceloop.openai.request import OPTIONAL, Body, build, used
from voiceloop.rules.backoff import Backoff

if TYPE_CHECKING:
    from voiceloop.openai.wire import Answer, Server

CLOUD = "https://api.openai.com/v1"
"""OpenAI's own service."""

_log = logging.getLogger(__name__)
_USAGE_WAIT = 1.0  # seconds from the end of a reply to its usage; it usually comes at once
_LONGEST_WAIT = 2.0  # seconds that a server may ask for between attempts; somebody is waiting to be answered
_OURS = frozenset({"model", "messages", "tools", "stream"})


def _address(given: str | None) -> str:
    url = given or os.environ.get("OPENAI_BASE_URL", "").strip() or CLOUD
    return url.rstrip("/") if isinstance(url, str) else url


def _check_address(_: object, attribute: Attribute[Any], url: str) -> None:
    what = f"{attribute.name} (or OPENAI_BASE_URL)"
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        fits = False
    if not fits:
        raise BadInput(f"{what} must be a URL such as http://127.0.0.1:11434/v1 or {CLOUD}")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadInput(f"{what} must hold no user, password, query or fragment", hint="A key goes into api_key=.")


def _check_model(_: object, attribute: Attribute[Any], model: str | None) -> None:
    if model is not None and (not isinstance(model, str) or not model.strip() or model != model.strip()):
        raise BadInput(f"model={model!r}: the name of a model is allowed, or None for the server's first")


def _check_key(_: object, attribute: Attribute[Any], key: str | None) -> None:
    if key is not None and (not isinstance(key, str) or not re.fullmatch(r"[\x21-\x7e]+", key)):
        raise BadInput(
            f"{attribute.name} must be a text of ASCII without blanks", hint="Its value is not shown here."
        )


def _check_seconds(_: object, attribute: Attribute[Any], seconds: float) -> None:
    if not seconds > 0:
        raise BadInput(f"{attribute.name}={seconds!r}: more than 0 seconds are allowed")


def _check_tokens(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise BadInput(f"{attribute.name}={value!r}: a whole number of at least 1, or None, is allowed")


def _check_temperature(_: object, attribute: Attribute[Any], value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 <= value <= 2):
        raise BadInput(f"{attribute.name}={value!r}: a number from 0 to 2, or None, is allowed")


def _check_options(_: object, attribute: Attribute[Any], options: Mapping[str, Any]) -> None:
    if wrong := sorted(_OURS & set(options)):
        raise BadInput(f"{attribute.name}: {', '.join(wrong)} cannot be set; it follows from the conversation")


@frozen
class ChatCompletions(Reasoner):
    """A language model behind OpenAI's chat completions: Ollama, llama.cpp, LM Studio, vLLM, OpenAI, and others.

    ``model``: its name; None asks for the first that the server lists (not on OpenAI's own service, which has many).
    ``base_url``: by default ``OPENAI_BASE_URL``, then OpenAI's own. ``api_key``: by default ``OPENAI_API_KEY``, which
    is sent by https and to ``OPENAI_BASE_URL``, and nowhere else; a server on this machine needs none.

    ``max_tokens`` a reply may have; ``temperature`` (0 to 2; a session's own goes before). ``options``: further
    members of the request's body, such as ``{"reasoning_effort": "none"}``. What a server does not take
    (``temperature``, ``stream_options``, pictures, a system message, ...) is left out, or put in another way, from
    then on. What a model thinks first is not spoken.

    ``history``: what the model takes, for those without tools or images, or with a small context. ``timeout``:
    seconds until the answer begins, and between two of its chunks; a cascade's own ``Deadlines`` hold beside it.
    ``backoff``: how often and when a request is tried again, before its first word or call only. Raises BadInput.
    """

    model: str | None = field(default=None, validator=_check_model)
    base_url: str = field(default=None, converter=_address, validator=_check_address, kw_only=True)
    api_key: str | None = field(default=None, validator=_check_key, repr=False, kw_only=True)
    max_tokens: int | None = field(default=4096, validator=_check_tokens, kw_only=True)
    temperature: float | None = field(default=None, validator=_check_temperature, kw_only=True)
    options: Mapping[str, Any] = field(factory=dict, hash=False, repr=False, validator=_check_options, kw_only=True)
    history: HistoryLimits = field(default=HistoryLimits(), kw_only=True)
    timeout: float = field(default=60.0, validator=_check_seconds, kw_only=True)
    backoff: Backoff = field(default=Backoff(first=0.1, most=1.0, attempts=3), kw_only=True)
    capabilities: ReasonerCapabilities = field(init=False, repr=False)

    name = "chat completions"

    @capabilities.default
    def _capabilities(self) -> ReasonerCapabilities:
        return ReasonerCapabilities(self.history)

    def __attrs_post_init__(self) -> None:
        if self.model is None and self.base_url == CLOUD:
            raise BadInput(
                "model=None: OpenAI's own service has many models, name one",
                hint="For a server on this machine set OPENAI_BASE_URL, or give base_url=.",
            )
        self._key()

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        return is_loopback(host_of(self.base_url))

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        """Ask for one reply; see :meth:`Reasoner.reply`. Entering waits for the first words or call of the answer.

        Raises ProviderError.
        """
        server = await _server(request.resources, self.base_url)
        asking = _Asking(self, request, server, self._key(), self.model or await server.choose(self._key()))
        answer, reply, first = await asking.begin()
        try:
            async with aclosing(asking.items(answer, reply, first)) as items:
                yield items
        finally:
            await answer.close(over=reply.complete)

    async def prepare(self, resources: Resources) -> None:
        """Know the model, and have a connection open. Raises ProviderError, such as where there is no server."""
        server = await _server(resources, self.base_url)
        if self.model is None:
            await server.choose(self._key())
        await server.warm()

    def _key(self) -> str | None:
        """The key. That of the environment is for no other server than the environment's, unless by TLS."""
        given = os.environ.get("OPENAI_API_KEY", "").strip()
        if self.api_key is not None or not given:
            return self.api_key
        if not (self.base_url.startswith("https:") or self.base_url == _address(None)):
            return None
        if not re.fullmatch(r"[\x21-\x7e]+", given):
            raise BadInput("OPENAI_API_KEY must be a text of ASCII without blanks", hint="It is not shown here.")
        return given


async def _server(resources: Resources, base_url: str) -> Server:
    with clock.outside_work():  # aiohttp takes long to load
        wire = await anyio.to_thread.run_sync(importlib.import_module, "voiceloop.openai.wire")
    server: Server = await resources.get(("voiceloop.openai", base_url), lambda: wire.opened(base_url))
    return server


@frozen(eq=False)
class _Asking:
    """Asking for one reply, as often as it takes."""

    how: ChatCompletions
    request: ReasonerRequest
    server: Server
    key: str | None
    model: str

    async def begin(self) -> tuple[Answer, Reply, Iterable[ReasonerItem]]:
        """Send the request until an answer says something: the answer, and what it said. Raises ProviderError."""
        attempt = 0
        while True:
            again = 0.0
            try:
                body = self._body()
                begun = await self._once(body)
                if not isinstance(begun, Refusal):
                    return begun
                if self._learn(begun, body):
                    continue
                again = begun.again or 0.0
                raise await self._error(begun)
            except ProviderError as error:
                attempt += 1
                wait = self.how.backoff.delay(attempt, clock.random()) if error.retryable else None
                if wait is None or again > _LONGEST_WAIT:
                    raise
            await anyio.sleep(max(wait, again))

    def _body(self) -> Body:
        return build(
            self.model,
            self.request,
            base_url=self.how.base_url,
            max_tokens=self.how.max_tokens,
            temperature=self.how.temperature,
            options=self.how.options,
            refused=self.server.refused(self.key, self.model),
        )

    async def _once(self, body: Body) -> tuple[Answer, Reply, Iterable[ReasonerItem]] | Refusal:
        answer = await self.server.ask(body, self.key, self.how.timeout)
        if isinstance(answer, Refusal):
            return answer
        reply = Reply(lambda: clock.new_id()[:9])  # Mistral's templates want nine letters and digits
        try:
            while True:
                chunk = await answer.next(self.how.timeout)
                if isinstance(chunk, Refusal):
                    await answer.close(over=False)
                    return chunk
                items = _items(answer, reply, chunk)
                if items or reply.stopped:
                    return answer, reply, items
        except BaseException:
            await answer.close(over=False)
            raise

    async def items(
        self, answer: Answer, reply: Reply, first: Iterable[ReasonerItem]
    ) -> AsyncGenerator[ReasonerItem, None]:
        """What the reply says, from its ``first`` items on. Raises ProviderError."""
        for item in first:
            yield item
        while not reply.complete:
            chunk = await self._next(answer, reply)
            if isinstance(chunk, Refusal):
                raise await self._error(chunk)
            for item in _items(answer, reply, chunk):
                yield item
        for item in reply.last():
            yield item

    async def _next(self, answer: Answer, reply: Reply) -> Mapping[str, Any] | Refusal | None:
        if not reply.stopped:
            return await answer.next(self.how.timeout)
        try:
            return await answer.next(_USAGE_WAIT)
        except ProviderError:  # all of the reply is there; only its usage is not
            return None

    def _learn(self, refusal: Refusal, body: Body) -> bool:
        """Whether the server refused what can be left out, or put in another way."""
        known = self.server.refused(self.key, self.model)
        name = learnt(refusal, known | (OPTIONAL - used(body)))
        if name is None:
            return False
        known.add(name)
        _log.info("%s refused what was sent for %r; it is put in another way from now on", self.model, name)
        return True

    async def _error(self, refusal: Refusal) -> ProviderError:
        if refusal.no_model:
            self.server.forget(self.key)
            models: tuple[str, ...] = ()
            with suppress(ProviderError):
                models = await self.server.models(self.key)
            if models and self.model not in models:
                return unknown_model(self.model, models, self.how.base_url)
            if not models and refusal.status == 404:
                return no_address(self.how.base_url)
        return error_of(refusal, base_url=self.how.base_url, model=self.model, said=_said(self.request))


def _items(answer: Answer, reply: Reply, chunk: Mapping[str, Any] | None) -> tuple[ReasonerItem, ...]:
    """What a chunk says, or the end of the answer. Raises ProviderUnavailable for an end without a reason."""
    if chunk is not None:
        return reply.feed(chunk)
    if not (answer.done or reply.stopped):
        raise ProviderUnavailable("the reply broke off", provider=PROVIDER, doing="reading a reply", retryable=True)
    return reply.done()


def _said(request: ReasonerRequest) -> Iterable[str]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                yield part.text
            elif isinstance(part, ToolResultPart):
                yield part.result
            elif isinstance(part, ToolCallPart):
                yield from (value for value in part.arguments.values() if isinstance(value, str))


__all__ = ("CLOUD", "ChatCompletions")
