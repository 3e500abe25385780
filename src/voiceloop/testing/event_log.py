"""Checks any session's event log against what a session promises, by counting again from the events alone.

::

    events = [event async for event in session]
    assert check_log(events) == []
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import define, field

from voiceloop import events as ev

__all__ = ("assert_log", "check_log")

_TINY_MS = 0.05
_OfTurn: TypeAlias = ev.ReplyText | ev.AudioChunk | ev.Viseme | ev.Word | ev.Paused | ev.Resumed


def check_log(events: Iterable[ev.Event], *, complete: bool = True) -> list[str]:
    """Everything in ``events`` that breaks a promise, in plain words; empty when all is well.

    ``events`` is the log of one session, as ``async for event in session`` yields it. ``complete``: from first to
    last, so that each beginning must have its end. Checked: order in time; a turn's chunks are contiguous to the
    sample; its visemes and words are in order, inside the turn, and before their chunk or marked late; nothing of a
    turn comes before its start, after its end or after its interruption; a pause holds audio and is paired; one final
    transcript and at most one heard reply for each utterance; what was heard is a prefix of what was said, and exact
    to the word when measured; every tool result has its call; latency parts sum to the whole.
    """
    checker = _Log()
    last: ev.Event | None = None
    for number, event in enumerate(events):
        checker.where = f"event {number} ({type(event).__name__})"
        if last is not None and event.at < last.at:
            checker.wrong(f"left at {event.at} s, after an event at {last.at} s")
        if isinstance(last, ev.SessionEnded):
            checker.wrong("comes after SessionEnded")
        if isinstance(event, ev.SessionStarted) and last is not None:
            checker.wrong("is not the first event")
        if complete and last is None and not isinstance(event, ev.SessionStarted):
            checker.wrong("the first event is not SessionStarted")
        checker.see(event)
        last = event
    checker.where = "end of the log"
    if complete:
        checker.finish(last)
    return checker.violations


def assert_log(events: Iterable[ev.Event], *, complete: bool = True) -> None:
    """Raise AssertionError with all that :func:`check_log` finds."""
    violations = check_log(events, complete=complete)
    if violations:
        raise AssertionError("the event log breaks its promises:\n  " + "\n  ".join(violations))


@define(eq=False)
class _Turn:
    """What was seen of one turn."""

    utterance: int | None
    text: str = ""
    samples: int = 0
    audio_ms: float = 0.0
    paused: bool = False
    interrupted: bool = False
    ended: bool = False
    format: object = None
    last_ms: dict[type, float] = field(factory=dict)
    words: list[ev.Word] = field(factory=list)


@define(eq=False)
class _Utterance:
    text: str = ""
    stable: str = ""
    final: bool = False


@define(eq=False)
class _Log:
    """The state of a session, as far as its events tell it."""

    where: str = ""
    violations: list[str] = field(factory=list)
    turns: dict[int, _Turn] = field(factory=dict)
    utterances: dict[int, _Utterance] = field(factory=dict)
    answered: dict[int, int] = field(factory=dict)
    calls: dict[str, bool] = field(factory=dict)
    speaking: bool = False

    def wrong(self, what: str) -> None:
        self.violations.append(f"{self.where}: {what}")

    def see(self, event: ev.Event) -> None:
        match event:
            case ev.TurnStarted():
                self._start(event)
            case ev.ReplyText() | ev.AudioChunk() | ev.Viseme() | ev.Word() | ev.Paused() | ev.Resumed():
                self._of_turn(event)
            case ev.Interrupted():
                self._interrupt(event)
            case ev.TurnEnded():
                self._end(event)
            case ev.Transcript():
                self._transcript(event)
            case ev.TranscriptRevised():
                self._revised(event)
            case ev.UserSpeechStarted() | ev.UserSpeechEnded():
                started = isinstance(event, ev.UserSpeechStarted)
                if started == self.speaking:
                    self.wrong("the user was speaking already" if started else "the user was not speaking")
                self.speaking = started
            case ev.ToolCalled():
                if event.call in self.calls:
                    self.wrong(f"call {event.call} was made before")
                self.calls[event.call] = False
            case ev.ToolReturned():
                if self.calls.get(event.call, True):
                    self.wrong(
                        f"call {event.call} " + ("returned before" if event.call in self.calls else "is unknown")
                    )
                self.calls[event.call] = True
            case ev.TurnMetrics():
                self._metrics(event)
            case ev.Notice(code="speech-ignored"):
                self.utterances = {number: each for number, each in self.utterances.items() if each.final}
            case _:
                pass

    def finish(self, last: ev.Event | None) -> None:
        if not isinstance(last, ev.SessionEnded):
            self.wrong("the last event is not SessionEnded")
        for number, turn in self.turns.items():
            if not turn.ended:
                self.wrong(f"turn {number} has no TurnEnded")
        for number, utterance in self.utterances.items():
            if not utterance.final:
                self.wrong(f"utterance {number} has no final transcript")

    # ------------------------------------------------------------ turns

    def _start(self, event: ev.TurnStarted) -> None:
        if event.turn in self.turns:
            self.wrong(f"turn {event.turn} was started before")
        alive = [number for number, turn in self.turns.items() if not (turn.ended or turn.interrupted)]
        if alive:
            self.wrong(f"turn {event.turn} starts while turn {alive[0]} is alive")
        self.turns[event.turn] = _Turn(event.utterance)

    def _of_turn(self, event: _OfTurn) -> None:
        turn = self.turns.get(event.turn)
        if turn is None:
            self.wrong(f"turn {event.turn} was not started")
            return
        if turn.ended or turn.interrupted:
            self.wrong(f"turn {event.turn} was {'ended' if turn.ended else 'interrupted'} before")
        match event:
            case ev.ReplyText():
                if event.start != len(turn.text):
                    self.wrong(
                        f"text starts at {event.start}, the turn's text so far has {len(turn.text)} characters"
                    )
                turn.text += event.text
            case ev.AudioChunk():
                self._chunk(turn, event)
            case ev.Viseme() | ev.Word():
                self._mark(turn, event)
            case ev.Paused() | ev.Resumed():
                pausing = isinstance(event, ev.Paused)
                if pausing == turn.paused:
                    self.wrong(f"turn {event.turn} was {'' if turn.paused else 'not '}paused")
                turn.paused = pausing

    def _chunk(self, turn: _Turn, event: ev.AudioChunk) -> None:
        if len(event.pcm) % event.format.sample_bytes or not event.pcm:
            self.wrong(f"{len(event.pcm)} bytes are not one or more whole samples")
        if event.start != turn.samples:
            self.wrong(f"audio of turn {event.turn} starts at sample {event.start}, expected {turn.samples}")
        if turn.format not in (None, event.format):
            self.wrong(f"the audio format changed from {turn.format} to {event.format}")
        if turn.paused:
            self.wrong(f"audio of turn {event.turn} while it is paused")
        if event.turn != next(reversed(self.turns)):
            self.wrong(f"audio of turn {event.turn} after turn {next(reversed(self.turns))} was started")
        turn.format = event.format
        turn.samples = event.start + len(event.pcm) // event.format.sample_bytes
        turn.audio_ms = event.format.ms(turn.samples)

    def _mark(self, turn: _Turn, event: ev.Viseme | ev.Word) -> None:
        if event.ms < turn.last_ms.get(type(event), 0.0):
            self.wrong(f"is at {event.ms} ms, after one at {turn.last_ms.get(type(event), 0.0)} ms")
        if event.end_ms is not None and event.end_ms < event.ms:
            self.wrong(f"ends at {event.end_ms} ms, before it begins at {event.ms} ms")
        too_late = event.ms < turn.audio_ms - _TINY_MS
        if too_late and not event.late:
            self.wrong(
                f"is at {event.ms} ms, audio up to {turn.audio_ms:g} ms came before it, and it is not marked late"
            )
        if event.late and event.ms > turn.audio_ms + _TINY_MS:
            self.wrong(f"is marked late, but its audio at {event.ms} ms is still to come")
        turn.last_ms[type(event)] = event.ms
        if isinstance(event, ev.Word):
            if turn.words and event.start < turn.words[-1].end:
                self.wrong("begins before the end of the word before it")
            turn.words.append(event)

    def _interrupt(self, event: ev.Interrupted) -> None:
        turn = self.turns.get(event.turn)
        if turn is None:
            self.wrong(f"turn {event.turn} was not started")
            return
        if turn.interrupted or turn.ended:
            self.wrong(f"turn {event.turn} was {'ended' if turn.ended else 'interrupted'} before")
        turn.interrupted = True
        self._position(turn, event.heard)

    def _end(self, event: ev.TurnEnded) -> None:
        turn = self.turns.get(event.turn)
        if turn is None:
            self.wrong(f"turn {event.turn} was not started")
            return
        if turn.ended:
            self.wrong(f"turn {event.turn} was ended before")
        turn.ended = True
        if turn.interrupted != (event.reason == "interrupted"):
            self.wrong(
                f"turn {event.turn} was {'' if turn.interrupted else 'not '}interrupted, it ends {event.reason}"
            )
        if not event.said.startswith(turn.text) or (event.reason == "completed" and event.said != turn.text):
            self.wrong("what was said is not the text that came in the turn")
        for word in turn.words:
            if event.said[word.start : word.end] != word.text:
                self.wrong(f"a word's characters {word.start} to {word.end} are not that word in what was said")
            if event.reason == "completed" and word.ms > turn.audio_ms + _TINY_MS:
                self.wrong(f"a word at {word.ms} ms lies outside the turn's {turn.audio_ms:g} ms of audio")
        viseme_ms = turn.last_ms.get(ev.Viseme, 0.0)
        if event.reason == "completed" and viseme_ms > turn.audio_ms + _TINY_MS:
            self.wrong(f"a viseme at {viseme_ms} ms lies outside the turn's {turn.audio_ms:g} ms of audio")
        self._position(turn, event.heard)
        self._heard(turn, event)

    def _position(self, turn: _Turn, heard: ev.Heard) -> None:
        if not -_TINY_MS <= heard.ms <= turn.audio_ms + _TINY_MS:
            self.wrong(f"heard {heard.ms} ms of {turn.audio_ms:g} ms that were delivered")
        if heard.uncertainty_ms < 0 or (heard.basis == "measured" and heard.uncertainty_ms):
            self.wrong(f"{heard.basis} with an uncertainty of {heard.uncertainty_ms} ms")
        if heard.dropped is not None and (heard.text or heard.ms):
            self.wrong("something was heard of a turn that was dropped")

    def _heard(self, turn: _Turn, event: ev.TurnEnded) -> None:
        """What is stored: a prefix; exact to the word where position and words are known."""
        heard = event.heard
        if not event.said.startswith(heard.text):
            self.wrong("what was heard is not a prefix of what was said")
        if heard.basis == "measured":
            for word in turn.words:
                if word.end_ms is not None and word.end_ms <= heard.ms - _TINY_MS and len(heard.text) < word.end:
                    self.wrong(
                        f"a word that ended at {word.end_ms} ms is missing from what was heard by {heard.ms} ms"
                    )
                if word.ms >= heard.ms + _TINY_MS and len(heard.text.rstrip()) > word.start:
                    self.wrong(f"a word at {word.ms} ms is in what was heard by {heard.ms} ms")
        if turn.utterance is not None and heard.text.strip():
            first = self.answered.setdefault(turn.utterance, event.turn)
            if first != event.turn:
                self.wrong(f"utterance {turn.utterance} was answered by turns {first} and {event.turn}")

    # ------------------------------------------------------------ the user

    def _transcript(self, event: ev.Transcript) -> None:
        utterance = self.utterances.get(event.utterance)
        if utterance is None:
            if event.utterance != len(self.utterances) + 1:
                self.wrong(f"utterance {event.utterance} comes after {len(self.utterances)} others")
            utterance = self.utterances[event.utterance] = _Utterance()
        if utterance.final and event.final:
            self.wrong(f"utterance {event.utterance} had its final transcript before")
        if not 0 <= event.stable_chars <= len(event.text):
            self.wrong(f"{event.stable_chars} stable characters of {len(event.text)}")
        if not event.final and not event.text.startswith(utterance.stable):
            self.wrong(f"stable text of utterance {event.utterance} changed")
        utterance.stable = event.text[: event.stable_chars]
        if not utterance.final:  # else the user goes on: what comes of it is told as a revision
            utterance.text, utterance.final = event.text, event.final

    def _revised(self, event: ev.TranscriptRevised) -> None:
        utterance = self.utterances.get(event.utterance)
        if utterance is None or not utterance.final:
            self.wrong(f"utterance {event.utterance} had no final transcript to revise")
            return
        if event.before != utterance.text:
            self.wrong(f"what was before is not the last text of utterance {event.utterance}")
        utterance.text = event.text

    def _metrics(self, event: ev.TurnMetrics) -> None:
        parts = event.endpointing, event.first_token, event.first_clause, event.synthesis, event.delivery
        if abs(sum(parts) - event.voice_to_voice) > 1.0:
            self.wrong(f"the parts sum to {sum(parts):g} ms, voice_to_voice is {event.voice_to_voice:g} ms")
        if min(parts) < 0:
            self.wrong(f"a part of {min(parts):g} ms is negative")
