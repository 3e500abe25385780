"""One connection from its opening to its end: a task that talks, and one that listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import anyio
from attrs import define, field, frozen

from voiceloop import clock
from voiceloop.aws.nova import events_out as out
from voiceloop.aws.nova.bell import Bell
from voiceloop.aws.nova.connection import Connection, Events, Placement
from voiceloop.aws.nova.events_in import PROVIDER, AudioCame, OutputEvent, SpeechEnded, SpeechStarted, TextCame
from voiceloop.aws.nova.history import SYSTEM, Line
from voiceloop.aws.nova.pump import Ask, Pump, Shared
from voiceloop.aws.nova.turns import Turns
from voiceloop.aws.nova.waits import Waits
from voiceloop.aws.wire.stream import StreamRequest
from voiceloop.errors import ProviderUnavailable
from voiceloop.interfaces import Settings


@frozen
class Orders:
    """With what a leg takes over: the history, and the sample from which on it gets the input."""

    history: tuple[Line, ...]
    cut: int


@frozen(eq=False)
class Watch:
    """Who is told: ``opened``, that it could take over; ``ended``, that it is gone, and why; ``moved``: of steps."""

    opened: Callable[[Leg], None]
    ended: Callable[[Leg, Exception | None], None]
    moved: Callable[[], None]


@define
class Signs:
    """Signs of life. ``heard_at``: when anything last came; ``took_at``: when something last told of what the user
    says. ``closed``: the service ended the stream, as it was told to."""

    heard_at: float = 0.0
    took_at: float = 0.0
    closed: bool = False


@define(eq=False)
class Leg:
    """One connection.

    ``after``: a leg that has to be gone before. ``beside``: another one serves. ``ready``: it serves. ``expires``:
    when its credentials do, on the clock. ``silent``: it was replaced because it said nothing.
    """

    shared: Shared
    turns: Turns
    settings: Settings
    watch: Watch
    after: Leg | None = None
    beside: bool = False
    connection: Connection | None = None
    pump: Pump | None = None
    ready: bool = False
    expires: float | None = None
    born: float = field(factory=clock.now)
    bell: Bell = field(factory=Bell)
    gone: anyio.Event = field(factory=anyio.Event)
    _stood: anyio.Event = field(factory=anyio.Event)
    signs: Signs = field(factory=Signs)
    silent: bool = False
    _orders: Orders | None = None
    _leaving: float | None = None
    _lingers: bool = False
    _scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    _error: Exception | None = None

    # ------------------------------------------------------------ what the renewal tells it

    def take_over(self, orders: Orders) -> None:
        """Serve from now on."""
        self._orders = orders
        if self.connection is not None:
            self.connection.sent, self.connection.spoke = orders.cut, clock.now()
        self.bell.ring()

    def leave(self, *, linger: bool = False) -> None:
        """Close properly; ``linger``: once the reply that is being made is complete and its words are told."""
        self._leaving = clock.now() if self._leaving is None else self._leaving
        self._lingers, self.after = linger, None
        self.bell.ring()

    def give_up(self, error: Exception) -> None:
        """End it at once, as failed."""
        self._fail(error)
        self._scope.cancel()

    @property
    def given_up(self) -> bool:
        """Whether it has failed."""
        return self._error is not None

    @property
    def accepted(self) -> bool:
        """Whether the service accepted the stream."""
        return self._stood.is_set()

    @property
    def stuck(self) -> bool:
        """Whether it should long have ended."""
        return self._leaving is not None and clock.now() - self._leaving > 3 * self._waits.close

    def overtakes(self, ask: Ask) -> bool:
        """Whether a reply has begun to what was said before ``ask``, which waits for it."""
        turns, until, now = self.turns, ask.at * 1000 / self._line.rate, clock.now()
        return turns.generating and (turns.makes_good(until, now) or turns.answers_before(until, now))

    def abort(self) -> None:
        """End it at once."""
        self._scope.cancel()

    # ------------------------------------------------------------ its life

    async def run(self) -> None:
        """Live."""
        try:
            with self._scope:
                if self.after is not None:
                    with anyio.move_on_after(self._waits.close):
                        await self.after.gone.wait()
                await self._live()
        except Exception as failure:  # noqa: BLE001 - told to who decides what follows
            self._fail(failure)
        finally:
            self.gone.set()
        if self._leaving is not None:
            self.shared.out.put(*self.turns.retire(lost=True))
        self.watch.ended(self, self._error)

    async def _live(self) -> None:
        model = self.shared.model
        request = StreamRequest(
            service="bedrock-runtime",
            signs_as="bedrock",
            operation="InvokeModelWithBidirectionalStream",
            path=f"/model/{quote(model.model, safe='')}/invoke-with-bidirectional-stream",
            headers={"content-type": "application/vnd.amazon.eventstream"},
        )
        expires = (await self.shared.access.credentials()).expires
        if expires is not None:
            self.expires = clock.now() + (expires - clock.utcnow()).total_seconds()
        async with self.shared.access.stream(request) as stream:
            placement = Placement(model.input_rate)
            self.turns.user.place = placement.ms
            self.connection = Connection(
                self.turns.connection, stream, model.input_rate, model.family.text_bytes, placement
            )
            async with anyio.create_task_group() as both:
                both.start_soon(self._guarded, self._listen, both.cancel_scope, name="model reader")
                both.start_soon(self._guarded, self._talk, both.cancel_scope, name="model writer")

    async def _guarded(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        try:
            await work()
        except Exception as failure:  # noqa: BLE001 - kept, and told by run()
            self._fail(failure)
        scope.cancel()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error

    @property
    def stands(self) -> bool:
        """Whether it serves, and the service accepted the stream."""
        return self.ready and self.accepted

    @property
    def _waits(self) -> Waits:
        return self.shared.model.waits

    @property
    def _line(self) -> Connection:
        assert self.connection is not None
        return self.connection

    # ------------------------------------------------------------ listening

    async def _listen(self) -> None:
        stream = self._line.stream
        await stream.response()
        self._stood.set()
        self.watch.moved()
        async for event in Events(stream):
            self._take(event)
        self.signs.closed = self._leaving is not None
        if not self.signs.closed:
            raise ProviderUnavailable(
                "ended the connection", provider=PROVIDER, doing="listening to the model", retryable=True
            )

    def _take(self, event: OutputEvent) -> None:
        now = self.signs.heard_at = clock.now()
        if isinstance(event, AudioCame | TextCame | SpeechStarted | SpeechEnded):
            self._line.spoke = now
        turns = self.turns
        reply = turns.reply
        self.shared.out.put(*turns.take(event, now))
        heard, answered = turns.user.heard, turns.user.answered
        if (heard is not None and heard.at == now) or turns.reply is not reply:
            self.signs.took_at = now
        if answered is not None and answered.end is None:  # nobody told: it lies before what was sent by now
            answered.end = self._line.sent * 1000 / self._line.rate
        if self._leaving is not None:
            self.bell.ring()

    # ------------------------------------------------------------ talking

    async def _talk(self) -> None:
        await self._line.begin(self._inference(), self._speaking(), self.settings.instructions.strip() or SYSTEM)
        if self.beside:
            with anyio.move_on_after(self._waits.stands):
                await self._stood.wait()
        self.watch.opened(self)
        while self._orders is None and self._leaving is None:
            await self.bell.wait(clock.now() + self._waits.life)
        if self._orders is not None:
            await self._line.take_over(self._orders.history)
            self.ready = True
            self.watch.moved()
            self.pump = Pump(self.shared, self._line, self.turns, self.bell, lambda: self._leaving is not None)
            await self.pump.run()
        await self._linger()
        with anyio.CancelScope(deadline=clock.now() + self._waits.close, shield=True):
            await self._line.finish()
        await anyio.sleep(self._waits.close)  # the reader ends it before, with the stream

    def _inference(self) -> out.Inference:
        model, chosen = self.shared.model, self.settings.temperature
        return out.Inference(
            model.max_tokens,
            model.top_p,
            model.temperature if chosen is None else chosen,
            model.endpointing.upper() if model.endpointing else None,
        )

    def _speaking(self) -> out.Speaking:
        model, settings = self.shared.model, self.settings
        return out.Speaking(settings.voice or model.voice, model.output_rate, settings.tools, model.tool_choice)

    # ------------------------------------------------------------ leaving

    async def _linger(self) -> None:
        """Let the reply that is being made come to its end, and its spoken words be told."""
        turns, waits, began = self.turns, self._waits, self._leaving or clock.now()
        latest = min(began + waits.drain, self._line.opened + waits.life)
        while self._lingers and clock.now() < latest and turns.generating:
            await self.bell.wait(latest)
        latest = min(latest, max(clock.now(), turns.plays_until) + waits.finals)
        while self._lingers and clock.now() < latest and any(one.unspoken and not one.cut for one in turns.recent):
            await self.bell.wait(latest)
