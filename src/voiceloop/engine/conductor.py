"""Joins the two sides: what the user does, what the model makes, and what follows from both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs import frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.conversation import Conversation, ImagePart
from voiceloop.engine.intake import Intake
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.listener import Ears, Hearing, Listener
from voiceloop.engine.speaker import Speaker, Voice, Why
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Request, Turn
from voiceloop.engine.wake import Timers
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import ProviderMisbehaved, SlowConsumer
from voiceloop.events import (
    Event,
    Notice,
    SettingApplied,
    Transcript,
    TranscriptRevised,
    TurnEnded,
    UserSpeechEnded,
    UserSpeechStarted,
)
from voiceloop.interfaces import Attend, Command, EndOfTurn, Pause, Prompt, Say, Settings, TurnState, UserText
from voiceloop.rules.budgets import Idle, Limits
from voiceloop.rules.echo import is_echo
from voiceloop.rules.floor import Act, Floor, Happening
from voiceloop.rules.transcripts import Revised, Utterance

_ECHO_TAIL = 2.0
_MODEL_ANSWERS = 15.0
"""How long a model that owns its turns may take to answer what was said before the input ended, in seconds."""


@frozen
class Plan:
    """What a session was asked to do, checked and complete."""

    model: str
    input: AudioFormat
    hearing: Hearing
    voice: Voice
    limits: Limits
    idle: Idle | None = None


class Conductor(Ears):
    """The policy of a session. All synchronous: it is told what happens and says what follows.

    ``send`` carries commands to the model; ``finish(reason)`` ends the session.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        conversation: Conversation,
        detector: TurnState | None,
        *,
        watchers: Watchers,
        session: object,
        send: Callable[[Command], None],
        finish: Callable[[str], None],
        turn_settled: Callable[[], None],
    ) -> None:
        self.timers = Timers()
        self.conversation = conversation
        self.lanes = Lanes(watchers=watchers, released=self._released, drained=self._drained)
        self.speaker = Speaker(
            plan.voice, self.lanes, conversation, self.timers, send=send, turn_over=self._turn_over
        )
        self.listener = Listener(plan.hearing, detector, self.timers, self)
        self.tools = ToolRunner(self.lanes, conversation, session=session, send=send, done=self._quiet)
        self.intake = Intake(
            self.listener,
            self.speaker,
            self.lanes,
            self.tools,
            tools=lambda: self.settings.tools,
            unasked=self._unasked_turn,
            renewed=self.renewed,
        )
        self._plan = plan
        self._send = send
        self._finish = finish
        self._turn_settled = turn_settled
        self._state = _State()
        self.apply(settings, frozenset())

    # ------------------------------------------------------------ what the application asks

    def apply(self, settings: Settings, changed: frozenset[str], *, later: frozenset[str] = frozenset()) -> None:
        """These settings hold; ``changed`` from now on, ``later`` for the model from its next connection on."""
        self.settings, self.speaker.speaks = settings, settings.speak
        self._state.renewing |= later
        if changed:
            self.lanes.signal(SettingApplied(settings=tuple(sorted(changed))))

    def renewed(self) -> None:
        """A new connection stands, with the newest settings."""
        self.lanes.signal(Notice(code="renewed", text="A new connection to the model took over."))
        changed, self._state.renewing = self._state.renewing, frozenset()
        self.apply(self.settings, changed)

    def start(self) -> None:
        """The model is there: the clocks run."""
        limits = self._plan.limits
        if limits.session is not None:
            self.timers.set("session", clock.now() + limits.session, lambda: self.end("limit"))
        self._watch()
        self._quiet()

    def text(self, text: str, images: tuple[ImagePart, ...], *, reply: bool) -> None:
        """The user typed something."""
        self._withdraw_speculation()
        if reply:
            self._make_way("text")
        entry = self._state.newest = self.conversation.user(text, images=images, typed=True)
        self._state.idle_prompts = 0
        if not reply:
            self._send(UserText(text=text, images=images))
            return
        turn = self.speaker.new_turn("reply")
        turn.entry = entry
        self._begin(turn, UserText(text=text, images=images, turn=turn.number))

    def speak(self, turn: Turn, request: Request) -> None:
        """Speak by itself, once nobody else does."""
        self.speaker.enqueue(turn, request)
        self._quiet()

    def interrupt(self) -> None:
        """Stop the assistant, as a barge-in would."""
        self._withdraw_speculation()
        self.speaker.happen(Happening.TYPED, "call")

    def end_input(self) -> None:
        """No more input: finish what was begun, then end."""
        self._state.input_ended = True
        if self.listener.busy or self._plan.hearing.manual:
            self.listener.end_turn()
        self._quiet()

    def end(self, reason: str, *, after_speech: bool = True) -> None:
        """Hang up: after what is being said, or at once."""
        self._state.ending = reason
        if not after_speech:
            self._finish(reason)
        self._quiet()

    def stop(self, *, failed: bool) -> None:
        """The session is over: give every turn its end."""
        if failed:
            self.speaker.fail()
        else:
            self._withdraw_speculation()
            self.speaker.happen(Happening.TYPED, "call")
            self.speaker.settle()
            self.speaker.drop_waiting("the session ended")
        self.timers.clear("endpoint")
        done = None if self.ignores(self.listener.current) else self.listener.close()
        if done is not None:
            self._tell(done.utterance, done.before)
            self.conversation.user(done.utterance.text, confidence=done.utterance.confidence)

    # ------------------------------------------------------------ what the user does

    def user(self, happened: str, ms: float) -> None:
        """See :meth:`Ears.user`."""
        match happened:
            case "started":
                self.timers.clear("idle")
                self.lanes.signal(UserSpeechStarted(ms=ms))
                self._send(Attend())
            case "suspect":
                self.speaker.happen(Happening.SUSPECT)
            case "confirm":
                if not self._is_echo(self.listener.text):
                    self._barge_in(Happening.CONFIRM)
            case "paused":
                self._send(Pause())
            case "ended":
                self.lanes.signal(UserSpeechEnded(ms=ms))
                self._quiet()
            case "handed over":
                self._send(EndOfTurn(turn=None))
            case _:
                if not self._plan.hearing.model_decides:
                    self._send(EndOfTurn(turn=None))
                self._quiet()

    def words(self, utterance: Utterance) -> None:
        """See :meth:`Ears.words`."""
        turn = self.speaker.current
        counts = turn is not None and not turn.speculative and not self._is_echo(utterance.text)
        if counts and self._barge_in(Happening.WORDS):
            return  # they were told as words of the utterance that goes on
        self.lanes.signal(_transcript(utterance, final=False))
        if self._state.input_ended:
            self.listener.end_turn()  # nobody else will

    def _barge_in(self, happening: Happening) -> bool:
        """Whether the last utterance goes on."""
        turn, unheard = self.speaker.current, self.speaker.floor in (Floor.THINKING, Floor.HELD)
        merges = turn is not None and not self._plan.hearing.model_decides and self._can_take_back(turn)
        if self._plan.hearing.only_suspects or (happening is Happening.CONFIRM and unheard and not merges):
            happening = Happening.SUSPECT  # only words may end what cannot be asked again
        why: Why = "words" if happening is Happening.WORDS else "speech"
        act = self.speaker.happen(happening, why)
        if act is not Act.MERGE or turn is None:
            return False
        if not merges:
            self.speaker.interrupt(why)
            return False
        self._state.cut_offs += 1
        self._take_back(turn, "the user went on")
        self.listener.reopen()
        return True

    def _can_take_back(self, turn: Turn) -> bool:
        """Whether what ``turn`` answers is the last thing that the user said, and nothing came of it yet."""
        return turn.utterance is not None and turn.entry == self._state.newest and not (turn.called or turn.audible)

    def _take_back(self, turn: Turn, why: str) -> None:
        """Undo the living turn and what it was to answer."""
        self.speaker.cancel(why)
        if turn.entry is not None:
            self.conversation.withdraw_user(turn.entry)

    def prepare(self, utterance: Utterance | None) -> None:
        """See :meth:`Ears.prepare`."""
        if utterance is None:
            self._withdraw_speculation()
        elif self.speaker.current is None:
            turn = self.speaker.new_turn("reply", utterance=utterance.number)
            turn.speculative = True
            turn.entry = self._state.newest = self.conversation.user(utterance.text, confidence=utterance.confidence)
            self._begin(turn, EndOfTurn(turn=turn.number, final=False))

    def _withdraw_speculation(self) -> None:
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self.intake.forget()
            self._take_back(turn, "the words changed")

    def committed(self, utterance: Utterance, before: str | None, speech_ended: float) -> None:
        """See :meth:`Ears.committed`."""
        self._tell(utterance, before)
        self._state.idle_prompts = 0
        self._state.turns += 1
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self._send(EndOfTurn(turn=None))
            if turn.entry is not None and self.conversation.amendable(turn.entry):  # its punctuation came later
                self.conversation.amend_user(turn.entry, utterance.text, utterance.confidence)
            self._confirm(turn, speech_ended)
        else:
            self._answer(utterance.number, utterance.text, utterance.confidence, speech_ended)

    def _tell(self, utterance: Utterance, before: str | None) -> None:
        if before is None:
            self.lanes.signal(_transcript(utterance, final=True))
        elif before != utterance.text:
            self.lanes.signal(TranscriptRevised(utterance=utterance.number, before=before, text=utterance.text))

    def _confirm(self, turn: Turn, speech_ended: float) -> None:
        """What was prepared is what is wanted."""
        turn.speculative = turn.track.held = False
        turn.timing.speech_ended, turn.timing.committed = speech_ended, clock.now()
        self.speaker.answer_waiting()
        self.intake.confirm(turn)
        self.lanes.moved()

    def _answer(self, utterance: int, text: str, confidence: float | None, speech_ended: float) -> None:
        place, self._state.place = self._state.place, None
        entry = self._state.newest = self.conversation.user(text, confidence=confidence, place=place)
        if place is not None:
            return
        self._state.asked = Asked(utterance, entry, speech_ended, clock.now())
        if not self._plan.hearing.model_decides:
            turn = self._answering_turn()
            self._begin(turn, EndOfTurn(turn=turn.number))

    def _answering_turn(self) -> Turn:
        """A turn that answers what the user said last, if nothing has answered it yet."""
        asked, self._state.asked = self._state.asked, None
        if asked is None:
            return self.speaker.new_turn("reply")
        turn = self.speaker.new_turn("reply", utterance=asked.utterance)
        turn.entry = asked.entry
        turn.timing.speech_ended, turn.timing.committed = asked.speech_ended, asked.committed
        return turn

    def revised(self, change: Revised) -> None:
        """See :meth:`Ears.revised`."""
        self.lanes.signal(TranscriptRevised(utterance=change.number, before=change.before, text=change.text))
        turn = self._state.answers.get(change.number)
        if turn is None or turn.entry is None or not change.text.strip():
            return
        again = not self._plan.hearing.model_decides and self._can_take_back(turn)
        if self.speaker.current is turn and again:
            ended = turn.timing.speech_ended
            self._take_back(turn, "the transcript was corrected")
            self._answer(change.number, change.text, None, clock.now() if ended is None else ended)
        elif self.conversation.amendable(turn.entry):
            self.conversation.amend_user(turn.entry, change.text)

    def ignores(self, utterance: Utterance) -> str:
        """See :meth:`Ears.ignores`."""
        turn = self.speaker.current
        if self._is_echo(utterance.text):
            return "an echo of the assistant's own words"
        if turn is not None and not (turn.speculative or self._may_interrupt(turn)):
            return "barge-in is off while the assistant speaks"
        return ""

    def ignored(self, why: str) -> None:
        """See :meth:`Ears.ignored`."""
        self.lanes.signal(Notice(code="speech-ignored", text=f"What the user said was ignored: {why}."))

    def _may_interrupt(self, turn: Turn) -> bool:
        return turn.interruptible and self._plan.voice.barge_in != "off"

    def _is_echo(self, text: str) -> bool:
        turn = self.speaker.current
        if turn is None:
            if clock.now() - self._state.last_over > _ECHO_TAIL:
                return False
            turn = self._state.last_turn
        if turn is None or not turn.audible or not text:
            return False
        position = turn.track.playhead.position_ms(clock.now())
        return is_echo(text, turn.script.spoken(), position)

    # ------------------------------------------------------------ turns

    def _unasked_turn(self) -> Turn:
        """The model answers by itself."""
        asked = self._state.asked is not None
        if self.listener.take_untold() and not asked:
            self._state.place, asked = self.conversation.place(), True
        turn = self._answering_turn()
        self._state.answering(turn)
        before = self.speaker.current
        if before is not None and before.made and not asked:
            self.speaker.enqueue(turn, None)  # the model goes on by itself, after a tool say
            return turn
        if before is not None:
            self.speaker.happen(Happening.TYPED, "model")
        self.speaker.begin(turn, None)
        return turn

    def _make_way(self, why: Why) -> None:
        """Interrupt what is being said, if it may be."""
        if self.speaker.current is not None and self.speaker.current.interruptible:
            self.speaker.happen(Happening.TYPED, why)

    def _begin(self, turn: Turn, request: Request) -> None:
        self._state.answering(turn)
        self._make_way("speech")
        if self.speaker.current is not None:
            self.speaker.enqueue(turn, request)
        else:
            self.speaker.begin(turn, request)

    def _released(self, event: Event) -> None:
        if self.speaker.released(event):
            turn = self.speaker.current
            assert turn is not None
            metrics = turn.timing.waterfall(
                turn=turn.number,
                utterance=turn.utterance or 0,
                out=clock.now(),
                cut_offs=self._state.cut_offs,
                turns=self._state.turns,
            )
            if metrics is not None:
                self.lanes.signal(metrics)

    def _drained(self, track: Any) -> None:
        self.speaker.drained(track)

    def _turn_over(self, turn: Turn, ended: TurnEnded) -> None:
        self._state.last_turn, self._state.last_over = turn, clock.now()
        self._turn_settled()
        self._quiet()

    # ------------------------------------------------------------ quiet, and the end

    def _quiet(self) -> None:
        """Something ended: once all that follows from it is done, see whether anything is going on."""
        self.timers.set("quiet", clock.now(), self._go_on)

    def _go_on(self) -> None:
        """Say what waits, end, or wait for the user."""
        if not self.listener.busy:
            self.speaker.next_waiting()
            self.intake.catch_up()
        if not self.speaker.idle or self.tools.running:
            return
        if self._state.input_ended and self._plan.hearing.model_decides:
            self.timers.set("unanswered", clock.now() + _MODEL_ANSWERS, lambda: self._finish("input ended"))
        if self._state.ending is not None:
            self._finish(self._state.ending)
        elif not self.listener.busy and self._state.asked is None:
            if self._state.input_ended and clock.now() < self.listener.words_until:
                self.timers.set("quiet", self.listener.words_until, self._go_on)
            elif self._state.input_ended:
                self._finish("input ended")
            elif self._plan.idle is not None:
                self.timers.set("idle", clock.now() + self._plan.idle.after, self._on_idle)

    def _on_idle(self) -> None:
        idle = self._plan.idle
        if idle is None or not self.speaker.idle or self.listener.busy or self.speaker.floor is not Floor.OPEN:
            return
        if self._state.idle_prompts >= idle.times:
            if idle.then_end:
                self.end("idle")
            return
        self._state.idle_prompts += 1
        turn = self.speaker.new_turn("idle")
        request: Request = Prompt(turn=turn.number, text=idle.prompt)
        if idle.say is not None:
            request = Say(turn=turn.number, text=idle.say)
        self._begin(turn, request)

    def _watch(self) -> None:
        """Once a second: is anybody taking the events?"""
        limits = self._plan.limits
        stalled, waiting = self.lanes.stalled_for(clock.now()), self.lanes.signals_waiting
        if stalled > limits.consumer_stall or waiting > limits.signals:
            raise SlowConsumer(
                f"nobody took the session's events for {stalled:.0f} s; {waiting} are waiting",
                doing="delivering events",
                hint="Iterate over the session all the time, in a task of its own if need be; see Limits.",
            )
        made = self.lanes.waiting_ms / 1000
        if made > limits.reply_audio:
            raise ProviderMisbehaved(
                f"made {made:.0f} s of audio ahead of the listener",
                provider=self._plan.model,
                doing="replying",
                hint="A link that makes its own audio awaits LinkContext.room(); see also limits.reply_audio.",
            )
        self.timers.set("watch", clock.now() + 1.0, self._watch)


@frozen
class Asked:
    """An utterance that waits for its answer: its number, its entry, and the times it ended and was committed."""

    utterance: int
    entry: int
    speech_ended: float
    committed: float


@attrs.define
class _State:
    """What a conductor remembers between happenings."""

    ending: str | None = None
    asked: Asked | None = None
    newest: int | None = None
    place: int | None = None
    renewing: frozenset[str] = frozenset()
    input_ended: bool = False
    idle_prompts: int = 0
    cut_offs: int = 0
    turns: int = 0
    last_turn: Turn | None = None
    last_over: float = float("-inf")
    answers: dict[int, Turn] = attrs.field(factory=dict)

    def answering(self, turn: Turn) -> None:
        """Remember which turn answers which utterance, for corrections that come late."""
        if turn.utterance is not None:
            self.answers[turn.utterance] = turn
            while len(self.answers) > 4:
                del self.answers[next(iter(self.answers))]


def _transcript(utterance: Utterance, *, final: bool) -> Transcript:
    return Transcript(
        utterance=utterance.number,
        text=utterance.text,
        final=final,
        words=utterance.words,
        stable_chars=len(utterance.text) if final else utterance.stable_chars,
        confidence=utterance.confidence,
        language=utterance.language,
    )
