"""Keeps the conversation: loads it from a memory and writes settled entries back, in order, once."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from voiceloop.conversation import Conversation
from voiceloop.engine.blame import blame, is_stray
from voiceloop.engine.wake import Wake
from voiceloop.errors import ProviderTimeout, VoiceloopError
from voiceloop.interfaces import Memory

_DEADLINE = 10.0


class Keeper:
    """Writes to ``memory`` from a task of its own; ``trouble(text)`` is called when that fails."""

    def __init__(self, memory: Memory | None, conversation_id: str, trouble: Callable[[str], None]) -> None:
        self._memory = memory
        self._id = conversation_id
        self._trouble = trouble
        self.conversation = Conversation()
        self._kept = 0
        self._more = Wake()

    async def load(self) -> Conversation:
        """The conversation so far, to go on with."""
        if self._memory is not None:
            name, doing = type(self._memory).__name__, "loading the conversation"
            with blame(name, doing), anyio.move_on_after(_DEADLINE) as patience:
                self.conversation = Conversation(await self._memory.load(self._id))
            if patience.cancelled_caught:
                raise ProviderTimeout(f"took over {_DEADLINE:g} s", provider=name, doing=doing, retryable=True)
            self._kept = self.conversation.settled
        return self.conversation

    def settled(self) -> None:
        """Some entries may have become final."""
        self._more.set()

    async def run(self) -> None:
        """Write what is final, as it becomes so; never returns."""
        while self._memory is not None:
            await self._more.wait()
            await self._write(self._memory)

    async def finish(self, deadline: float) -> None:
        """Write all that is left, in at most ``deadline`` seconds."""
        self.conversation.finish()
        if self._memory is not None:
            await self._write(self._memory, deadline)

    async def _write(self, memory: Memory, deadline: float = _DEADLINE) -> None:
        final = self.conversation.settled
        if final <= self._kept:
            return
        entries = self.conversation.entries[self._kept : final]
        try:
            with anyio.fail_after(deadline):
                await memory.append(self._id, entries, after=self._kept)
        except BaseException as failure:  # the conversation goes on without its memory; it is told
            if not (isinstance(failure, Exception) or is_stray(failure)):
                raise
            why = str(failure) if isinstance(failure, VoiceloopError) else type(failure).__name__
            self._trouble(f"{type(memory).__name__} could not keep {len(entries)} entries: {why}")
        else:
            self._kept = final
