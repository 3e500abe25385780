"""Text as Polly is asked to speak it, and where in the text a byte of that is. Pure.

Speech marks count bytes of the input in UTF-8, mark-up included (Amazon Polly developer guide, "Speech mark output");
voiceloop counts characters of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from attrs import field, frozen

BILLED_LIMIT, TOTAL_LIMIT = 3000, 6000
"""Characters of text, and of text with mark-up, in one request (Amazon Polly developer guide, "Quotas")."""

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
# What XML, or UTF-8, cannot hold; one character stands for one, so that places stay.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ENDS = (re.compile(r"[.!?…。！？][\"')\]”’]*\s*"), re.compile(r"[,;:—、，；：]\s*"), re.compile(r"\s+"))


@frozen
class Script:
    """What is sent for ``source``: ``text``, in SSML or plain. ``start`` is the place of ``source`` in a longer text.

    ``bytes_at``: for each character of ``source`` the byte of ``text`` where it begins, and where the last one ends;
    None if a byte is a character.
    """

    source: str = field(repr=False)
    text: str = field(repr=False)
    ssml: bool = False
    start: int = 0
    bytes_at: Sequence[int] | None = field(default=None, repr=False)

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """The characters of the longer text that bytes ``start`` to ``end`` of ``text`` are, without spaces around
        them; None if that is nothing."""
        if self.bytes_at is None:
            first, last = max(0, start), min(end, len(self.source))
        else:
            first = max(0, bisect_right(self.bytes_at, start) - 1)
            last = min(bisect_left(self.bytes_at, end), len(self.source))
        while first < last and self.source[first].isspace():
            first += 1
        while last > first and self.source[last - 1].isspace():
            last -= 1
        return (self.start + first, self.start + last) if first < last else None


def scripts(text: str, rate: float | None = None) -> list[Script]:
    """``text`` in as many pieces as the service's limits need; ``rate`` is the speaking rate, 1 is usual."""
    before, after = (
        ("", "") if rate is None else (f'<speak><prosody rate="{round(rate * 100)}%">', "</prosody></speak>")
    )
    room = TOTAL_LIMIT - len(before) - len(after)
    made, start = [], 0
    while start < len(text):
        end = start + _fitting(text, start, room, escaped=rate is not None)
        made.append(_script(text[start:end], start, before, after))
        start = end
    return made


def speakable(text: str) -> str:
    """``text`` with a space for every character that cannot be sent, of the same length."""
    return _UNSPEAKABLE.sub(" ", text)


def _script(source: str, start: int, before: str, after: str) -> Script:
    clean = speakable(source)
    if not before and clean.isascii():
        return Script(source, clean, start=start)
    pieces = [_ESCAPES.get(c, c) for c in clean] if before else list(clean)
    bytes_at = list(accumulate((len(piece.encode()) for piece in pieces), initial=len(before)))
    return Script(source, f"{before}{''.join(pieces)}{after}", bool(before), start, bytes_at)


def _fitting(text: str, start: int, room: int, *, escaped: bool) -> int:
    """How many characters from ``start`` on make one request: all, or up to the end of a sentence, clause or word."""
    billed = total = 0
    for index in range(start, len(text)):
        character = text[index]
        units = 1 + (character > "\uffff")  # as UTF-16 counts, to be on the safe side
        billed += units
        total += len(_ESCAPES[character]) if escaped and character in _ESCAPES else units
        if billed > BILLED_LIMIT or total > room:
            return _cut(text[start:index])
    return len(text) - start


def _cut(piece: str) -> int:
    for pattern in _ENDS:
        ends = [found.end() for found in pattern.finditer(piece)]
        if ends and ends[-1] > len(piece) // 2:
            return ends[-1]
    return len(piece)
