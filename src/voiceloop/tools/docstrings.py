"""What a function's docstring says: its first paragraph, and its parameters in Google, Sphinx or NumPy style."""

from __future__ import annotations

import inspect
import re

_SPHINX = re.compile(r"^:param (?:[^:\n]*\s)?(\w+):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_GOOGLE = re.compile(r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+\S.*\n?|[ \t]*\n)+)", re.MULTILINE)
_NUMPY = re.compile(r"^Parameters\n-{3,}[ \t]*\n(.*?)(?=^\S[^\n]*\n-{3,}|\Z)", re.MULTILINE | re.DOTALL)
_GOOGLE_ITEM = re.compile(r"^(\w+)[ \t]*(?:\([^\n]*?\))?:[ \t]*(.*(?:\n+[ \t]+\S.*)*)", re.MULTILINE)
_NUMPY_ITEM = re.compile(r"^(\w+)[ \t]*(?::.*)?((?:\n+[ \t]+\S.*)+)", re.MULTILINE)
_SECTION = re.compile(r"^(?::\w+[^\n:]*:|\w+:[ \t]*$|Parameters\n-{3,})", re.MULTILINE)


def described(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The description and, by name, those of the parameters; empty where the docstring says nothing."""
    text = inspect.cleandoc(docstring or "")
    first = text.split("\n\n", 1)[0]
    section = _SECTION.search(first)
    description = _one_line(first[: section.start()] if section else first)
    found = dict(_SPHINX.findall(text))
    for block in _GOOGLE.findall(text):
        found.update(_GOOGLE_ITEM.findall(inspect.cleandoc(f"\n{block}")))
    for block in _NUMPY.findall(text):
        found.update(_NUMPY_ITEM.findall(block))
    return description, {name: _one_line(words) for name, words in found.items() if words.strip()}


def _one_line(text: str) -> str:
    return " ".join(text.split())
