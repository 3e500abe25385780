"""A recognizer that is told what the reasoner expects to hear, though a wire lies between the two."""

from __future__ import annotations

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


def attuned(recognizer: Recognizer, reasoner: Reasoner) -> tuple[Recognizer, Reasoner]:
    """Both, joined: after each reply of ``reasoner`` every open stream of ``recognizer`` expects what it expects.

    A session's cascade does this for an offline recognizer; behind AWS's protocols nobody does. Meant for one
    conversation at a time, since nothing on the wire says which streams belong together.
    """
    hints = _Hints(reasoner.expect(()))
    return _Recognizer(recognizer, hints), _Reasoner(reasoner, hints)


@define(eq=False)
class _Hints:
    expected: Expectation | None
    streams: list[Listening] = field(factory=list)

    async def tell(self, expected: Expectation | None) -> None:
        self.expected = expected
        for stream in tuple(self.streams):
            await stream.expect(expected)


@frozen(eq=False)
class _Recognizer(Recognizer):
    _inner: Recognizer
    _hints: _Hints

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._inner.name

    @property
    def capabilities(self) -> RecognizerCapabilities:  # type: ignore[override]
        return self._inner.capabilities

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with self._inner.open(config) as stream:
            await stream.expect(self._hints.expected)
            self._hints.streams.append(stream)
            try:
                yield stream
            finally:
                self._hints.streams.remove(stream)


@frozen(eq=False)
class _Reasoner(Reasoner):
    _inner: Reasoner
    _hints: _Hints

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
            yield self._followed(request.messages, items)

    async def _followed(
        self, messages: tuple[Message, ...], items: AsyncIterator[ReasonerItem]
    ) -> AsyncIterator[ReasonerItem]:
        said, calls = "", False
        async for item in items:
            if isinstance(item, TextDelta):
                said += item.text
            calls = calls or isinstance(item, ToolCall)
            yield item
        if not calls:
            reply = (Message("assistant", (TextPart(said),)),) if said.strip() else ()
            await self._hints.tell(self._inner.expect((*messages, *reply)))

    async def prepare(self, resources: Resources) -> None:
        await self._inner.prepare(resources)

    def expect(self, messages: Sequence[Message]) -> Expectation | None:
        return self._inner.expect(messages)
