"""Joins the two sides: what the user does, what the model makes, and what follows from both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voiceloop import clock
from voiceloop.conversation import Conversation, ImagePart
from voiceloop.engine.answers import Answers
from voiceloop.engine.course import Course
from voiceloop.engine.detector import Detector
from voiceloop.engine.ears import Doing, Ears
from voiceloop.engine.echo import EchoGuard
from voiceloop.engine.intake import Intake
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.listener import Listener
from voiceloop.engine.parts import Plan
from voiceloop.engine.speaker import Speaker, Why
from voiceloop.engine.toolrunner import ToolRunner
from voiceloop.engine.turn import Request, Turn
from voiceloop.engine.wake import Timers
from voiceloop.engine.watchers import Watchers
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
from voiceloop.interfaces import Attend, Command, EndOfTurn, Pause, Settings, TurnDetector, UserText
from voiceloop.rules.floor import Act, Happening, weighed
from voiceloop.rules.transcripts import Revised, Utterance


class Conductor(Ears):
    """The policy of a session. All synchronous: it is told what happens and says what follows.

    ``send`` carries commands to the model; ``finish(reason)`` ends the session.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        conversation: Conversation,
        turns: TurnDetector | None,
        *,
        watchers: Watchers,
        session: object,
        send: Callable[[Command], None],
        finish: Callable[[str], None],
        turn_settled: Callable[[], None],
    ) -> None:
        self.timers = Timers()
        self.lanes = Lanes(watchers=watchers, released=self._released, drained=self._drained)
        self.speaker = Speaker(
            plan.voice, self.lanes, conversation, self.timers, send=send, turn_over=self._turn_over
        )
        self.echo = EchoGuard(self.speaker, on=plan.ignores_echo)
        self.answers = Answers(conversation, self.speaker)
        self.listener = Listener(plan.hearing, Detector(turns, plan.hears, self.timers), self.timers, self)
        self.tools = ToolRunner(self.lanes, conversation, session=session, send=send, done=lambda: self.course.look())
        self.intake = Intake(
            plan.model,
            plan.voice,
            self.listener,
            self.speaker,
            self.lanes,
            self.tools,
            tools=lambda: self.settings.tools,
            unasked=self._unasked_turn,
            renewed=self.renewed,
        )
        self.course = Course(
            plan,
            self.timers,
            self.listener,
            self.speaker,
            self.tools,
            unanswered=lambda: self.answers.wanted,
            free=self.intake.catch_up,
            begin=self._begin,
            finish=finish,
        )
        self._plan = plan
        self._send = send
        self._turn_settled = turn_settled
        self._renewing: frozenset[str] = frozenset()
        self.apply(settings, frozenset())

    # ------------------------------------------------------------ what the application asks

    def apply(self, settings: Settings, changed: frozenset[str], *, later: frozenset[str] = frozenset()) -> None:
        """These settings hold; ``changed`` from now on, ``later`` for the model from its next connection on."""
        self.settings, self.speaker.speaks = settings, settings.speak
        self._renewing |= later
        if changed:
            self.lanes.signal(SettingApplied(settings=tuple(sorted(changed))))

    def renewed(self) -> None:
        """A new connection stands, with the newest settings."""
        self.lanes.signal(Notice(code="renewed", text="A new connection to the model took over."))
        changed, self._renewing = self._renewing, frozenset()
        self.apply(self.settings, changed)

    def text(self, text: str, images: tuple[ImagePart, ...], *, reply: bool) -> None:
        """The user typed something."""
        self._withdraw_speculation()
        if reply:
            self._make_way("text")
        entry = self.answers.typed(text, images)
        self.course.user_spoke()
        if not reply:
            self._send(UserText(text=text, images=images))
            return
        turn = self.speaker.new_turn("reply")
        turn.entry = entry
        self._begin(turn, UserText(text=text, images=images, turn=turn.number))

    def speak(self, turn: Turn, request: Request) -> None:
        """Speak by itself, once nobody else does."""
        self.speaker.enqueue(turn, request)
        self.course.look()

    def interrupt(self) -> None:
        """Stop the assistant, as a barge-in would."""
        self._withdraw_speculation()
        self.speaker.happen(Happening.TYPED, "call")

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
        self.listener.late.close()
        if done is not None:
            self._tell(done.utterance, done.before)
            self.answers.last_words(done.utterance)

    # ------------------------------------------------------------ what the user does

    def taken(self, behind_ms: float) -> None:
        """The model has taken all input but the last ``behind_ms``."""
        self.listener.taken(behind_ms)
        if self.course.input_ended and not behind_ms:
            self.course.look()

    def user(self, doing: Doing, ms: float) -> None:
        """See :meth:`Ears.user`."""
        match doing:
            case "started":
                self.course.user_speaks()
                self.echo.user_began(self.listener.when(ms))
                self.lanes.signal(UserSpeechStarted(ms=ms))
                self._send(Attend())
            case "suspect":
                self.speaker.happen(Happening.SUSPECT)
            case "confirm":
                if not self.echo.is_echo(self.listener.text):
                    self._barge_in(Happening.CONFIRM)
            case "paused":
                self._send(Pause())
            case "ended":
                self.lanes.signal(UserSpeechEnded(ms=ms))
                if self._plan.hearing.model_decides:
                    self._send(Pause())  # of speech that only its words told of, nothing else does
                self.course.look()
            case "handed over":
                self._send(EndOfTurn(turn=None))
            case "nothing":
                if not self._plan.hearing.model_decides:
                    self._send(EndOfTurn(turn=None))
                self.course.look()

    def words(self, utterance: Utterance) -> None:
        """See :meth:`Ears.words`."""
        turn = self.speaker.current
        counts = turn is not None and not turn.speculative and not self.echo.is_echo(utterance.text)
        if counts and self._barge_in(Happening.WORDS):
            return  # they were told as words of the utterance that goes on
        self.lanes.signal(_transcript(utterance, final=False))
        if self.course.input_ended:
            self.listener.end_turn()  # nobody else will

    def _barge_in(self, happening: Happening) -> bool:
        """Whether the last utterance goes on."""
        turn, hearing = self.speaker.current, self._plan.hearing
        merges = turn is not None and not hearing.model_decides and self.answers.can_take_back(turn)
        happening = weighed(happening, self.speaker.floor, only_suspects=hearing.only_suspects, merges=merges)
        why: Why = "words" if happening is Happening.WORDS else "speech"
        act = self.speaker.happen(happening, why)
        if act is not Act.MERGE or turn is None:
            return False
        if not merges:
            self.speaker.interrupt(why)
            return False
        self.answers.was_cut_off()
        self.answers.take_back(turn, "the user went on")
        self.listener.reopen()
        return True

    def prepare(self, utterance: Utterance | None) -> None:
        """See :meth:`Ears.prepare`."""
        if utterance is None:
            self._withdraw_speculation()
        elif self.speaker.current is None:
            turn = self.answers.prepared(utterance)
            self._begin(turn, EndOfTurn(turn=turn.number, final=False))

    def _withdraw_speculation(self) -> None:
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self.intake.forget()
            self.answers.take_back(turn, "the words changed")

    def committed(self, utterance: Utterance, before: str | None, speech_ended: float) -> None:
        """See :meth:`Ears.committed`."""
        self._tell(utterance, before)
        self.course.user_spoke()
        self.answers.committed()
        turn = self.speaker.current
        if turn is not None and turn.speculative:
            self._send(EndOfTurn(turn=None))
            self.answers.corrected(turn, utterance.text, utterance.confidence)  # its punctuation came later
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
        waits = self.answers.said(utterance, text, confidence, speech_ended)
        if waits and not self._plan.hearing.model_decides:
            turn = self.answers.turn()
            self._begin(turn, EndOfTurn(turn=turn.number))

    def revised(self, change: Revised) -> None:
        """See :meth:`Ears.revised`."""
        self.lanes.signal(TranscriptRevised(utterance=change.number, before=change.before, text=change.text))
        turn = self.answers.to(change.number)
        if turn is None or turn.entry is None or not change.text.strip():
            return
        again = not self._plan.hearing.model_decides and self.answers.can_take_back(turn)
        if self.speaker.current is turn and again:
            ended = turn.timing.speech_ended
            self.answers.take_back(turn, "the transcript was corrected")
            self._answer(change.number, change.text, None, clock.now() if ended is None else ended)
        else:
            self.answers.corrected(turn, change.text)

    def ignores(self, utterance: Utterance) -> str:
        """See :meth:`Ears.ignores`."""
        turn = self.speaker.current
        if self.echo.is_echo(utterance.text):
            return "an echo of the assistant's own words"
        if turn is not None and not (turn.speculative or self._may_interrupt(turn)):
            return "barge-in is off while the assistant speaks"
        return ""

    def not_recognized(self) -> None:
        """See :meth:`Ears.not_recognized`."""
        text = "Speech was heard, and no words of it were recognized."
        self.lanes.signal(Notice(code="not-recognized", text=text))

    def ignored(self, why: str) -> None:
        """See :meth:`Ears.ignored`."""
        self.lanes.signal(Notice(code="speech-ignored", text=f"What the user said was ignored: {why}."))

    def _may_interrupt(self, turn: Turn) -> bool:
        return turn.interruptible and self._plan.voice.barge_in != "off"

    # ------------------------------------------------------------ turns

    def _unasked_turn(self) -> Turn:
        """The model answers by itself."""
        asked = self.answers.wanted
        if self.listener.take_untold() and not asked:
            self.answers.of_untold_words()
            asked = True
        turn = self.answers.turn()
        self.answers.begins(turn)
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
        self.answers.begins(turn)
        self._make_way("speech")
        if self.speaker.current is not None:
            self.speaker.enqueue(turn, request)
        else:
            self.speaker.begin(turn, request)

    def _released(self, event: Event) -> None:
        if self.speaker.released(event):
            turn = self.speaker.current
            assert turn is not None
            metrics = self.answers.metrics(turn)
            if metrics is not None:
                self.lanes.signal(metrics)

    def _drained(self, track: Any) -> None:
        self.speaker.drained(track)

    def _turn_over(self, turn: Turn, ended: TurnEnded) -> None:
        self.echo.turn_over(turn)
        self._turn_settled()
        self.course.look()


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
