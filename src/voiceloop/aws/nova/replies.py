"""Replies as they are made: what was announced, spoken, cut, and what they wait for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import define, field

_NOT_WORD = re.compile(r"[\W_]+")


@define(eq=False)
class Sentence:
    """A block of text that was announced (SPECULATIVE), and what of it was spoken (FINAL), once that is told."""

    text: str
    spoken: str | None = None


@define(eq=False)
class Reply:
    """One reply of the assistant. ``open``: more of it may come. ``cut``: the user interrupted it, or it is void.

    ``said`` is all its text as it was given on; ``spanned`` how much of it has a place in the audio, ``span`` the
    place that is still growing. ``turn_over``: the model said that its turn is over. ``tools``: calls without a
    result yet (``called``: there were some); ``awaits``: they were answered, and nothing came since.
    ``told_ms``: how much audio there was of it when it was given what it goes on with (None: it was not).
    ``plays_until``: when its audio will have been played, on the clock, if nothing pauses it; ``changed``: when
    something of it last came.
    """

    number: int
    turn: int | None = None
    open: bool = True
    cut: bool = False
    turn_over: bool = False
    awaits: bool = False
    said: str = ""
    spanned: int = 0
    span: tuple[int, int, float] | None = None
    audio_ms: float = 0.0
    odd: bytes = b""
    plays_until: float = 0.0
    changed: float = 0.0
    sentences: list[Sentence] = field(factory=list)
    tools: set[str] = field(factory=set)
    called: bool = False
    told_ms: float | None = None

    def say(self, text: str) -> str:
        """Add ``text``; what is added, with a blank before it where it needs one."""
        text = text if not self.said or self.said[-1:].isspace() or text[:1].isspace() else f" {text}"
        self.said += text
        return text

    def speak(self, pcm: bytes, rate: int, now: float) -> bytes:
        """Add audio; what is added, in whole samples."""
        pcm = self.odd + pcm if self.odd else pcm
        whole = len(pcm) & ~1
        self.odd = pcm[whole:]
        ms = whole / 2 * 1000 / rate
        self.audio_ms += ms
        self.plays_until = max(self.plays_until, now) + ms / 1000
        return pcm[:whole]

    @property
    def void(self) -> bool:
        """Whether it has begun but nothing came of it, so that what it answers can be asked again."""
        return self.open and not (self.audio_ms or self.called)

    @property
    def unheard(self) -> bool:
        """Whether it goes on after what a tool gave, but nothing of that was heard."""
        return self.open and self.told_ms == self.audio_ms

    @property
    def unspoken(self) -> bool:
        """Whether a sentence of it was announced that was not told to be spoken."""
        return any(sentence.spoken is None for sentence in self.sentences)

    @property
    def spoken(self) -> str:
        """All that was told to be spoken."""
        return " ".join(sentence.spoken.strip() for sentence in self.sentences if sentence.spoken)

    def sentence_of(self, text: str) -> Sentence | None:
        """The first sentence that ``text`` may be the spoken part of."""
        words = normal(text)
        waiting = (sentence for sentence in self.sentences if sentence.spoken is None)
        return next((sentence for sentence in waiting if normal(sentence.text).startswith(words)), None)


def whose(replies: Sequence[Reply], text: str) -> tuple[Reply | None, Sentence | None]:
    """The one of the newest ``replies``, and its sentence, that FINAL ``text`` tells of: it may come after the next
    reply has begun."""
    for reply in replies:
        sentence = reply.sentence_of(text)
        if sentence is not None:
            return reply, sentence
    waiting = [reply for reply in replies if reply.unspoken]
    if not waiting:
        return None, None
    newest = waiting[-1] if waiting[-1].audio_ms or len(waiting) == 1 else waiting[-2]
    return newest, next(sentence for sentence in newest.sentences if sentence.spoken is None)


def normal(text: str) -> str:
    """The words of ``text`` without case and punctuation."""
    return " ".join(_NOT_WORD.sub(" ", text.casefold()).split())
