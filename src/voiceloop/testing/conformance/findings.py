"""What a conformance suite finds, and where it looks: phases with a deadline, after which nothing may be left."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field

from voiceloop import clock
from voiceloop.engine.pool import Pool
from voiceloop.errors import VoiceloopError
from voiceloop.interfaces import Resources

T = TypeVar("T")
Body: TypeAlias = Callable[[Resources], Awaitable[None]]
_LEAVE = 5.0
_END = 4.0
_QUIET_THREADS = ("asyncio_", "asyncio-waitpid", "AnyIO worker thread", "ThreadPoolExecutor")


class ConformanceError(VoiceloopError, AssertionError):
    """A provider breaks the contract of its interface; ``violations`` says how, one sentence each."""

    def __init__(self, name: str, violations: Iterable[str]) -> None:
        self.violations = tuple(violations)
        super().__init__(f"{name} breaks its contract:\n  " + "\n  ".join(self.violations))


@define(eq=False)
class Findings:
    """Collects violations of the provider ``name``; each phase has ``timeout`` seconds and a pool of its own."""

    name: str
    timeout: float
    pool: Callable[[], AbstractAsyncContextManager[Resources]] = Pool
    violations: list[str] = field(factory=list)
    _phase: str = ""

    def wrong(self, what: str) -> None:
        """Note a violation, once."""
        text = f"{self._phase}: {what}" if self._phase else what
        if text not in self.violations:
            self.violations.append(text)

    def check(self, right: bool, what: str) -> None:
        """Note ``what`` unless ``right``."""
        if not right:
            self.wrong(what)

    def finish(self) -> None:
        """Raise ConformanceError if anything was wrong."""
        if self.violations:
            raise ConformanceError(self.name, self.violations)

    def construct(self, provider: T | Callable[[], T]) -> T:
        """The provider; made here when a function was given, to see that making it starts nothing."""
        if not callable(provider):
            return provider
        self._phase = "constructing"
        before = _Traces()
        made = provider()
        for trace in before.new():
            self.wrong(f"constructing did I/O: it left {trace}")
        return made

    async def phase(self, name: str, body: Body) -> None:
        """Run ``body`` with a new pool; its errors, its hanging and what it leaves behind are violations."""
        self._phase = name
        before = _Traces()
        try:
            with anyio.fail_after(self.timeout) as scope:
                async with self.pool() as pool:
                    await body(pool)
        except Exception as error:  # noqa: BLE001 - every failure of the provider is a finding
            for one in _leaves(error):
                if isinstance(one, TimeoutError) and scope.cancelled_caught:
                    self.wrong(f"was not done within {self.timeout:g} s")
                elif isinstance(one, VoiceloopError):
                    self.wrong(f"failed with {type(one).__name__}: {one}")
                else:
                    self.wrong(f"raised {type(one).__name__} ({one}), which is no VoiceloopError")
        for _ in range(20):
            if not before.new():
                break
            await anyio.sleep(0.05)
        for trace in before.new():
            self.wrong(f"left {trace} behind")

    async def left(self, use: Callable[[], Awaitable[float]]) -> None:
        """Use something four times; ``use`` returns when it began to leave. Leaving is quick and joins all tasks."""
        counts = []
        for _ in range(4):
            began = await use()
            self.check(clock.now() - began < _LEAVE, f"leaving it early took longer than {_LEAVE:g} s")
            await anyio.lowlevel.checkpoint()
            counts.append(len(asyncio.all_tasks()))
        if counts[1] < counts[2] < counts[3]:
            self.wrong("leaves a running task behind each time it is left")

    async def cancelled(self, use: Callable[[], Awaitable[None]], *, after: float) -> None:
        """Cancel ``use`` after so many seconds; it must stop soon."""
        began = clock.now()
        with anyio.move_on_after(after):
            await use()
        self.check(clock.now() - began < after + _LEAVE, f"cancelling it took longer than {_LEAVE:g} s")

    @asynccontextmanager
    async def reading(
        self,
        opening: AbstractAsyncContextManager[T],
        items: Callable[[T], AsyncIterable[Any]],
        sink: Callable[[Any], None],
    ) -> AsyncIterator[T]:
        """Open a stream and read its items beside the body into ``sink``; when it is closed, they must end."""
        done = anyio.Event()

        async def read(stream: T) -> None:
            try:
                async for item in items(stream):
                    sink(item)
            finally:
                done.set()

        async with anyio.create_task_group() as group:
            async with opening as stream:
                group.start_soon(read, stream)
                yield stream
            with anyio.move_on_after(_END) as scope:
                await done.wait()
            if scope.cancelled_caught:
                self.wrong("the iteration does not end when the stream is closed")
                group.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` holds, at most so long; whether it does."""
    deadline = clock.now() + seconds
    while not condition() and clock.now() < deadline:  # noqa: ASYNC110 - the condition is over what has come
        await anyio.sleep(0.02)
    return condition()


class _Traces:
    """The tasks, threads, child processes and sockets that there are, to compare with later."""

    def __init__(self) -> None:
        self._tasks, self._others = _tasks(), _others()

    def new(self) -> list[str]:
        """What has come since, in words."""
        tasks = [f"the task {task.get_name()}" for task in _tasks() - self._tasks]
        return sorted(tasks) + sorted(_others() - self._others)


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()


def _others() -> set[str]:
    threads = (thread.name for thread in threading.enumerate() if not thread.name.startswith(_QUIET_THREADS))
    return {*(f"the thread {name}" for name in threads), *_children(), *_sockets()}


def _children() -> set[str]:
    children: set[str] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            children |= {f"the process {number}" for number in listing.read_text().split()}
        except OSError:
            continue
    return children


def _sockets() -> set[str]:
    sockets: set[str] = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            sockets.add(f"the {target.replace(':', ' ')}")
    return sockets


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
