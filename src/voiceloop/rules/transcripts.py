"""Which of the recognizer's words make up which utterance, and which of them are late."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from voiceloop.events import SpokenWord
from voiceloop.interfaces import Final, Partial

# A committed utterance may be revised until this many newer ones are committed.
_REVISABLE = 4

_TOKEN = re.compile(r"\S+")
_NOT_WORD = re.compile(r"[\W_]+")


@frozen
class Utterance:
    """What the user said between two ends of turn. ``number`` counts from 1.

    ``stable_chars``: leading characters of ``text`` that will not change. ``confidence``: the lowest of its finals.
    ``final``: it has words, and all of them are final.
    """

    number: int
    text: str = ""
    words: tuple[SpokenWord, ...] = ()
    stable_chars: int = 0
    confidence: float | None = None
    language: str | None = None
    final: bool = False

    @property
    def stable(self) -> bool:
        """Whether nothing of the text will change."""
        return self.stable_chars >= len(self.text)

    @property
    def last_word_end_ms(self) -> float | None:
        """Where the last word ends, on the input timeline; None without word times."""
        return self.words[-1].end_ms if self.words else None


@frozen
class Updated:
    """The current utterance changed."""

    utterance: Utterance


@frozen
class Committed:
    """An utterance is over. ``before``: what it was committed with, when it was reopened since; else None."""

    utterance: Utterance
    before: str | None = None


@frozen
class Revised:
    """The words of committed utterance ``number`` turned out to be others."""

    number: int
    before: str
    text: str


Change: TypeAlias = Updated | Revised


@frozen
class _Boundary:
    """Where an utterance ends: ``until_ms`` for items with word times, for the others the text they had by then.

    ``number`` is None when what lies before was no utterance.
    """

    number: int | None
    until_ms: float
    texts: dict[str, str]


@frozen
class _Portion:
    """The words of one item that belong to one utterance."""

    text: str
    words: tuple[SpokenWord, ...]
    stable_chars: int
    item: Partial | Final


@define
class Transcripts:
    """The utterances of one session, made of recognizer items as they come.

    A new item belongs to the current utterance until that is committed. From then on words that begin after the
    commit belong to the next utterance: by their times, or, without times, as far as the item has grown. Every word
    of every item belongs to exactly one utterance, whatever the order of items and commits.
    """

    _items: dict[str, Partial | Final] = field(factory=dict, init=False)
    _boundaries: list[_Boundary] = field(init=False)
    _known: dict[int, str] = field(factory=dict, init=False)  # what committed utterances were told to say
    _number: int = field(default=1, init=False)
    _current: Utterance | None = field(default=None, init=False)  # None: to be put together anew

    def __attrs_post_init__(self) -> None:
        self._boundaries = [_Boundary(None, -math.inf, {})]

    @property
    def current(self) -> Utterance:
        """The utterance that is not committed yet; blank when nothing was recognized since the last commit."""
        if self._current is None:
            self._current = self._utterance(self._number, self._boundaries, None)
        return self._current

    def item(self, item: Partial | Final) -> list[Change]:
        """Take a new item, or a newer version of one.

        A committed utterance is revised when its words differ (case and punctuation do not count) and are settled: by
        a final, or by a partial that is stable as far as the utterance goes and no shorter than it.
        """
        before = self.current
        if item.words and not item.text.strip():
            item = evolve(item, text=" ".join(word.text for word in item.words))
        self._items[item.item] = item
        self._current = None
        changes: list[Change] = list(self._revisions(final=isinstance(item, Final)))
        after = self.current
        return changes if after == before else [*changes, Updated(after)]

    def commit(self, until_ms: float | None = None) -> Committed | None:
        """Close the current utterance. None when it is blank; then nothing changes.

        ``until_ms``: the end of the user's speech, on the input timeline. Words that begin before it but are
        recognized later still belong to this utterance. Default: the end of its last word.
        """
        utterance = self.current
        if not utterance.text:
            return None
        before = self._known.get(self._number)
        self._known[self._number] = utterance.text
        self._close(utterance, self._number, until_ms)
        self._number += 1
        return Committed(utterance, before)

    def drop(self, until_ms: float | None = None) -> list[Change]:
        """Forget the words of the current utterance, which were no turn of the user (echo). Its number stays free."""
        utterance = self.current
        if not utterance.text:
            return []
        self._close(utterance, None, until_ms)
        return [Updated(self.current)]

    def reopen(self) -> list[Change]:
        """Undo the last commit: the user went on, so the last utterance and what followed are one, with its number.

        Its next commit tells what it was committed with before. Nothing happens without a commit to undo, or when the
        current utterance was committed before, since an utterance that had its final transcript stays one.
        """
        if self._number in self._known or all(boundary.number is None for boundary in self._boundaries[1:]):
            return []
        number = None
        while number is None:
            number = self._boundaries.pop().number
        self._number, self._current = number, None
        return [Updated(self.current)]

    def _close(self, utterance: Utterance, number: int | None, until_ms: float | None) -> None:
        ends = [self._boundaries[-1].until_ms]
        if until_ms is not None:
            ends.append(until_ms)
        if utterance.words:
            last = utterance.words[-1]
            ends += [last.end_ms, math.nextafter(last.start_ms, math.inf)]
        texts = {item.item: item.text for item in self._items.values() if not item.words}
        self._boundaries.append(_Boundary(number, max(ends), texts))
        self._current = None
        del self._boundaries[: -_REVISABLE - 1]
        oldest = self._boundaries[0]
        for item in list(self._items.values()):
            if _words_before(oldest, item) == len(_starts(item)):
                del self._items[item.item]
        for number in [known for known in self._known if known < self._number - _REVISABLE]:
            del self._known[number]

    def _revisions(self, *, final: bool) -> Iterator[Revised]:
        for index, upper in enumerate(self._boundaries):
            if upper.number is None or not index:
                continue
            before, now = self._known[upper.number], self._utterance(upper.number, self._boundaries[:index], upper)
            settled = now.stable and (final or len(now.text.split()) >= len(before.split()))
            if settled and not alike(before, now.text):
                self._known[upper.number] = now.text
                yield Revised(upper.number, before, now.text)

    def _utterance(self, number: int, lower: Sequence[_Boundary], upper: _Boundary | None) -> Utterance:
        portions = [portion for item in self._items.values() if (portion := _portion(item, lower, upper)).text]
        finals = [portion.item for portion in portions if isinstance(portion.item, Final)]
        return Utterance(
            number=number,
            text=" ".join(portion.text for portion in portions),
            words=tuple(word for portion in portions for word in portion.words),
            stable_chars=_stable_chars(portions),
            confidence=min((final.confidence for final in finals if final.confidence is not None), default=None),
            language=next((portion.item.language for portion in reversed(portions) if portion.item.language), None),
            final=bool(portions) and len(finals) == len(portions),
        )


def alike(text: str, other: str) -> bool:
    """Whether two texts say the same words; case and punctuation do not count."""
    return text == other or _normal(text) == _normal(other)


def _portion(item: Partial | Final, lower: Sequence[_Boundary], upper: _Boundary | None) -> _Portion:
    starts = _starts(item)
    first = max(_words_before(boundary, item) for boundary in lower)
    last = len(starts) if upper is None else max(first, _words_before(upper, item))
    begin = starts[first] if first < len(starts) else len(item.text)
    end = starts[last] if last < len(starts) else len(item.text)
    text = item.text[begin:end].rstrip()
    stable = len(item.text) if isinstance(item, Final) else item.stable_chars
    return _Portion(text, item.words[first:last], min(max(stable - begin, 0), len(text)), item)


def _stable_chars(portions: Sequence[_Portion]) -> int:
    chars = 0
    for index, portion in enumerate(portions):
        chars += portion.stable_chars + (1 if index and portion.stable_chars else 0)
        if portion.stable_chars < len(portion.text):
            break
    return chars


def _starts(item: Partial | Final) -> list[int]:
    """Where each word of an item begins in its text; the words are those with times, when there are any."""
    tokens = [token.start() for token in _TOKEN.finditer(item.text)]
    if not item.words or len(tokens) == len(item.words):
        return tokens
    starts, position, text = [], 0, item.text.lower()
    for word in item.words:
        found = text.find(word.text.lower(), position)
        starts.append(position if found < 0 else found)
        position = position if found < 0 else found + len(word.text)
    return starts


def _words_before(boundary: _Boundary, item: Partial | Final) -> int:
    """How many leading words of an item belong to utterances up to the boundary."""
    if item.words:
        later = (index for index, word in enumerate(item.words) if word.start_ms >= boundary.until_ms)
        return next(later, len(item.words))
    return _matching_prefix(boundary.texts.get(item.item, ""), item.text)


def _matching_prefix(old: str, new: str) -> int:
    """How many leading words of ``new`` say what ``old`` says: those at the smallest edit distance from it."""
    if new.startswith(old) and (len(new) == len(old) or not old or new[len(old)].isspace()):
        return len(old.split())
    wanted, words = [_normal(word) for word in old.split()], [_normal(word) for word in new.split()]
    if words[: len(wanted)] == wanted:
        return len(wanted)
    distances = list(range(len(words) + 1))
    for row, word in enumerate(wanted, 1):
        diagonal, distances[0] = distances[0], row
        for column, candidate in enumerate(words, 1):
            best = min(diagonal + (word != candidate), distances[column] + 1, distances[column - 1] + 1)
            diagonal, distances[column] = distances[column], best
    return min(range(len(words) + 1), key=lambda column: (distances[column], abs(column - len(wanted)), -column))


def _normal(text: str) -> str:
    return " ".join(_NOT_WORD.sub(" ", text.casefold().replace("’", "'").replace("'", "")).split())
