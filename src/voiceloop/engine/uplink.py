"""The way in: audio and commands to the model, in order, bounded by seconds, nothing accepted ever lost."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable

import anyio
from attrs import define

from voiceloop import clock
from voiceloop.audio import AudioFormat, converter
from voiceloop.engine.wake import Wake
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import InputStalled
from voiceloop.interfaces import Command, Link
from voiceloop.rules.budgets import Limits

_COMMAND_PATIENCE = 20.0
"""How long a model may take to carry out a command, in seconds."""


@define(eq=False)
class Ask:
    """A command whose outcome somebody waits for."""

    command: Command
    outcome: Future[None]


class Uplink:
    """Takes input at once and passes it on from a task of its own (:meth:`run`)."""

    def __init__(
        self,
        source: AudioFormat,
        target: AudioFormat,
        limits: Limits,
        *,
        watchers: Watchers,
        heard: Callable[[bytes, float, float], None],
    ) -> None:
        self._source = source
        self._target = target
        self._limits = limits
        self._watchers = watchers
        self._heard = heard
        self._convert = None if source == target else converter(source, target)
        self._queue: deque[bytes | Command | Ask] = deque()
        self._waiting = 0
        self._most = target.bytes_of(target.samples_in(limits.input_buffer * 1000))
        self._samples = 0
        self._passing_since: float | None = None
        self._patience = limits.input_stall
        self._more = Wake()
        self._room = Wake()

    @property
    def full(self) -> bool:
        """Whether to wait for :meth:`room` before more audio."""
        return self._waiting > self._most

    def audio(self, pcm: bytes | bytearray | memoryview, at: float | None = None) -> None:
        """Accept ``pcm``."""
        samples = self._source.samples(pcm)
        if not samples:
            return
        converted = bytes(pcm) if self._convert is None else self._convert.push(pcm)
        if converted:
            self._queue.append(converted)
            self._waiting += len(converted)
        self._watchers.input(pcm, self._samples)
        self._samples += samples
        self._heard(converted, self._source.ms(samples), clock.now() if at is None else at)
        self._more.set()  # after what was heard: an interruption leaves before the audio is passed on

    async def room(self) -> None:
        """Wait until it is no longer full; raises InputStalled when that takes too long."""
        with anyio.move_on_after(self._limits.input_stall):
            while self.full:
                await self._room.wait()
            return
        raise InputStalled(
            f"the model took no audio for {self._limits.input_stall:g} s",
            doing="sending audio",
            retryable=True,
            hint="See the network to the provider, or raise limits.input_stall.",
        )

    def send(self, command: Command | Ask) -> None:
        """Pass a command on, behind the audio accepted so far."""
        self._queue.append(command)
        self._more.set()

    async def run(self, link: Link) -> None:
        """Pass everything on to ``link``; never returns."""
        while True:
            while self._queue:
                item = self._queue.popleft()
                self._passing_since = clock.now()
                if isinstance(item, bytes):
                    self._waiting -= len(item)
                    self._room.set()
                    self._patience = self._limits.input_stall
                    await link.send_audio(item)
                else:
                    self._patience = _COMMAND_PATIENCE
                    await self._command(link, item)
            self._passing_since = None
            await self._more.wait()

    def stuck(self, now: float) -> bool:
        """Whether the model has been taking one piece of input for too long."""
        return self._passing_since is not None and now - self._passing_since > self._patience

    async def _command(self, link: Link, command: Command | Ask) -> None:
        if isinstance(command, Ask):
            await _settle(link, command)
        else:
            await link.send(command)


async def _settle(link: Link, ask: Ask) -> None:
    try:
        await link.send(ask.command)
    except Exception as refusal:  # noqa: BLE001 - it belongs to whoever asked, who raises it
        if not ask.outcome.done():
            ask.outcome.set_exception(refusal)
    else:
        if not ask.outcome.done():
            ask.outcome.set_result(None)
