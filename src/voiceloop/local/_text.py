"""Text for a synthesizer that reads plain text: what must not reach it, where to cut it, what its words are. Pure."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*\s|\n+")
_CLAUSE_END = re.compile(r"[,;:—–、，；：]\s?")
_MAX_PIECE = 240
_CONTROL = {"Cc", "Cs", "Co"}  # espeak takes control characters as commands; surrogates have no bytes


def clean(text: str) -> str:
    """``text`` with control and private characters as blanks: as long as before, so that places stay."""
    return "".join(" " if unicodedata.category(c) in _CONTROL and c != "\n" else c for c in text)


def pieces(text: str, longest: int = _MAX_PIECE) -> list[tuple[int, int, bool]]:
    """Cut ``text`` into ranges of at most ``longest`` characters that cover it: start, end, whether a pause follows.

    Cuts at the last end of a sentence in the second half of a range, else of a clause, else at a blank, or anywhere.
    """
    found: list[tuple[int, int, bool]] = []
    start = 0
    while len(text) - start > longest:
        end, pause = _cut(text, start, longest)
        found.append((start, end, pause))
        start = end
    if start < len(text):
        found.append((start, len(text), True))
    return found


def _cut(text: str, start: int, longest: int) -> tuple[int, bool]:
    for pattern in (_SENTENCE_END, _CLAUSE_END):
        ends = [m.end() for m in pattern.finditer(text, start + longest // 2, start + longest)]
        if ends:
            return ends[-1], True
    blank = text.rfind(" ", start + 1, start + longest)
    return (blank + 1 if blank > 0 else start + longest), False


def words(text: str) -> list[tuple[int, int]]:
    """The words of ``text`` by their characters: what stands between blanks, without the punctuation around it."""
    found = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        inner = [i for i in range(start, end) if text[i].isalnum() or unicodedata.category(text[i])[0] == "M"]
        found.append((inner[0], inner[-1] + 1) if inner else (start, end))
    return found
