"""Worker processes: native engines run in processes of their own, so that a crash or a held lock stays there.

A worker is ``python -m <module>`` whose module calls :func:`voiceloop.local.serving.serve`. Many requests may be
under way at once; each has a stream of replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import anyio
from attrs import define, field, frozen

from voiceloop import clock, errors
from voiceloop.interfaces.pool import Resources
from voiceloop.local._framing import WINDOW, BrokenFrame, Decoder, Frame, Kind, encode

_MOST_PENDING = 1024
_GOODBYE = 1.0  # seconds a worker gets to end by itself


@frozen
class Reply:
    """One reply of a worker: a JSON header and a binary payload."""

    header: dict[str, Any]
    payload: bytes = field(default=b"", repr=lambda payload: f"<{len(payload)} bytes>")


@define(eq=False)
class _Replies:
    """The replies of one request, in order."""

    _timeout: float
    _taken: Callable[[int], None]
    _heard: Callable[[], int]
    _late: Callable[[float, bool], errors.ProviderError]
    _queue: deque[Reply] = field(factory=deque, init=False)
    _arrived: asyncio.Event = field(factory=asyncio.Event, init=False)
    _unsaid: int = field(default=0, init=False)
    _error: Exception | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)

    def put(self, reply: Reply) -> None:
        self._queue.append(reply)
        self._arrived.set()

    def end(self, error: Exception | None = None) -> None:
        if not self.over:
            self.over, self._error = True, error
            self._arrived.set()

    def __aiter__(self) -> AsyncIterator[Reply]:
        return self

    async def __anext__(self) -> Reply:
        heard = self._heard()
        if not self._queue and not self.over:
            self._arrived.clear()
            with clock.outside_work(), anyio.move_on_after(self._timeout):
                await self._arrived.wait()
        if not self._queue:
            if self._error is not None:
                raise self._error
            if self.over:
                raise StopAsyncIteration
            raise self._late(self._timeout, heard == self._heard())
        reply = self._queue.popleft()
        self._unsaid += len(reply.payload)
        if self._unsaid >= WINDOW // 2 and not self.over:
            self._taken(self._unsaid)
            self._unsaid = 0
        return reply


class Worker:
    """A running worker process, as :func:`start_worker` yields it. Belongs to the event loop that started it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._failure: errors.ProviderError | None = None
        self._pending: dict[int, _Replies] = {}
        self._ids = itertools.count(1)
        self._process: _Process | None = None
        self._frames = 0
        self._opening = self._expect(0, math.inf)

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return self._process is not None and self._failure is None

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._process.pid if self._process is not None else None

    def request(
        self, header: Mapping[str, Any], payload: bytes = b"", *, timeout: float = 10.0
    ) -> AbstractAsyncContextManager[AsyncIterator[Reply]]:
        """Ask for something: an iterator of replies, until the last. Leaving early cancels the work at once.

        ``header["op"]`` names the operation. ``timeout``: the longest wait for one reply, in seconds. Raises, on
        entering or on the next reply, what the worker says, ProviderTimeout, or ProviderUnavailable if it is gone.
        """
        return self._request(header, payload, timeout)

    @asynccontextmanager
    async def _request(
        self, header: Mapping[str, Any], payload: bytes, timeout: float
    ) -> AsyncIterator[AsyncIterator[Reply]]:
        if self._failure is not None:
            raise self._again(self._failure)
        if len(self._pending) >= _MOST_PENDING:
            raise errors.ProviderUnavailable(
                f"{_MOST_PENDING} requests are waiting for its worker process", provider=self.name, retryable=True
            )
        number = next(self._ids)
        self._pending[number] = replies = self._expect(number, timeout)
        try:
            self._send(Kind.REQUEST, number, header, payload)
            yield replies
        finally:
            del self._pending[number]
            if not replies.over:
                self._send(Kind.CANCEL, number)

    async def call(self, header: Mapping[str, Any], payload: bytes = b"", *, timeout: float = 10.0) -> Reply:
        """Ask for something that has one reply. Raises as :meth:`request`, ProviderMisbehaved without a reply."""
        async with self.request(header, payload, timeout=timeout) as replies:
            async for reply in replies:
                return reply
        raise errors.ProviderMisbehaved("its worker process gave no reply", provider=self.name)

    async def open(self, process: _Process, timeout: float) -> None:
        """Wait until the process is ready. Raises what it says, ProviderTimeout or ProviderUnavailable."""
        self._process = process
        with clock.outside_work(), anyio.move_on_after(timeout):
            await anext(self._opening, None)
            return
        raise errors.ProviderTimeout(
            f"its worker process was not ready within {timeout:g} s", provider=self.name, retryable=True
        )

    def take(self, frame: Frame) -> None:
        """A frame came from the process."""
        self._frames += 1
        replies = self._pending.get(frame.request) if frame.request else self._opening
        if replies is None:
            return  # the rest of a request that was left
        match frame.kind:
            case Kind.READY:
                replies.end()
            case Kind.REPLY | Kind.LAST:
                if frame.header or frame.payload or frame.kind is Kind.REPLY:
                    replies.put(Reply(frame.header, frame.payload))
                if frame.kind is Kind.LAST:
                    replies.end()
            case Kind.ERROR:
                replies.end(_error(frame.header, self.name))
            case _:
                self.broke(BrokenFrame(f"a frame of kind {frame.kind.name} from a worker"))

    def broke(self, error: BrokenFrame) -> None:
        """The process sent what is no frame: it cannot be trusted any more."""
        self._fail(errors.ProviderMisbehaved(f"its worker process sent nonsense: {error}", provider=self.name))

    def gone(self, code: int) -> None:
        """The process ended."""
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._fail(
            errors.ProviderUnavailable(f"its worker process ended ({how})", provider=self.name, retryable=True)
        )

    def _fail(self, error: errors.ProviderError) -> None:
        self._failure = self._failure or error
        for replies in (self._opening, *self._pending.values()):
            replies.end(self._again(self._failure))
        if self._process is not None:
            self._process.kill()

    def _again(self, error: errors.ProviderError) -> errors.ProviderError:
        # one exception object must not be raised in several tasks: they would write over each other's traceback
        message = str(error.args[0]).removeprefix(f"{self.name}: ")
        return type(error)(message, provider=self.name, retryable=error.retryable)

    def _expect(self, number: int, timeout: float) -> _Replies:
        def taken(count: int) -> None:
            self._send(Kind.TAKEN, number, {"bytes": count})

        return _Replies(timeout, taken, lambda: self._frames, self._late)

    def _late(self, timeout: float, silent: bool) -> errors.ProviderError:
        error = errors.ProviderTimeout(
            f"its worker process did not answer within {timeout:g} s", provider=self.name, retryable=True
        )
        if silent:
            self._fail(error)  # it answered nobody: it hangs
        return error

    def _send(self, kind: Kind, request: int, header: Mapping[str, Any] | None = None, payload: bytes = b"") -> None:
        if self._process is not None and self._failure is None:
            self._process.write(encode(kind, request, header, payload))


class _Process(asyncio.SubprocessProtocol):
    """The process and its pipes. Its writes are bounded by the number of pending requests."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._decoder = Decoder()
        self._transport: asyncio.SubprocessTransport | None = None
        self._input: asyncio.WriteTransport | None = None
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self.pid: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._input = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        try:
            for frame in self._decoder.feed(cast("bytes", data)):
                self._worker.take(frame)
        except BrokenFrame as error:
            self._worker.broke(error)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.kill()

    def process_exited(self) -> None:
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        # comes after the last data and after the exit
        code = self._transport.get_returncode() if self._transport is not None else None
        self._worker.gone(code if code is not None else 0)
        self._closed.set()

    def write(self, data: bytes) -> None:
        """Send bytes to the process; does nothing when it is gone."""
        if self._input is not None and not self._input.is_closing():
            self._input.write(data)

    def kill(self) -> None:
        """End the process at once."""
        if self.pid is not None and not self._exited.is_set():
            # not by the transport: it would take the exit code from under the event loop's own watcher
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Close the process's input, wait for its end, and kill it if it does not come. Not to be cancelled."""
        if self._transport is None or self._input is None:
            return
        with anyio.CancelScope(shield=True), clock.outside_work():
            self._input.close()
            with anyio.move_on_after(_GOODBYE):
                await self._exited.wait()
            self.kill()
            with anyio.move_on_after(_GOODBYE):
                await self._closed.wait()
            self._transport.close()


def _error(header: Mapping[str, Any], provider: str) -> Exception:
    """The error that an ERROR frame tells of."""
    kind = getattr(errors, str(header.get("type")), errors.ProviderMisbehaved)
    message = str(header.get("message", "its worker process failed"))
    rest: dict[str, Any] = {key: header[key] for key in ("doing", "retryable", "hint") if key in header}
    if issubclass(kind, errors.ProviderError):
        return kind(message, provider=provider, **rest)
    if kind is errors.UnknownName:
        unknown = errors.UnknownName("name", "", ())
        unknown.args = (message,)
        unknown.matches, unknown.hint = tuple(header.get("matches", ())), str(rest.get("hint", ""))
        return unknown
    made: Exception = kind(message, **rest)
    return made


def _environment() -> Iterator[tuple[str, str]]:
    """The worker finds modules where this process does, wherever it was started."""
    yield from os.environ.items()
    yield "PYTHONPATH", os.pathsep.join(path for path in sys.path if path)


@asynccontextmanager
async def start_worker(module: str, *, name: str, ready_timeout: float = 10.0) -> AsyncIterator[Worker]:
    """Run ``python -m module`` as a worker until the context is left; no process, task or file remains of it.

    ``name`` is the provider's, for errors. Raises what the worker says that it cannot start for (MissingExtra),
    ProviderTimeout when it is not ready within ``ready_timeout`` seconds, ProviderUnavailable when it ends before.
    """
    worker = Worker(name)
    loop = asyncio.get_running_loop()
    process = _Process(worker)
    arguments = (sys.executable, "-P", "-m", module)
    try:
        try:
            # a start that is cut in half would leave the process behind
            with anyio.CancelScope(shield=True), clock.outside_work():
                await loop.subprocess_exec(lambda: process, *arguments, stderr=None, env=dict(_environment()))
        except OSError as error:
            raise errors.ProviderUnavailable(
                f"its worker process cannot be started ({error.strerror})", provider=name
            ) from error
        await worker.open(process, ready_timeout)
        yield worker
    finally:
        await process.close()


async def shared_worker(
    resources: Resources, module: str, *, name: str, ready_timeout: float = 10.0, key: Hashable = None
) -> Worker:
    """The pool's worker for ``module``: started at the first use, and again if it has died since.

    ``key``: its place in the pool, where a pool has several for the module.
    """
    key = key or ("voiceloop.local", module)
    while True:
        worker = await resources.get(key, lambda: start_worker(module, name=name, ready_timeout=ready_timeout))
        if worker.alive:
            return worker
        await resources.discard(key, worker)
