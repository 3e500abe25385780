"""Spoken characters: what a voice makes of each, and how a stretch of them is tidied up."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple
from unicodedata import category

_KEPT_SYMBOLS = "°©®™℃℉№"
_ORPHANS = "!?,;:)]}…”»」』）】。！？、，।॥؟،؛۔—–"


class Spoken(NamedTuple):
    """One spoken character: what it is, its source characters ``[start, end)``.

    ``literal``: part of code, an address or a link's text, where punctuation ends nothing.
    """

    char: str
    start: int
    end: int
    literal: bool = False


@lru_cache(maxsize=1024)
def kind_of(char: str) -> Literal["space", "picture", "nothing", "text"]:
    """What a character outside mark-up is to a voice."""
    if char.isspace():
        return "space"
    if char in _KEPT_SYMBOLS or char.isascii():
        return "text" if char.isprintable() else "nothing"
    kind = category(char)
    if (
        char in "•◦‣"
        or kind in ("So", "Cn", "Co", "Cs")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\u2190" <= char <= "\u21ff"
    ):
        return "picture"
    if kind in ("Cc", "Cf") and char not in "\u200c\u200d":
        return "nothing"
    return "nothing" if char in "\ufe0e\ufe0f\u20e3" else "text"


def tidy(spoken: list[Spoken]) -> list[Spoken]:
    """Without blanks and left-over punctuation at its start, and blanks before punctuation; [] if nothing is left."""
    if not any(sounds(each.char) for each in spoken):
        return []
    first = 0
    while spoken[first].char in _ORPHANS or spoken[first].char == " " or _stray(spoken, first):
        first += 1
    said: list[Spoken] = []
    for each in spoken[first:]:
        if each.char in ".,!?;:" and said and said[-1].char == " ":
            said.pop()
        if each.char != " " or (said and said[-1].char != " "):
            said.append(each)
    while said[-1].char == " ":
        said.pop()
    return said


def _stray(spoken: list[Spoken], at: int) -> bool:
    """A stop or quote at the start of a piece with a blank after it belongs to the piece before."""
    return spoken[at].char in ".\"'" and (at + 1 == len(spoken) or not sounds(spoken[at + 1].char))


def sounds(char: str) -> bool:
    """Whether a voice says something for the character, alone."""
    return category(char)[0] in "LN" or category(char) in ("Sc", "So") or char in "%&@#+=∞"
