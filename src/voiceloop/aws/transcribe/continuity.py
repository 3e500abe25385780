"""One transcript over many connections: which words are new, and which item they belong to.

Pure: no clock and no I/O. After a restart the audio since the last final is sent again. What the new connection says
about words that were settled before is dropped by its time; a segment that was only partial goes on under its item
id, and words of it that were told to be stable stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, evolve, field, frozen

from voiceloop.aws.transcribe.results import Result, Token
from voiceloop.aws.transcribe.sending import Sending
from voiceloop.events import SpokenWord
from voiceloop.interfaces import Entity, Final, Partial

_APART_MS = 1500.0  # what begins that long after the last word is another item
_JITTER_MS = 50.0  # by which two connections differ about the time of a word
_MOST_FINISHED = 256


@define(eq=False)
class _Item:
    """A segment of speech that is not final yet, under one id however many connections it takes."""

    id: str
    told: Partial | None = None
    ends: tuple[int, ...] = ()  # where each word of ``told`` ends in its text
    spaced: bool = True
    carried: str = ""  # words that are settled, though their connection is gone
    carried_words: tuple[SpokenWord, ...] = ()
    told_until_ms: float = 0.0  # how far earlier connections had come

    def carry(self, kept_from_ms: float) -> None:
        """Its connection is gone: words that were stable, or cannot be sent again whole, stay."""
        if self.told is None:
            return
        words, count = self.told.words, 0
        self.told_until_ms = max((word.end_ms for word in words), default=0.0)
        for word in words:
            if not word.stable and word.start_ms >= kept_from_ms:
                break
            count += 1
        if count > len(self.carried_words):
            self.carried = self.told.text[: max(self.ends[count - 1], self.told.stable_chars)].rstrip()
            self.carried_words = words[:count]


@define(eq=False)
class _Channel:
    """What was told of one channel. ``done_ms``: the end of its last final. ``cut_ms``: words before it were told
    before this connection began. ``orphans``: items of earlier connections that are not final."""

    done_ms: float = 0.0
    cut_ms: float = 0.0
    orphans: deque[_Item] = field(factory=deque)


@frozen
class _Segment:
    """What is new in a result: its words on the input timeline, and its text from the first of them."""

    text: str
    words: tuple[SpokenWord, ...]
    ends: tuple[int, ...]  # where each word ends in the text
    stable_chars: int
    joined: bool  # the text goes on with punctuation


@define(eq=False)
class Hearing:
    """Makes items of results. ``finals_only``: partials are not told. ``language``: where a result names none."""

    sending: Sending
    language: str | None = None
    finals_only: bool = False
    _channels: dict[str | None, _Channel] = field(factory=dict, init=False)
    _open: dict[str, tuple[_Item, _Channel]] = field(factory=dict, init=False)
    _finished: deque[str] = field(factory=lambda: deque(maxlen=_MOST_FINISHED), init=False)

    @property
    def open(self) -> bool:
        """Whether a segment of this connection awaits its final."""
        return bool(self._open)

    def restart(self) -> None:
        """The connection is gone; results are those of another one from now on. Call before the audio's restart."""
        for item, channel in self._open.values():
            channel.orphans.append(item)
        self._open.clear()
        for channel in self._channels.values():
            channel.cut_ms = max(channel.cut_ms, channel.done_ms)
            for item in channel.orphans:
                item.carry(self.sending.kept_from_ms)
                if item.carried_words:
                    channel.cut_ms = max(channel.cut_ms, item.carried_words[-1].end_ms)

    def take(self, results: Iterable[Result]) -> list[Partial | Final]:
        """What is to be told of ``results``."""
        return [item for result in results for item in self._take(result)]

    def _take(self, result: Result) -> list[Partial | Final]:
        if result.id in self._finished:
            return []
        channel = self._channels.setdefault(result.channel, _Channel())
        known = self._open.get(result.id)
        orphan = channel.orphans[0] if channel.orphans else None
        segment = self._segment(result, channel, (known[0] if known else orphan or _Item("")).carried)
        closed: list[Partial | Final] = []
        if known is None and (segment.text or self._reaches(result, orphan)):
            if orphan is not None and _apart(orphan, segment):
                closed.append(self._closed(channel.orphans.popleft()))
                segment = self._segment(result, channel, "")
            item = channel.orphans.popleft() if channel.orphans else _Item(result.id)
            known = self._open[result.id] = (item, channel)
        told: Partial | Final | None
        if result.partial:
            told = self._partial(result, known[0], segment) if known else None
        else:
            told = self._final(result, known[0] if known else None, segment, channel.done_ms)
            self._settle(result, channel, segment)
        return [*closed, told] if told is not None else closed

    def _reaches(self, result: Result, orphan: _Item | None) -> bool:
        """Whether a result is about what an earlier connection had begun to hear, if it says nothing new of it."""
        words = orphan.told.words if orphan is not None and orphan.told is not None else ()
        return bool(words) and self.sending.input_ms(result.end_ms) > words[0].start_ms

    def _settle(self, result: Result, channel: _Channel, segment: _Segment) -> None:
        self._open.pop(result.id, None)
        self._finished.append(result.id)
        ends = (channel.done_ms, self.sending.input_ms(result.end_ms), *(word.end_ms for word in segment.words[-1:]))
        channel.done_ms = max(ends)
        if len(self._channels) >= self.sending.format.channels:
            self.sending.settled(min(each.done_ms for each in self._channels.values()))

    def _partial(self, result: Result, item: _Item, segment: _Segment) -> Partial | None:
        item.spaced = result.spaced
        text, begin = _joined(item, segment)
        stable = begin + segment.stable_chars if segment.stable_chars else len(item.carried)
        partial = Partial(
            item=item.id,
            text=text,
            words=(*item.carried_words, *segment.words),
            stable_chars=stable,
            language=result.language or self.language,
        )
        catching_up = not partial.words or partial.words[-1].end_ms < item.told_until_ms - _JITTER_MS
        if partial == item.told or catching_up or self.finals_only:
            return None
        item.told = partial
        item.ends = (*_ends(item.carried, item.carried_words), *(begin + end for end in segment.ends))
        return partial

    def _final(self, result: Result, item: _Item | None, segment: _Segment, since_ms: float) -> Final | None:
        if item is None:
            return None
        item.spaced = result.spaced
        words = tuple(evolve(word, stable=True) for word in (*item.carried_words, *segment.words))
        return Final(
            item=item.id,
            text=_joined(item, segment)[0],
            words=words,
            confidence=_mean(words),
            language=result.language or self.language,
            entities=tuple(self._entities(result.found, since_ms)),
        )

    def _closed(self, orphan: _Item) -> Final:
        words = tuple(evolve(word, stable=True) for word in orphan.carried_words)
        language = orphan.told.language if orphan.told else self.language
        return Final(orphan.id, orphan.carried, words, _mean(words), language)

    def _segment(self, result: Result, channel: _Channel, carried: str) -> _Segment:
        tokens, cut = [self._timed(token) for token in result.tokens], channel.cut_ms
        new = (number for number, token in enumerate(tokens) if token.spoken and _middle(token) >= cut)
        first = next(new, len(tokens)) if cut else 0
        while first and carried and _follows(tokens[first - 1], carried, cut):
            first -= 1
        begin = tokens[first].begin if 0 < first < len(tokens) else 0
        tokens = tokens[first:]
        words = [token for token in tokens if token.spoken]
        return _Segment(
            text=result.text[begin:] if tokens else "",
            words=tuple(_word(token, cut) for token in words),
            ends=tuple(token.end - begin for token in words),
            stable_chars=_stable_chars(tokens, begin),
            joined=bool(tokens) and not tokens[0].spoken,
        )

    def _timed(self, token: Token) -> Token:
        to_input = self.sending.input_ms
        return evolve(token, start_ms=to_input(token.start_ms), end_ms=to_input(token.end_ms))

    def _entities(self, found: Iterable[Entity], since_ms: float) -> Iterator[Entity]:
        for each in found:
            start, end = self.sending.input_ms(each.start_ms), self.sending.input_ms(each.end_ms)
            if (start + end) / 2 >= since_ms:
                yield evolve(each, start_ms=start, end_ms=end)


def _middle(token: Token) -> float:
    return (token.start_ms + token.end_ms) / 2


def _follows(token: Token, carried: str, cut_ms: float) -> bool:
    """Whether it is punctuation after the carried words that they lack."""
    return not token.spoken and token.start_ms >= cut_ms - _JITTER_MS and not carried.endswith(token.text)


def _word(token: Token, not_before: float) -> SpokenWord:
    start = max(token.start_ms, not_before)
    return SpokenWord(token.text, start, max(start, token.end_ms), token.confidence, token.stable, token.speaker)


def _stable_chars(tokens: Sequence[Token], begin: int) -> int:
    chars = 0
    for token in tokens:
        if not token.stable or token.end == token.begin:
            break
        chars = token.end - begin
    return chars


def _joined(item: _Item, segment: _Segment) -> tuple[str, int]:
    """The text of an item, and where in it the segment's begins."""
    apart = item.carried and segment.text and item.spaced and not segment.joined
    before = item.carried + (" " if apart else "")
    return before + segment.text, len(before)


def _ends(text: str, words: Sequence[SpokenWord]) -> tuple[int, ...]:
    ends, place = [], 0
    for word in words:
        found = text.find(word.text, place)
        place = place if found < 0 else found + len(word.text)
        ends.append(place)
    return tuple(ends)


def _apart(orphan: _Item, segment: _Segment) -> bool:
    """Whether what a new connection heard first is something else than what the old one had begun to hear."""
    words = orphan.told.words if orphan.told else ()
    return bool(words and segment.words) and segment.words[0].start_ms > words[-1].end_ms + _APART_MS


def _mean(words: Sequence[SpokenWord]) -> float | None:
    known = [word.confidence for word in words if word.confidence is not None]
    return round(sum(known) / len(known), 6) if known else None
