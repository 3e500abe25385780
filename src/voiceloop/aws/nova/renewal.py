"""Carries out the table of ``voiceloop.rules.renewal``: opens, hands over, waits, closes."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from voiceloop import clock
from voiceloop.aws.nova.baton import Baton
from voiceloop.aws.nova.bell import Bell
from voiceloop.aws.nova.debts import Debts
from voiceloop.aws.nova.events_in import PROVIDER
from voiceloop.aws.nova.leg import Leg, Watch
from voiceloop.aws.nova.pump import Ask, Handover, Shared, ToDo
from voiceloop.aws.nova.trouble import Trouble, trouble
from voiceloop.errors import BadInput, ProviderError, ProviderTimeout
from voiceloop.events import Link as LinkState
from voiceloop.interfaces import (
    LinkChanged,
    LinkContext,
    LinkNotice,
    Renewed,
    ReplyFailed,
    ReplyStarted,
    Settings,
    ToolResult,
)
from voiceloop.rules.renewal import TABLE, Act, Age, Happening, Look, State, brings, rest

_LOOK = 0.1
"""How often a good moment is looked for, in seconds."""

_TEND = 1.0
_AGED = 5.0  # a connection that served for so long was no failed attempt, nor one that replied
_SETTLE = 10.0
_CLOSING = 2.5
_STOOD = 2.0
_LIVED = 5.0  # a connection that was accepted for so long was not refused for what it is


@define
class _Record:
    """What happened, and when on the clock: ``rested``, the end of the present wait; ``opened``, when B was opened;
    ``served``, when A took over; ``changed``, since when settings wait; ``expires``, when A's credentials do.

    ``numbers``: how many connections there were. ``attempt``: how many failed one after another. ``failure``: the
    last one; ``barred``: what B was refused with for good.
    """

    rested: float = 0.0
    opened: float = 0.0
    served: float = 0.0
    changed: float | None = None
    expires: float | None = None
    numbers: int = 0
    attempt: int = 0
    failure: Exception | None = None
    barred: Exception | None = None


@define(eq=False)
class Renewer:
    """Owns the connections of a link: the one that serves (A), the next one (B), and those that are being closed."""

    shared: Shared
    baton: Baton
    settings: Settings
    group: TaskGroup
    state: State = State.REOPENING
    _current: Leg | None = None
    _next: Leg | None = None
    _legs: list[Leg] = field(factory=list)
    _record: _Record = field(factory=_Record)
    _bell: Bell = field(factory=Bell)
    _progress: Bell = field(factory=Bell)
    _room: Bell = field(factory=Bell)

    @classmethod
    def of(cls, shared: Shared, context: LinkContext, group: TaskGroup) -> Renewer:
        """For a new link."""
        return cls(shared, Baton(shared, context, Debts(shared)), context.settings(), group)

    # ------------------------------------------------------------ the link's side

    def start(self) -> None:
        """Open the first connection."""
        self._open()
        self.group.start_soon(self._run, name="renewal")

    async def stands(self) -> None:
        """Wait until a connection serves. Raises ProviderError when none can be opened."""
        while not self.over:
            leg, until = self._current, clock.now() + _STOOD
            while leg is not None and leg is self._current and not (leg.stands or self.over) and clock.now() < until:
                await self._progress.wait(until)
            if leg is not None and leg is self._current and leg.ready and not self.over:
                return
            if leg is None:
                await self._progress.wait(until)
        if self._record.failure is not None:
            raise self._record.failure

    async def leave(self) -> None:
        """Close whatever is open, as properly as can be done soon."""
        self._happen(Happening.LEFT)
        with anyio.CancelScope(deadline=clock.now() + _CLOSING, shield=True):
            for leg in tuple(self._legs):
                await leg.gone.wait()

    def hear(self, pcm: bytes) -> None:
        """The next input."""
        self.shared.ring.append(pcm)
        self.baton.tidy(self._current, clock.now())
        if self._current is not None:
            self._current.bell.ring()

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state is State.OVER

    @property
    def full(self) -> bool:
        """Whether more input waits for a connection than is kept."""
        line = None if self._current is None else self._current.connection
        taken = self.baton.given if line is None else max(line.sent, self.baton.given)
        return self.shared.ring.end - taken > self.shared.model.hold * self.shared.model.input_rate

    async def room(self) -> None:
        """Wait until it is no longer full, or the link has ended."""
        while self.full and self.state is not State.OVER:
            await self._room.wait(clock.now() + _LOOK)

    def attend(self, *, speaking: bool) -> None:
        """The session's detector says that the user speaks, or does not."""
        self.baton.attend(speaking, self._current, clock.now())

    def tell(self, item: ToDo) -> None:
        """Tell the model, on whatever connection serves."""
        self.shared.todo.append(item)
        if self._current is not None:
            self._current.bell.ring()

    def give(self, result: ToolResult) -> None:
        """The result of a tool; one that nobody waits for does nothing."""
        if not self.baton.claim(result):
            return
        self.tell(result)
        leg = self._current
        if not self.shared.model.family.text_input and leg is not None and leg.turns.connection != result.connection:
            self.want()  # it can only be told as history

    def ask(self, text: str, turn: int) -> None:
        """Text that the model is to answer as ``turn``."""
        ask = Ask(text, turn, self.shared.ring.end)
        self.baton.question(ask)
        self.tell(ask)

    def hand_over(self) -> None:
        """The user's turn is over, by hand."""
        self.baton.debts.hand_over(self._current, clock.now())
        self.tell(Handover(self.shared.ring.end))

    def withdraw(self, turn: int) -> None:
        """``turn`` is void: it is not asked for, if that has not been done yet."""
        todo, leg = self.shared.todo, self._current
        for item in [item for item in todo if isinstance(item, Ask) and item.turn == turn]:
            if leg is not None and leg.overtakes(item):
                self.baton.ids.overtaken.add(turn)
            elif leg is None or leg.pump is None or item is not leg.pump.telling:
                todo.remove(item)

    def want(self) -> None:
        """Something only reaches the model by a new connection."""
        if self._record.changed is None:
            self._record.changed = clock.now()
        self._bell.ring()

    def number_reply(self) -> int:
        """A number for a reply that is made here."""
        return next(self.baton.ids.replies)

    # ------------------------------------------------------------ what happens

    async def _run(self) -> None:
        """Look at the clock and the scene, again and again."""
        try:
            while self.state is not State.OVER:
                now = clock.now()
                self._tend(now)
                happening = brings(self.state, self._look(now), self.shared.model.clocks)
                if happening is Happening.LOST and self._current is not None:
                    self._current.give_up(self._silence())
                elif happening is not None:
                    self._happen(happening)
                else:
                    await self._bell.wait(self._next_look(now))
        except Exception as crash:  # noqa: BLE001 - raised by the link's iterator
            self._end(crash)

    def _look(self, now: float) -> Look:
        leg, waiting = self._current, self._next
        return Look(
            now,
            rested=self._record.rested,
            age=None if leg is None else self._age(leg),
            scene=None if leg is None else self.baton.scene(leg, now),
            opened=self._record.opened,
            outdated=waiting is not None and waiting.settings != self.settings,
            silent=self._silent(now),
        )

    def _silent(self, now: float) -> bool:
        leg = self._current
        last = self.state is State.LAST
        return leg is not None and not leg.given_up and self.baton.debts.silent(leg, now, last=last)

    def _silence(self) -> ProviderTimeout:
        within = self.shared.model.waits.unmoved
        text = f"gave no sign of life for {within:g} s or more, though it had something to answer"
        return ProviderTimeout(text, provider=PROVIDER, doing="waiting for an answer", retryable=True)

    def _next_look(self, now: float) -> float:
        if self.state in (State.SEEKING, State.STANDBY, State.ALONE):
            return now + _LOOK
        if self.state in (State.RESTING, State.WAITING):
            return self._record.rested
        return now + _TEND

    def _age(self, leg: Leg) -> Age:
        line = leg.connection
        opened = self._record.served if line is None else line.opened
        spoke = opened if line is None else max(line.spoke, self._record.served)
        return Age(opened, spoke, self._record.expires, self._record.changed)

    def _tend(self, now: float) -> None:
        """End what was waited for long enough."""
        for left in [left for left in self._legs if left.silent and left.stuck]:
            left.abort()
        leg = self._current
        if leg is None:
            return
        within = self.shared.model.answer_within
        for turn in leg.turns.asked.overdue(now - within):
            leg.turns.asked.remove(turn)
            number = self.number_reply()
            error = ProviderTimeout(
                f"answered nothing for {within:g} s", provider=PROVIDER, doing="replying", retryable=True
            )
            self.shared.out.put(ReplyStarted(number, turn), ReplyFailed(number, error, fatal=False))
        self.shared.out.put(*leg.turns.settle(now - _SETTLE))

    def _happen(self, happening: Happening) -> None:
        before = self.state
        self.state, act = TABLE[before, happening]
        carry_out = self._acts().get(act)
        if carry_out is not None:
            carry_out()
        if act is Act.RELEASE:
            self._next = None
            self._say("degraded" if self.state is State.LAST else "ready", str(self._record.failure))
        self._bell.ring()
        self._progress.ring()

    def _acts(self) -> dict[Act, Callable[[], None]]:
        return {
            Act.OPEN: self._open,
            Act.SWAP: self._swap,
            Act.BREAK: self._break,
            Act.DROP: self._drop,
            Act.WAIT: self._wait,
            Act.GIVE_UP: lambda: self._end(self._record.failure),
            Act.CLOSE: self._close,
        }

    # ------------------------------------------------------------ what is done

    def _open(self, after: Leg | None = None) -> None:
        self._record.numbers += 1
        leg = self._next = Leg(
            self.shared,
            self.baton.turns(self._record.numbers),
            self.settings,
            Watch(opened=self._opened, ended=self._ended, moved=self._progress.ring),
            after=after,
            beside=self._current is not None,
        )
        self._legs.append(leg)
        self.group.start_soon(leg.run, name=f"connection {self._record.numbers}")
        if self._silent(clock.now()):
            self._say("recovering", str(self._silence()))
        elif self._current is not None:
            self._say("renewing")

    def _swap(self) -> None:
        leg, self._next = self._next, None
        assert leg is not None
        first = self._record.served == 0.0
        self._part()
        self._current = leg
        now = clock.now()
        self._record.served, self._record.changed, self._record.expires = now, None, leg.expires
        self.baton.hand_to(leg)
        if leg.settings != self.settings:
            self.want()
        if not first:
            self.shared.out.put(Renewed(self.baton.cut))
            self._say("ready")

    def _break(self) -> None:
        self._say("recovering" if self._silent(clock.now()) else "renewing")
        before = self._part(linger=False)
        self._open(after=before)

    def _part(self, *, lost: bool = False, linger: bool = True) -> Leg | None:
        """The connection that serves serves no longer, if there is one."""
        leg = self._current
        if leg is not None:
            leg.silent = self._silent(clock.now())
            self._current = None
            self.baton.debts.replaced(leg, silent=leg.silent)
            reply = leg.turns.reply
            void = not linger and reply is not None and reply.void  # it is closed before anything of that is heard
            self.shared.out.put(*self.baton.take(leg, clock.now(), lost=lost or leg.silent or void))
            leg.leave(linger=linger and not leg.silent)
        return leg

    def _drop(self) -> None:
        leg, self._next = self._next, None
        if leg is not None:
            leg.leave()
        self._say("ready", "The next connection was not used.")

    def _wait(self) -> None:
        now = clock.now()
        self._next = None
        if self.state is State.RESTING:
            self._record.rested = now + rest(self._record.attempt)
            self._say("ready", f"The next connection failed: {self._record.failure}")
        else:
            attempt = self._record.attempt
            delay = self.shared.model.retry.delay(attempt, clock.random()) if attempt else 0.0
            if delay is None:
                self._happen(Happening.SPENT)
                return
            self._record.rested = now + delay
        self._record.attempt += 1

    def _end(self, error: Exception | None) -> None:
        self.state = State.OVER
        self._record.failure = error
        self.shared.out.close(error)
        self._close()

    def _close(self) -> None:
        for leg in self._legs:
            leg.leave()
        self._progress.ring()

    def _say(self, state: LinkState, detail: str = "") -> None:
        self.shared.out.put(LinkChanged(state, detail))

    # ------------------------------------------------------------ what connections tell

    def _opened(self, leg: Leg) -> None:
        if leg is self._next:
            self._record.opened = clock.now()
            self._happen(Happening.OPENED)

    def _ended(self, leg: Leg, error: Exception | None) -> None:
        self._legs.remove(leg)
        if error is not None and not isinstance(error, ProviderError | BadInput):
            self._end(error)
        elif leg is self._next:
            self._record.failure, self._next = error, None
            kind = self._trouble(leg, error)
            self._record.barred = error if kind is Trouble.LASTING else None
            self._happen(_OF_NEXT[kind])
        elif leg is self._current:
            self._record.failure = self._record.barred if self.state is State.LAST else error
            self._lost(leg, self._trouble(leg, error))
        elif leg.silent:
            self._judge(leg)

    def _judge(self, leg: Leg) -> None:
        """A silent connection was closed, which shows whether it lived."""
        debts = self.baton.debts
        debts.judge(leg, self._current)
        if debts.dead >= self.shared.model.retry.attempts and not self.over:
            self._end(self._silence())

    def _lost(self, leg: Leg, kind: Trouble) -> None:
        now = clock.now()
        if (leg.accepted and now - self._record.served > _AGED) or leg.turns.replied:
            self._record.attempt = 0
        if kind is Trouble.LASTING:
            self._happen(Happening.REFUSED)
            return
        if self.state is not State.LAST:
            self._say("recovering", str(self._record.failure))
        self._part(lost=True)
        self._happen(Happening.LOST)

    def _trouble(self, leg: Leg, error: Exception | None) -> Trouble:
        """What kind of failure it was, and what is to be learnt from it."""
        kind = Trouble.PASSING if error is None else trouble(error)
        if kind is Trouble.EXPIRED:  # in a conversation that stands, somebody may sign in again
            return Trouble.LASTING if self._record.numbers == 1 else Trouble.PASSING
        if kind is Trouble.TOO_LONG:
            self.baton.shrink()
            return Trouble.PASSING
        if kind is Trouble.GENERIC:
            lived = clock.now() - leg.born
            if leg.turns.tools and leg.pump is not None and leg.pump.talked_over_tool:
                self.shared.learnt.deaf_while_tools = True
                notice = "The model takes no audio while it waits for a tool; it is held back from now on."
                self.shared.out.put(LinkNotice("no-audio-while-tool-pending", notice))
                return Trouble.PASSING
            return Trouble.PASSING if lived > _LIVED else Trouble.LASTING
        return kind


_OF_NEXT = {
    Trouble.PASSING: Happening.FAILED,
    Trouble.CROWDED: Happening.CROWDED,
    Trouble.LASTING: Happening.BARRED,
}
