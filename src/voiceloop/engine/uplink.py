"""The way in: audio and commands to the model, in order, bounded by seconds, nothing accepted ever lost."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup
from attrs import define, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, converter
from voiceloop.engine.blame import blame
from voiceloop.engine.wake import Wake
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import InputStalled, ProviderTimeout, SessionClosed
from voiceloop.interfaces import Command, Link
from voiceloop.rules.budgets import Limits

_PATIENCE = 20.0
"""How long a model may take to accept one piece of input or one command, in seconds."""

_CHANGING = "changing settings"

_PIECE = 1.0
"""The longest piece of audio, in seconds: a model that takes audio at the pace of speech needs as long for it."""


@define(eq=False)
class Ask:
    """A command whose outcome somebody waits for; who stops waiting (cancels ``outcome``) withdraws it.

    ``accepted`` is called when the model has taken it, in the same step.
    """

    command: Command
    outcome: Future[None]
    accepted: Callable[[], None]

    async def put(self, link: Link, provider: str) -> None:
        """Ask ``link`` of ``provider``; what it raises belongs to whoever waits."""
        try:
            with anyio.CancelScope() as scope, blame(provider, _CHANGING):
                self.outcome.add_done_callback(lambda outcome: scope.cancel())
                await link.send(self.command)
                if not self.outcome.done():
                    self.outcome.set_result(None)
                self.accepted()
        except Exception as refusal:  # noqa: BLE001 - raised by whoever asked
            self.refuse(refusal)
        finally:
            self.refuse(_over())

    def refuse(self, error: Exception) -> None:
        """Tell whoever still waits that it came to nothing."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


def _over() -> SessionClosed:
    return SessionClosed("the session is over", doing=_CHANGING)


@frozen
class Way:
    """From where to where input goes: ``source`` is the session's format, ``target`` what ``provider`` takes."""

    source: AudioFormat
    target: AudioFormat
    provider: str
    limits: Limits


class _Backlog:
    """What waits to be passed on, in order. ``full``: more than ``most`` seconds of audio, of so many bytes a
    ``second``; since ``full_since``."""

    def __init__(self, *, most: float, second: int) -> None:
        self._items: deque[bytes | Command | Ask] = deque()
        self._most = most * second
        self._second = second
        self._piece = round(_PIECE * second)
        self._bytes = 0
        self.full_since: float | None = None

    @property
    def full(self) -> bool:
        return self._bytes > self._most

    def audio(self, pcm: bytes, now: float) -> None:
        self._items.extend(pcm[begin : begin + self._piece] for begin in range(0, len(pcm), self._piece))
        self._bytes += len(pcm)
        if self.full_since is None and self.full:
            self.full_since = now

    @property
    def seconds(self) -> float:
        return self._bytes / self._second

    def add(self, item: Command | Ask) -> None:
        self._items.append(item)

    def take(self) -> bytes | Command | Ask | None:
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, bytes):
            self._bytes -= len(item)
            if not self.full:
                self.full_since = None
        return item

    def asked(self) -> list[Ask]:
        return [item for item in self._items if isinstance(item, Ask)]


class Uplink:
    """Takes input at once and passes it on from a task of its own (:meth:`run`).

    ``heard(pcm, ms, at)`` is told of all that it takes, ``taken(behind_ms)`` of how much is still to be passed on.
    """

    def __init__(
        self,
        way: Way,
        *,
        watchers: Watchers,
        heard: Callable[[bytes, float, float], None],
        taken: Callable[[float], None],
        overdue: Callable[[], None],
    ) -> None:
        self._way = way
        self._watchers = watchers
        self._heard = heard
        self._taken = taken
        self._overdue = overdue
        self._convert = None if way.source == way.target else converter(way.source, way.target)
        self._backlog = _Backlog(most=way.limits.input_buffer, second=way.target.bytes_of(way.target.rate))
        self._samples = 0
        self._passing_since: float | None = None
        self._closed = False
        self._more = Wake()
        self._room = Wake()

    @property
    def full(self) -> bool:
        """Whether to wait for :meth:`room` before more audio."""
        return self._backlog.full

    def audio(self, pcm: bytes | bytearray | memoryview, at: float | None = None) -> None:
        """Accept ``pcm``."""
        samples = self._way.source.samples(pcm)
        if not samples:
            return
        now = clock.now()
        converted = bytes(pcm) if self._convert is None else self._convert.push(pcm)
        self._backlog.audio(converted, now)
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
        self._backlog.add(command)
        self._more.set()

    def close(self) -> None:
        """Nothing more is passed on: whoever waits is told that the session is over."""
        self._closed = True
        self._room.set()
        for ask in self._backlog.asked():
            ask.refuse(_over())

    async def run(self, link: Link, children: TaskGroup) -> None:
        """Pass everything on to ``link``; never returns. Questions are waited for by ``children``."""
        while True:
            while (item := self._backlog.take()) is not None:
                self._passing_since = clock.now()
                if isinstance(item, bytes):
                    self._room.set()
                    await link.send_audio(item)
                    self._taken(self._backlog.seconds * 1000)
                elif isinstance(item, Ask) and item.outcome.done():
                    pass  # withdrawn
                elif isinstance(item, Ask):
                    children.start_soon(item.put, link, self._way.provider)
                else:
                    await link.send(item)
            self._passing_since = None
            await self._more.wait()

    def check(self, now: float) -> None:
        """Raises InputStalled when too much has waited too long, ProviderTimeout when one piece takes for ever."""
        if self._backlog.full_since is not None and now - self._backlog.full_since >= self._way.limits.input_stall:
            raise self._stalled()
        if self._passing_since is not None and now - self._passing_since > _PATIENCE:
            raise ProviderTimeout(
                f"accepted nothing for {_PATIENCE:g} s",
                provider=self._way.provider,
                doing="sending to the model",
                retryable=True,
            )
