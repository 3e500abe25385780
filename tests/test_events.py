"""Events go to JSON and come back equal, every class of them; what is no event is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop import events
from voiceloop.audio import PCM16_24K, AudioFormat
from voiceloop.errors import BadInput, UnknownName
from voiceloop.event_json import dumps, from_json, loads, to_json
from voiceloop.events import AudioChunk, Event, Interrupted, Notice, ToolCalled, Transcript, Viseme

CLASSES: tuple[type, ...] = get_args(Event)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=8)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    bool: st.booleans(),
    int: st.integers(),
    float: numbers,
    bytes: st.binary(max_size=50),
    Any: json_values,
    type(None): st.none(),
    AudioFormat: st.builds(
        AudioFormat, st.integers(4_000, 384_000), st.sampled_from(["pcm16", "mulaw", "alaw"]), st.integers(1, 32)
    ),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    hints = get_type_hints(hint)
    return st.builds(hint, **{field.name: values(hints[field.name]) for field in attrs.fields(hint)})


def test_the_union_holds_every_event_class() -> None:
    defined = {cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, events.BaseEvent)}
    assert defined - {events.BaseEvent} == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_every_event_comes_back_equal(cls: type, data: st.DataObject) -> None:
    event = data.draw(values(cls))
    there = to_json(event)
    assert next(iter(there)) == "type"
    assert there["type"] == cls.__name__
    assert there.keys() - {"type"} == {field.name for field in attrs.fields(cls)}
    assert json.loads(json.dumps(there)) == there
    back = from_json(there)
    assert type(back) is cls
    assert back == event
    assert loads(dumps(event)) == event


def test_the_form_on_the_wire() -> None:
    chunk = AudioChunk(turn=1, pcm=b"\x01\x02", format=PCM16_24K, start=480, at=1.5)
    assert to_json(chunk) == {
        "type": "AudioChunk",
        "at": 1.5,
        "turn": 1,
        "pcm": "AQI=",
        "format": {"rate": 24_000, "encoding": "pcm16", "channels": 1},
        "start": 480,
    }
    assert from_json({"type": "Viseme", "turn": 1, "code": "p", "ms": 20}) == Viseme(turn=1, code="p", ms=20.0)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"type": "Viseme", "turn": 1, "code": "p", "ms": 1, "colour": 3}, "Viseme.*'colour'.*allowed are at, turn"),
        ({"type": "Viseme", "turn": 1}, "Viseme: field 'code', 'ms' is missing"),
        ({"type": "Viseme", "turn": "1", "code": "p", "ms": 1}, "Viseme.turn: a whole number"),
        ({"type": "Viseme", "turn": True, "code": "p", "ms": 1}, "Viseme.turn: a whole number.*not true or false"),
        (
            {"type": "Transcript", "utterance": 1, "text": "x", "words": [{"text": "x"}]},
            "Transcript.words: .*'end_ms'",
        ),
        ({"type": "Transcript", "utterance": 1, "text": "x", "words": "x"}, "Transcript.words: a list"),
        ({"type": "Transcript", "utterance": 1, "text": None}, "Transcript.text: text is allowed, not null"),
        ({"type": "ConnectionState", "state": "asleep"}, "ConnectionState.state: one of 'connecting'"),
        ({"type": "Usage", "provider": "p", "amounts": {"seconds": "3"}}, "Usage.amounts: an object of numbers"),
        ({"type": "Usage", "provider": "p", "amounts": [1]}, "Usage.amounts: an object is allowed, not a list"),
        ({"type": "Interrupted", "turn": 1, "heard": "x"}, "Interrupted.heard: an object"),
        (
            {"type": "AudioChunk", "turn": 1, "pcm": "A", "format": {"rate": 8000}, "start": 0},
            "AudioChunk.pcm: base64",
        ),
        (
            {"type": "AudioChunk", "turn": 1, "pcm": "", "format": {"rate": 5}, "start": 0},
            "AudioChunk.format: rate=5",
        ),
        ({"turn": 1}, 'under "type"'),
        ([], 'under "type"'),
    ],
)
def test_what_does_not_fit_is_named(data: Any, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        from_json(data)


def test_unknown_types_are_named_with_near_matches() -> None:
    with pytest.raises(UnknownName, match=r"'Visem'.*'Viseme'"):
        from_json({"type": "Visem"})
    with pytest.raises(BadInput, match="event=Heard"):
        to_json(events.Heard("x"))  # type: ignore[arg-type]


def test_errors_never_show_what_was_said() -> None:
    with pytest.raises(BadInput) as raised:
        from_json({"type": "Transcript", "utterance": "my secret", "text": "my secret"})
    assert "my secret" not in str(raised.value)
    with pytest.raises(BadInput) as raised:
        loads('{"text": "my secret"')
    assert "my secret" not in str(raised.value)


@pytest.mark.parametrize("value", [object(), float("nan")])
def test_values_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(BadInput, match="event=ToolCalled"):
        dumps(ToolCalled(turn=1, call="c", name="n", arguments={"x": value}))


def test_defaults_may_be_left_out() -> None:
    assert from_json({"type": "Notice", "code": "c", "text": "t"}) == Notice("c", "t")
    assert from_json({"type": "Transcript", "utterance": 1, "text": "t"}) == Transcript(1, "t")
    heard = {"text": "so far"}
    assert from_json({"type": "Interrupted", "turn": 2, "heard": heard}) == Interrupted(2, events.Heard("so far"))
