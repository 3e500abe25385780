"""Joins the two sides: what the user does, what the model makes, and what follows from both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from attrs import frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.conversation import Conversation, ImagePart
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.listener import Ears, Hearing, Listener
from voiceloop.engine.speaker import Speaker, Voice
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Request, Turn
from voiceloop.engine.wake import Timers
from voiceloop.engine.watchers import Watchers
from voiceloop.errors import SlowConsumer
from voiceloop.events import (
    ConnectionState,
    Event,
    Notice,
    SettingApplied,
    Transcript,
    TranscriptRevised,
    TurnEnded,
    Usage,
    UserSpeechEnded,
    UserSpeechStarted,
)
from voiceloop.interfaces import (
    Attend,
    Command,
    EndOfTurn,
    Final,
    LinkChanged,
    LinkEvent,
    LinkNotice,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelToolCall,
    ModelUsage,
    Partial,
    Pause,
    Prompt,
    ReplyAudio,
    ReplyEnded,
    ReplyFailed,
    ReplyMarksUntil,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    ReplyViseme,
    ReplyWord,
    Say,
    Settings,
    Settled,
    TurnState,
    UserText,
)
from voiceloop.rules.budgets import Idle, Limits
from voiceloop.rules.echo import is_echo
from voiceloop.rules.floor import Act, Floor, Happening
from voiceloop.rules.transcripts import Revised, Utterance

_ECHO_TAIL = 2.0


@frozen
class Plan:
    """What a session was asked to do, checked and complete."""

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
        self.tools = ToolRunner(self.lanes, conversation, session=session, send=send)
        self._plan = plan
        self._send = send
        self._finish = finish
        self._turn_settled = turn_settled
        self._reply: tuple[int, Turn] | None = None
        self._state = _State()
        self._handlers = self._link_handlers()
        self.apply(settings, frozenset())

    # ------------------------------------------------------------ what the application asks

    def apply(self, settings: Settings, changed: frozenset[str]) -> None:
        """These settings hold from now on."""
        self.settings, self.speaker.speaks = settings, settings.speak
        if changed:
            self.lanes.signal(SettingApplied(settings=tuple(sorted(changed))))

    def start(self) -> None:
        """The model is there: the clocks run."""
        limits = self._plan.limits
        if limits.session is not None:
            self.timers.set("session", clock.now() + limits.session, lambda: self.end("limit"))
        self._watch()
        self._quiet()

    def text(self, text: str, images: tuple[ImagePart, ...], *, reply: bool) -> None:
        """The user typed something."""
        if reply:
            self._withdraw_speculation()
            self.speaker.happen(Happening.TYPED, "text")
            self.speaker.settle()
        entry = self.conversation.user(text, images=images, typed=True)
        self._state.idle_prompts = 0
        if not reply:
            self._send(UserText(text=text, images=images))
            return
        turn = self.speaker.new_turn("reply")
        turn.entry = entry
        self._begin(turn, UserText(text=text, images=images, turn=turn.number))

    def speak(self, turn: Turn, request: Request) -> None:
        """Speak by itself, once nothing else is being said."""
        self.speaker.enqueue(turn, request)

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
            self.speaker.happen(Happening.TYPED, "call")
            self.speaker.settle()

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
            case _:
                self._send(EndOfTurn(turn=None))
                self._quiet()

    def words(self, utterance: Utterance) -> None:
        """See :meth:`Ears.words`."""
        self.lanes.signal(_transcript(utterance, final=False))
        turn = self.speaker.current
        if turn is not None and not turn.speculative and not self._is_echo(utterance.text):
            self._barge_in(Happening.WORDS)

    def _barge_in(self, happening: Happening) -> None:
        if self._plan.hearing.model_decides:
            happening = Happening.SUSPECT
        act = self.speaker.happen(happening, "words" if happening is Happening.WORDS else "speech")
        turn = self.speaker.current
        if act is Act.MERGE and turn is not None:
            self._state.cut_offs += 1
            self.speaker.cancel("the user went on")
            if turn.entry is not None and not turn.called:
                self.conversation.withdraw_user(turn.entry)
                self.listener.reopen()

    def prepare(self, utterance: Utterance | None) -> None:
        """See :meth:`Ears.prepare`."""
        if utterance is None:
            self._withdraw_speculation()
        elif self.speaker.current is None:
            turn = self.speaker.new_turn("reply", utterance=utterance.number)
            turn.speculative = True
            turn.entry = self.conversation.user(utterance.text, confidence=utterance.confidence)
            self._begin(turn, EndOfTurn(turn=turn.number, final=False))

    def _withdraw_speculation(self) -> None:
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self._state.held_calls.clear()
            self.speaker.cancel("the words changed")
            if turn.entry is not None:
                self.conversation.withdraw_user(turn.entry)

    def committed(self, utterance: Utterance, before: str | None, speech_ended: float) -> None:
        """See :meth:`Ears.committed`."""
        if before is None:
            self.lanes.signal(_transcript(utterance, final=True))
        else:
            self.lanes.signal(TranscriptRevised(utterance=utterance.number, before=before, text=utterance.text))
        self._state.idle_prompts = 0
        self._state.turns += 1
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self._send(EndOfTurn(turn=None))
            self._confirm(turn, speech_ended)
        else:
            self._answer(utterance.number, utterance.text, utterance.confidence, speech_ended)

    def _confirm(self, turn: Turn, speech_ended: float) -> None:
        """What was prepared is what is wanted."""
        turn.speculative = turn.track.held = False
        turn.timing.speech_ended, turn.timing.committed = speech_ended, clock.now()
        for call in self._take_held():
            self._tool_call(turn, call)
        self.lanes.moved()

    def _answer(self, utterance: int, text: str, confidence: float | None, speech_ended: float) -> None:
        entry = self.conversation.user(text, confidence=confidence)
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
        if self.speaker.current is turn and not turn.audible and not turn.called:
            self.speaker.cancel("the transcript was corrected")
            self.conversation.withdraw_user(turn.entry)
            ended = turn.timing.speech_ended
            self._answer(change.number, change.text, None, clock.now() if ended is None else ended)
        elif self.conversation.amendable(turn.entry):
            self.conversation.amend_user(turn.entry, change.text)

    def ignores(self, utterance: Utterance) -> str:
        """See :meth:`Ears.ignores`."""
        turn = self.speaker.current
        why = ""
        if self._is_echo(utterance.text):
            why = "an echo of the assistant's own words"
        elif turn is not None and not turn.speculative:
            why = "barge-in is off while the assistant speaks"
        if why:
            self.lanes.signal(Notice(code="speech-ignored", text=f"What the user said was ignored: {why}."))
        return why

    def _is_echo(self, text: str) -> bool:
        turn, position = self.speaker.current, 0.0
        if turn is None:
            if clock.now() - self._state.last_over > _ECHO_TAIL:
                return False
            turn = self._state.last_turn
        if turn is None or not turn.audible or not text:
            return False
        position = turn.track.playhead.position_ms(clock.now())
        return is_echo(text, turn.script.spoken(), position)

    # ------------------------------------------------------------ what the model does

    def take(self, event: LinkEvent) -> None:
        """The model's next event. What belongs to a dead reply ends here."""
        self._handlers[type(event)](event)

    def _link_handlers(self) -> dict[type, Callable[[Any], object]]:
        speaker, living = self.speaker, self._living
        return {
            Partial: self.listener.item,
            Final: self.listener.item,
            ReplyStarted: self._reply_started,
            ReplyTextDelta: living(lambda turn, event: speaker.text(turn, event.text)),
            ReplyAudio: living(speaker.audio),
            ReplyViseme: living(speaker.viseme),
            ReplyWord: living(speaker.word),
            ReplySpan: living(speaker.span),
            ReplyMarksUntil: living(lambda turn, event: speaker.marks_until(turn, event.ms)),
            ReplyEnded: living(lambda turn, event: speaker.made(turn)),
            ReplyFailed: self._reply_failed,
            ModelToolCall: living(self._tool_call),
            ModelCut: living(lambda turn, event: speaker.happen(Happening.TYPED, "model")),
            ModelSpeechStarted: lambda event: speaker.happen(Happening.SUSPECT),
            ModelSpeechStopped: lambda event: self.listener.commit_by_model(event.ms),
            ModelUsage: self._usage,
            LinkChanged: lambda event: self.lanes.signal(ConnectionState(state=event.state, detail=event.detail)),
            LinkNotice: lambda event: self.lanes.signal(Notice(code=event.code, text=event.text)),
            Settled: lambda event: None,
        }

    def _living(self, handle: Callable[[Turn, Any], object]) -> Callable[[Any], None]:
        def guarded(event: Any) -> None:
            reply = self._reply
            if reply is not None and reply[0] == event.reply and reply[1] is self.speaker.current:
                handle(reply[1], event)

        return guarded

    def _reply_started(self, event: ReplyStarted) -> None:
        turn = self.speaker.current
        if event.turn is None:
            self.listener.commit_by_model()
            if turn is not None:
                self.speaker.happen(Happening.TYPED, "model")
            turn = self._answering_turn()
            self._begin(turn, None)
            self._reply = (event.reply, turn)
        elif turn is not None and turn.number == event.turn:
            self._reply = (event.reply, turn)

    def _reply_failed(self, event: ReplyFailed) -> None:
        turn = self.speaker.current
        if event.fatal:
            raise event.error
        if turn is not None and self._reply == (event.reply, turn):
            self.speaker.made(turn)
        self.lanes.signal(Notice(code="reply-failed", text=str(event.error)))

    def _tool_call(self, turn: Turn, call: ModelToolCall) -> None:
        if turn.speculative:
            self._state.held_calls.append(call)
        else:
            turn.called = True
            self.tools.call(turn.number, call, self.settings.tools)

    def _take_held(self) -> list[ModelToolCall]:
        held, self._state.held_calls = self._state.held_calls, []
        return held

    def _usage(self, event: ModelUsage) -> None:
        number = self._reply[1].number if self._reply is not None and self._reply[0] == event.reply else None
        self.lanes.signal(Usage(provider=event.provider, amounts=event.amounts, turn=number))

    # ------------------------------------------------------------ turns

    def _begin(self, turn: Turn, request: Request | None) -> None:
        self._state.answering(turn)
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
        """Nothing may be going on any more: end, or wait for the user."""
        if not self.speaker.idle or self.tools.running:
            return
        if self._state.ending is not None:
            self._finish(self._state.ending)
        elif not self.listener.busy:
            if self._state.input_ended:
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
    input_ended: bool = False
    idle_prompts: int = 0
    cut_offs: int = 0
    turns: int = 0
    last_turn: Turn | None = None
    last_over: float = float("-inf")
    held_calls: list[ModelToolCall] = attrs.field(factory=list)
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
