"""The decoders of the recognizer's worker: those for free speech, shared by its sessions, and those for grammars."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from voiceloop.errors import BadInput
from voiceloop.local.grammar import vocabulary
from voiceloop.local.intents_words import words_of
from voiceloop.local.recognizer_audio import RATE

Kind: TypeAlias = Literal["along", "check", "dictation", "live"]

START_MEAN = "41,-4,1,0,0,0,0,0,0,0,0,0,0"
AT_ONCE = 5 * 2 * RATE  # bytes decoded at one go: 5 s. In steps it hears worse
_STEP = RATE  # bytes of longer audio decoded between two resting points: 500 ms
_LIVE = 2  # dictation sessions of one worker that can have partials at the same moment

# a narrower search halves the time of the check, and costs it few words
_SETTINGS: dict[Kind, dict[str, Any]] = {
    "along": {"maxhmmpf": 3000, "fwdflat": False, "bestpath": False},
    "check": {"maxhmmpf": 3000},
}

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


def begin(decoder: Any, mean: str) -> None:
    """Begin an utterance that is like the cepstral ``mean``, whatever ``decoder`` has heard before."""
    decoder.reinit_feat()  # it remembers the noise
    decoder.set_cmn(mean)
    decoder.start_utt()


def decode(decoder: Any, pcm: bytes, mean: str) -> Heard:
    """What ``decoder`` understands of a whole utterance, at one go."""
    begin(decoder, mean)
    decoder.process_raw(pcm, False, True)
    decoder.end_utt()
    return heard(decoder)


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

    _made: Counter[Kind] = field(factory=Counter, init=False)
    _free: dict[Kind, list[Any]] = field(factory=dict, init=False)
    _meter: Any = field(default=None, init=False)

    def take(self, kind: Kind) -> Any | None:
        """A free decoder, to be given back; None while all are in use."""
        free = self._free.setdefault(kind, [])
        if free:
            return free.pop()
        if self._made[kind] >= (_LIVE if kind == "live" else 1):
            return None
        self._made[kind] += 1
        return _decoder(**_SETTINGS.get(kind, {}))

    def give(self, kind: Kind, decoder: Any) -> None:
        """``decoder`` is free again."""
        self._free[kind].append(decoder)

    def mean(self, pcm: bytes) -> str:
        """The cepstral mean of ``pcm``, whatever was heard before: decoded from it, an utterance is heard best."""
        if self._meter is None:
            self._meter = _small_decoder()
            self._meter.add_jsgf_string("meter", "#JSGF V1.0; grammar meter; public <meter> = yes;")
            self._meter.activate_search("meter")
        decode(self._meter, pcm, START_MEAN)
        mean: str = self._meter.get_cmn()
        return mean

    def dictate(self, kind: Kind, pcm: bytes, mean: str) -> Generator[None, None, Heard]:
        """Decode free speech. Longer audio goes by steps, so that others have their turn."""
        while (decoder := self.take(kind)) is None:
            yield
        try:
            begin(decoder, mean)
            try:
                if len(pcm) <= AT_ONCE:
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
    _vocabulary: tuple[str, frozenset[str]] = field(default=("", frozenset()), init=False)

    def could_say(self, grammar: str, text: str) -> float:
        """The share of the words of ``text`` that ``grammar`` has at all: no :func:`agreement` can be larger."""
        if self._vocabulary[0] != grammar:
            self._vocabulary = grammar, frozenset(words_of(" ".join(vocabulary(grammar))))
        words = words_of(text)
        return sum(word in self._vocabulary[1] for word in words) / max(len(words), 1)

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
