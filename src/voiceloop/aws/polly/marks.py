"""Polly's speech marks: JSON lines in, marks out. Pure.

Source: Amazon Polly developer guide, "Speech mark types" and "Visemes": one object a line, in order of time; a viseme
lasts until the next one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
from attrs import define, field

from voiceloop.aws.polly.text import Script
from voiceloop.errors import ProviderMisbehaved
from voiceloop.interfaces import MarkKind, MarksUntil, VisemeMark, WordMark
from voiceloop.visemes import CODES, NEUTRAL


@define(eq=False)
class Lines:
    """Cuts a stream of JSON lines, however it arrives, into objects."""

    _rest: bytes = b""

    def feed(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        """The objects of the lines that ``data`` completes. Raises ProviderMisbehaved."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return map(_object, filter(bytes.strip, lines))

    def finish(self) -> Iterator[Mapping[str, Any]]:
        """The object of a last line without its end."""
        return self.feed(b"\n")


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
        time = value["time"]
    except (ValueError, TypeError, KeyError):
        value = time = None
    if not isinstance(value, dict) or isinstance(time, bool) or not isinstance(time, int | float):
        raise ProviderMisbehaved("a speech mark is no JSON object with a time", provider="Amazon Polly")
    return value


@define(eq=False)
class Marks:
    """Makes marks of the kinds ``want`` from the lines of one ``script``, whose audio begins at ``base_ms``.

    A viseme is held back until the next one tells its end; :class:`MarksUntil` says how far all are given.
    """

    script: Script
    want: Collection[MarkKind]
    base_ms: float = 0.0
    _lines: Lines = field(factory=Lines)
    _ms: float = 0.0
    _spoken: int = 0  # how far in the text words were marked
    _held: VisemeMark | None = None
    _told: float = 0.0

    def feed(self, data: bytes) -> list[VisemeMark | WordMark | MarksUntil]:
        """What ``data`` adds. Raises ProviderMisbehaved."""
        return self._made(self._lines.feed(data))

    def finish(self) -> list[VisemeMark | WordMark | MarksUntil]:
        """What is left at the end of the stream."""
        made = self._made(self._lines.finish())
        if self._held is not None:
            made.append(self._held)
            self._held = None
        return made

    def _made(self, lines: Iterator[Mapping[str, Any]]) -> list[VisemeMark | WordMark | MarksUntil]:
        made: list[VisemeMark | WordMark | MarksUntil] = []
        for line in lines:
            self._ms = max(self._ms, self.base_ms + line["time"])
            mark = self._mark(line)
            if mark is not None:
                made.append(mark)
        until = self._ms if self._held is None else self._held.ms
        if until > self._told:
            self._told = until
            made.append(MarksUntil(until))
        return made

    def _mark(self, line: Mapping[str, Any]) -> VisemeMark | WordMark | None:
        match line:
            case {"type": "viseme", "value": str(code)} if "viseme" in self.want:
                before = self._held
                self._held = VisemeMark(code if code in CODES else NEUTRAL, self._ms)
                return None if before is None else attrs.evolve(before, end_ms=self._ms)
            case {"type": "word", "start": int(start), "end": int(end)} if "word" in self.want:
                span = self.script.span(start, end)
                # a word that was given already (a currency sign told apart from its number) is not given twice
                if span is not None and span[0] >= self._spoken:
                    self._spoken = span[1]
                    return WordMark(*span, self._ms)
        return None


NO_MORE: Sequence[MarksUntil] = (MarksUntil(math.inf),)
"""What is told when no mark is to come any more."""
