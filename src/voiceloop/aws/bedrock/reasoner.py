"""Bedrock: any language model of Amazon Bedrock as a reasoner."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
from attrs import Attribute, evolve, field, frozen

from voiceloop import clock
from voiceloop.aws.account import Access, Account, is_account
from voiceloop.aws.arguments import of_kind
from voiceloop.aws.bedrock.events import Reply
from voiceloop.aws.bedrock.learnt import Learnt, nothing_learnt
from voiceloop.aws.bedrock.models import default_model, geography, reasoning_fields
from voiceloop.aws.bedrock.request import Options, build
from voiceloop.aws.bedrock.stream import PROVIDER, SERVICE, Events, ask
from voiceloop.aws.faults import fault_of
from voiceloop.aws.shelf import shelved
from voiceloop.conversation import HistoryLimits
from voiceloop.errors import BadInput, ProviderError, ProviderMisbehaved, ProviderUnavailable
from voiceloop.interfaces import Reasoner, ReasonerCapabilities, ReasonerItem, ReasonerRequest, Resources
from voiceloop.rules.backoff import Backoff

_log = logging.getLogger(__name__)
_USAGE_WAIT = 1.0  # seconds from the end of a reply to its usage; it usually comes at once
_ALL = HistoryLimits()


def _model(_: object, attribute: Attribute[Any], model: str | None) -> None:
    if model is not None and (not isinstance(model, str) or not model.strip() or model != model.strip()):
        raise BadInput(f"model={model!r}: an inference profile, a model id or an ARN is allowed, or None")


def _seconds(_: object, attribute: Attribute[Any], seconds: float) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise BadInput(f"{attribute.name}={seconds!r}: more than 0 seconds are allowed")


@frozen
class Bedrock(Options, Reasoner):
    """A language model of Amazon Bedrock, by ConverseStream.

    ``model``: an inference profile ("us.anthropic.claude-haiku-5-5"), a model id or an ARN; None asks Claude
    Haiku 5.5 by the profile of the account's region, without extended thinking. ``account``: whose, and where.

    ``max_tokens`` a reply may have (Bedrock counts it against the quota from the start); ``temperature`` and
    ``top_p`` (0 to 1; a session's own temperature goes before; left out from then on where the model refuses them),
    ``stop``: texts that end a reply. ``tool_choice``: "auto", "any" or a tool's name, for new words of the user.
    ``reasoning``: how much to think first, "off", "low" to "max"; thinking delays the first word. None: as the model
    does by itself. ``cache``: mark the instructions, the tools and the conversation for the prompt cache.
    ``guardrail``, ``service_tier`` and ``latency`` as Bedrock has them. ``fields``: the model's own further fields,
    ``metadata``: up to 16 pairs for the invocation logs.

    ``history``: what the model takes, for those without tools or images. ``timeout``: seconds until the answer
    begins, after which the request is made again; so that this fits, it is less than half of a cascade's
    ``deadlines.first_token``. Raise both for a model that thinks for longer without a word. ``gap``: seconds between
    two events of an answer that has begun. ``backoff``: how often and when a request is tried again, before its
    first word or call only. Raises BadInput for values that are not allowed.
    """

    model: str | None = field(default=None, validator=_model, kw_only=False)
    account: Account = field(default=Account(), kw_only=True, validator=is_account)
    history: HistoryLimits = field(default=_ALL, kw_only=True, validator=of_kind(HistoryLimits))
    timeout: float = field(default=8.0, validator=_seconds, kw_only=True)
    gap: float = field(default=20.0, validator=_seconds, kw_only=True)
    backoff: Backoff = field(
        default=Backoff(first=0.1, most=1.0, attempts=3), kw_only=True, validator=of_kind(Backoff)
    )
    capabilities: ReasonerCapabilities = field(init=False, repr=False)

    name = "Amazon Bedrock"

    @capabilities.default
    def _capabilities(self) -> ReasonerCapabilities:
        return ReasonerCapabilities(self.history)

    def __attrs_post_init__(self) -> None:
        if self.model is not None and self.reasoning is not None:
            reasoning_fields(self.model, self.reasoning)

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        """Ask for one reply; see :meth:`Reasoner.reply`. Entering waits for the first words or call of the answer.

        Raises ProviderError; UnknownName when ``tool_choice`` is none of the request's tools.
        """
        asking = await self._asking(request)
        events, reply, first = await asking.begin()
        try:
            async with aclosing(self._items(events, reply, first)) as items:
                yield items
        finally:
            await events.close(over=reply.complete)
            asking.learnt.keep(reply)

    async def prepare(self, resources: Resources) -> None:
        """Have a connection to Bedrock open."""
        await (await self.account.access(resources)).warm(SERVICE)

    async def _asking(self, request: ReasonerRequest) -> _Asking:
        access = await self.account.access(request.resources)
        options: Options = self
        model = self.model
        if model is None:
            model = default_model(access.region)
            if self.reasoning is None and "thinking" not in self.fields:
                options = evolve(options, reasoning="off")
        learnt = await shelved(request.resources, ("voiceloop.aws.bedrock", self.account, model), nothing_learnt)
        return _Asking(model, options, request, access, learnt, self.timeout, self.backoff)

    async def _items(
        self, events: Events, reply: Reply, first: Iterable[ReasonerItem]
    ) -> AsyncGenerator[ReasonerItem, None]:
        for item in first:
            yield item
        while not reply.complete and (event := await self._next(events, reply)) is not None:
            for item in reply.feed(event):
                yield item
        if not reply.stopped:
            raise _broken_off()
        if reply.reason.startswith("malformed"):
            raise ProviderMisbehaved(
                f"the model wrote what is no reply ({reply.reason})",
                provider=PROVIDER,
                doing="reading a reply",
                retryable=True,
            )
        yield reply.stop()

    async def _next(self, events: Events, reply: Reply) -> Mapping[str, Any] | None:
        if not reply.stopped:
            return await events.next(self.gap)
        try:
            return await events.next(_USAGE_WAIT)
        except ProviderError:  # all of the reply is there; only its usage is not
            return None


@frozen(eq=False)
class _Asking:
    """Asking for one reply, as often as it takes."""

    model: str
    options: Options
    request: ReasonerRequest
    access: Access
    learnt: Learnt
    timeout: float
    backoff: Backoff

    async def begin(self) -> tuple[Events, Reply, Iterable[ReasonerItem]]:
        """Send the request until an answer says something: its events, and what it said. Raises ProviderError."""
        client = await self.access.client(SERVICE)
        attempt = 0
        while True:
            members = build(self.model, self.request, self.options, self.learnt.refused, self.learnt.thoughts)
            attempt += 1
            try:
                return await self._once(client, members)
            except ProviderError as error:
                if self._refused(error, members):
                    attempt -= 1
                    continue
                wait = self.backoff.delay(attempt, clock.random()) if error.retryable else None
                if wait is None:
                    raise
            await anyio.sleep(wait)

    async def _once(self, client: Any, members: Mapping[str, Any]) -> tuple[Events, Reply, Iterable[ReasonerItem]]:
        events, reply = await ask(client, members, self.timeout), Reply()
        try:
            while (event := await events.next(self.timeout)) is not None:
                items = reply.feed(event)
                if items or reply.stopped:
                    return events, reply, items
            raise _broken_off()
        except BaseException:
            await events.close(over=False)
            raise

    def _refused(self, error: ProviderError, members: Mapping[str, Any]) -> bool:
        """Whether the model refused what can be left out. Puts the profile to ask for into the error's hint."""
        fault = fault_of(error)
        if fault is None:
            return False
        if "on-demand throughput" in fault.message:
            profile = f"{geography(self.access.region)}.{self.model}"
            error.hint = f"Ask for its inference profile: Bedrock({profile!r}). {error.hint}"
        name = self.learnt.refusal(fault.message, members)
        if name is not None:
            _log.info("%s does not take %s; it is left out from now on", self.model, name)
        return name is not None


def _broken_off() -> ProviderError:
    return ProviderUnavailable("the reply broke off", provider=PROVIDER, doing="reading a reply", retryable=True)


__all__ = ("Bedrock",)
