"""What goes from one connection to the next: where the input goes on, what is still to be answered, what was said."""

from __future__ import annotations

from math import inf

from attrs import define, evolve, field

from voiceloop.aws.nova.debts import Debts
from voiceloop.aws.nova.history import GO_ON, lines
from voiceloop.aws.nova.leg import Leg, Orders
from voiceloop.aws.nova.pump import Ask, Shared
from voiceloop.aws.nova.replies import Reply
from voiceloop.aws.nova.turns import Ids, Turns
from voiceloop.aws.nova.utterances import Heard
from voiceloop.interfaces import LinkContext, LinkEvent, ToolResult
from voiceloop.rules.renewal import Scene

_LEAD_MS = 200.0
"""How much before the told start of speech the input is sent again."""

_ONSET_MS = 700.0
"""How much before speech is told it may have begun."""

_RECENT = 2.0
"""What a connection was sent in its last so many seconds, it may have heard without telling."""

_UNTAKEN = 20.0
"""Speech that a service took up in no way for so long, in s, was none to it, unless it is silent altogether."""

_KEPT_MS, _KEPT_QUESTION_MS = 5_000.0, 120_000.0
_QUESTIONS = 8
_LEAST_HISTORY = 128


@define(eq=False)
class Baton:
    """Handed on at each change of connection. ``ids`` are used once, whatever the connection.

    ``speaking`` and ``since``: what the session's own detector says of the user, and from which sample on. ``cut``:
    from which sample on the connection that serves is given the input; ``given``: what others were given before.
    """

    shared: Shared
    context: LinkContext
    debts: Debts
    ids: Ids = field(factory=Ids)
    speaking: bool = False
    cut: int = 0
    given: int = 0
    _since: int | None = None
    _heard: Heard | None = None
    _unsaid: str = ""
    _reply: Reply | None = None
    _told: int = 0
    _most: int | None = None
    _questions: dict[int | None, Ask] = field(factory=dict)

    def attend(self, speaking: bool, leg: Leg | None, now: float) -> None:
        """The session's detector says that the user speaks, or does not."""
        end = self.shared.ring.end
        if speaking and not self.speaking:
            self._since = self._onset(end)
        self.debts.attend(speaking, leg, now)
        self.speaking = speaking

    def question(self, ask: Ask) -> None:
        """Text that is to be answered: it is asked again if the connection breaks."""
        self._questions[ask.turn] = ask
        while len(self._questions) > _QUESTIONS:
            del self._questions[next(iter(self._questions))]

    def claim(self, result: ToolResult) -> bool:
        """Whether ``result`` answers a call that has no answer yet, so that it is to be told, in whatever way."""
        key = (result.connection, result.call)
        known = key in self.ids.calls
        self.ids.calls.discard(key)
        return known

    def turns(self, number: int) -> Turns:
        """The reducer of connection ``number``."""
        return Turns(number, self.shared.model.output_rate, self.ids)

    def scene(self, leg: Leg, now: float) -> Scene:
        """What is going on, while ``leg`` serves."""
        turns, line = leg.turns, leg.connection
        heard = turns.user.heard if leg.silent else turns.user.unanswered(now)
        if turns.generating and heard is None and not self.speaking:
            self._since = None
        start = self._since if self.speaking or heard is not None else None
        told = self._began(heard)
        start = start if told is None else told
        untaken = self._onset(self.debts.untaken(leg, now, inf if leg.silent else _UNTAKEN))
        if untaken is not None:
            start = untaken if start is None else min(start, untaken)
        return Scene(
            now=now,
            sent=self.cut if line is None else line.sent,
            speaking=self.speaking or (heard is not None and not heard.over),
            open_question=(heard is not None or untaken is not None)
            or bool(turns.asked.turns or self.shared.todo)
            or turns.owes,
            unanswered=start,
            generating=turns.generating,
            plays_until=turns.plays_until,
            tools=len(turns.tools),
            answered=self._samples(turns.user.answered_ms),
            last_cut=self.cut,
            kept=self.shared.ring.start,
        )

    def take(self, leg: Leg, now: float, *, lost: bool) -> list[LinkEvent]:
        """``leg`` serves no longer; what follows for its replies."""
        turns, reply = leg.turns, leg.turns.reply
        scene = self.scene(leg, now)
        self.given = max(self.given, scene.sent)
        heard = turns.user.heard if leg.silent else turns.user.unanswered(now)
        void = reply if lost and reply is not None and reply.void else None
        unheard = lost and reply is not None and reply.unheard
        begun = void is not None and void.turn is None and heard is None and turns.user.answered is not None
        begun = begun and not unheard
        if begun:
            heard = turns.user.answered  # its answer had begun, but nothing of it was heard
        as_text = heard is not None and bool(heard.texts) and heard.start is None and scene.unanswered is None
        recent = 0 if as_text else self._recent(leg, now) if lost else self._samples(_ONSET_MS)
        self.cut = scene.cut(recent=recent)
        told = self._began(heard)
        if begun and told is not None:
            self.cut = max(min(told, scene.sent), scene.kept)
        again = [self._questions[turn] for turn in turns.asked.turns if turn in self._questions]
        self._unsaid = "" if heard is None else " ".join(heard.texts) or self._unsaid
        if as_text:
            if self.shared.model.family.text_input:
                again.append(Ask(self._unsaid))  # nobody knows where it was said: asked again in its words
            heard = None
        if heard is not None:
            heard = Heard(heard.item, heard.start, heard.end, heard.over, at=now)
        self._heard = heard
        self._reply = reply or self._reply
        if void is not None and void.turn in self._questions:
            again.insert(0, evolve(self._questions[void.turn], turn=None))
        if (turns.owes or unheard) and self.shared.model.family.text_input:
            again.append(Ask(GO_ON))
        self.shared.todo.extendleft(reversed(again))
        return turns.retire(lost=lost)

    def hand_to(self, leg: Leg) -> None:
        """``leg`` serves from now on."""
        turns = leg.turns
        turns.user.heard = turns.user.again = self._heard
        turns.before = self._reply
        self._heard = None
        self._tell_results()
        leg.take_over(self._orders())

    def _tell_results(self) -> None:
        """Results that wait to be sent are in the history now: the model only has to go on."""
        todo = self.shared.todo
        waiting = [item for item in todo if isinstance(item, ToolResult)]
        for item in waiting:
            todo.remove(item)
        if waiting and self.shared.model.family.text_input and Ask(GO_ON) not in todo:
            todo.append(Ask(GO_ON))

    def _orders(self) -> Orders:
        model = self.shared.model
        typed = [item.text for item in self.shared.todo if isinstance(item, Ask)]
        if self._most is not None and self._most < _LEAST_HISTORY:
            return Orders((), self.cut)
        said = self.context.history(model.history(self._most))
        most = model.history_messages or model.family.messages
        told = lines(said, most=most, without=typed[-1] if typed else self._unsaid)
        self._told = sum(len(line.text.encode()) for line in told)
        return Orders(told, self.cut)

    def shrink(self) -> None:
        """The history was too long: tell half of it from now on."""
        self._most = self._told // 2

    def tidy(self, leg: Leg | None, now: float) -> None:
        """Forget input that nobody can need any more."""
        ring = self.shared.ring
        if ring.end - ring.start < self._samples(2 * _KEPT_MS):
            return
        keep = ring.end - self._samples(_KEPT_MS)
        if leg is None or leg.connection is None:
            keep = min(keep, self.cut)
        else:
            scene, user, reply = self.scene(leg, now), leg.turns.user, leg.turns.reply
            starts = [scene.unanswered, self._began(user.heard), self._onset(self.debts.unheard.start)]
            if reply is not None and reply.void:
                starts.append(self._began(user.answered))
            asked = min((start for start in starts if start is not None), default=keep)
            keep = min(keep, max(asked, ring.end - self._samples(_KEPT_QUESTION_MS)), scene.sent)
        ring.forget(keep)

    def _began(self, heard: Heard | None) -> int | None:
        """From which sample on what was heard is sent again."""
        return None if heard is None or heard.start is None else self._samples(heard.start - _LEAD_MS)

    def _onset(self, sample: int | None) -> int | None:
        """From which sample on speech is sent again that was noticed at ``sample``."""
        return None if sample is None else max(0, sample - self._samples(_ONSET_MS))

    def _recent(self, leg: Leg, now: float) -> int:
        line = leg.connection
        return 0 if line is None else line.sent - line.sent_before(now - _RECENT)

    def _samples(self, ms: float) -> int:
        return max(0, round(ms * self.shared.model.input_rate / 1000))
