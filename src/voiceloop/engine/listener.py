"""The user's side: voice activity and recognized words become utterances, each committed once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs
from attrs import define

from voiceloop import clock
from voiceloop.engine.detector import Detector
from voiceloop.engine.ears import Ears, Hearing
from voiceloop.engine.latewords import LateWords
from voiceloop.engine.wake import Timers
from voiceloop.interfaces import Final, Partial, Silent, Speaking, TurnOver, TurnSignal
from voiceloop.rules import endpointing
from voiceloop.rules.endpointing import Endpointing, Evidence
from voiceloop.rules.inputtime import InputTime
from voiceloop.rules.transcripts import Committed, Revised, Transcripts, Utterance, alike

CONFIRM_MS = 250.0
"""Speech that long, over a reply, is an interruption."""

_GAP = 0.3
_SOONEST_MS = 0.01
"""A shorter wait may be lost in the rounding of the clock, and would be waited for again and again."""

_NO_MORE_MS = 1200.0
"""A recognizer tells of a word within that time, in partials."""

_FLUSHED = 2.5
"""How long a final that a flush promised is waited for, in seconds: what is known without it may be stale."""

_UNTAKEN_MS = 4000.0
"""Silence after which an utterance is over that its model, which owns the turns, took up in no way."""

_AT_ONCE = Endpointing(complete_ms=0, default_ms=0, unfinished_ms=0)


@define
class _Stage:
    """How far the running utterance is.

    ``told``: its beginning was told, its end not yet. ``end_ms``: where speech ended; None: it has not, or there was
    none. ``by_words``: that is known from the last word only, since the detector missed it. ``flushed_until``: till
    then a flush may bring a final. ``ending``: somebody said that the user's turn is over; ``by_hand``: it was the
    user. ``longest_ms``: the longest stretch of it that was surely speech, the last of which began at ``since_ms``.
    ``wordless``: the recognizer said that it held no words. ``had``: when the model had taken all of it, if that was
    after its end.
    """

    told: bool = False
    speaking: bool = False
    confirmed: bool = False
    end_ms: float | None = None
    by_words: bool = False
    flushed_until: float = -math.inf
    ending: bool = False
    by_hand: bool = False
    since_ms: float = 0.0
    longest_ms: float = 0.0
    wordless: bool = False
    had: float = -math.inf

    def speaks(self, ms: float) -> None:
        """The detector hears speech after none."""
        self.speaking, self.confirmed, self.end_ms, self.since_ms = True, False, None, ms
        self.by_words = self.ending = self.by_hand = self.wordless = False

    def pauses(self, ms: float) -> None:
        """Speech ended."""
        if self.speaking and self.confirmed:
            self.longest_ms = max(self.longest_ms, ms - self.since_ms)
        self.speaking, self.end_ms, self.by_words, self.had = False, ms, False, -math.inf

    def over(self) -> bool:
        """It is over; whether that is still to be told."""
        told, self.told = self.told, False
        self.ending = self.by_hand = self.by_words = False
        self.end_ms, self.flushed_until, self.longest_ms = None, -math.inf, 0.0
        return told


class Listener:
    """Feeds a turn detector and the transcripts, and decides when an utterance is over."""

    def __init__(self, hearing: Hearing, detector: Detector, timers: Timers, ears: Ears) -> None:
        self._hearing = hearing
        self._detector = detector
        self._timers = timers
        self._ears = ears
        self._transcripts = Transcripts()
        self._time = InputTime(clock.now())
        self._stage = _Stage()
        self._prepared: str | None = None
        self._untold = False  # the model ended the turn before its words came
        self._unanswered = False  # ... and has not answered it
        self.late = LateWords(timers, ears.not_recognized)

    # ------------------------------------------------------------ audio

    def audio(self, pcm: bytes, duration_ms: float, at: float) -> None:
        """The next input, in the model's format, whose last sample was captured at ``at``."""
        self._time.arrive(duration_ms, at, clock.now())
        self._take(self._detector.audio(pcm))

    def taken(self, behind_ms: float) -> None:
        """The model has taken all input but the last ``behind_ms``."""
        waits = self._waits_for_model
        self._time.take(behind_ms, clock.now())
        if waits and self._stage.end_ms is not None and not self._waits_for_model:
            self._stage.had = self._time.had(self._stage.end_ms)
            self._flush()
            self.check()

    @property
    def behind(self) -> bool:
        """Whether the model has not taken all input."""
        return self._time.taken_ms < self._time.ms

    @property
    def _waits_for_model(self) -> bool:
        """Whether it has not taken all of what may be an utterance."""
        return self._stage.end_ms is not None and self._time.taken_ms < self._stage.end_ms

    def _take(self, signals: Iterable[TurnSignal]) -> None:
        for signal in signals:
            match signal:
                case Speaking(start_ms=ms, voiced_ms=voiced):
                    self._speaks(self._time.of_detector(ms), voiced)
                case Silent(since_ms=ms) if self._stage.speaking:
                    self._pauses(self._time.of_detector(ms))
                case TurnOver():
                    self._end_turn()
                case _:
                    pass

    def _speaks(self, ms: float, voiced_ms: float) -> None:
        if not self._stage.speaking:
            self._stage.speaks(ms)
            self._untold = False
            self._timers.clear("endpoint")
            self._timers.set("gap", clock.now() + _GAP, self._no_input)
            self._void()
            self._start(ms)
            self._ears.user("suspect", ms)
        if voiced_ms >= CONFIRM_MS and not self._stage.confirmed:
            self._stage.confirmed = True
            self._ears.user("confirm", ms)

    def _start(self, ms: float) -> None:
        if not self._stage.told:
            self._stage.told = True
            self._ears.user("started", ms)

    def _pauses(self, ms: float) -> None:
        self._stage.pauses(ms)
        self._timers.clear("gap")
        self._flush()
        self._ears.user("paused", ms)
        self.check()

    def _no_input(self) -> None:
        """Input stopped arriving while the user spoke: wall time counts as silence."""
        missing_ms = self._time.missing_ms(clock.now(), _GAP)
        if missing_ms:
            self._take(self._detector.silence(missing_ms))
        if self._stage.speaking:
            self._timers.set("gap", clock.now() + _GAP, self._no_input)

    # ------------------------------------------------------------ words

    def item(self, item: Partial | Final) -> None:
        """What the recognizer says."""
        before = self._transcripts.current
        for change in self._transcripts.item(item):
            if isinstance(change, Revised):
                self._ears.revised(change)
        now = self._transcripts.current
        if isinstance(item, Final) and (now.final or not now.text):
            self._stage.flushed_until = -math.inf
        if item.text or isinstance(item, Final):
            self.late.came(words=bool(item.text))
            self._stage.wordless = not (item.text or self._stage.speaking)
        if now.text and self._untold and isinstance(item, Final):
            self.commit_by_model()
        elif now.text and (now.text != before.text or now.stable_chars != before.stable_chars):
            if not self._stage.told:
                self._start(now.words[0].start_ms if now.words else self._time.ms)
            if not self._stage.speaking and (self._stage.end_ms is None or self._stage.by_words):
                self._stage.by_words = True
                self._stage.end_ms = now.last_word_end_ms or self._time.ms
            self._ears.words(now)
        self._take(self._detector.transcript(item))
        if isinstance(item, Final) and self._nothing_said(item):
            self._drop()
        self.check()

    def _nothing_said(self, final: Final) -> bool:
        """A flush told that what sounded like speech held no words."""
        asked = self._hearing.flushes or self._finishes
        if not asked or self._stage.speaking or not self.busy:
            return False
        return not final.text and not self._transcripts.current.text

    # ------------------------------------------------------------ the end of an utterance

    @property
    def current(self) -> Utterance:
        """The running utterance so far."""
        return self._transcripts.current

    @property
    def text(self) -> str:
        """Its words."""
        return self.current.text

    def take_untold(self) -> bool:
        """Whether the model ended a turn whose words have not come yet; tells of each turn once."""
        untold, self._unanswered = self._unanswered, False
        return untold

    @property
    def busy(self) -> bool:
        """Whether an utterance is going on or being decided."""
        return self._stage.told or self._stage.ending

    def when(self, ms: float) -> float:
        """The time at which ``ms`` of the input was captured."""
        return self._time.wall(ms)

    def end_turn(self) -> None:
        """The user's turn is over: they say so themselves, or nothing more can come."""
        self._end_turn(by_hand=True)

    def _end_turn(self, *, by_hand: bool = False) -> None:
        silent = self._detector and not (self._stage.told or self.text)
        if self._stage.ending or silent:
            return
        self._stage.ending, self._stage.by_hand = True, by_hand
        self._timers.clear("gap")
        if self._stage.end_ms is None or self._stage.by_words:
            self._stage.pauses(self._time.ms)
            self._flush()
            self._ears.user("paused", self._time.ms)
        elif self._finishes and not (self.current.final and self._up_to_date(self._stage.end_ms)):
            self._flush()
            self._ears.user("paused", self._stage.end_ms)
        if self._hearing.model_decides:
            self._ears.user("handed over", self._time.ms if self._stage.end_ms is None else self._stage.end_ms)
        self.check()

    def check(self) -> None:
        """Decide whether the utterance is over, or when to ask again."""
        self._timers.clear("endpoint")
        if self._stage.end_ms is None or self._stage.speaking or self._waits_for_model:
            return
        if self._hearing.model_decides:
            self._await_model(self._stage.end_ms)
            return
        if self._hearing.manual and not self._stage.ending:
            return
        evidence = self._evidence(self._stage.end_ms)
        settings = _AT_ONCE if self._stage.ending else self._hearing.endpointing
        if self._hearing.eager and endpointing.eager(evidence, settings) and not self._is_prepared(evidence.text):
            self._void()
            if not self._ears.ignores(self._transcripts.current):
                self._prepared = evidence.text
                self._ears.prepare(self._transcripts.current)
        decision = endpointing.decide(evidence, settings)
        if self._flushing and decision != "wait":
            self._check_in((self._stage.flushed_until - clock.now()) * 1000)
        elif decision == "commit":
            self._commit()
        elif decision == "drop":
            self._drop()
        else:
            self._check_again(evidence, settings)

    def _await_model(self, speech_end_ms: float) -> None:
        silence_ms = self._silence_ms(speech_end_ms)
        if silence_ms < _UNTAKEN_MS:
            self._check_in(_UNTAKEN_MS - silence_ms)
        elif self.text:
            self.commit_by_model(speech_end_ms)
        else:
            self._drop()

    def _flush(self) -> None:
        """There is a pause: a recognizer that can is asked for a final, and told by the clock how long it may take,
        since a recording's silence may have come at once."""
        if self._hearing.flushes or (self._finishes and not self._told_long_since()):
            self._stage.flushed_until = clock.now() + _FLUSHED

    @property
    def _finishes(self) -> bool:
        """Whether the user ended their turn by hand, and the recognizer tells the rest of it soon."""
        return self._stage.by_hand and self._hearing.finishes

    def _told_long_since(self) -> bool:
        """Whether all words are final, and none came for so long that no more are on their way."""
        last_ms = self.current.last_word_end_ms
        return self.current.final and last_ms is not None and self._time.ms - last_ms >= _NO_MORE_MS

    def _up_to_date(self, speech_end_ms: float) -> bool:
        """Whether the words reach to the end of speech."""
        evidence = self._evidence(speech_end_ms)
        evidence = attrs.evolve(evidence, last_word_end_ms=self.current.last_word_end_ms)
        return endpointing.up_to_date(evidence, self._hearing.endpointing)

    @property
    def _flushing(self) -> bool:
        return clock.now() < self._stage.flushed_until

    def _silence_ms(self, speech_end_ms: float) -> float:
        return self._time.since_ms(speech_end_ms, clock.now(), had=self._stage.had)

    def _check_again(self, evidence: Evidence, settings: Endpointing) -> None:
        wait_ms = endpointing.next_check_ms(evidence, settings)
        if self._hearing.eager and evidence.silence_ms < settings.eager_ms:
            wait_ms = min(wait_ms or settings.eager_ms, settings.eager_ms - evidence.silence_ms)
        if wait_ms is not None:
            self._check_in(wait_ms)

    def _check_in(self, ms: float) -> None:
        self._timers.set("endpoint", clock.now() + max(ms, _SOONEST_MS) / 1000, self.check)

    def _evidence(self, speech_end_ms: float) -> Evidence:
        current = self._transcripts.current
        asked = self._hearing.flushes or self._finishes
        all_told = self._stage.ending and asked and not self._flushing and current.final
        return Evidence(
            silence_ms=self._silence_ms(speech_end_ms),
            text=current.text,
            last_word_end_ms=None if all_told else current.last_word_end_ms,
            speech_end_ms=speech_end_ms,
            has_final=current.final,
            stable=bool(current.text) and current.stable,
        )

    def _commit(self) -> None:
        ended = self._stage.end_ms
        assert ended is not None
        current = self._transcripts.current
        if why := self._ears.ignores(current):
            self._ears.ignored(why)
            self._drop()
            return
        if not self._is_prepared(current.text):
            self._void()
        if not self._up_to_date(ended):
            self.late.expect()
        done = self._transcripts.commit(ended)
        self._over(ended)
        self._prepared = None
        if done is not None:
            self._ears.committed(done.utterance, done.before, self._time.wall(ended))

    def commit_by_model(self, ms: float | None = None) -> None:
        """The speech model itself ended the user's turn."""
        ended = self._time.ms if ms is None else ms
        done = self._transcripts.commit(ended)
        self._stage.speaking = False
        if self.busy:
            self._untold = self._unanswered = done is None
            self._over(ended)
        if done is not None:
            self._ears.committed(done.utterance, done.before, self._time.wall(ended))

    def close(self) -> Committed | None:
        """The session is over: the words so far are an utterance, if there are any."""
        return self._transcripts.commit(self._time.ms)

    def _drop(self) -> None:
        """Nothing was said after all."""
        ended = self._time.ms if self._stage.end_ms is None else self._stage.end_ms
        untold = not (self._hearing.flushes or self._finishes) or self._stage.flushed_until > -math.inf
        if self._stage.longest_ms and not self.text and untold:
            self.late.dropped(0.0 if self._stage.wordless else self._stage.longest_ms)
        self._transcripts.drop()
        self._void()
        if self._stage.told or self._stage.ending:
            self._over(ended)
        self._ears.user("nothing", ended)

    def _over(self, ended_ms: float) -> None:
        self._timers.clear("endpoint")
        if self._stage.over():
            self._ears.user("ended", ended_ms)

    def _is_prepared(self, text: str) -> bool:
        return self._prepared is not None and alike(self._prepared, text)

    def _void(self) -> None:
        if self._prepared is not None:
            self._prepared = None
            self._ears.prepare(None)

    def reopen(self) -> None:
        """The user goes on: the last utterance and what follows are one."""
        self._transcripts.reopen()
        current = self._transcripts.current
        if current.text:
            self._ears.words(current)
