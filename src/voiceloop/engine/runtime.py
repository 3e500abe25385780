"""What makes a session run: its tasks, in one supervisor, from connecting to the last event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, nullcontext, suppress
from math import inf

import anyio
from anyio.abc import TaskGroup

from voiceloop import clock
from voiceloop.engine.blame import blame, is_stray
from voiceloop.engine.conductor import Conductor
from voiceloop.engine.keeper import Keeper
from voiceloop.engine.parts import Parts
from voiceloop.engine.pool import SharedPool
from voiceloop.engine.supervisor import Supervisor, bare
from voiceloop.engine.uplink import Uplink, Way
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import (
    ProviderTimeout,
    ProviderUnavailable,
    SessionClosed,
    SessionFailed,
    VoiceloopError,
)
from voiceloop.events import ConnectionState, Notice, SessionEnded, SessionStarted
from voiceloop.interfaces import Link, LinkContext, LinkEvent, ModelUsage, Resources

_OF_CLOSING = 0.8
"""The share of the time for closing that a memory may take."""


_WATCH = 1.0
_LAST_WORDS = 1.0  # s for what a closed link still tells
"""How often it is looked whether input and events are taken, in seconds."""


class Runtime:
    """A running session. ``conductor`` and ``uplink`` are there once it has ``stood_up``."""

    conductor: Conductor
    uplink: Uplink

    def __init__(self, parts: Parts, session: object) -> None:
        self._parts = parts
        self._session = session
        self._supervisor = Supervisor("voiceloop session")
        self._finished = anyio.Event()
        self._accepts = True
        self._error: Exception | None = None
        self._reason = "closed"
        self.over = False
        self.stood_up = False
        self.watchers = Watchers(parts.observers)

    async def start(self) -> None:
        """Connect; raises the failure bare when that does not work."""
        try:
            await self._supervisor.start(self._main)
        except BaseException:
            self.over, self._accepts = True, False
            self.watchers.close()
            raise

    def finish(self, reason: str) -> None:
        """End the session."""
        self._accepts = False
        if not self._finished.is_set():
            self._reason = reason
            self._finished.set()

    async def stop(self) -> None:
        """End the session and wait until nothing of it is left."""
        self.finish("closed")
        await self._supervisor.end(self._parts.plan.limits.close)

    @property
    def conversation_id(self) -> str:
        """The id under which the conversation is kept."""
        return self._parts.conversation_id

    @property
    def failure(self) -> BaseException | None:
        """What the session failed with."""
        return self._supervisor.failure or self._error

    @property
    def ended(self) -> bool:
        """Whether it takes nothing more."""
        return not self._accepts

    def alive(self, doing: str) -> Conductor:
        """The conductor, if the session is running; raises SessionClosed otherwise."""
        if not self._accepts:
            if self.failure is not None:
                raise SessionFailed("the session has failed", doing=doing) from self.failure
            raise SessionClosed("the session is over", doing=doing)
        return self.conductor

    # ------------------------------------------------------------ the supervised task

    async def _main(self, ready: Callable[[], None]) -> None:
        parts = self._parts
        error: BaseException | None = None
        keeper = Keeper(parts.memory, parts.conversation_id, self._trouble)
        await self._stand_up(keeper)
        try:
            async with AsyncExitStack() as stack:
                pool = await stack.enter_async_context(SharedPool()) if parts.pool is None else parts.pool
                await self._converse(pool, keeper, ready)
        except BaseException as failure:
            error = bare(failure)
            self._error = error if isinstance(error, Exception) else None
            raise
        finally:
            self.over, self._accepts = True, False
            self.uplink.close()
            try:
                self.conductor.stop(failed=isinstance(error, Exception))
                with anyio.CancelScope(shield=True):
                    await keeper.finish(parts.plan.limits.close * _OF_CLOSING)
            finally:
                self._end(error)

    async def _stand_up(self, keeper: Keeper) -> None:
        parts, plan = self._parts, self._parts.plan
        conversation = await keeper.load()
        self.conductor = Conductor(
            plan,
            parts.settings,
            conversation,
            parts.turns,
            watchers=self.watchers,
            session=self._session,
            send=lambda command: self.uplink.send(command),
            finish=self.finish,
            turn_settled=keeper.settled,
        )
        self.uplink = Uplink(
            Way(source=plan.input, target=plan.hears, provider=parts.model.listener, limits=plan.limits),
            watchers=self.watchers,
            heard=self.conductor.listener.audio,
            taken=self.conductor.taken,
            overdue=lambda: self.conductor.timers.set("watch", clock.now(), self._watch),
        )
        started = SessionStarted(
            conversation_id=parts.conversation_id,
            model=parts.model.name,
            input=plan.input,
            output=plan.voice.pacing.format,
        )
        self.stood_up = True
        self.conductor.lanes.signal(started)
        self.conductor.lanes.signal(ConnectionState(state="connecting"))

    async def _converse(self, pool: Resources, keeper: Keeper, ready: Callable[[], None]) -> None:
        parts, limits = self._parts, self._parts.plan.limits
        connected, failure = False, None
        with anyio.CancelScope(deadline=clock.now() + limits.connect) as scope:
            async with parts.model.connect(self._context(pool, keeper)) as link:
                connected, scope.deadline, events = True, inf, aiter(link)
                self.conductor.lanes.signal(ConnectionState(state="ready"))
                try:
                    await self._talk(link, events, keeper, ready)
                except BaseException as error:
                    failure = error
                    raise
                finally:
                    scope.deadline = clock.now() + limits.close
            await self._read_usage(events)
        if scope.cancelled_caught and not connected:
            raise ProviderTimeout(
                f"did not connect within {limits.connect:g} s",
                provider=parts.model.name,
                doing="connecting",
                retryable=True,
                hint="See the network, or raise limits.connect.",
            )
        if scope.cancelled_caught:
            text = f"{parts.model.name} did not close within {limits.close:g} s and was cancelled."
            self.conductor.lanes.signal(Notice(code="closing-cancelled", text=text))
            if failure is not None:
                raise failure

    async def _talk(
        self, link: Link, events: AsyncIterator[LinkEvent], keeper: Keeper, ready: Callable[[], None]
    ) -> None:
        """Everything runs, until the end."""
        audio = self._parts.audio
        async with anyio.create_task_group() as children:
            self.conductor.tools.start(children)
            children.start_soon(self._pass_on, link, children, name="uplink")
            children.start_soon(self._read, events, name="link reader")
            children.start_soon(self.conductor.timers.run, name="timers")
            children.start_soon(keeper.run, name="keeper")
            if audio is not None:
                children.start_soon(self._pump, audio, name="audio pump")
            self.conductor.course.start()
            self._watch()
            ready()
            await self._finished.wait()
            children.cancel_scope.cancel()

    def _context(self, pool: Resources, keeper: Keeper) -> LinkContext:
        conductor, ahead_ms = self.conductor, self._parts.plan.limits.reply_ahead * 1000
        return LinkContext(
            settings=lambda: conductor.settings,
            history=keeper.conversation.view,
            room=lambda: conductor.lanes.room(ahead_ms),
            resources=pool,
            want=self._parts.want,
        )

    async def _pass_on(self, link: Link, children: TaskGroup) -> None:
        with blame(self._parts.model.name, "taking input"):
            await self.uplink.run(link, children)

    async def _read_usage(self, events: AsyncIterator[LinkEvent]) -> None:
        """What the model consumed since it last told, once it is closed."""
        with suppress(VoiceloopError), blame(self._parts.model.name, "closing"), anyio.move_on_after(_LAST_WORDS):
            async for event in events:
                if isinstance(event, ModelUsage):
                    self.conductor.intake.take(event)

    async def _read(self, events: AsyncIterator[LinkEvent]) -> None:
        take = self.conductor.intake.take
        making = blame(self._parts.model.name, "making events")
        while True:
            with making:
                event = await anext(events, None)
            if event is None:
                break
            take(event)
        if not self._finished.is_set():
            raise ProviderUnavailable(
                "closed the connection", provider=self._parts.model.name, doing="listening", retryable=True
            )

    async def _pump(self, audio: AsyncIterable[bytes]) -> None:
        chunks = aiter(audio)
        async with aclosing(chunks) if isinstance(chunks, AsyncGenerator) else nullcontext():
            while (pcm := await self._captured(chunks)) is not None:
                if self.uplink.full:
                    await self.uplink.room()
                self.uplink.audio(pcm)
        self.conductor.course.end_input()

    async def _captured(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await anext(chunks, None)
        except asyncio.CancelledError as cancellation:
            if is_stray(cancellation):
                raise VoiceloopError("the iterable was cancelled from within", doing="reading audio=") from None
            raise

    def _watch(self) -> None:
        now, plan = clock.now(), self._parts.plan
        self.conductor.lanes.check(now, plan.limits, plan.model)
        self.uplink.check(now)
        self.conductor.timers.set("watch", now + _WATCH, self._watch)

    # ------------------------------------------------------------ the end

    def _trouble(self, text: str) -> None:
        self.conductor.lanes.signal(Notice(code="memory-failed", text=text))

    def _end(self, error: BaseException | None) -> None:
        lanes = self.conductor.lanes
        lanes.signal(ConnectionState(state="closed"))
        if isinstance(error, Exception):
            lanes.close(SessionEnded(reason="failed", error=f"{type(error).__name__}: {error}"))
        else:
            lanes.close(SessionEnded(reason=self._reason))
