"""Patterns of what people say: one notation that is matched against words and written out as a JSGF grammar.

::

    book [me] (a | the) room       words, an optional one, alternatives
    [in | at] {place}              a slot: whatever the type of the slot allows
    {place}+                       once or more
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from voiceloop.errors import BadInput

_TOKENS = re.compile(r"\s*([\w'.-]+|\{\w+\}|[()\[\]|+])")


@frozen
class Word:
    """One word, as it is."""

    text: str


@frozen
class Slot:
    """Words that mean a value."""

    name: str


@frozen
class Sequence_:
    """One after the other."""

    items: tuple[Pattern, ...]


@frozen
class Choice:
    """One of several."""

    items: tuple[Pattern, ...]


@frozen
class Maybe:
    """May be left out."""

    item: Pattern


@frozen
class Many:
    """Once or more."""

    item: Pattern


Pattern: TypeAlias = Word | Slot | Sequence_ | Choice | Maybe | Many
Bindings: TypeAlias = tuple[tuple[str, Any], ...]


@frozen
class SlotType:
    """What may stand in a slot: the ``pattern`` of its words, and ``value`` of them (None: not a value after all).

    ``say`` puts a value into words. ``typed``: a pattern that is understood but not listened for, to keep the
    recognizer's grammar small. ``free``: so many words of any kind are a value too, though not listened for.
    """

    name: str
    pattern: Pattern
    value: Callable[[tuple[str, ...]], Any]
    say: Callable[[Any], str] = str
    typed: Pattern | None = None
    free: int = 0


def parse(text: str) -> Pattern:
    """Read a pattern. Raises BadInput when it is malformed."""
    tokens: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            raise BadInput(f"pattern {text!r}: {text[at:]!r} is no word, {{slot}}, ( | ), [ ] or +")
        tokens.append(found[1])
        at = found.end()
    pattern, rest = _choice(tokens, text)
    if rest or not tokens:
        raise BadInput(f"pattern {text!r}: {'nothing to say' if not tokens else f'unexpected {rest[0]!r}'}")
    return pattern


def _choice(tokens: list[str], text: str) -> tuple[Pattern, list[str]]:
    items: list[Pattern] = []
    while True:
        item, tokens = _sequence(tokens, text)
        items.append(item)
        if not tokens or tokens[0] != "|":
            return (items[0] if len(items) == 1 else Choice(tuple(items))), tokens
        tokens = tokens[1:]


def _sequence(tokens: list[str], text: str) -> tuple[Pattern, list[str]]:
    items: list[Pattern] = []
    while tokens and tokens[0] not in ("|", ")", "]"):
        first, tokens = tokens[0], tokens[1:]
        if first == "+":
            if not items:
                raise BadInput(f"pattern {text!r}: + stands behind what it repeats")
            items[-1] = Many(items[-1])
        elif first in ("(", "["):
            inner, tokens = _choice(tokens, text)
            close = ")" if first == "(" else "]"
            if not tokens or tokens[0] != close:
                raise BadInput(f"pattern {text!r}: a {close!r} is missing")
            tokens = tokens[1:]
            items.append(inner if first == "(" else Maybe(inner))
        else:
            items.append(Slot(first[1:-1]) if first[0] == "{" else Word(first.lower()))
    if not items:
        raise BadInput(f"pattern {text!r}: an alternative is empty")
    return (items[0] if len(items) == 1 else Sequence_(tuple(items))), tokens


def one_of(items: Iterable[Pattern]) -> Pattern:
    """Any of ``items``, each once."""
    unique = tuple(dict.fromkeys(items))
    return unique[0] if len(unique) == 1 else Choice(unique)


def in_order(*items: Pattern) -> Pattern:
    """All of ``items``, one after the other."""
    return Sequence_(items)


def slots_of(pattern: Pattern) -> frozenset[str]:
    """The names of the slots in ``pattern``."""
    match pattern:
        case Word():
            return frozenset()
        case Slot(name):
            return frozenset((name,))
        case Sequence_(items) | Choice(items):
            return frozenset[str]().union(*map(slots_of, items))
        case Maybe(item) | Many(item):
            return slots_of(item)


# ---------------------------------------------------------------- matching

_Held: TypeAlias = tuple[int, Bindings]  # how many words were taken on trust, and what the slots hold


def match(
    pattern: Pattern, words: Sequence[str], types: Mapping[str, SlotType], *, free: bool = False
) -> Bindings | None:
    """What the slots hold when ``pattern`` is all of ``words``; None when it is not.

    Earlier alternatives and longer slots win. ``free`` lets free types take unknown words, as few as possible.
    """
    held = _Matcher(tuple(words), types, free).ends(pattern, 0).get(len(words))
    return None if held is None else held[1]


@frozen
class _Matcher:
    words: tuple[str, ...]
    types: Mapping[str, SlotType]
    free: bool

    def ends(self, pattern: Pattern, at: int) -> dict[int, _Held]:
        """Where ``pattern`` can end when it begins at ``at``, and the best reading for each end."""
        match pattern:
            case Word(text):
                return {at + 1: (0, ())} if self.words[at : at + 1] == (text,) else {}
            case Slot(name):
                return self._slot(name, at)
            case Sequence_(items):
                ends: dict[int, _Held] = {at: (0, ())}
                for item in items:
                    ends = self._go_on(ends, item)
                return ends
            case Choice(items):
                ends = {}
                for item in items:
                    _keep(ends, self.ends(item, at))
                return ends
            case Maybe(item):
                ends = self.ends(item, at)
                _keep(ends, {at: (0, ())})
                return ends
            case Many(item):
                ends = {}
                found = self.ends(item, at)
                while found:
                    found = _keep(ends, found)
                    found = self._go_on(found, item)
                return ends

    def _go_on(self, ends: Mapping[int, _Held], item: Pattern) -> dict[int, _Held]:
        further: dict[int, _Held] = {}
        for end, (trusted, held) in ends.items():
            then = self.ends(item, end)
            _keep(further, {at: (trusted + more[0], held + more[1]) for at, more in then.items()})
        return further

    def _slot(self, name: str, at: int) -> dict[int, _Held]:
        kind = self.types[name]
        plain = _Matcher(self.words, {}, False)
        found = set(plain.ends(kind.pattern, at))
        if kind.typed is not None:
            found.update(plain.ends(kind.typed, at))
        ends: dict[int, _Held] = {}
        for end in sorted(found, reverse=True):
            value = kind.value(self.words[at:end])
            if value is not None:
                ends[end] = (0, ((name, value),))
        if self.free:
            for end in range(at + 1, min(at + kind.free, len(self.words)) + 1):
                _keep(ends, {end: (end - at, ((name, " ".join(self.words[at:end]).title()),))})
        return ends


def _keep(ends: dict[int, _Held], more: Mapping[int, _Held]) -> dict[int, _Held]:
    """Add what is new or better; returns what was added."""
    better = {end: held for end, held in more.items() if end not in ends or held[0] < ends[end][0]}
    ends.update(better)
    return better


# ---------------------------------------------------------------- JSGF


def jsgf(patterns: Iterable[tuple[Pattern, Mapping[str, SlotType]]]) -> str:
    """A JSGF grammar of any of ``patterns``, each with the types of its slots; every type is a rule of its own."""
    rules: dict[str, tuple[SlotType, str]] = {}
    ways = dict.fromkeys(_write(pattern, types, rules) for pattern, types in patterns)
    lines = [f"<{rule}> = {body};" for rule, (_, body) in rules.items()]
    return "\n".join(("#JSGF V1.0;", "grammar said;", *lines, f"public <said> = {' | '.join(ways)};", ""))


def _write(pattern: Pattern, types: Mapping[str, SlotType], rules: dict[str, tuple[SlotType, str]]) -> str:
    match pattern:
        case Word(text):
            return text
        case Slot(name):
            kind = types[name]
            rule = kind.name
            while rule in rules and rules[rule][0] is not kind:
                rule += "_"
            if rule not in rules:
                rules[rule] = (kind, _write(kind.pattern, {}, {}))
            return f"<{rule}>"
        case Sequence_(items):
            return " ".join(_write(item, types, rules) for item in items)
        case Choice(items):
            return f"({' | '.join(_write(item, types, rules) for item in items)})"
        case Maybe(item):
            return f"[{_write(item, types, rules)}]"
        case Many(item):
            return f"({_write(item, types, rules)})+"


def vocabulary(grammar: str) -> tuple[str, ...]:
    """The words of a JSGF grammar, sorted."""
    body = re.sub(r"//[^\n]*|/\*.*?\*/", " ", grammar, flags=re.S)
    bodies = re.findall(r"=\s*([^;]*);", body)
    plain = re.sub(r"<[^>]*>|\{[^}]*\}|/[\d.eE+-]+/|[()\[\]|*+]", " ", " ".join(bodies))
    return tuple(sorted(set(plain.split())))
