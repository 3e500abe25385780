"""Cuts a reply into clauses for speech while it is still being written.

The first clause is short, because somebody waits for it; then whole sentences, which sound best. Text is read one
character at a time: the pieces depend on each character and the time it came, not on how tokens were split. So for
any two splits of a reply whose characters came at the same times, and in particular for any split that came within
``FIRST_CLAUSE_S`` of its first token, the pieces are the same.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from voiceloop.rules.speakable import Speakable
from voiceloop.rules.spoken import Spoken, tidy
from voiceloop.rules.stops import BREAKS, STOPS, ends_clause, ends_sentence, tail

FIRST_CLAUSE_S = 0.25
"""How long after the first token the first clause is cut at the next word, in seconds."""
_MIN_WORDS = 3
_MAX_WORDS = 8
_LONG = 200
_LONGEST = 400
_PAIRS = {"(": ")", "[": "]", "{": "}", "«": "»", "“": "”", "„": "“", "「": "」", "『": "』", "（": "）", "【": "】"}


@frozen
class Piece:
    """One clause to speak.

    ``text``: its spoken form, never blank. ``start``, ``end``: the characters ``[start, end)`` of the reply as
    written that it covers; pieces follow each other without a gap, from 0. What is not spoken belongs to the piece
    after it, or to the last piece; after the last piece only what is not spoken may follow.
    ``offsets``: for each character of ``text``, its index in the reply as written, never decreasing.
    ``ends``: what its end is. "reply" when the reply was known to be over; the last sentence of a reply that ends
    with a full stop is spoken before that is known, and says "sentence".
    """

    text: str
    start: int
    end: int
    offsets: tuple[int, ...]
    ends: Literal["clause", "sentence", "reply"]


class Segmenter:
    """Cuts the text of one reply into pieces. Times are in seconds, on any one clock that never goes back.

    ``deadline``: when :meth:`tick` should be called, or None. A late tick, or none before the next :meth:`push`,
    changes when the first piece comes, but not what it is.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._speakable = Speakable()
        self._held: list[Spoken] = []  # spoken, not yet cut
        self._written = 0  # characters of the reply so far
        self._start = 0  # where the next piece begins in the reply
        self._stop: int | None = None  # the held stop or break that is not judged yet
        self._quoted = False  # ... and whether it stands in a quotation or bracket
        self._closers: list[str] = []  # what closes the open quotes and brackets
        self._first = True  # the first piece is not cut yet
        self._hurry = False  # ... and its time is over

    def push(self, text: str, now: float) -> list[Piece]:
        """More text as written, at ``now``. Returns the pieces that are complete now."""
        pieces = self.tick(now)
        if text and self._first and not self._written:
            self.deadline = now + FIRST_CLAUSE_S
        for char in text:
            self._written += 1
            for spoken in self._speakable.push(char):
                self._take(spoken, pieces)
        return pieces

    def tick(self, now: float) -> list[Piece]:
        """Time has passed. At the deadline the first clause is cut at its last whole word, or after the next one."""
        pieces: list[Piece] = []
        if self.deadline is not None and now >= self.deadline:
            self.deadline, self._hurry = None, True
            self._cut_at_space(pieces)
        return pieces

    def finish(self) -> list[Piece]:
        """The reply is over: the rest of it, if any of it can be spoken."""
        pieces: list[Piece] = []
        for spoken in self._speakable.finish():
            self._take(spoken, pieces)
        self._cut(len(self._held), "reply", pieces)
        self.deadline = None
        return pieces

    # --- one character

    def _take(self, spoken: Spoken, pieces: list[Piece]) -> None:
        if spoken.char == "\n":
            self._line_end(spoken, pieces)
            return
        if not self._held and spoken.char == " ":
            return
        self._held.append(spoken)
        if self._stop is not None:
            self._judge(pieces)
        if self._stop is None and not spoken.literal and self._held:
            if spoken.char in STOPS or (spoken.char in BREAKS and self._wants_clause()):
                self._stop, self._quoted = len(self._held) - 1, bool(self._closers)
                self._judge(pieces)
            elif spoken.char == " ":
                self._word_end(pieces)
        self._follow_quotes(spoken)
        if len(self._held) >= _LONGEST:
            self._cut_at_space(pieces)
        if len(self._held) >= _LONGEST:
            self._cut(len(self._held), "clause", pieces)

    def _judge(self, pieces: list[Piece]) -> None:
        """Is the waiting stop an end? Cut there if so, forget it if not, wait if that is still open."""
        assert self._stop is not None
        text = "".join(each.char for each in self._held)
        before, after = text[: self._stop + 1], text[self._stop + 1 :]
        if before[-1] in STOPS:
            ends: Literal["clause", "sentence"] = "sentence"
            verdict = ends_sentence(before, after, quoted=self._quoted)
            size = len(before) + tail(after)
        else:
            ends = "clause"
            verdict = ends_clause(before, after)
            size = len(before)
        if verdict:
            self._cut(size, ends, pieces)
        elif verdict is False:
            self._stop = None

    def _wants_clause(self) -> bool:
        return self._words() >= _MIN_WORDS if self._first else len(self._held) > _LONG

    def _words(self) -> int:
        """Words so far. Scripts without spaces count two characters for a word."""
        text = "".join(each.char for each in self._held)
        dense = sum("\u3040" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af" for char in text)
        return sum(any(map(str.isalnum, word)) for word in text.split()) + dense // 2

    def _word_end(self, pieces: list[Piece]) -> None:
        at = len(self._held) - 1
        if self._first and self._may_part(at) and (self._hurry or self._words() >= _MAX_WORDS):
            self._cut(at, "clause", pieces)

    def _line_end(self, newline: Spoken, pieces: list[Piece]) -> None:
        self._closers.clear()
        self._stop = None
        last = next((each.char for each in reversed(self._held) if each.char != " "), "")
        self._cut(len(self._held), "clause" if last in BREAKS[:2] else "sentence", pieces)
        if self._held:
            self._held.append(newline._replace(char=" "))

    def _follow_quotes(self, spoken: Spoken) -> None:
        char = spoken.char
        if self._closers and char == self._closers[-1]:
            self._closers.pop()
        elif char in _PAIRS:
            self._closers.append(_PAIRS[char])
        elif char == '"':
            self._closers.append(char)
        if len(self._closers) > 4:
            self._closers.clear()

    # --- cutting

    def _may_part(self, at: int) -> bool:
        """Whether a voice can stop at the held blank there; not after a stop that did not end the sentence (Dr.)."""
        return self._held[at].char == " " and not self._held[at].literal and self._held[at - 1].char != "."

    def _cut_at_space(self, pieces: list[Piece]) -> None:
        for at in range(len(self._held) - 1, 0, -1):
            if self._may_part(at):
                self._cut(at, "clause", pieces)
                return

    def _cut(self, size: int, ends: Literal["clause", "sentence", "reply"], pieces: list[Piece]) -> None:
        """The first ``size`` held characters are a piece, unless there is nothing to say in them."""
        said = tidy(self._held[:size])
        if not said:
            if ends != "reply":
                self._stop = None
            return
        end = self._written if ends == "reply" else self._held[size - 1].end
        text = "".join(each.char for each in said)
        pieces.append(Piece(text, self._start, end, tuple(each.start for each in said), ends))
        self._start, self._stop = end, None
        self._first, self.deadline = False, None
        del self._held[:size]
        while self._held and self._held[0].char == " ":
            del self._held[0]
