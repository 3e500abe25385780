"""The conformance suite for reasoners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from attrs import define

from voiceloop import clock
from voiceloop.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.engine.pool import Pool
from voiceloop.interfaces import (
    Expectation,
    Reasoner,
    ReasonerRequest,
    ReasonerUsage,
    Resources,
    Stop,
    TextDelta,
    ToolCall,
)
from voiceloop.testing.conformance.findings import Findings
from voiceloop.testing.conformance.transcripts import amounts
from voiceloop.tools import Tool

_HELLO = (Message("user", (TextPart("Hello, who are you?"),)),)
_TALK = (
    *_HELLO,
    Message("assistant", (TextPart("I am an assistant – “at your service”."),)),
    Message("user", (TextPart("What is 5 < 7 & 3? Résumé, 你好."),)),
)


async def check_reasoner(
    reasoner: Reasoner | Callable[[], Reasoner],
    messages: Sequence[Message] = _HELLO,
    *,
    timeout: float = 60.0,
    pool: Callable[[], AbstractAsyncContextManager[Resources]] = Pool,
) -> None:
    """Check a reasoner, or what a function makes, against the contract of its interface.

    ``messages``: a history that it should answer. Each of the phases has ``timeout`` seconds. Raises ConformanceError
    with every breach found: items and their order, histories of several turns and with tools, ``expect``, leaving
    early, cancelling, two replies at once, and what is left behind.
    """
    findings = Findings("the reasoner", timeout, pool)
    made = findings.construct(reasoner)
    findings.name = f"{made.name} ({type(made).__name__})"
    suite = _Suite(findings, made, tuple(messages))
    await findings.phase("one reply", suite.one)
    await findings.phase("a longer conversation", suite.longer)
    if made.capabilities.history.tools:
        await findings.phase("a conversation with tools", suite.tools)
    await findings.phase("expecting", suite.expecting)
    await findings.phase("leaving early", suite.leaving)
    await findings.phase("cancelling", suite.cancelling)
    await findings.phase("two replies at once", suite.two)
    findings.finish()


@define(eq=False)
class _Suite:
    findings: Findings
    reasoner: Reasoner
    messages: tuple[Message, ...]

    async def one(self, resources: Resources) -> None:
        await self._reply(ReasonerRequest(self.messages, resources, "Answer in one short sentence."))

    async def longer(self, resources: Resources) -> None:
        await self._reply(ReasonerRequest(_TALK, resources, temperature=0.5))

    async def tools(self, resources: Resources) -> None:
        tool = _clock_tool()
        asked = Message("assistant", (ToolCallPart("c1", tool.name, {}),))
        answered = Message("user", (ToolResultPart("c1", tool.name, '"noon"'),))
        await self._reply(ReasonerRequest((*_HELLO, asked, answered), resources, tools=(tool,)))

    async def expecting(self, resources: Resources) -> None:
        first, second = self.reasoner.expect(_TALK), self.reasoner.expect(_TALK)
        self.findings.check(
            first is None or isinstance(first, Expectation), "expect gives no Expectation and no None"
        )
        self.findings.check(first == second, "expect says different things of the same messages: it is not pure")

    async def leaving(self, resources: Resources) -> None:
        async def use() -> float:
            async with self.reasoner.reply(ReasonerRequest(self.messages, resources)) as items:
                await anext(items, None)
                return clock.now()

        await self.findings.left(use)

    async def cancelling(self, resources: Resources) -> None:
        async def use() -> None:
            async with self.reasoner.reply(ReasonerRequest(self.messages, resources)) as items:
                async for _ in items:
                    pass

        for after in (0.0, 0.05, 0.3):
            await self.findings.cancelled(use, after=after)

    async def two(self, resources: Resources) -> None:
        async with anyio.create_task_group() as group:
            for messages in (self.messages, _TALK):
                group.start_soon(self._reply, ReasonerRequest(messages, resources))

    async def _reply(self, request: ReasonerRequest) -> None:
        async with self.reasoner.reply(request) as items:
            self._items([item async for item in items], request)

    def _items(self, items: Sequence[object], request: ReasonerRequest) -> None:
        check, calls = self.findings.check, set[str]()
        for number, item in enumerate(items):
            match item:
                case TextDelta(text):
                    check(isinstance(text, str) and bool(text), "a TextDelta holds no text")
                case ToolCall(call, name):
                    check(bool(call) and call not in calls, "a tool call's id is blank or was used before")
                    check(name in {tool.name for tool in request.tools}, "it calls a tool that it was not given")
                    calls.add(call)
                case ReasonerUsage(given):
                    amounts(self.findings, given)
                case Stop(reason):
                    check(number == len(items) - 1, "items follow its Stop")
                    check(bool(reason), "a Stop gives no reason")
                case _:
                    self.findings.wrong(f"{type(item).__name__} is no item of a reasoner")
        check(
            any(isinstance(item, TextDelta | ToolCall) for item in items), "a reply has neither text nor tool calls"
        )


def _clock_tool() -> Tool:
    async def call(**arguments: Any) -> str:
        return "noon"

    schema = {"type": "object", "properties": {}, "required": []}
    return Tool("time_of_day", "The time of day.", schema, call)
