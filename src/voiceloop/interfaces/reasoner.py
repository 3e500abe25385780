"""Reasoner: a conversation in, a streamed reply out. One implementation is one short file."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from voiceloop.conversation import HistoryLimits, Message
from voiceloop.interfaces.pool import Resources
from voiceloop.interfaces.recognizer import Expectation
from voiceloop.tools import Tool


@frozen
class ReasonerCapabilities:
    """What a reasoner takes: the limits that the history view is made for."""

    history: HistoryLimits = HistoryLimits()


@frozen
class ReasonerRequest:
    """One request for a reply.

    ``messages`` is a valid history: it starts with the user, alternates, holds no blank text, and every tool call has
    its result. It ends with a user message (words, or tool results). ``temperature`` None: the provider's default.
    """

    messages: tuple[Message, ...]
    resources: Resources
    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    temperature: float | None = None


@frozen
class TextDelta:
    """More text of the reply, as it is written."""

    text: str


@frozen
class ToolCall:
    """The model calls a tool. ``arguments`` as the model wrote them: a mapping, or a string that was no JSON object.

    The reply ends after its calls; the engine runs the tools and asks again with their results in the history.
    """

    call: str
    name: str
    arguments: Mapping[str, Any] | str


@frozen
class ReasonerUsage:
    """Consumption of this reply, by unit, such as ``{"input_tokens": 812, "output_tokens": 40}``."""

    amounts: dict[str, float]


@frozen
class Stop:
    """Why the reply ended: "end", "tools", "length", "filtered"; optional, last."""

    reason: str


ReasonerItem: TypeAlias = TextDelta | ToolCall | ReasonerUsage | Stop


class Reasoner(abc.ABC):
    """A conversation in, a streamed reply out. An immutable value; constructing it does no I/O."""

    name: ClassVar[str] = "reasoner"
    capabilities: ReasonerCapabilities = ReasonerCapabilities()

    @abc.abstractmethod
    def reply(self, request: ReasonerRequest) -> AbstractAsyncContextManager[AsyncIterator[ReasonerItem]]:
        """Ask for one reply. Entering sends the request; the iterator yields items as they are written, then ends.

        Leaving early cancels the reply at once and frees its connection. Raises ProviderError.
        """

    async def prepare(self, resources: Resources) -> None:
        """Open what :meth:`reply` will need, so that its first word is not late. The default does nothing.

        Called when a session opens and whenever the user begins to speak; a failure shows at the next call instead.
        """

    def expect(self, messages: Sequence[Message]) -> Expectation | None:
        """What the user may say next after ``messages``; None (the default) for anything. Pure and quick."""
        return None
