"""The course of a session: what comes when nobody speaks, and when it is over."""

from __future__ import annotations

from collections.abc import Callable

from voiceloop import clock
from voiceloop.engine.listener import Listener
from voiceloop.engine.parts import Plan
from voiceloop.engine.speaker import Speaker
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Request, Turn
from voiceloop.engine.wake import Timers
from voiceloop.interfaces import Prompt, Say
from voiceloop.rules.floor import Floor
from voiceloop.rules.lull import Lull, Next, follows

_MODEL_ANSWERS = 15.0
"""How long a model that owns its turns may take to answer what was said before the input ended, in seconds."""

_LOOK_AGAIN = 1.0
"""How often it is looked, after the input, whether late words are still waited for, in seconds."""


class Course:
    """Begins the turns that wait, prompts a user who says nothing, and ends the session.

    ``unanswered()``: whether what the user said waits for an answer. ``free()`` is called when what waited may have
    begun, ``begin(turn, request)`` to ask for a turn, ``finish(reason)`` at the end.
    """

    def __init__(
        self,
        plan: Plan,
        timers: Timers,
        listener: Listener,
        speaker: Speaker,
        tools: ToolRunner,
        *,
        unanswered: Callable[[], bool],
        free: Callable[[], None],
        begin: Callable[[Turn, Request], None],
        finish: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._timers = timers
        self._listener = listener
        self._speaker = speaker
        self._tools = tools
        self._unanswered = unanswered
        self._free = free
        self._begin = begin
        self._finish = finish
        self._ending: str | None = None
        self._prompts = 0
        self.input_ended = False

    def start(self) -> None:
        """The model is there: the clocks run."""
        limit = self._plan.limits.session
        if limit is not None:
            self._timers.set("session", clock.now() + limit, lambda: self.end("limit"))
        self.look()

    def look(self) -> None:
        """Something ended: once all that follows from it is done, see whether anything is going on."""
        self._timers.set("quiet", clock.now(), self._go_on)

    def user_speaks(self) -> None:
        """The user is not idle."""
        self._timers.clear("idle")

    def user_spoke(self) -> None:
        """They said something: the prompts count from the first again."""
        self._prompts = 0

    def end_input(self) -> None:
        """No more input: finish what was begun, then end."""
        self.input_ended = True
        if self._listener.busy or self._plan.hearing.manual:
            self._listener.end_turn()
        self.look()

    def end(self, reason: str, *, after_speech: bool = True) -> None:
        """Hang up: after what is being said, or at once."""
        self._ending = reason
        if not after_speech:
            self._finish(reason)
        self.look()

    # ------------------------------------------------------------ inside

    def _follows(self) -> Next:
        lull = Lull(
            speaking=not self._speaker.idle or bool(self._tools.running),
            hearing=self._listener.busy,
            unanswered=self._unanswered(),
            ending=self._ending is not None,
            input_ended=self.input_ended,
            model_answers=self._plan.hearing.model_decides,
            late_words=self._listener.behind or clock.now() < self._listener.late.until,
        )
        return follows(lull)

    def _go_on(self) -> None:
        if not self._listener.busy:
            self._speaker.next_waiting()
            self._free()
        match self._follows():
            case "end":
                self._finish(self._ending or "input ended")
            case "await answer":
                self._timers.set("unanswered", clock.now() + _MODEL_ANSWERS, self._give_up)
            case "await words" if not self._listener.behind:
                until = min(self._listener.late.until, clock.now() + _LOOK_AGAIN)
                self._timers.set("quiet", until, self._go_on)
            case "idle" if self._plan.idle is not None:
                self._timers.set("idle", clock.now() + self._plan.idle.after, self._on_idle)
            case _:
                pass

    def _give_up(self) -> None:
        """No answer came in time."""
        if self._follows() == "await answer":
            self._finish("input ended")

    def _on_idle(self) -> None:
        idle = self._plan.idle
        if idle is None or not self._speaker.idle or self._listener.busy or self._speaker.floor is not Floor.OPEN:
            return
        if self._prompts >= idle.times:
            if idle.then_end:
                self.end("idle")
            return
        self._prompts += 1
        turn = self._speaker.new_turn("idle")
        request: Request = Prompt(turn=turn.number, text=idle.prompt)
        if idle.say is not None:
            request = Say(turn=turn.number, text=idle.say)
        self._begin(turn, request)
