"""Patterns: what they match, and the JSGF that they are written as."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.local.grammar import (
    Choice,
    Many,
    Maybe,
    Pattern,
    Sequence_,
    Slot,
    SlotType,
    Word,
    jsgf,
    match,
    parse,
    vocabulary,
)
from voiceloop.local.intents_types import built_in, make_type

NUMBER = make_type("number", {"number": [1, 20]})
CITY = make_type("city", {"choices": {"Rome": [], "New York": ["new york [city]"]}, "free": 3})
TYPES = {"people": NUMBER, "place": CITY, "time": built_in()["time"]}


def sentences(pattern: Pattern, types: dict[str, SlotType]) -> st.SearchStrategy[list[str]]:
    """Sentences that a pattern allows."""
    match pattern:
        case Word(text):
            return st.just([text])
        case Slot(name):
            return sentences(types[name].pattern, types)
        case Sequence_(items):
            parts = [sentences(item, types) for item in items]
            return st.tuples(*parts).map(lambda found: [word for part in found for word in part])
        case Choice(items):
            return st.one_of([sentences(item, types) for item in items])
        case Maybe(item):
            return st.one_of(st.just([]), sentences(item, types))
        case Many(item):
            some = st.lists(sentences(item, types), min_size=1, max_size=3)
            return some.map(lambda found: [word for part in found for word in part])


@pytest.mark.parametrize(
    ("pattern", "said", "given_"),
    [
        ("book [me] (a | the) room", "book me the room", {}),
        ("book [me] (a | the) room", "book room", None),
        ("for {people} people", "for twelve people", {"people": 12}),
        ("for {people} people", "for fifty people", None),
        ("go ([in] {place} | at {time})+", "go at noon in new york city", {"time": "12:00", "place": "New York"}),
        ("{people}+", "one two three", {"people": 3}),
    ],
)  # fmt: skip
def test_what_a_pattern_matches(pattern: str, said: str, given_: dict[str, object] | None) -> None:
    found = match(parse(pattern), said.split(), TYPES)
    assert (None if found is None else dict(found)) == given_


def test_free_words_are_taken_only_when_allowed_and_as_few_as_possible() -> None:
    pattern = parse("room (in {place} | at {time})+")
    said = "room in port moresby at noon".split()  # noqa: SIM905 - a sentence
    assert match(pattern, said, TYPES) is None
    assert dict(match(pattern, said, TYPES, free=True) or ()) == {"place": "Port Moresby", "time": "12:00"}


@pytest.mark.parametrize("text", ["", "a |", "(a", "a]", "+ a", "{place", "a ; b", "()"])
def test_malformed_patterns_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


PATTERN = parse("(book | get) [me] a room ((in | at) {place} | [for] {people} people | at {time})+ [please]")


@settings(deadline=None, max_examples=60)
@given(sentences(PATTERN, TYPES))
def test_every_sentence_of_a_pattern_is_matched(words: list[str]) -> None:
    assert match(PATTERN, words, TYPES) is not None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["book", "a", "room", "two", "thirty", "at", "for", "people", "rome"]), max_size=60))
def test_matching_long_nonsense_ends(words: list[str]) -> None:
    match(PATTERN, words, TYPES, free=True)


def test_the_grammar_holds_each_type_once_and_only_what_is_listened_for() -> None:
    grammar = jsgf([(PATTERN, TYPES), (parse("stop"), {})])
    assert grammar.startswith("#JSGF V1.0;")
    assert re.findall(r"^<(\w+)> =", grammar, flags=re.M) == ["city", "number", "time"]
    assert {"book", "rome", "york", "o'clock", "stop"} <= set(vocabulary(grammar))
    assert "midnight" not in vocabulary(grammar)  # typed only


def test_two_types_of_one_name_stay_apart() -> None:
    other = make_type("number", {"number": [1, 3]})
    grammar = jsgf([(parse("{a} one"), {"a": NUMBER}), (parse("{a} two"), {"a": other})])
    assert "<number> one" in grammar
    assert "<number_> two" in grammar
