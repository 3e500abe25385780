"""What is to be spoken: plain text or SSML as sentences, pauses and named places, each with its bytes in the input.

Sources: Amazon Polly developer guide, "Supported SSML tags" and "Speech marks".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from xml.parsers import expat

from attrs import define, field, frozen

_ALWAYS = frozenset(("break", "lang", "mark", "p", "phoneme", "prosody", "s", "say-as", "speak", "sub", "w"))
_STANDARD = _ALWAYS | {"emphasis", "amazon:auto-breaths", "amazon:breath", "amazon:effect"}
_NEURAL = _ALWAYS | {"amazon:domain", "amazon:effect"}
_LONG_FORM = _ALWAYS | {"amazon:effect"}
_TAGS: Mapping[str, frozenset[str]] = {
    "standard": _STANDARD,
    "neural": _NEURAL,
    "long-form": _LONG_FORM,
    "generative": _ALWAYS,
}
_NEWS = frozenset(("Joanna", "Matthew", "Lupe", "Amy"))
_STRENGTHS = {"none": 0, "x-weak": 0, "weak": 200, "medium": 200, "strong": 400, "x-strong": 800}
_TIME = re.compile(r"\+?(\d+(?:\.\d+)?)(ms|s)")
_LONGEST_BREAK_MS = 10_000
_REQUIRED = {
    "mark": "name",
    "sub": "alias",
    "phoneme": "ph",
    "say-as": "interpret-as",
    "w": "role",
    "lang": "xml:lang",
}
_END = re.compile(r"[.!?…][\"')\]”’]*\s+|[。！？]")
_NO_END = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|St|vs|e\.g|i\.e|[A-Z])\.\s+$")


class InvalidSsml(Exception):
    """The SSML is not well formed, or holds what the engine does not take; its text is the service's message."""


@frozen
class Place:
    """A ``<mark>``: its name, the bytes of the input that its tag takes, and before which character it is."""

    name: str
    start: int
    end: int
    character: int


@frozen
class Sentence:
    """A sentence to speak. ``bytes`` holds, for each character of ``text``, where it begins and ends in the input."""

    text: str
    bytes: tuple[tuple[int, int], ...] = field(repr=False)
    places: tuple[Place, ...] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Where the sentence begins and ends in the input, in bytes."""
        return self.bytes[0][0], self.bytes[-1][1]


@frozen
class Pause:
    """Silence of ``ms``; ``places`` are marks with nothing to speak after them."""

    ms: float = 0
    places: tuple[Place, ...] = ()


Piece: TypeAlias = Sentence | Pause


@frozen
class Document:
    """What one request says: its pieces in order, and the characters that are billed (tags are not)."""

    pieces: tuple[Piece, ...]
    billed: int


def plain(text: str) -> Document:
    """Plain text as a document."""
    run = _Run()
    at = 0
    for character in text:
        size = len(character.encode())
        run.add(character, at, at + size)
        at += size
    return Document(tuple(run.sentences()), len(text))


def ssml(text: str, engine: str, voice: str) -> Document:
    """SSML as a document, checked for ``engine``. Raises InvalidSsml."""
    return _Reader(text.encode(), engine, voice).read()


@define
class _Run:
    """Characters up to a pause, which may be several sentences."""

    characters: list[str] = field(factory=list)
    bytes: list[tuple[int, int]] = field(factory=list)
    places: list[Place] = field(factory=list)

    def add(self, character: str, start: int, end: int) -> None:
        """One character and its bytes."""
        self.characters.append(character if character.isprintable() else " ")
        self.bytes.append((start, end))

    def sentences(self) -> Iterator[Piece]:
        """The sentences, without blanks at their ends; the marks after all of them."""
        text = "".join(self.characters)
        places = list(self.places)
        for start, end in _cut(text):
            mine = [place for place in places if place.character < end]
            places = places[len(mine) :]
            inside = tuple(Place(p.name, p.start, p.end, max(0, p.character - start)) for p in mine)
            yield Sentence(text[start:end], tuple(self.bytes[start:end]), inside)
        if places:
            yield Pause(places=tuple(places))


def _cut(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of ``text`` begin and end, blanks around them left out."""
    ends = [found.end() for found in _END.finditer(text) if not _NO_END.search(text[: found.end()])]
    start = 0
    for end in (*ends, len(text)):
        sentence = text[start:end]
        if sentence.strip():
            first = start + len(sentence) - len(sentence.lstrip())
            yield first, start + len(sentence.rstrip())
        start = end


class _Reader:
    """Reads one SSML document with expat, which tells the byte of everything."""

    def __init__(self, data: bytes, engine: str, voice: str) -> None:
        self._data, self._engine, self._voice = data, engine, voice
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.buffer_text = False
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._open: list[str] = []
        self._alias: int | None = None  # how many elements were open where a <sub> began
        self._run = _Run()
        self._pieces: list[Piece] = []
        self._billed = 0

    def read(self) -> Document:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError:
            raise InvalidSsml("Invalid SSML request") from None
        self._flush()
        return Document(tuple(self._pieces), self._billed)

    def _doctype(self, *_: object) -> None:
        raise InvalidSsml("Invalid SSML request")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._check(tag, attributes)
        if tag == "break":
            self._flush(_break_ms(attributes))
        elif tag == "mark":
            at = self._parser.CurrentByteIndex
            end = self._data.index(b">", at) + 1
            self._run.places.append(Place(attributes["name"], at, end, len(self._run.characters)))
        elif tag == "sub" and self._alias is None:
            self._alias = len(self._open)
            self._substitute(attributes["alias"])
        elif tag in ("p", "s"):
            self._flush()
        self._open.append(tag)

    def _end(self, tag: str) -> None:
        self._open.pop()
        if self._alias is not None and len(self._open) == self._alias:
            self._alias = None
        if tag in ("p", "s"):
            self._flush(_STRENGTHS["x-strong" if tag == "p" else "strong"])

    def _text(self, text: str) -> None:
        self._billed += len(text)
        if self._alias is not None:
            return
        at = self._parser.CurrentByteIndex
        if self._data[at : at + 1] == b"&":
            self._run.add(text, at, self._data.index(b";", at) + 1)
            return
        for character in text:
            size = len(character.encode())
            self._run.add(character, at, at + size)
            at += size

    def _substitute(self, alias: str) -> None:
        """The alias is spoken; all its characters have the bytes of what it stands for."""
        start = self._data.index(b">", self._parser.CurrentByteIndex) + 1
        end = self._data.find(b"</sub", start)
        for character in alias:
            self._run.add(character, start, max(start, end))

    def _flush(self, pause_ms: float = 0) -> None:
        run, self._run = self._run, _Run()
        self._pieces += run.sentences()
        if pause_ms:
            self._pieces.append(Pause(pause_ms))

    def _check(self, tag: str, attributes: Mapping[str, str]) -> None:
        if (tag == "speak") != (not self._open) or tag not in _STANDARD | _NEURAL:
            raise InvalidSsml("Invalid SSML request")
        if _REQUIRED.get(tag, "") not in ("", *attributes):
            raise InvalidSsml("Invalid SSML request")
        if not self._supports(tag, attributes):
            name = {"long-form": "Long-form"}.get(self._engine, self._engine.capitalize())
            raise InvalidSsml(f"Unsupported {name} feature")

    def _supports(self, tag: str, attributes: Mapping[str, str]) -> bool:
        standard = self._engine == "standard"
        if tag not in _TAGS[self._engine]:
            return False
        if tag == "amazon:domain":
            return self._voice in _NEWS and attributes.get("name") == "news"
        if tag == "amazon:effect":
            return standard or attributes == {"name": "drc"}
        if tag == "prosody":
            return standard or not attributes.keys() & {"pitch", "amazon:max-duration"}
        return True


def _break_ms(attributes: Mapping[str, str]) -> float:
    time, strength = attributes.get("time"), attributes.get("strength", "medium")
    if time is None:
        if strength not in _STRENGTHS:
            raise InvalidSsml("Invalid SSML request")
        return _STRENGTHS[strength]
    found = _TIME.fullmatch(time)
    ms = float(found[1]) * (1000 if found[2] == "s" else 1) if found else _LONGEST_BREAK_MS + 1
    if ms > _LONGEST_BREAK_MS:
        raise InvalidSsml("Invalid SSML request")
    return ms
