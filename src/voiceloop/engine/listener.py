"""The user's side: voice activity and recognized words become utterances, each committed once."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable

from attrs import frozen

from voiceloop import clock
from voiceloop.engine.wake import Timers
from voiceloop.interfaces import Final, Partial, Silent, Speaking, TurnOver, TurnSignal, TurnState
from voiceloop.rules import endpointing
from voiceloop.rules.endpointing import Endpointing, Evidence
from voiceloop.rules.transcripts import Committed, Revised, Transcripts, Utterance, alike

CONFIRM_MS = 250.0
"""Speech that long, over a reply, is an interruption."""

_GAP = 0.3
_SOONEST_MS = 0.01
"""A shorter wait may be lost in the rounding of the clock, and would be waited for again and again."""

_FLUSHED = 2.5
"""How long a final that a flush promised is waited for, in seconds: what is known without it may be stale."""

_UNTAKEN_MS = 4000.0
"""Silence after which an utterance is over that its model, which owns the turns, took up in no way."""

_LATE = 4.0
"""How long after it was dropped for want of words, in seconds, speech may still turn out to have had some."""
_AT_ONCE = Endpointing(complete_ms=0, default_ms=0, unfinished_ms=0)


class Ears(abc.ABC):
    """Who is told what the user does; all synchronous."""

    @abc.abstractmethod
    def user(self, happened: str, ms: float) -> None:
        """ "started", "suspect", "confirm", "paused" or "ended" at ``ms`` of the input."""

    @abc.abstractmethod
    def words(self, utterance: Utterance) -> None:
        """The words of the running utterance changed."""

    @abc.abstractmethod
    def prepare(self, utterance: Utterance | None) -> None:
        """An answer to ``utterance`` may be prepared; None: what was prepared is void."""

    @abc.abstractmethod
    def committed(self, utterance: Utterance, before: str | None, speech_ended: float) -> None:
        """The utterance is over. ``before``: with what it was committed earlier, if it was reopened since."""

    @abc.abstractmethod
    def ignores(self, utterance: Utterance) -> str:
        """Why the utterance is not the user's turn (an echo, say); empty: it is."""

    @abc.abstractmethod
    def ignored(self, why: str) -> None:
        """An utterance came to nothing for that reason."""

    @abc.abstractmethod
    def revised(self, change: Revised) -> None:
        """The words of a committed utterance were others."""


@frozen
class Hearing:
    """How the listener decides. ``manual``: only ``end_turn`` ends a turn. ``eager``: answers are prepared early.
    ``model_decides``: the speech model ends turns by itself. ``only_suspects``: and interrupts itself, speech and
    words are only a hint. ``flushes``: a pause brings a final transcript."""

    endpointing: Endpointing = Endpointing()
    manual: bool = False
    eager: bool = False
    model_decides: bool = False
    only_suspects: bool = False
    flushes: bool = False


class Listener:
    """Feeds a turn detector and the transcripts, and decides when an utterance is over.

    ``words_until``: till then a slow recognizer may tell words of speech that was dropped for want of them.
    """

    def __init__(self, hearing: Hearing, detector: TurnState | None, timers: Timers, ears: Ears) -> None:
        self._hearing = hearing
        self._detector = detector
        self._timers = timers
        self._ears = ears
        self._transcripts = Transcripts()
        self._timeline = _Timeline()
        self._speaking = False
        self._in_utterance = False
        self._confirmed = False
        self._speech_end_ms: float | None = None
        self._only_words = False  # the detector missed it: where speech ended is known from the last word
        self._flushed_until = -math.inf  # till then a flush may bring a final
        self._ending = False
        self._prepared: str | None = None
        self._untold = False  # the model ended the turn before its words came
        self._unanswered = False  # ... and has not answered it
        self.words_until = -math.inf

    # ------------------------------------------------------------ audio

    def audio(self, pcm: bytes, duration_ms: float, at: float) -> None:
        """The next input, in the model's format, whose last sample was captured at ``at``."""
        self._timeline.arrived(duration_ms, at)
        if self._detector is not None:
            signals = self._detector.audio(pcm)
            if signals:
                self._take(signals)

    def _take(self, signals: Iterable[TurnSignal]) -> None:
        for signal in signals:
            match signal:
                case Speaking(start_ms=ms, voiced_ms=voiced):
                    self._speaks(self._timeline.of_detector(ms), voiced)
                case Silent(since_ms=ms) if self._speaking:
                    self._pauses(self._timeline.of_detector(ms))
                case TurnOver():
                    self.end_turn()
                case _:
                    pass

    def _speaks(self, ms: float, voiced_ms: float) -> None:
        if not self._speaking:
            self._speaking, self._confirmed, self._speech_end_ms = True, False, None
            self._only_words = self._ending = self._untold = False
            self._timers.clear("endpoint")
            self._timers.set("gap", clock.now() + _GAP, self._no_input)
            self._void()
            self._start(ms)
            self._ears.user("suspect", ms)
        if voiced_ms >= CONFIRM_MS and not self._confirmed:
            self._confirmed = True
            self._ears.user("confirm", ms)

    def _start(self, ms: float) -> None:
        if not self._in_utterance:
            self._in_utterance = True
            self._ears.user("started", ms)

    def _pauses(self, ms: float) -> None:
        self._speaking, self._speech_end_ms = False, ms
        self._timers.clear("gap")
        self._flush()
        self._ears.user("paused", ms)
        self.check()

    def _no_input(self) -> None:
        """Input stopped arriving while the user spoke: wall time counts as silence."""
        missing_ms = self._timeline.missing_ms(clock.now(), _GAP)
        if missing_ms and self._detector is not None:
            self._take(self._detector.silence(missing_ms))
        if self._speaking:
            self._timers.set("gap", clock.now() + _GAP, self._no_input)

    # ------------------------------------------------------------ words

    def item(self, item: Partial | Final) -> None:
        """What the recognizer says."""
        if isinstance(item, Final):
            self._flushed_until = -math.inf
        before = self._transcripts.current
        for change in self._transcripts.item(item):
            if isinstance(change, Revised):
                self._ears.revised(change)
        now = self._transcripts.current
        if now.text and self._untold and isinstance(item, Final):
            self.commit_by_model()
        elif now.text and (now.text != before.text or now.stable_chars != before.stable_chars):
            if not self._in_utterance:
                self._start(now.words[0].start_ms if now.words else self._timeline.ms)
            if not self._speaking and (self._speech_end_ms is None or self._only_words):
                self._only_words = True
                self._speech_end_ms = now.last_word_end_ms or self._timeline.ms
            self._ears.words(now)
        if self._detector is not None:
            self._take(self._detector.transcript(item))
        if isinstance(item, Final) and self._nothing_said(item):
            self._drop()
        self.check()

    def _nothing_said(self, final: Final) -> bool:
        """A flush told that what sounded like speech held no words."""
        if not self._hearing.flushes or self._speaking or not self.busy:
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
        return self._in_utterance or self._ending

    def end_turn(self) -> None:
        """The user's turn is over, whoever says so."""
        silent = self._detector is not None and not (self._in_utterance or self.text)
        if self._ending or silent:
            return
        self._ending, self._speaking = True, False
        self._timers.clear("gap")
        if self._speech_end_ms is None or self._only_words:
            self._speech_end_ms, self._only_words = self._timeline.ms, False
            self._flush()
            self._ears.user("paused", self._speech_end_ms)
        if self._hearing.model_decides:
            self._ears.user("handed over", self._speech_end_ms)
        self.check()

    def check(self) -> None:
        """Decide whether the utterance is over, or when to ask again."""
        self._timers.clear("endpoint")
        if self._speech_end_ms is None or self._speaking:
            return
        if self._hearing.model_decides:
            self._await_model(self._speech_end_ms)
            return
        if self._hearing.manual and not self._ending:
            return
        evidence = self._evidence(self._speech_end_ms)
        settings = _AT_ONCE if self._ending else self._hearing.endpointing
        if self._hearing.eager and endpointing.eager(evidence, settings) and not self._is_prepared(evidence.text):
            self._void()
            if not self._ears.ignores(self._transcripts.current):
                self._prepared = evidence.text
                self._ears.prepare(self._transcripts.current)
        decision = endpointing.decide(evidence, settings)
        if self._flushing and decision != "wait":
            self._check_in((self._flushed_until - clock.now()) * 1000)
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
        if self._hearing.flushes:
            self._flushed_until = clock.now() + _FLUSHED

    @property
    def _flushing(self) -> bool:
        return clock.now() < self._flushed_until

    def _silence_ms(self, speech_end_ms: float) -> float:
        return max(0.0, (clock.now() - self._timeline.wall(speech_end_ms)) * 1000)

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
        all_told = self._ending and self._hearing.flushes and not self._flushing and current.final
        return Evidence(
            silence_ms=self._silence_ms(speech_end_ms),
            text=current.text,
            last_word_end_ms=None if all_told else current.last_word_end_ms,
            speech_end_ms=speech_end_ms,
            has_final=current.final,
            stable=bool(current.text) and current.stable,
        )

    def _commit(self) -> None:
        ended = self._speech_end_ms
        assert ended is not None
        current = self._transcripts.current
        if why := self._ears.ignores(current):
            self._ears.ignored(why)
            self._drop()
            return
        if not self._is_prepared(current.text):
            self._void()
        done = self._transcripts.commit(ended)
        self._over(ended)
        self._prepared = None
        if done is not None:
            self._ears.committed(done.utterance, done.before, self._timeline.wall(ended))

    def commit_by_model(self, ms: float | None = None) -> None:
        """The speech model itself ended the user's turn."""
        ended = self._timeline.ms if ms is None else ms
        done = self._transcripts.commit(ended)
        self._speaking = False
        if self.busy:
            self._untold = self._unanswered = done is None
            self._over(ended)
        if done is not None:
            self._ears.committed(done.utterance, done.before, self._timeline.wall(ended))

    def close(self) -> Committed | None:
        """The session is over: the words so far are an utterance, if there are any."""
        return self._transcripts.commit(self._timeline.ms)

    def _drop(self) -> None:
        """Nothing was said after all."""
        ended = self._timeline.ms if self._speech_end_ms is None else self._speech_end_ms
        untold = not self._hearing.flushes or self._flushed_until > -math.inf
        if self._confirmed and not self.text and untold:
            self.words_until = clock.now() + _LATE
        self._transcripts.drop()
        self._void()
        if self._in_utterance or self._ending:
            self._over(ended)
        self._ears.user("nothing", ended)

    def _over(self, ended_ms: float) -> None:
        self._timers.clear("endpoint")
        told = self._in_utterance
        self._in_utterance = self._ending = False
        self._flushed_until = -math.inf
        self._speech_end_ms, self._only_words = None, False
        if told:
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


class _Timeline:
    """Positions in the input, in ms, against the clock."""

    def __init__(self) -> None:
        self.ms = 0.0
        self._at = clock.now()
        self._arrived = self._at
        self._fed_ms = 0.0
        self._fed_before_ms = 0.0

    def arrived(self, duration_ms: float, at: float) -> None:
        """More input, whose end was captured at ``at``."""
        self.ms += duration_ms
        self._at, self._arrived = at, clock.now()
        self._fed_before_ms = self._fed_ms

    def wall(self, ms: float) -> float:
        """When, on the clock, ``ms`` of the input was captured."""
        return self._at - (self.ms - ms) / 1000

    def of_detector(self, ms: float) -> float:
        """A detector's time without the silence that was put in for missing input."""
        return max(0.0, min(ms - self._fed_before_ms, self.ms))

    def missing_ms(self, now: float, after: float) -> float:
        """The silence that stands for missing input and was not counted yet."""
        gap = now - self._arrived
        if gap < after - 1e-6:
            return 0.0
        missing = gap * 1000 - (self._fed_ms - self._fed_before_ms)
        self._fed_ms += missing
        return missing
