"""A reasoner that gives the replies of its script."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

import anyio
from attrs import field, frozen

from voiceloop.conversation import Message
from voiceloop.errors import ProviderMisbehaved
from voiceloop.interfaces import (
    Expectation,
    Reasoner,
    ReasonerCapabilities,
    ReasonerItem,
    ReasonerRequest,
    ReasonerUsage,
    Stop,
    TextDelta,
    ToolCall,
)
from voiceloop.testing.checks import items
from voiceloop.testing.scripted.steps import Delay, Fail, Hang, Step, perform

ScriptedReply: TypeAlias = (
    "str | Step | Sequence[str | ReasonerItem | Step] | Callable[[ReasonerRequest], ScriptedReply]"
)
_ENTRIES = (str, TextDelta, ToolCall, ReasonerUsage, Stop, Delay, Fail, Hang)


def check_replies(name: str, replies: object) -> None:
    """Raise BadInput unless they are a list of replies, or a function."""
    if callable(replies):
        return
    items(name, replies, (str, list, tuple, Delay, Fail, Hang, Callable), "texts, lists, steps or functions")  # type: ignore[arg-type]
    assert isinstance(replies, Sequence)
    for index, reply in enumerate(replies):
        if isinstance(reply, list | tuple):
            items(f"{name}[{index}]", reply, _ENTRIES, "texts, items of a reasoner and steps")


@frozen(eq=False)
class ScriptedReasoner(Reasoner):
    """The n-th request gets the n-th of ``replies``; ``cycle`` begins again after the last.

    A reply is text, a list of text, items and steps (``Delay``, ``Fail``, ``Hang``), one step, or a function of the
    request that returns one. Text is written word by word, the first after ``first_token`` seconds and the others
    every ``token`` seconds; ``Stop`` comes by itself. A step alone happens when the request is sent, instead of a
    reply. A request too many raises ProviderMisbehaved. Raises BadInput for what cannot be a script.
    ``expectation`` is what ``expect`` answers, or a function of the messages.

    ``requests`` and ``outcomes`` ("running", "complete", "cut", "failed") record every request.
    """

    name = "scripted reasoner"

    replies: Sequence[ScriptedReply] | Callable[[ReasonerRequest], ScriptedReply] = field(
        default=(), validator=lambda _, __, given: check_replies("replies", given)
    )
    first_token: float = 0.2
    token: float = 0.01
    cycle: bool = field(default=False, kw_only=True)
    expectation: Expectation | Callable[[Sequence[Message]], Expectation | None] | None = field(
        default=None, kw_only=True
    )
    capabilities: ReasonerCapabilities = field(factory=ReasonerCapabilities, kw_only=True)
    requests: list[ReasonerRequest] = field(init=False, factory=list, repr=False)
    outcomes: list[str] = field(init=False, factory=list, repr=False)

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        number = len(self.requests)
        self.requests.append(request)
        self.outcomes.append("running")
        try:
            script = self._scripted(number, request)
            if isinstance(script, Delay | Fail | Hang):
                await perform(script)
                script = ()
            async with aclosing(self._write(script, number)) as items:
                yield items
        except Exception:
            self.outcomes[number] = "failed"
            raise
        finally:
            if self.outcomes[number] == "running":
                self.outcomes[number] = "cut"

    def expect(self, messages: Sequence[Message]) -> Expectation | None:
        return self.expectation(messages) if callable(self.expectation) else self.expectation

    def _scripted(self, number: int, request: ReasonerRequest) -> Step | Sequence[str | ReasonerItem | Step]:
        reply: ScriptedReply
        if callable(self.replies):
            reply = self.replies
        elif number < len(self.replies) or (self.cycle and self.replies):
            reply = self.replies[number % len(self.replies)]
        else:
            raise ProviderMisbehaved(
                f"the script has {len(self.replies)} replies, this is request {number + 1}", provider=self.name
            )
        while callable(reply):
            reply = reply(request)
        return (reply,) if isinstance(reply, str) else reply

    async def _write(
        self, script: Sequence[str | ReasonerItem | Step], number: int
    ) -> AsyncGenerator[ReasonerItem, None]:
        await anyio.sleep(self.first_token)
        for entry in self._plan(script):
            if isinstance(entry, Delay | Fail | Hang):
                await perform(entry)
            else:
                yield entry
        self.outcomes[number] = "complete"

    def _plan(self, script: Sequence[str | ReasonerItem | Step]) -> Iterator[ReasonerItem | Step]:
        """The script, its text cut into tokens with a delay before each but the first, and an ending."""
        first, ending = True, Stop("end")
        for entry in script:
            for item in _tokens(entry) if isinstance(entry, str) else (entry,):
                if isinstance(item, TextDelta):
                    if not first and self.token:
                        yield Delay(self.token)
                    first = False
                if isinstance(item, ToolCall):
                    ending = Stop("tools")
                if isinstance(item, Stop):
                    ending = item
                else:
                    yield item
        yield ending


def _tokens(text: str) -> Iterator[TextDelta]:
    """Words with the space before them, as models write."""
    return (TextDelta(word) for word in re.findall(r"\s*\S+|\s+$", text))
