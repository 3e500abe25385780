"""Runs the tools that the model calls: every call gets a result, an error in words at worst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from voiceloop import clock
from voiceloop.conversation import Conversation
from voiceloop.engine.blame import is_stray
from voiceloop.engine.lanes import Lanes
from voiceloop.errors import BadInput
from voiceloop.events import Notice, ToolCalled, ToolReturned
from voiceloop.interfaces import Command, ModelToolCall, ToolResult
from voiceloop.tools import Tool, ToolContext


class ToolRunner:
    """Runs each call as a child task; the result goes to the conversation, to the events and back to the model.

    A call id that is blank or was used before gets another one in the conversation.
    """

    def __init__(
        self,
        lanes: Lanes,
        conversation: Conversation,
        *,
        session: object,
        send: Callable[[Command], None],
        done: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._conversation = conversation
        self._session = session
        self._send = send
        self._all_done = done
        self._children: TaskGroup | None = None
        self._seen: set[str] = set()
        self.running = 0

    def start(self, children: TaskGroup) -> None:
        """Run calls as children of ``children`` from now on."""
        self._children = children

    def call(self, turn: int, call: ModelToolCall, tools: tuple[Tool, ...]) -> None:
        """Run a call, at once and beside everything else."""
        assert self._children is not None
        key = call.call if call.call.strip() and call.call not in self._seen else clock.new_id()
        self._seen.add(key)
        shown = call.arguments if not isinstance(call.arguments, str) else {"text": call.arguments}
        self._conversation.tool_call(turn, key, call.name, shown)
        self._lanes.signal(ToolCalled(turn=turn, call=key, name=call.name, arguments=shown))
        tool = next((tool for tool in tools if tool.name == call.name), None)
        self.running += 1
        if tool is None:
            known = ", ".join(tool.name for tool in tools) or "none"
            self._done(turn, key, call, f"There is no tool {call.name!r}. Known tools: {known}.", error=True, ms=0.0)
        else:
            self._children.start_soon(self._run, turn, key, call, tool, name=f"tool {call.name}")

    async def _run(self, turn: int, key: str, call: ModelToolCall, tool: Tool) -> None:
        began, error, result = clock.now(), True, ""
        context = ToolContext(turn=turn, call=key, session=self._session)
        try:
            fitting = tool.validate(call.arguments)
        except BadInput as bad:
            self._done(turn, key, call, f"The arguments do not fit: {bad}", error=True, ms=0.0)
            return
        try:
            with anyio.move_on_after(tool.timeout) as patience:
                result, error = await tool.run(fitting, context), False
            if patience.cancelled_caught:
                result = f"The tool took longer than {tool.timeout:g} s and was stopped."
        except BaseException as failure:  # told to the model and to the session's events
            if not (isinstance(failure, Exception) or is_stray(failure)):
                raise
            result = f"The tool failed: {_words(failure)}"
            self._lanes.signal(Notice(code="tool-failed", text=f"{call.name} raised {type(failure).__name__}"))
        self._done(turn, key, call, result, error=error, ms=(clock.now() - began) * 1000)

    def _done(self, turn: int, key: str, call: ModelToolCall, result: str, *, error: bool, ms: float) -> None:
        self.running -= 1
        self._conversation.tool_result(key, result, error)
        self._lanes.signal(
            ToolReturned(turn=turn, call=key, name=call.name, result=result, error=error, ms=round(ms, 3))
        )
        self._send(ToolResult(connection=call.connection, call=call.call, name=call.name, result=result, error=error))
        self._all_done()


def _words(failure: BaseException) -> str:
    text: Any = str(failure).strip()
    return f"{type(failure).__name__}: {text}" if text else type(failure).__name__
