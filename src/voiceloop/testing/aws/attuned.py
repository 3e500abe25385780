"""A recognizer that is told what the reasoner expects to hear, though a wire lies between the two."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from attrs import define, field, frozen

from voiceloop.conversation import Message, TextPart
from voiceloop.interfaces import (
    Expectation,
    ListenConfig,
    Listening,
    Reasoner,
    ReasonerCapabilities,
    ReasonerItem,
    ReasonerRequest,
    Recognizer,
    RecognizerCapabilities,
    Resources,
    TextDelta,
    ToolCall,
)
from voiceloop.testing.aws.exchange import asking

_REMEMBERED = 1000


def attuned(recognizer: Recognizer, reasoner: Reasoner) -> tuple[Recognizer, Reasoner]:
    """Both, joined: after each reply of ``reasoner`` every open stream of ``recognizer`` expects what it expects.

    A session's cascade does this for an offline recognizer; behind AWS's protocols nobody does. Of all that is on the
    wire only the access key says which streams belong together: meant for one conversation of each key at a time.
    """
    callers = _Callers(reasoner)
    return _Recognizer(recognizer, callers), _Reasoner(reasoner, callers)


@define(eq=False)
class _Hints:
    expected: Expectation | None
    streams: list[Listening] = field(factory=list)

    async def tell(self, expected: Expectation | None) -> None:
        self.expected = expected
        for stream in tuple(self.streams):
            await stream.expect(expected)


@define(eq=False)
class _Callers:
    """What is expected of each caller, of whom the latest are remembered."""

    _reasoner: Reasoner
    _known: OrderedDict[str, _Hints] = field(factory=OrderedDict, init=False)

    def here(self) -> _Hints:
        """Those of the caller whose request is being answered."""
        caller = asking.get()
        hints = self._known.setdefault(caller, _Hints(self._reasoner.expect(())))
        self._known.move_to_end(caller)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return hints


@frozen(eq=False)
class _Recognizer(Recognizer):
    _inner: Recognizer
    _callers: _Callers

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._inner.name

    @property
    def capabilities(self) -> RecognizerCapabilities:  # type: ignore[override]
        return self._inner.capabilities

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        hints = self._callers.here()
        async with self._inner.open(config) as stream:
            await stream.expect(hints.expected)
            hints.streams.append(stream)
            try:
                yield stream
            finally:
                hints.streams.remove(stream)


@frozen(eq=False)
class _Reasoner(Reasoner):
    _inner: Reasoner
    _callers: _Callers

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._inner.name

    @property
    def capabilities(self) -> ReasonerCapabilities:  # type: ignore[override]
        return self._inner.capabilities

    def reply(self, request: ReasonerRequest) -> AbstractAsyncContextManager[AsyncIterator[ReasonerItem]]:
        return self._reply(request)

    @asynccontextmanager
    async def _reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        async with self._inner.reply(request) as items:
            yield self._followed(request.messages, items, self._callers.here())

    async def _followed(
        self, messages: tuple[Message, ...], items: AsyncIterator[ReasonerItem], hints: _Hints
    ) -> AsyncIterator[ReasonerItem]:
        said, calls = "", False
        async for item in items:
            if isinstance(item, TextDelta):
                said += item.text
            calls = calls or isinstance(item, ToolCall)
            yield item
        if not calls:
            reply = (Message("assistant", (TextPart(said),)),) if said.strip() else ()
            await hints.tell(self._inner.expect((*messages, *reply)))

    async def prepare(self, resources: Resources) -> None:
        await self._inner.prepare(resources)

    def expect(self, messages: Sequence[Message]) -> Expectation | None:
        return self._inner.expect(messages)
