"""The floor: the same providers joined by hand in plain asyncio, with nothing that a conversation needs besides.

No pacing, no history, no deadlines, no event but audio and interruptions; only what any such program has to do.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from providers import TimedListening, TimedReasoner, TimedSynthesizer

from voiceloop.interfaces import Clause

CONFIRM_CHUNKS = 13
"""Loud chunks in a row that interrupt: 250 ms of speech."""


class Audio(NamedTuple):
    """Audio of reply ``turn``."""

    turn: int
    pcm: bytes


class Stopped(NamedTuple):
    """Reply ``turn`` was interrupted."""

    turn: int


class ByHand:
    """As much of a session as the load needs: ``send_audio``, ``async for``, ``async with``."""

    def __init__(self, synthesizer: TimedSynthesizer) -> None:
        self._listening = TimedListening()
        self._reasoner = TimedReasoner()
        self._synthesizer = synthesizer
        self._out: asyncio.Queue[Audio | Stopped] = asyncio.Queue()
        self._reply: asyncio.Task[None] | None = None
        self._turn = 0
        self._loud = 0

    async def __aenter__(self) -> ByHand:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        tasks = [task for task in (self._reader, self._reply) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __aiter__(self) -> ByHand:
        return self

    async def __anext__(self) -> Audio | Stopped:
        return await self._out.get()

    async def send_audio(self, pcm: bytes) -> None:
        self._loud = self._loud + 1 if pcm[1] else 0
        if self._loud == CONFIRM_CHUNKS:
            self._interrupt()
        await self._listening.send_audio(pcm)

    def _interrupt(self) -> None:
        if self._reply is not None:
            self._reply.cancel()
            self._reply = None
            while not self._out.empty():
                self._out.get_nowait()
            self._out.put_nowait(Stopped(self._turn))

    async def _read(self) -> None:
        async for _ in self._listening:
            self._turn += 1
            self._reply = asyncio.create_task(self._answer(self._turn))

    async def _answer(self, turn: int) -> None:
        clauses: asyncio.Queue[str | None] = asyncio.Queue()
        speaking = asyncio.create_task(self._speak(turn, clauses))
        try:
            text = ""
            async with self._reasoner.reply(None) as tokens:  # type: ignore[arg-type]
                async for token in tokens:
                    text += token.text
                    if text.endswith((".", "?", "!")):
                        clauses.put_nowait(text.strip())
                        text = ""
            clauses.put_nowait(None)
            await speaking
        finally:
            speaking.cancel()

    async def _speak(self, turn: int, clauses: asyncio.Queue[str | None]) -> None:
        while (clause := await clauses.get()) is not None:
            async with self._synthesizer.speak(Clause(clause), None) as items:  # type: ignore[arg-type]
                async for item in items:
                    self._out.put_nowait(Audio(turn, item.pcm))
