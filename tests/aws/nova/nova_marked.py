"""Sound in which each sample tells where it belongs, and the laws of a call that was held with it.

A caller's words, and the quiet between them, change their value every 20 ms; no sample is 0, which is what the link
sends of its own. What is spoken to the caller counts its samples. So every stretch of sound has one place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from attrs import define, field, frozen

from voiceloop.audio import AudioFormat
from voiceloop.interfaces import (
    Clause,
    Final,
    ListenConfig,
    Listening,
    ReasonerRequest,
    Recognizer,
    RecognizerCapabilities,
    RecognizerItem,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
    ToolCall,
)
from voiceloop.testing.aws import Backing
from voiceloop.testing.aws.nova import PROMPT, NovaConnection, NovaProfile
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedTurns
from voiceloop.testing.scripted.steps import Outbox

RATE = 8_000
FORMAT = AudioFormat(RATE)
_STRETCH = RATE // 50
_FIRST, _STEP, _CYCLE = 2_000, 100, 97
_QUIET = np.concatenate((np.arange(1, 200), np.arange(-199, 0)))
_ROUND = 32_000
_WORD = re.compile(r"\b[wt]\d+\b")


# ---------------------------------------------------------------- what the caller sends


def quiet(start: int, samples: int) -> bytes:
    """Input from sample ``start`` on in which nobody speaks; unlike other stretches within 8 s."""
    return _pcm(_QUIET[np.arange(start, start + samples) // _STRETCH % len(_QUIET)])


def spoken(number: int, start: int, samples: int) -> bytes:
    """Input from sample ``start`` on that is heard as ``w<number>``, up to 290."""
    return _pcm(_FIRST + _STEP * number + np.arange(start, start + samples) // _STRETCH % _CYCLE)


def _pcm(values: np.ndarray) -> bytes:
    return values.astype("<i2").tobytes()


@frozen(eq=False)
class MarkedHearing(Recognizer):
    """Hears :func:`spoken`."""

    name = "marked hearing"
    input: AudioFormat = FORMAT

    @property
    def capabilities(self) -> RecognizerCapabilities:
        return RecognizerCapabilities(self.input, can_flush=True)

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        yield _Hearing()


@define(eq=False)
class WordsHeard(Listening):
    """Tells the words that it was given by :meth:`hear`."""

    _words: list[str] = field(factory=list, init=False)
    _item: int = field(default=1, init=False)
    _out: Outbox[RecognizerItem] = field(factory=Outbox, init=False)

    def hear(self, number: int) -> None:
        """Word ``number`` is spoken, or goes on."""
        if not self._words or self._words[-1] != f"w{number}":
            self._words.append(f"w{number}")

    async def flush(self, *, end_of_turn: bool) -> None:
        self._out.put(Final(str(self._item), " ".join(self._words)))
        if end_of_turn:
            self._words, self._item = [], self._item + 1

    def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        return self._out


class _Hearing(WordsHeard):
    async def send_audio(self, pcm: bytes) -> None:
        values = np.frombuffer(pcm, "<i2")
        for number in dict.fromkeys(((values[values >= _FIRST] - _FIRST) // _STEP).tolist()):
            self.hear(number)


# ---------------------------------------------------------------- what the service says


@define(eq=False)
class _Clause:
    first: int
    text: str
    taken: bool = False


@frozen(eq=False)
class MarkedVoice(Synthesizer):
    """Counts its samples, over all that it ever says."""

    name = "marked voice"
    ms_per_char: float = 60.0
    clauses: list[_Clause] = field(factory=list)

    @property
    def capabilities(self) -> SynthesizerCapabilities:
        return SynthesizerCapabilities(FORMAT)

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        last = self.clauses[-1] if self.clauses else _Clause(0, "")
        self.clauses.append(_Clause(last.first + self._samples(last.text), clause.text))
        pcm = self._pcm(self.clauses[-1])

        async def speech() -> AsyncIterator[Speech]:
            yield SpeechAudio(pcm)

        yield speech()

    def knows(self, clauses: Iterable[tuple[int, str]]) -> None:
        """It said these clauses, of which each began with that sample."""
        self.clauses.extend(_Clause(first, text) for first, text in clauses)

    def take(self, pcm: bytes, text: str) -> Iterator[tuple[str, float]]:
        """The clauses of ``text`` that ``pcm`` is made of, with how much of each; they are not to be found again.

        Raises AssertionError for a sample that is none of them, or is out of its place.
        """
        while pcm:
            clause, whole = self._begins(pcm, text)
            clause.taken = True
            yield clause.text, min(1.0, len(pcm) / len(whole))
            pcm, text = pcm[len(whole) :], text[len(clause.text) :].lstrip()

    def _begins(self, pcm: bytes, text: str) -> tuple[_Clause, bytes]:
        mark = int.from_bytes(pcm[:2], "little") - 1
        for clause in self.clauses:
            if clause.first % _ROUND == mark and text.startswith(clause.text) and not clause.taken:
                whole = self._pcm(clause)
                if pcm[: len(whole)] == whole[: len(pcm)]:
                    return clause, whole
        raise AssertionError(f"no clause begins with what is told: {mark}, {len(pcm)} bytes")

    def _samples(self, text: str) -> int:
        return round(len(text) * self.ms_per_char * RATE / 1000)

    def _pcm(self, clause: _Clause) -> bytes:
        return _pcm(np.arange(clause.first, clause.first + self._samples(clause.text)) % _ROUND + 1)


def answer(request: ReasonerRequest) -> list[ToolCall] | str:
    """Says back the last word that was said or typed. For w3 and w8 it calls a tool, unless that has
    answered; to w7 and w14 it says more."""
    text = request.messages[-1].text
    words = _WORD.findall(text.rpartition("answered:")[2])
    if not words:
        return "All right."
    number = int(words[-1][1:])
    if words[-1][0] == "w" and number % 5 == 3:
        return [ToolCall(f"look-{number}", "look", {"number": number})]
    text = f"You said {words[-1]}."
    return text + " And there is more to say about it." * 8 if number % 7 == 0 else text


def marked(voice: MarkedVoice) -> Backing:
    """A service that hears and speaks what is marked."""
    reasoner = ScriptedReasoner([answer], 0.0, 0.0, cycle=True)
    return Backing(MarkedHearing(), reasoner, voice, turns=ScriptedTurns())


def quick(**more: Any) -> NovaProfile:
    """A model that soon takes a pause for the end of a turn, so that calls are short."""
    return NovaProfile(endpoint_ms=PROMPT, **more)


# ---------------------------------------------------------------- the laws


@define
class Said:
    """A reply as it was told. ``whole``: it is said to be complete; ``cut``: to be interrupted, or never played."""

    text: str = ""
    pcm: bytearray = field(factory=bytearray)
    whole: bool = False
    cut: bool = False


@define(eq=False)
class Held:
    """A call that was held. ``sent``: all input, in which word ``number`` lies from sample ``words[number]`` on.

    ``heard``: the final transcript of each utterance. ``calls``: the number each tool call was made with, and the
    result it got. ``cuts``: from where on each connection was to get the input (None: that was not told, so that each
    place is taken for right). ``rough``: connections broke. ``stalls``: some fell silent: they took
    no input, which is not sent again but for what was said, and nobody notices it to whom nothing is owed.
    """

    voice: MarkedVoice
    sent: bytearray = field(factory=bytearray)
    words: dict[int, tuple[int, int]] = field(factory=dict)
    typed: list[int] = field(factory=list)
    heard: dict[object, str] = field(factory=dict)
    replies: dict[int, Said] = field(factory=dict)
    calls: list[tuple[int, str]] = field(factory=list)
    cuts: list[int] | None = field(factory=lambda: [0])
    rough: bool = False
    stalls: bool = False

    def laws(self, connections: Sequence[NovaConnection]) -> list[str]:
        """What is lost, doubled or out of order; empty when all is well.

        1. Each connection gets one stretch of the input, sample for sample, from its cut on: no cut lies before an
           earlier one, or after what was sent; the last ends with the input, unless connections broke at the end or
           fell silent.
        2. Each word is heard once, in order, and is whole on a connection that answered it.
        3. Each word and each typed text has one reply that speaks, or one tool call; words of one utterance may have
           it together, and the reply to a word may have been interrupted before it spoke.
        4. The audio of replies is that of clauses of their text, each in its order and once; of a reply that is said
           to be complete it is all, unless connections broke.
        5. Each result of a tool is told once; it is in a history if no connection lived to be told.
        """
        stretches, wrong = self._stretches(connections)
        return [
            *wrong,
            *self._heard_once(stretches, connections),
            *self._answered_once(),
            *self._whole_audio(),
            *self._results_once(connections),
        ]

    def _stretches(self, connections: Iterable[NovaConnection]) -> tuple[dict[int, range], list[str]]:
        """What each connection got, in samples of the input, and what is wrong with it."""
        placed: dict[int, range] = {}
        cuts, end = list(self.cuts or ()), 0
        for connection in connections:
            values = np.frombuffer(connection.audio.pcm, "<i2")
            pcm = values[values != 0].tobytes()
            if not pcm:
                continue
            if self.cuts is None:
                cuts = self._places(pcm, len(self.sent) if self.stalls else end)
            while cuts and self.sent[2 * cuts[0] : 2 * cuts[0] + len(pcm)] != pcm:
                del cuts[0]  # of a connection that got nothing
            if not cuts or (cuts[0] > end and not self.stalls):
                return placed, [f"connection {connection.number} got no stretch that begins at {end} or before"]
            placed[connection.number] = range(cuts[0], cuts[0] + len(pcm) // 2)
            end = max(end, cuts.pop(0) + len(pcm) // 2)
        short, waits = len(self.sent) // 2 - end, 8 * RATE if self.rough else 0
        waits = len(self.sent) if self.stalls else waits
        return placed, [] if 0 <= short <= waits else [f"the input ends at {len(self.sent) // 2}, {end} were taken"]

    def _places(self, pcm: bytes, end: int) -> list[int]:
        """The last place in the input, ``end`` at most, where ``pcm`` lies."""
        at = self.sent.rfind(pcm, 0, 2 * end + len(pcm))
        while at > 0 and at % 2 == 1:
            at = self.sent.rfind(pcm, 0, at + len(pcm) - 1)
        return [at // 2] if at >= 0 else []

    def _heard_once(self, stretches: dict[int, range], connections: Sequence[NovaConnection]) -> Iterator[str]:
        heard = [word for text in self.heard.values() for word in text.split()]
        if heard != [f"w{number}" for number in self.words]:
            yield f"heard were {heard}"
        answering: dict[str, list[int]] = {}
        for connection in connections:
            named = " ".join(turn.text for turn in connection.turns if turn.text)
            for word in _WORD.findall(" ".join((named, *connection.texts))):
                answering.setdefault(word, []).append(connection.number)
        for number, (start, end) in self.words.items():
            on = [stretches.get(one, range(0)) for one in answering.get(f"w{number}", ())]
            if not any(stretch.start <= start and end <= stretch.stop for stretch in on):
                yield f"w{number} ({start}, {end}) is whole on none of the connections that heard it: {on}"

    def _answered_once(self) -> Iterator[str]:
        spoke = Counter(word for said in self.replies.values() if said.pcm for word in _WORD.findall(said.text))
        silenced = {word for said in self.replies.values() if said.cut for word in _WORD.findall(said.text)}
        called = Counter(number for number, _ in self.calls)
        for number in self.words:
            times = called[number] if number % 5 == 3 else spoke[f"w{number}"]
            unheard = f"w{number}" in silenced or self._goes_on(f"w{number}")
            if times != 1 and not (times == 0 and unheard):
                yield f"w{number} was answered {times} times"
        for number in self.typed:
            if spoke[f"t{number}"] != 1:
                yield f"t{number} was answered {spoke[f't{number}']} times"

    def _goes_on(self, word: str) -> bool:
        """Whether ``word`` is not the last one of its utterance, whose last word is answered."""
        return any(word in text.split()[:-1] for text in self.heard.values())

    def _whole_audio(self) -> Iterator[str]:
        for number, said in self.replies.items():
            try:
                clauses = list(self.voice.take(bytes(said.pcm), said.text))
            except AssertionError as unknown:
                yield f"reply {number}: {unknown}"
                continue
            text = " ".join(clause for clause, _ in clauses)
            parts = [share for _, share in clauses]
            if any(share < 1 for share in parts[:-1]) or not said.text.startswith(text):
                yield f"reply {number} has {clauses} of {said.text!r}"
            elif said.whole and not self.rough and clauses and (parts[-1] < 1 or said.text != text):
                yield f"reply {number} ends early: {clauses} of {said.text!r}"

    def _results_once(self, connections: Sequence[NovaConnection]) -> Iterator[str]:
        told = [result.content for connection in connections for result in connection.results]
        told += [text for connection in connections for text in connection.texts]
        histories = [line.text for connection in connections for line in connection.history]
        for _, result in self.calls:
            times = sum(result in text for text in told)
            if times > 1 or (times == 0 and not any(result in line for line in histories)):
                yield f"{result!r} was told {times} times"
