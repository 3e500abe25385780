"""The worker process of the recognizer: pocketsphinx decoders for the sessions that stick to it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from attrs import Factory, define, field

from voiceloop.errors import MissingExtra, ProviderMisbehaved
from voiceloop.local.recognizer_along import Along, Shared
from voiceloop.local.recognizer_audio import FRAME, PAUSE, RATE, Gate, Utterance
from voiceloop.local.recognizer_models import (
    AT_ONCE,
    START_MEAN,
    Grammars,
    Heard,
    Kind,
    Models,
    agreement,
    begin,
    decode,
    heard,
)
from voiceloop.local.serving import Handler, Job, serve

_MOST_COMMAND = 12 * 2 * RATE  # bytes that a grammar is tried on: nobody answers a question for longer than 12 s
_SAME = 5  # frames of speech that may come after a pause without asking for a new decode: 100 ms
_AGREE = 0.3  # the share of words, both ways, in which grammar and dictation must agree
_SURE = 0.4  # that share, where the dictation is the rougher one that goes along

_DONE = {"done": True}  # a reply that says nothing else


@define(eq=False)
class Decision:
    """What an utterance said, as far as ``speech`` frames of it. ``end``: in bytes, where its pause was noticed.

    ``compared``: with the dictation that goes along. ``dead``: given up before it was made.
    """

    speech: int
    end: int
    heard: Heard = Heard()
    confidence: float | None = None
    compared: bool = False
    begun: bool = False
    done: bool = False
    dead: bool = False

    def covers(self, utterance: Utterance) -> bool:
        """Whether hardly any speech came since."""
        return not self.dead and utterance.speech - self.speech <= _SAME

    def accept(self, what: Heard, share: float) -> None:
        """``what`` was said: grammar and dictation agree."""
        self.heard, self.confidence = what, 0.8 + 0.2 * share
        self.begun = self.done = True


@define(eq=False)
class Session:
    """One session: its gate, the utterance that is being decoded live, and the grammar it expects.

    By grammar, an utterance is accepted when the grammar's words are those of the dictation that goes along; else
    when they are those of a dictation that is made for the purpose. Both look at the audio alone: so what is accepted
    does not depend on how fast anything was.
    """

    models: Models
    grammars: Grammars | None
    along: Along
    gate: Gate = field(factory=Gate)
    grammar: str = ""
    mean: str = ""  # of the utterance that was decoded last
    _live: tuple[Kind | None, Any] | None = None  # None: the session's own decoder
    _fed: int = 0  # bytes of the utterance that the live decoder got
    _decision: Decision | None = None

    def hear(self, pcm: bytes) -> tuple[Utterance, Heard] | None:
        """Take audio; what the utterance says so far, if more speech came."""
        more = [self._frame(pcm[at : at + FRAME]) for at in range(0, len(pcm), FRAME)]
        if not any(more):
            return None
        utterance = self.gate.utterance
        if self._decision is not None and self._decision.done and self._decision.covers(utterance):
            return utterance, self._decision.heard
        if self._live is None and not self._covered():
            self._begin()
        if self._live is None:
            return None
        _, decoder = self._live
        audio = utterance.tail(self._fed)
        self._fed += len(audio)
        decoder.process_raw(audio, False, False)
        return utterance, heard(decoder)

    def _frame(self, pcm: bytes) -> bool:
        """Whether the utterance goes on. At its pauses it is decided, if that takes no long decode."""
        if not self.gate.feed(pcm):
            return False
        if self.grammars is not None and self.grammar:
            if not self.gate.open:
                self.along.leave()
            elif self.gate.silent <= PAUSE:
                self.along.follow(self.gate.utterance, self.mean)
                if self.gate.silent == PAUSE and not self._covered():
                    self._pause(self.grammars)
        return True

    def _covered(self) -> bool:
        return self._decision is not None and self._decision.covers(self.gate.utterance)

    def _pause(self, grammars: Grammars) -> None:
        utterance = self.gate.utterance
        decision = self._decision = Decision(utterance.speech, utterance.pause)
        freely = self.along.now(utterance, decision.end, self.mean)
        if freely is not None:
            self._compare(grammars, utterance, decision, freely)

    def _compare(self, grammars: Grammars, utterance: Utterance, decision: Decision, freely: Heard) -> None:
        """Accept what the grammar says if the dictation that went along says so too."""
        decision.compared = True
        if grammars.could_say(self.grammar, freely.text) < _SURE:
            return
        self._stop()
        pcm = utterance.head(decision.end)
        mean = self.models.mean(pcm)
        by_grammar = decode(grammars.use(self.grammar), pcm, mean)
        share = agreement(by_grammar.text, freely.text)
        if share >= _SURE:
            self.mean = mean
            decision.accept(by_grammar, share)

    def _begin(self) -> None:
        kind: Kind | None = None if self.grammars and self.grammar else "live"
        decoder = self.models.take(kind) if kind else self.grammars.use(self.grammar) if self.grammars else None
        if decoder is not None:
            self._live = (kind, decoder)
            self._fed = 0
            begin(decoder, self.mean or START_MEAN)

    def _stop(self) -> None:
        if self._live is not None:
            kind, decoder = self._live
            decoder.end_utt()
            if kind is not None:
                self.models.give(kind, decoder)
            self._live = None

    def expect(self, grammar: str) -> None:
        """What is expected next; speech that is going on is heard again by the new grammar."""
        if grammar != self.grammar:
            self._stop()
            if self.grammars is not None and grammar:
                self.grammars.use(grammar)
            self.grammar, self._decision = grammar, None

    def finish(self, *, end: bool) -> Generator[None, None, tuple[Utterance, Decision]]:
        """Decide what the utterance says; ``end`` begins a new one with whatever audio comes next."""
        utterance, decision = self.gate.utterance, self._decision
        self._stop()
        if decision is None or not decision.covers(utterance):
            decision = self._decision = Decision(utterance.speech, utterance.pause)
        work = None if decision.begun else self._decide(utterance, decision)
        decision.begun = True
        if end:
            self.gate.cut()
            self._decision = None
        if work is not None:
            yield from work
        while not (decision.done or decision.dead):
            yield
        if decision.dead:
            raise ProviderMisbehaved("the decode that began at a pause failed", provider="pocketsphinx")
        return utterance, decision

    def _decide(self, utterance: Utterance, decision: Decision) -> Iterator[None]:
        try:
            if utterance.speech and self.grammars is not None and self.grammar:
                if not decision.compared and decision.end <= AT_ONCE:
                    freely = self.along.now(utterance, decision.end, self.mean)
                    if freely is None:
                        freely = self.along.whole(utterance, decision.end, self.mean)
                    self._compare(self.grammars, utterance, decision, freely)
                if not decision.done:
                    yield from self._check(self.grammars, utterance.pcm(), decision)
            elif utterance.speech:
                pcm = utterance.pcm()
                self.mean = self.models.mean(pcm[:AT_ONCE])
                decision.heard = yield from self.models.dictate("dictation", pcm, self.mean)
            decision.done = True
        finally:
            if self.gate.utterance is not utterance:
                self.along.leave()
            decision.dead = not decision.done

    def _check(self, grammars: Grammars, pcm: bytes, decision: Decision) -> Generator[None, None, None]:
        """Accept what the grammar says if a dictation of the whole utterance says so too."""
        self.mean = mean = self.models.mean(pcm[:AT_ONCE])
        by_grammar = decode(grammars.use(self.grammar), pcm[:_MOST_COMMAND], mean)
        yield
        freely = yield from self.models.dictate("check", pcm[:_MOST_COMMAND], mean)
        share = agreement(by_grammar.text, freely.text)
        if by_grammar.words and len(pcm) <= _MOST_COMMAND and share >= _AGREE:
            decision.accept(by_grammar, share)
        else:
            # never refused: the reasoner asks back
            decision.heard = by_grammar if by_grammar.words else freely
            decision.confidence = 0.4 * min(share / _AGREE, 1)

    def close(self) -> None:
        """Give back what is shared."""
        self._stop()
        self.along.leave()


# ---------------------------------------------------------------- requests


@define(eq=False)
class Sessions:
    """The sessions of this worker, by the name that the parent gave them."""

    _models: Models = field(factory=Models, init=False)
    _along: Shared = field(default=Factory(lambda self: Shared(self._models), takes_self=True), init=False)
    _all: dict[str, Session] = field(factory=dict, init=False)

    def handlers(self) -> dict[str, Handler]:
        """What the worker can be asked for."""
        return {
            "open": self._open,
            "audio": self._audio,
            "expect": self._expect,
            "finish": self._finish,
            "close": self._close,
        }

    def _sounds(self, word: str) -> list[str]:
        decoder = self._along.load()
        found = [decoder.lookup_word(word), *(decoder.lookup_word(f"{word}({number})") for number in range(2, 5))]
        return [sound for sound in found if sound]

    def _open(self, job: Job) -> None:
        grammars = None
        if job.header["mode"] == "grammar":
            grammars = Grammars({word: [sounds] for word, sounds in job.header["words"].items()}, self._sounds)
        self._all[job.header["session"]] = session = Session(self._models, grammars, Along(self._along))
        session.expect(job.header.get("grammar") or "")
        # loading takes half a second: now, and not while the user waits
        if grammars is not None:
            self._along.load()
        kinds: tuple[Kind, ...] = ("check",) if grammars is not None else ("dictation", "live")
        for kind in kinds:
            decoder = self._models.take(kind)
            if decoder is not None:
                self._models.give(kind, decoder)
        job.send(_DONE, last=True)

    def _audio(self, job: Job) -> None:
        told = self._all[job.header["session"]].hear(job.payload)
        job.send(_told(*told) if told is not None else _DONE, last=True)

    def _expect(self, job: Job) -> None:
        self._all[job.header["session"]].expect(job.header.get("grammar") or "")
        job.send(_DONE, last=True)

    def _finish(self, job: Job) -> Generator[None, None, None]:
        session = self._all[job.header["session"]]
        utterance, decision = yield from session.finish(end=bool(job.header["end"]))
        job.send(_told(utterance, decision.heard) | {"confidence": decision.confidence}, last=True)

    def _close(self, job: Job) -> None:
        session = self._all.pop(job.header["session"], None)
        if session is not None:
            session.close()
        job.send(_DONE, last=True)


def _told(utterance: Utterance, what: Heard) -> dict[str, Any]:
    words = [(word, round(utterance.ms(start)), round(utterance.ms(end))) for word, start, end in what.words]
    return {"text": what.text, "words": words}


def start() -> Mapping[str, Handler]:
    """Load what is needed. Raises MissingExtra."""
    try:
        import pocketsphinx  # noqa: F401 - only to say early that it is missing
    except ImportError as error:
        raise MissingExtra(
            "the local recognizer needs pocketsphinx", hint="pip install 'voiceloop[local]'"
        ) from error
    return Sessions().handlers()


if __name__ == "__main__":
    serve(start)
