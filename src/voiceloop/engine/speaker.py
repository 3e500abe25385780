"""The assistant's side: its turns, one alive at a time, and what was heard of them."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from typing import Literal

import attrs
from attrs import frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat, Converter, converter
from voiceloop.conversation import AssistantEntry, Conversation
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.turn import Cause, Request, Turn
from voiceloop.engine.wake import Timers
from voiceloop.events import (
    AudioChunk,
    Event,
    Heard,
    Interrupted,
    Notice,
    Paused,
    ReplyText,
    Resumed,
    TurnEnded,
    TurnStarted,
    Viseme,
    Word,
)
from voiceloop.interfaces import Command, Cut, ReplyAudio, ReplySpan, ReplyViseme, ReplyWord, UserText
from voiceloop.rules.budgets import Limits
from voiceloop.rules.floor import Act, BargeIn, Floor, Happening, decide
from voiceloop.rules.playout import Playhead, SpokenAt, heard
from voiceloop.rules.timeline import Pacing, Track

Why = Literal["speech", "words", "text", "model", "call"]


@frozen
class Voice:
    """How the assistant's turns leave: the model's audio format, pacing, whether its marks are waited for."""

    source: AudioFormat
    pacing: Pacing
    waits_for_marks: bool
    limits: Limits
    barge_in: BargeIn = "speech"


class Speaker:
    """Owns the turns and the floor. ``send`` carries commands to the link; ``turn_over(turn)`` tells of each end."""

    def __init__(
        self,
        voice: Voice,
        lanes: Lanes,
        conversation: Conversation,
        timers: Timers,
        *,
        send: Callable[[Command], None],
        turn_over: Callable[[Turn, TurnEnded], None],
    ) -> None:
        self.floor = Floor.OPEN
        self.speaks = True
        self.current: Turn | None = None
        self._voice = voice
        self._lanes = lanes
        self._conversation = conversation
        self._timers = timers
        self._send = send
        self._turn_over = turn_over
        self._waiting: deque[Turn] = deque()
        self._settling: tuple[Turn, Heard] | None = None
        self._convert: _InTime | None = None
        self._numbers = max((e.turn for e in conversation.entries if isinstance(e, AssistantEntry)), default=0)

    # ------------------------------------------------------------ asking for turns

    def new_turn(self, cause: Cause, *, utterance: int | None = None, interruptible: bool = True) -> Turn:
        """A turn with the next number, not yet asked for."""
        self._numbers += 1
        pacing, number = self._voice.pacing, self._numbers
        track = Track(
            turn=number,
            pacing=pacing,
            playhead=Playhead(paced=pacing.lead is not None),
            opening=TurnStarted(turn=number, cause=cause, utterance=utterance),
        )
        if not self._voice.waits_for_marks:
            track.marks_until(float("inf"))
        return Turn(number=number, cause=cause, track=track, utterance=utterance, interruptible=interruptible)

    def begin(self, turn: Turn, request: Request | None) -> None:
        """Make ``turn`` the living one and ask the model for it (None: the model began it by itself)."""
        assert self.current is None, "one turn is alive at a time"
        self.current, turn.request = turn, request
        self.settle()
        if turn.cause == "reply" and not turn.speculative:
            self.answer_waiting()
        turn.script.speaks = self.speaks
        turn.track.held = turn.speculative
        self._convert = _InTime(converter(self._voice.source, self._voice.pacing.format))
        self._conversation.assistant(turn.number)
        self._lanes.add(turn.track)
        self.happen(Happening.REQUESTED)
        if request is not None:
            self._send(request)

    def enqueue(self, turn: Turn, request: Request | None) -> None:
        """Begin ``turn`` when nothing else is being said."""
        turn.request = request
        self._waiting.append(turn)

    def waits(self, turn: Turn) -> bool:
        """Whether ``turn`` has not begun yet."""
        return turn in self._waiting

    def next_waiting(self) -> None:
        """Begin the turn that waits longest, if the floor is free."""
        if self.current is None and self._waiting:
            turn = self._waiting.popleft()
            self.begin(turn, turn.request)

    def answer_waiting(self) -> None:
        """The reply that begins answers all that the user said or typed, so no other answer need wait."""
        answered = [turn for turn in self._waiting if turn.cause == "reply"]
        for turn in answered:
            self._waiting.remove(turn)
            if isinstance(turn.request, UserText):
                self._send(attrs.evolve(turn.request, turn=None))

    @property
    def idle(self) -> bool:
        """Whether no turn is alive, waiting or unsettled."""
        return self.current is None and not self._waiting and self._settling is None

    # ------------------------------------------------------------ what the model makes

    def text(self, turn: Turn, text: str) -> None:
        """More of the turn's text."""
        if turn.timing.first_text is None:
            turn.timing.first_text = clock.now()
        turn.track.text(text, len(turn.script.said))
        turn.script.said += text
        self._conversation.wrote(turn.number, text)
        self._lanes.moved()

    def audio(self, turn: Turn, audio: ReplyAudio) -> None:
        """More of the turn's audio; forgotten where the turn is only to be read."""
        if not turn.script.speaks:
            return
        now = clock.now()
        if turn.timing.first_audio is None:
            turn.timing.first_audio = now
        if audio.first_clause_at is not None:
            turn.timing.first_clause = audio.first_clause_at
        if turn.track.audio(self._convert.push(audio.pcm) if self._convert else audio.pcm, now):
            self._lanes.moved()

    def viseme(self, turn: Turn, mark: ReplyViseme) -> None:
        """A mouth shape of the turn."""
        viseme = Viseme(turn=turn.number, code=mark.code, ms=mark.ms, end_ms=mark.end_ms, phoneme=mark.phoneme)
        if turn.track.mark(viseme):
            self._lanes.moved()

    def word(self, turn: Turn, mark: ReplyWord) -> None:
        """A word of the turn and when it is spoken."""
        text = turn.script.said[mark.start : mark.end]
        insort(turn.script.words, SpokenAt(mark.start, mark.end, mark.ms, mark.end_ms), key=lambda word: word.ms)
        word = Word(turn=turn.number, text=text, ms=mark.ms, end_ms=mark.end_ms, start=mark.start, end=mark.end)
        if turn.track.mark(word):
            self._lanes.moved()

    def span(self, turn: Turn, span: ReplySpan) -> None:
        """A stretch of the turn's text and when it is spoken; a newer one of the same text replaces it."""
        spans = turn.script.spans
        if spans and spans[-1].start == span.start:
            spans.pop()
        spans.append(SpokenAt(span.start, span.end, span.ms, span.end_ms))

    def told(self, turn: Turn, text: str) -> None:
        """The model's own account of how far it spoke in ``turn``."""
        turn.script.told = text

    def marks_until(self, turn: Turn, ms: float) -> None:
        """All marks before ``ms`` have come."""
        if turn.track.marks_until(ms):
            self._lanes.moved()

    def made(self, turn: Turn, *, broke: bool = False) -> None:
        """The model has given all of the turn; ``broke``: though not all of what it says was spoken."""
        if self._convert is not None:
            turn.track.audio(self._convert.finish(), clock.now())
        turn.made, turn.script.complete = True, not broke
        turn.track.end()
        self._lanes.moved()

    # ------------------------------------------------------------ what leaves, and what is heard

    def released(self, event: Event) -> bool:
        """An event left; whether it is the first that the listener notices of its turn."""
        turn = self.current
        if turn is None or getattr(event, "turn", None) != turn.number:
            return False
        if isinstance(event, ReplyText):
            turn.script.shown = event.start + len(event.text)
        if turn.audible:
            return False
        if isinstance(event, AudioChunk) or (isinstance(event, ReplyText) and not turn.script.speaks):
            turn.audible = True
            self.happen(Happening.AUDIBLE)
            return True
        return False

    def drained(self, track: Track) -> None:
        """All of a turn has left: it ends when it was played."""
        turn = self.current
        if turn is None or turn.track is not track or track.held:
            return
        self._end_when_played(turn)

    def _end_when_played(self, turn: Turn) -> None:
        """All of ``turn`` has left. A player that reports has a while to tell of the last of it."""
        playhead, now = turn.track.playhead, clock.now()
        if playhead.reported and not playhead.certain_of_all:
            self._timers.set("playback", playhead.ends_at() + self._voice.limits.settle, self._complete)
        elif playhead.ahead_ms(now):
            self._timers.set("playback", playhead.ends_at(), self._complete)
        else:
            self._complete()

    def played(self, number: int, ms: float, *, stopped: bool) -> None:
        """The listener reports its position."""
        now = clock.now()
        if self._settling is not None and self._settling[0].number == number:
            turn = self._settling[0]
            turn.track.playhead.report(ms, now, stopped=stopped)
            if stopped:
                self.settle()
            return
        turn_now = self.current
        if turn_now is None or turn_now.number != number or not turn_now.audible:
            return
        track = turn_now.track
        track.playhead.report(ms, now, stopped=stopped)
        if track.playhead.still(now) >= self._voice.limits.player_stall:
            self._give_up(track.playhead, now)
            return
        self._lanes.moved()
        if track.drained and (stopped or not track.held):
            if stopped:
                self._complete()
            else:
                self._end_when_played(turn_now)
        elif stopped:
            self.happen(Happening.TYPED, "call")

    def _give_up(self, playhead: Playhead, now: float) -> None:
        """The player has stood still for too long: what it reported is what was heard."""
        text = f"The player has not moved for {self._voice.limits.player_stall:g} s: the turn ends where it stands."
        self._lanes.signal(Notice(code="player-stalled", text=text))
        playhead.stop(now)
        self.happen(Happening.TYPED, "call")

    def heard_of(self, turn: Turn) -> Heard:
        """What was heard of ``turn`` by now."""
        if turn.track.drained and not turn.track.made and turn.script.complete:
            return Heard(turn.script.said, basis="measured" if not turn.script.speaks else "estimated")
        if not turn.audible:
            return Heard("", dropped="nothing of it was played")
        return heard(turn.script, turn.track.playhead, clock.now(), total_ms=turn.track.made_ms)

    def _complete(self) -> None:
        turn, self.current = self.current, None
        if turn is None:
            return
        self._timers.clear("playback")
        self.happen(Happening.DONE)
        self._settled(turn, self.heard_of(turn), "completed" if turn.script.complete else "failed")

    # ------------------------------------------------------------ the floor

    def happen(self, happening: Happening, why: Why = "speech") -> Act:
        """Something bears on who may speak: do what the table says, and tell what that was.

        A merge is left to the caller, who knows whether what the turn answers can be asked again.
        """
        turn = self.current
        barge_in = self._voice.barge_in if turn is None or turn.interruptible else "off"
        deaf = turn is not None and (turn.speculative or not turn.interruptible) and self.floor is Floor.THINKING
        if deaf and happening in (Happening.SUSPECT, Happening.CONFIRM, Happening.WORDS):
            return Act.NOTHING
        self.floor, act = decide(self.floor, happening, barge_in=barge_in)
        if turn is None:
            return act
        match act:
            case Act.HOLD | Act.PAUSE:
                self._pause(turn, tell=act is Act.PAUSE)
            case Act.RELEASE | Act.RESUME:
                self._resume(turn, tell=act is Act.RESUME)
            case Act.INTERRUPT:
                self.interrupt(why)
            case _:
                pass
        return act

    def _pause(self, turn: Turn, *, tell: bool) -> None:
        turn.track.held = True
        turn.track.playhead.pause(clock.now())
        self._timers.clear("playback")
        self._timers.set("doubt", clock.now() + self._voice.limits.suspicion, self._doubt)
        if tell:
            self._lanes.signal(Paused(turn=turn.number))

    def _resume(self, turn: Turn, *, tell: bool) -> None:
        turn.track.held = False
        turn.track.playhead.resume(clock.now())
        self._timers.clear("doubt")
        if tell:
            self._lanes.signal(Resumed(turn=turn.number))
        self._lanes.moved()
        if turn.track.drained:
            self.drained(turn.track)

    def _doubt(self) -> None:
        self.happen(Happening.DOUBT)

    def interrupt(self, why: Why) -> None:
        """The living turn is dead; what waits to be said behind it is dropped, answers are not. Idempotent."""
        turn, self.current = self.current, None
        self.drop_waiting("interrupted before it began", answers=False)
        if turn is None:
            return
        self._kill(turn)
        provisional = self.heard_of(turn)
        if not turn.audible:
            self._settled(turn, provisional, "dropped")
            return
        self._conversation.heard(turn.number, provisional)
        self._lanes.signal(Interrupted(turn=turn.number, heard=provisional, cause=why))
        self._send(Cut(turn=turn.number, heard=provisional))
        self._settling = (turn, provisional)
        playhead = turn.track.playhead
        if playhead.paced and not playhead.stopped:
            playhead.pause(clock.now())
            self._timers.set("settle", clock.now() + self._voice.limits.settle, self.settle)
        else:
            self.settle()

    def cancel(self, reason: str) -> Turn | None:
        """Drop the living turn of which nothing was heard, as if it had never been; the turn, if there was one."""
        turn, self.current = self.current, None
        if turn is None:
            return None
        self._kill(turn)
        self._settled(turn, Heard("", dropped=reason), "dropped")
        self.floor, _ = decide(self.floor, Happening.DONE)
        return turn

    def _kill(self, turn: Turn) -> None:
        for timer in ("playback", "doubt"):
            self._timers.clear(timer)
        self._lanes.purge(turn.track)
        if not turn.audible:
            self._send(Cut(turn=turn.number, heard=Heard("")))

    def drop_waiting(self, reason: str, *, answers: bool = True) -> None:
        """Forget the turns that have not begun; ``answers``: also those that the user waits for."""
        dropped = [turn for turn in self._waiting if answers or turn.cause != "reply"]
        for turn in dropped:
            self._waiting.remove(turn)
            turn.tell(Heard("", dropped=reason))

    # ------------------------------------------------------------ the last word

    def settle(self) -> None:
        """An interrupted turn's position is as well known as it will be: store it and end the turn."""
        if self._settling is None:
            return
        (turn, provisional), self._settling = self._settling, None
        self._timers.clear("settle")
        final = self.heard_of(turn) if turn.track.playhead.reported else provisional
        self._settled(turn, attrs.evolve(final, text=turn.script.at_most_told(final.text)), "interrupted")

    def fail(self) -> None:
        """The session fails: what was made still leaves; turns end as failed when it has."""
        self.settle()
        self.drop_waiting("the session failed")
        if self.current is not None and self.current.speculative:
            self.cancel("the session failed")
        turn, self.current = self.current, None
        if turn is None:
            return
        turn.track.held = False
        turn.track.end()
        made = attrs.evolve(turn.script, complete=False, shown=len(turn.script.said)).heard(
            turn.track.made_ms, turn.track.made_ms
        )[0]
        self._settled(turn, Heard(made, ms=turn.track.made_ms, basis="estimated"), "failed")

    def _settled(
        self, turn: Turn, final: Heard, reason: Literal["completed", "interrupted", "dropped", "failed"]
    ) -> None:
        if reason == "dropped":
            self._conversation.drop(turn.number)
        else:
            self._conversation.heard(turn.number, final)
            self._conversation.settle(turn.number)
        ended = TurnEnded(turn=turn.number, said=turn.script.said, heard=final, reason=reason)
        if turn.track.opening is None or reason == "failed":
            self._lanes.add(ended)
        turn.tell(final)
        self._turn_over(turn, ended)


class _InTime:
    """A converter whose delay is cut from the beginning, so that the audio stays in time with its marks."""

    def __init__(self, inner: Converter) -> None:
        self._inner = inner
        self._early = inner.target.bytes_of(inner.delay)

    def push(self, pcm: bytes) -> bytes:
        """See :meth:`Converter.push`."""
        made = self._inner.push(pcm)
        if not self._early:
            return made
        cut = min(self._early, len(made))
        self._early -= cut
        return made[cut:]

    def finish(self) -> bytes:
        """See :meth:`Converter.finish`."""
        return self._inner.finish()[self._early :]
