"""The worker process of the recognizer: pocketsphinx decoders for the sessions that stick to it."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from voiceloop.errors import BadInput, MissingExtra, ProviderMisbehaved
from voiceloop.local.grammar import vocabulary
from voiceloop.local.intents_words import words_of
from voiceloop.local.recognizer_audio import RATE, Gate, Utterance
from voiceloop.local.serving import Handler, Job, serve

_AT_ONCE = 5 * 2 * RATE  # bytes decoded at one go: 5 s. In steps it hears worse
_STEP = RATE  # bytes of longer audio decoded between two resting points: 500 ms
_MOST_COMMAND = 12 * 2 * RATE  # bytes that a grammar is tried on: nobody answers a question for longer than 12 s
_SAME = 5  # frames of speech that may come after a pause without asking for a new decode: 100 ms
_AGREE = 0.3  # the share of words, both ways, in which grammar and dictation must agree
_LIVE = 2  # dictation sessions of one worker that can have partials at the same moment

_DONE = {"done": True}  # a reply that says nothing else

_LETTERS = {
    "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K",
    "l": "L", "m": "M", "n": "N", "o": "OW", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V",
    "w": "W", "x": "K S", "y": "IY", "z": "Z", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ng": "NG", "ck": "K",
    "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "AW", "ai": "EY", "ay": "EY", "oi": "OY", "oy": "OY",
    "au": "AO", "aw": "AO", "er": "ER", "qu": "K W",
}  # fmt: skip


@frozen
class Heard:
    """What a decode gave: its words with their times, in seconds from the beginning of the decoded audio."""

    words: tuple[tuple[str, float, float], ...] = ()

    @property
    def text(self) -> str:
        """The words alone."""
        return " ".join(word for word, _, _ in self.words)


def heard(decoder: Any) -> Heard:
    """What ``decoder`` has understood so far."""
    if decoder.hyp() is None:
        return Heard()
    words = [
        (re.sub(r"\(\d+\)$", "", part.word), part.start_frame / 100, (part.end_frame + 1) / 100)
        for part in decoder.seg() or ()
        if part.word[0] not in "<[(+"
    ]
    return Heard(tuple(words))


_START_MEAN = "41,-4,1,0,0,0,0,0,0,0,0,0,0"


def agreement(text: str, other: str) -> float:
    """The smaller share of common words, 0 to 1."""
    ours, theirs = Counter(words_of(text)), Counter(words_of(other))
    common = (ours & theirs).total()
    return common / max(ours.total(), theirs.total(), 1)


def _decoder(**settings: Any) -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=RATE, loglevel="FATAL", **settings)


@define(eq=False)
class Models:
    """The decoders for free speech that the sessions of this worker share, loaded when they are first needed."""

    _made: Counter[str] = field(factory=Counter, init=False)
    _free: dict[str, list[Any]] = field(factory=dict, init=False)
    _meter: Any = field(default=None, init=False)

    def take(self, kind: str) -> Any | None:
        """A free decoder ("check", "dictation", "live"), to be given back; None while all are in use."""
        free = self._free.setdefault(kind, [])
        if free:
            return free.pop()
        if self._made[kind] >= (_LIVE if kind == "live" else 1):
            return None
        self._made[kind] += 1
        # a narrower search halves the time of the check, and costs it few words
        return _decoder(maxhmmpf=3000) if kind == "check" else _decoder()

    def give(self, kind: str, decoder: Any) -> None:
        """``decoder`` is free again."""
        self._free[kind].append(decoder)

    def mean(self, pcm: bytes) -> str:
        """The cepstral mean of ``pcm``, whatever was heard before: decoded from it, an utterance is heard best."""
        if self._meter is None:
            self._meter = _small_decoder()
            self._meter.add_jsgf_string("meter", "#JSGF V1.0; grammar meter; public <meter> = yes;")
            self._meter.activate_search("meter")
        self._meter.set_cmn(_START_MEAN)
        self._meter.start_utt()
        self._meter.process_raw(pcm, False, True)
        self._meter.end_utt()
        mean: str = self._meter.get_cmn()
        return mean

    def dictate(self, kind: str, pcm: bytes, mean: str) -> Generator[None, None, Heard]:
        """Decode free speech. Longer audio goes by steps, so that others have their turn."""
        while (decoder := self.take(kind)) is None:
            yield
        try:
            decoder.set_cmn(mean)
            decoder.start_utt()
            try:
                if len(pcm) <= _AT_ONCE:
                    decoder.process_raw(pcm, False, True)
                else:
                    for at in range(0, len(pcm), _STEP):
                        decoder.process_raw(pcm[at : at + _STEP], False, False)
                        yield
            finally:
                decoder.end_utt()
            return heard(decoder)
        finally:
            self.give(kind, decoder)


def _small_decoder() -> Any:
    """A decoder for grammars, with hardly a dictionary: it takes 3 MB."""
    from pocketsphinx import get_model_path

    with tempfile.TemporaryDirectory() as folder:
        dictionary = Path(folder) / "words.dict"
        dictionary.write_text("yes Y EH S\n")
        # the best path through the lattice may end in the middle of the grammar: never with one
        return _decoder(hmm=f"{get_model_path()}/en-us/en-us", dict=str(dictionary), lm=None, bestpath=False)


@define(eq=False)
class Grammars:
    """The grammar decoder of one session: a dictionary that grows with the grammars, so that it stays small."""

    _words: Mapping[str, Sequence[str]]
    _sounds: Callable[[str], list[str]]
    _decoder: Any = field(factory=_small_decoder, init=False)
    _known: set[str] = field(factory=lambda: {"yes"}, init=False)
    _active: str = field(default="", init=False)
    _name: str = field(default="", init=False)

    def use(self, grammar: str) -> Any:
        """The decoder, at ``grammar``. Raises BadInput when it is no grammar."""
        if grammar == self._active:
            return self._decoder
        new = [
            (word if number == 1 else f"{word}({number})", sound)
            for word in vocabulary(grammar)
            if word not in self._known
            for number, sound in enumerate(self._words.get(word) or self._sounds(word) or [_spelled(word)], 1)
        ]
        for at, (word, sound) in enumerate(new, 1):
            self._decoder.add_word(word, sound, at == len(new))
            self._known.add(word)
        name = "odd" if self._name == "even" else "even"  # the active one must not be replaced
        try:
            self._decoder.add_jsgf_string(name, grammar)
        except (RuntimeError, ValueError) as error:
            raise BadInput("the expected grammar is no JSGF grammar with a public rule") from error
        self._decoder.activate_search(name)
        self._name, self._active = name, grammar
        return self._decoder


def _spelled(word: str) -> str:
    """A rough pronunciation of a word that no dictionary has."""
    sounds: list[str] = []
    rest = re.sub(r"[^a-z]", "", word.lower())
    while rest:
        size = 2 if rest[:2] in _LETTERS else 1
        sounds += _LETTERS[rest[:size]].split()
        rest = rest[size:]
    return " ".join(sounds) or "AH"


@define(eq=False)
class Decision:
    """What an utterance said, as far as ``speech`` frames of it. ``dead``: given up before it was made."""

    speech: int
    heard: Heard = Heard()
    confidence: float | None = None
    done: bool = False
    dead: bool = False

    def covers(self, utterance: Utterance) -> bool:
        """Whether hardly any speech came since."""
        return not self.dead and utterance.speech - self.speech <= _SAME


@define(eq=False)
class Session:
    """One session: its gate, the utterance that is being decoded live, and the grammar it expects."""

    models: Models
    grammars: Grammars | None
    gate: Gate = field(factory=Gate)
    grammar: str = ""
    mean: str = _START_MEAN
    _live: tuple[str, Any] | None = None  # kind and decoder
    _fed: int = 0  # bytes of the utterance that the live decoder got
    _decision: Decision | None = None

    def hear(self, pcm: bytes) -> tuple[Utterance, Heard] | None:
        """Take audio; what the utterance says so far, if more speech came."""
        if not self.gate.feed(pcm):
            return None
        utterance = self.gate.utterance
        if self._live is None and (self._decision is None or not self._decision.covers(utterance)):
            self._begin()
        if self._live is None:
            return None
        _, decoder = self._live
        audio = utterance.tail(self._fed)
        self._fed += len(audio)
        decoder.process_raw(audio, False, False)
        return utterance, heard(decoder)

    def _begin(self) -> None:
        decoder = self.grammars.use(self.grammar) if self.grammars and self.grammar else self.models.take("live")
        if decoder is not None:
            self._live = ("grammar" if self.grammars and self.grammar else "live", decoder)
            self._fed = 0
            decoder.set_cmn(self.mean)
            decoder.start_utt()

    def _stop(self) -> None:
        if self._live is not None:
            kind, decoder = self._live
            decoder.end_utt()
            if kind == "live":
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
            decision = self._decision = Decision(utterance.speech)
            work: Iterator[None] | None = self._decide(utterance, decision)
        else:
            work = None
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
        pcm = utterance.pcm()
        try:
            if utterance.speech:
                self.mean = mean = self.models.mean(pcm[:_AT_ONCE])
                if self.grammars is not None and self.grammar:
                    yield from self._by_grammar(self.grammars, pcm, mean, decision)
                else:
                    decision.heard = yield from self.models.dictate("dictation", pcm, mean)
            decision.done = True
        finally:
            decision.dead = not decision.done

    def _by_grammar(
        self, grammars: Grammars, pcm: bytes, mean: str, decision: Decision
    ) -> Generator[None, None, None]:
        decoder = grammars.use(self.grammar)
        decoder.set_cmn(mean)
        decoder.start_utt()
        decoder.process_raw(pcm[:_MOST_COMMAND], False, True)
        decoder.end_utt()
        by_grammar = heard(decoder)
        yield
        freely = yield from self.models.dictate("check", pcm[:_MOST_COMMAND], mean)
        share = agreement(by_grammar.text, freely.text)
        if by_grammar.words and len(pcm) <= _MOST_COMMAND and share >= _AGREE:
            decision.heard, decision.confidence = by_grammar, 0.8 + 0.2 * share
        else:
            # never refused: the reasoner asks back
            decision.heard = by_grammar if by_grammar.words else freely
            decision.confidence = 0.4 * min(share / _AGREE, 1)

    def close(self) -> None:
        """Give back what is shared."""
        self._stop()


# ---------------------------------------------------------------- requests


@define(eq=False)
class Sessions:
    """The sessions of this worker, by the name that the parent gave them."""

    _models: Models = field(factory=Models)
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
        decoder = self._models.take("check")
        spare = decoder if decoder is not None else self._models.take("live")
        if spare is None:
            return []
        found = [spare.lookup_word(word), *(spare.lookup_word(f"{word}({number})") for number in range(2, 5))]
        self._models.give("check" if decoder is not None else "live", spare)
        return [sound for sound in found if sound]

    def _open(self, job: Job) -> None:
        grammars = None
        if job.header["mode"] == "grammar":
            grammars = Grammars({word: [sounds] for word, sounds in job.header["words"].items()}, self._sounds)
        self._all[job.header["session"]] = session = Session(self._models, grammars)
        session.expect(job.header.get("grammar") or "")
        # loading takes half a second: now, and not while the user waits
        for kind in ("check",) if grammars is not None else ("dictation", "live"):
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
