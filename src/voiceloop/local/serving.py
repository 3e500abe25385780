"""The worker's side: reads requests, runs them by turns on the main thread, and sends what they say.

A worker is a module run by ``python -m``: ``if __name__ == "__main__": serve(start)``. Standard output carries frames
and nothing else: whatever a library prints goes to standard error. The process ends when its input does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any, NoReturn, TypeAlias

from attrs import define, field

from voiceloop import errors
from voiceloop.local._framing import WINDOW, BrokenFrame, Decoder, Kind, encode

Handler: TypeAlias = "Callable[[Job], Generator[None] | None]"
"""Does a job. A plain function runs to its end; a generator lets other jobs have their turn at each ``yield``."""

_TOLD: tuple[type[errors.VoiceloopError], ...] = (
    errors.AudioFormatError,
    errors.UnknownName,
    errors.BadInput,
    errors.MissingExtra,
    errors.ProviderTimeout,
    errors.ProviderUnavailable,
    errors.ProviderRefused,
    errors.ProviderMisbehaved,
)


@define(eq=False)
class Job:
    """A request being carried out. ``cancelled`` turns true, at any moment, when nobody wants its result any more.

    A request with ``must`` in its header is carried out even so.
    """

    id: int
    header: dict[str, Any]
    payload: bytes
    _write: Callable[[bytes], None] = field(repr=False)
    cancelled: bool = False
    answered: bool = False
    sent: int = 0
    taken: int = 0
    steps: Generator[None] | None = None

    def send(self, header: Mapping[str, Any], payload: bytes = b"", *, last: bool = False) -> None:
        """Send a reply. A job whose handler returns without a ``last`` one is ended by an empty one."""
        if self.cancelled or self.answered:
            return
        self.answered = last
        self.sent += len(payload)
        self._write(encode(Kind.LAST if last else Kind.REPLY, self.id, header, payload))

    def finish(self) -> None:
        """Say that there is nothing more, unless that was said."""
        if not self.answered and not self.cancelled:
            self.answered = True
            self._write(encode(Kind.LAST, self.id))

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answered and not self.cancelled:
            self.answered = True
            self._write(encode(Kind.ERROR, self.id, describe(error)))


def describe(error: Exception) -> dict[str, Any]:
    """The header of an ERROR frame. Only voiceloop's own errors keep their words: others may hold speech."""
    if not isinstance(error, errors.VoiceloopError):
        return {"type": "ProviderMisbehaved", "message": f"the worker failed with {type(error).__name__}"}
    kind = next((known for known in _TOLD if isinstance(error, known)), errors.ProviderMisbehaved)
    message = str(error.args[0])
    if isinstance(error, errors.ProviderError):
        message = message.removeprefix(f"{error.provider}: ")
    told: dict[str, Any] = {"type": kind.__name__, "message": message}
    if isinstance(error, errors.UnknownName):
        told["matches"] = error.matches
    return {**told, "doing": error.doing, "retryable": error.retryable, "hint": error.hint}


@define(eq=False)
class _Jobs:
    """The jobs of a worker, shared by the thread that reads and the one that works.

    Jobs that have not begun come first, in order; those that have begun take turns.
    """

    _write: Callable[[bytes], None]
    _all: dict[int, Job] = field(factory=dict, init=False)
    _new: deque[Job] = field(factory=deque, init=False)
    _begun: deque[Job] = field(factory=deque, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)

    def read(self, source: int) -> NoReturn:
        """Take frames until the input ends, then end the process, in whatever state the work is."""
        decoder = Decoder()
        try:
            while data := os.read(source, 1 << 16):
                for frame in decoder.feed(data):
                    self._take(frame.kind, frame.request, frame.header, frame.payload)
        except (OSError, BrokenFrame):
            os._exit(3)
        os._exit(0)

    def _take(self, kind: Kind, request: int, header: dict[str, Any], payload: bytes) -> None:
        with self._changed:
            job = self._all.get(request)
            if kind is Kind.REQUEST:
                self._all[request] = job = Job(request, header, payload, self._write)
                self._new.append(job)
            elif job is not None and kind is Kind.CANCEL:
                job.cancelled = not job.header.get("must")
            elif job is not None and kind is Kind.TAKEN:
                job.taken += int(header["bytes"])
            self._changed.notify()

    def next(self) -> Job:
        """Wait for a job that can go on."""
        with self._changed:
            while True:
                if self._new:
                    return self._new.popleft()
                for _ in range(len(self._begun)):
                    job = self._begun.popleft()
                    if job.cancelled or job.sent - job.taken < WINDOW:
                        return job
                    self._begun.append(job)
                self._changed.wait()

    def rest(self, job: Job) -> None:
        """``job`` has begun and is to go on in its turn."""
        with self._changed:
            self._begun.append(job)

    def forget(self, job: Job) -> None:
        """``job`` is over."""
        with self._changed:
            self._all.pop(job.id, None)


def _step(job: Job, handlers: Mapping[str, Handler]) -> bool:
    """Let ``job`` go on to its next resting point; True when it is over."""
    if job.steps is None:
        operation = str(job.header.get("op"))
        if operation not in handlers:
            raise errors.ProviderMisbehaved(f"the worker knows no operation {operation!r}", provider="worker")
        job.steps = handlers[operation](job)
        if job.steps is None:
            return True
    try:
        next(job.steps)
    except StopIteration:
        return True
    return False


def _work(jobs: _Jobs, handlers: Mapping[str, Handler]) -> NoReturn:
    while True:
        job = jobs.next()
        over = True
        try:
            if not job.cancelled:
                over = _step(job, handlers)
            elif job.steps is not None:
                job.steps.close()
        except errors.VoiceloopError as error:
            job.fail(error)
        except Exception as error:  # noqa: BLE001 - a job may fail in any way, and the others go on
            traceback.print_tb(error.__traceback__)
            job.fail(error)
        if over:
            job.finish()
            jobs.forget(job)
        else:
            jobs.rest(job)


def _writer(target: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]

    return write


def serve(start: Callable[[], Mapping[str, Handler]]) -> NoReturn:
    """Run a worker. ``start`` loads what is needed and returns the handlers by the name in a request's ``op``.

    What ``start`` raises is told to the parent, as the reason why the worker could not be opened.
    """
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it closes our input
    os.nice(5)  # live audio in the parent goes first when there is too little processor for all
    sys.setswitchinterval(0.0005)  # the reading thread must see a cancellation while the other one works
    write = _writer(target)
    jobs = _Jobs(write)
    threading.Thread(target=jobs.read, args=(source,), name="frames", daemon=True).start()
    try:
        handlers = start()
    except Exception as error:  # noqa: BLE001 - any failure is the parent's to raise
        if not isinstance(error, errors.VoiceloopError):
            traceback.print_exception(error)
        write(encode(Kind.ERROR, 0, describe(error)))
        os._exit(1)
    write(encode(Kind.READY, 0))
    try:
        _work(jobs, handlers)
    except BrokenPipeError:
        os._exit(0)
