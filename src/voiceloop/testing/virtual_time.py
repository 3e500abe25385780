"""An asyncio event loop on which time costs nothing: an hour of sleeping passes at once.

::

    from voiceloop.testing import virtual_time

    virtual_time.run(conversation, seed=7)

    with virtual_time.virtual_time(seed=7) as runner:  # several runs on one clock
        runner.run(conversation())

    @pytest.mark.virtual_time(seed=7)  # with pytest-asyncio
    async def test_conversation() -> None: ...

When no callback can run, the clock jumps to the next timer. It stands still while outside work is going on
(``voiceloop.clock.outside_work``): a thread, a worker process or a socket, whose duration cannot be simulated.
Time starts at 1000 s, at midnight UTC of 1 January 2026; ids and chance come from the seed.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from attrs import define

from voiceloop import clock
from voiceloop.errors import VoiceloopError

__all__ = ("EPOCH", "START", "Deadlock", "VirtualTimeLoop", "inside_work", "run", "seeded", "virtual_time")

T = TypeVar("T")

START = 1000.0
"""What ``clock.now()`` says when a loop is new, in seconds."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What ``clock.utcnow()`` says when a loop is new."""

_SPIN_ROUNDS = 100_000
_SPIN_STEP = 0.001


class Deadlock(VoiceloopError, RuntimeError):
    """Every task waits for another one: no timer is set and no outside work is going on, so nothing can ever happen.

    Also raised when outside work showed no sign of life for ``patience`` real seconds. The message lists the tasks.
    """


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of sleeping.

    ``patience``: real seconds to wait for outside work that shows no sign of life, before :class:`Deadlock`.
    Work given to ``run_in_executor`` holds the clock by itself; other threads, processes and sockets need
    ``clock.outside_work()``. A task that spins without ever waiting makes time pass too, after 100 000 rounds.
    """

    def __init__(self, *, patience: float = 60.0) -> None:
        self._jumping = _JumpingSelector(patience)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds; starts at 1000.0."""
        return self._jumping.now

    @contextmanager
    def outside_work(self) -> Iterator[None]:
        """The clock stands still inside. May be nested, and entered by several tasks."""
        hold = _Hold(self._jumping)
        _holds.set((*_holds.get(), hold))
        try:
            yield
        finally:
            _holds.set(tuple(other for other in _holds.get() if other is not hold))
            hold.end()

    @contextmanager
    def inside_work(self) -> Iterator[None]:
        """The clock goes on inside, whatever outside work is believed to go on around it in the same task."""
        holds = _holds.get()
        for hold in holds:
            hold.lift()
        try:
            yield
        finally:
            for hold in holds:
                hold.take_up()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As in asyncio, and holds the clock until ``func`` has returned."""
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        hold = _Hold(self._jumping)
        future.add_done_callback(lambda _: hold.end())
        return future

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """As in asyncio; the clock stands still until the threads have ended."""
        with self.outside_work():
            await super().shutdown_default_executor(*args, **options)


@define(eq=False)
class _Hold:
    """One stretch of outside work, which stops the clock from the beginning on."""

    _selector: _JumpingSelector
    _lifted: int = 0
    _over: bool = False

    def __attrs_post_init__(self) -> None:
        self._selector.outside += 1

    def end(self) -> None:
        self._over = True
        self._selector.outside -= not self._lifted

    def lift(self) -> None:
        """Let the clock go on for now; several may."""
        self._selector.outside -= not self._lifted and not self._over
        self._lifted += 1

    def take_up(self) -> None:
        """End a :meth:`lift`."""
        self._lifted -= 1
        self._selector.outside += not self._lifted and not self._over


_holds: ContextVar[tuple[_Hold, ...]] = ContextVar("voiceloop_outside_work", default=())


def inside_work() -> AbstractContextManager[object]:
    """Hold around a wait for something on the same event loop that stands in for outside work, such as an emulator in
    memory: the clock goes on though the caller holds ``clock.outside_work()``. In real time it does nothing."""
    loop = asyncio.get_running_loop()
    return loop.inside_work() if isinstance(loop, VirtualTimeLoop) else nullcontext()


class _JumpingSelector(selectors.BaseSelector):
    """Polls the real selector; where the loop would wait, moves the clock, or waits for outside work."""

    def __init__(self, patience: float) -> None:
        self.now = START
        self.outside = 0
        self._patience = patience
        self._rounds = 0
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(0)
        if events:
            return events
        if timeout is not None and timeout <= 0:
            self._rounds += 1
            if self._rounds > _SPIN_ROUNDS and not self.outside:
                self.now += _SPIN_STEP
            return []
        self._rounds = 0
        if self.outside:
            return self._wait_outside()
        if timeout is None:
            raise Deadlock(
                f"nothing can happen any more: no timer is set and no outside work is going on\n{_waiting()}",
                hint="\nIf a task waits for a thread, a process or a socket, hold clock.outside_work() meanwhile.",
            )
        self.now += timeout
        return []

    def _wait_outside(self) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(self._patience)
        if not events:
            raise Deadlock(
                f"outside work showed no sign of life for {self._patience:g} real seconds\n{_waiting()}",
                hint="\nLook at the thread, process or socket that is waited for; the clock stands still meanwhile.",
            )
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Any:
        return self._real.get_map()


def _waiting() -> str:
    """The unfinished tasks of the running loop, by name, with where each waits."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    return "\n".join(f"  {task.get_name()}: {_where(task)}" for task in tasks)


def _where(task: asyncio.Task[Any]) -> str:
    """The last three calls of the task, outermost first, as ``function (file:line)``."""
    calls: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = next((f for n in ("cr_frame", "gi_frame", "ag_frame") if (f := getattr(awaited, n, None))), None)
        if frame is not None:
            calls.append(f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        awaited = next(
            (a for n in ("cr_await", "gi_yieldfrom", "ag_await") if (a := getattr(awaited, n, None))), None
        )
    return " > ".join(calls[-3:]) or "not started"


def seeded(seed: int) -> clock.Source:
    """Time and chance for a virtual loop: the fixed :data:`EPOCH`, and randomness from ``seed``."""
    return clock.Source(epoch=lambda: EPOCH.timestamp() - START, chance=random.Random(seed))


@contextmanager
def virtual_time(seed: int = 0) -> Iterator[asyncio.Runner]:
    """A runner on a new :class:`VirtualTimeLoop`, with ids and chance from ``seed``; several runs share the clock."""
    token = clock.use(seeded(seed))
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            yield runner
    finally:
        clock.reset(token)


def run(main: Callable[..., Coroutine[Any, Any, T]], *args: Any, seed: int = 0) -> T:
    """Run ``main(*args)`` on virtual time and return its result. The same seed gives the same run.

    Raises :class:`Deadlock` when nothing can happen any more and ``main`` is not done.
    """
    with virtual_time(seed) as runner:
        return runner.run(main(*args))
