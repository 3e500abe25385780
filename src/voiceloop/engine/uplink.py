"""The way in: audio and commands to the model, in order, bounded by seconds, nothing accepted ever lost."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable

from anyio.abc import TaskGroup
from attrs import define, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, converter
from voiceloop.engine.wake import Wake
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import InputStalled, ProviderTimeout, SessionClosed
from voiceloop.interfaces import Command, Link
from voiceloop.rules.budgets import Limits

_PATIENCE = 20.0
"""How long a model may take to accept one piece of input or one command, in seconds."""

_PIECE_MS = 1000.0
"""The longest piece of audio: one that takes audio at the pace of speech needs as long for it as it lasts."""


@define(eq=False)
class Ask:
    """A command whose outcome somebody waits for."""

    command: Command
    outcome: Future[None]


@frozen
class Way:
    """From where to where input goes: ``source`` is the session's format, ``target`` what ``provider`` takes."""

    source: AudioFormat
    target: AudioFormat
    provider: str
    limits: Limits


class Uplink:
    """Takes input at once and passes it on from a task of its own (:meth:`run`)."""

    def __init__(
        self,
        way: Way,
        *,
        watchers: Watchers,
        heard: Callable[[bytes, float, float], None],
        overdue: Callable[[], None],
    ) -> None:
        self._way = way
        self._watchers = watchers
        self._heard = heard
        self._overdue = overdue
        self._convert = None if way.source == way.target else converter(way.source, way.target)
        self._queue: deque[bytes | Command | Ask] = deque()
        self._waiting = 0
        self._most = way.target.bytes_of(way.target.samples_in(way.limits.input_buffer * 1000))
        self._piece = way.target.bytes_of(way.target.samples_in(_PIECE_MS))
        self._samples = 0
        self._passing_since: float | None = None
        self._full_since: float | None = None
        self._closed = False
        self._more = Wake()
        self._room = Wake()

    @property
    def full(self) -> bool:
        """Whether to wait for :meth:`room` before more audio."""
        return self._waiting > self._most

    def audio(self, pcm: bytes | bytearray | memoryview, at: float | None = None) -> None:
        """Accept ``pcm``."""
        samples = self._way.source.samples(pcm)
        if not samples:
            return
        now = clock.now()
        converted = bytes(pcm) if self._convert is None else self._convert.push(pcm)
        if converted:
            self._queue.extend(
                converted[begin : begin + self._piece] for begin in range(0, len(converted), self._piece)
            )
            self._waiting += len(converted)
            if self._full_since is None and self.full:
                self._full_since = now
        self._watchers.input(pcm, self._samples)
        self._samples += samples
        self._heard(converted, self._way.source.ms(samples), now if at is None else at)
        self._more.set()  # after what was heard: an interruption leaves before the audio is passed on

    async def room(self) -> None:
        """Wait until it is no longer full, or the session is over: it fails when that takes too long."""
        overdue = clock.now() + self._way.limits.input_stall
        while self.full and not self._closed and clock.now() < overdue:
            await self._room.wait(overdue)
        if self.full and not self._closed:
            self._overdue()
            closing = clock.now() + self._way.limits.close
            while not self._closed and clock.now() < closing:
                await self._room.wait(closing)

    def _stalled(self) -> InputStalled:
        return InputStalled(
            f"{self._way.provider} took no audio for {self._way.limits.input_stall:g} s",
            doing="sending audio",
            retryable=True,
            hint="See the network to the provider, or raise limits.input_stall.",
        )

    def send(self, command: Command | Ask) -> None:
        """Pass a command on, behind the audio accepted so far."""
        self._queue.append(command)
        self._more.set()

    def close(self) -> None:
        """Nothing more is passed on: whoever waits is told that the session is over."""
        self._closed = True
        self._room.set()
        for item in self._queue:
            if isinstance(item, Ask) and not item.outcome.done():
                item.outcome.set_exception(SessionClosed("the session is over", doing="changing settings"))

    async def run(self, link: Link, children: TaskGroup) -> None:
        """Pass everything on to ``link``; never returns. Questions are waited for by ``children``."""
        while True:
            while self._queue:
                item = self._queue.popleft()
                self._passing_since = clock.now()
                if isinstance(item, bytes):
                    self._waiting -= len(item)
                    if not self.full:
                        self._full_since = None
                    self._room.set()
                    await link.send_audio(item)
                elif isinstance(item, Ask):
                    children.start_soon(_settle, link, item)
                else:
                    await link.send(item)
            self._passing_since = None
            await self._more.wait()

    def check(self, now: float) -> None:
        """Raises InputStalled when too much has waited too long, ProviderTimeout when one piece takes for ever."""
        if self._full_since is not None and now - self._full_since >= self._way.limits.input_stall:
            raise self._stalled()
        if self._passing_since is not None and now - self._passing_since > _PATIENCE:
            raise ProviderTimeout(
                f"accepted nothing for {_PATIENCE:g} s",
                provider=self._way.provider,
                doing="sending to the model",
                retryable=True,
            )


async def _settle(link: Link, ask: Ask) -> None:
    try:
        await link.send(ask.command)
        if not ask.outcome.done():
            ask.outcome.set_result(None)
    except Exception as refusal:  # noqa: BLE001 - it belongs to whoever asked, who raises it
        if not ask.outcome.done():
            ask.outcome.set_exception(refusal)
    finally:
        if not ask.outcome.done():
            ask.outcome.set_exception(SessionClosed("the session is over", doing="changing settings"))
