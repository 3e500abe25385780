"""What goes out on one connection: events with their ids, one content block at a time, usage counted."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

from voiceloop.testing.aws.exchange import Exchange
from voiceloop.testing.aws.nova.events import Usage, chunk, new_uuid

_TEXT = {"textOutputConfiguration": {"mediaType": "text/plain"}}


@define(eq=False)
class OutputBlock:
    """An open block; ``stop`` is the stopReason that it will end with."""

    content: str
    kind: str
    role: str
    stop: str


@define(eq=False)
class Output:
    """The service's side of a stream, for one prompt of ``rate`` Hz."""

    _exchange: Exchange
    prompt: str
    rate: int
    undocumented: bool = False
    session: str = field(factory=new_uuid)
    completion: str = field(factory=new_uuid)
    begun: bool = False
    _total: Usage = field(factory=Usage.zero)
    _one: anyio.Lock = field(factory=anyio.Lock)
    _sending: anyio.Lock = field(factory=anyio.Lock)
    _shield: anyio.CancelScope = field(factory=anyio.CancelScope)
    _closed: bool = False

    async def event(self, name: str, **body: Any) -> None:
        """Send one event, unless the stream is closed. Whole or, if cancelled before its turn, not at all.

        Raises ConnectionLost.
        """
        async with self._sending:
            await self._put(name, body)

    async def begin(self) -> None:
        """completionStart, the first time."""
        async with self._sending:
            if not self.begun:
                self.begun = True
                await self._put("completionStart", {"completionId": self.completion})

    def close(self) -> None:
        """Send nothing more; what is being sent is broken off."""
        self._closed = True
        self._shield.cancel()

    async def _put(self, name: str, body: Mapping[str, Any]) -> None:
        if not self._closed:
            ids = {"sessionId": self.session, "promptName": self.prompt}
            with anyio.CancelScope(shield=True) as self._shield:
                await self._exchange.send(chunk(name, ids | dict(body)))

    async def end(self) -> None:
        """completionEnd, if there was a start."""
        if self.begun:
            self.begun = False
            await self.event("completionEnd", completionId=self.completion, stopReason="END_TURN")

    async def usage(self, delta: Usage) -> None:
        """Count and report tokens."""
        self._total.add(delta)
        await self.event("usageEvent", completionId=self.completion, **self._total.event(delta))

    @asynccontextmanager
    async def block(self, kind: str, role: str, **settings: Any) -> AsyncIterator[OutputBlock]:
        """One content block; waits until the one before is over. Its contentEnd is sent even when cancelled."""
        async with self._one:
            await self.begin()
            block = OutputBlock(new_uuid(), kind, role, "PARTIAL_TURN")
            ids = {"completionId": self.completion, "contentId": block.content}
            await self.event("contentStart", **ids, type=kind, role=role, **settings)
            try:
                yield block
            finally:
                with anyio.CancelScope(shield=True):
                    await self.event("contentEnd", **ids, type=kind, stopReason=block.stop)

    async def data(self, block: OutputBlock, name: str, **body: Any) -> None:
        """The content of ``block``: textOutput, audioOutput or toolUse."""
        ids = {"completionId": self.completion, "contentId": block.content, "role": block.role}
        await self.event(name, **ids, **body)

    async def text(self, role: str, stage: str, text: str, stop: str = "PARTIAL_TURN") -> None:
        """A whole TEXT block; without a textOutput where ``text`` is empty."""
        fields = json.dumps({"generationStage": stage})
        async with self.block("TEXT", role, additionalModelFields=fields, **_TEXT) as block:
            block.stop = stop
            if text:
                await self.data(block, "textOutput", content=text)
            if self.undocumented:
                await self.event("modelHeartbeat", completionId=self.completion)

    @asynccontextmanager
    async def audio(self) -> AsyncIterator[OutputBlock]:
        """An AUDIO block of the assistant."""
        settings = {
            "mediaType": "audio/lpcm",
            "sampleRateHertz": self.rate,
            "sampleSizeBits": 16,
            "encoding": "base64",
            "channelCount": 1,
        }
        async with self.block("AUDIO", "ASSISTANT", audioOutputConfiguration=settings) as block:
            yield block

    async def pcm(self, block: OutputBlock, pcm: bytes) -> None:
        """Audio of ``block``."""
        await self.data(block, "audioOutput", content=base64.b64encode(pcm).decode())

    async def tool_use(self, use: str, name: str, content: str) -> None:
        """A whole TOOL block."""
        settings = {"mediaType": "application/json"}
        async with self.block("TOOL", "TOOL", toolUseOutputConfiguration=settings) as block:
            block.stop = "TOOL_USE"
            await self.data(block, "toolUse", content=content, toolName=name, toolUseId=use)
