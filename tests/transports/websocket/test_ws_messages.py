"""JSON messages: strict, and silent about what was in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import BadInput
from voiceloop.transports.websocket import Refusal
from voiceloop.transports.websocket import messages as msg

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["start", "text", "played", "end_turn", "end_input", "interrupt", "update", "mode", "ping"]
FIELDS = ["version", "text", "images", "turn", "ms", "stopped", "mode", "n", "voice", "keys", "temperature", "after"]


def test_each_kind_is_read() -> None:
    read = {name: msg.decode(json.dumps({"type": name, **fields})) for name, fields in GOOD.items()}
    assert [type(message).__name__ for message in read.values()] == [
        "Start", "Text", "Played", "EndTurn", "EndInput", "Interrupt", "Update", "SetMode", "Ping"
    ]  # fmt: skip
    start, text = read["start"], read["text"]
    assert isinstance(start, msg.Start)
    assert (start.keys, start.speaks, start.after) == (msg.Keys("AK", "sk"), False, 2)
    assert isinstance(text, msg.Text)
    assert [(image.data, image.media_type) for image in text.images] == [(b"hello", "image/png")]


GOOD: dict[str, dict[str, Any]] = {
    "start": {"version": 1, "mode": "chat", "after": 2, "keys": {"access_key": "AK", "secret_key": "sk"}},
    "text": {"text": "look", "images": [{"media_type": "image/png", "data": "aGVsbG8="}]},
    "played": {"turn": 1, "ms": 12.5, "stopped": True},
    "end_turn": {},
    "end_input": {},
    "interrupt": {},
    "update": {"voice": "amy"},
    "mode": {"mode": "voice"},
    "ping": {"n": 7},
}


@given(st.text(max_size=40) | JSON.map(lambda value: json.dumps(value)))
def test_garbage_is_refused(data: str) -> None:
    with pytest.raises(Refusal) as refused:
        msg.decode(data)
    assert refused.value.code == "bad-message"


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=6), JSON, max_size=3))
def test_any_fields_are_a_message_or_refused(name: str, fields: dict[str, Any]) -> None:
    fields.pop("type", None)
    data = json.dumps({"type": name, **fields})
    kept = {key: value for key, value in fields.items() if key not in ("images", "keys")}
    try:
        message = msg.decode(data)
        read = {key: getattr(message, key) for key in kept}
    except Refusal as refusal:
        read = {refusal.code: kept}
    assert read in (kept, {"bad-message": kept})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"type": "start"}, "'version' is missing"),
        ({"type": "start", "version": 2}, "version 1 is allowed"),
        ({"type": "start", "version": True}, "version 1 is allowed"),
        ({"type": "start", "version": 1, "shout": 1}, "unknown field"),
        ({"type": "start", "version": 1, "keys": {"access_key": "SECRET"}}, "'secret_key' is missing"),
        ({"type": "start", "version": 1, "keys": "SECRET"}, "keys: null or an object"),
        ({"type": "start", "version": 1, "mode": ["SECRET"]}, "'chat[+]voice'"),
        ({"type": "start", "version": 1, "temperature": 2}, "from 0 to 1"),
        ({"type": "text"}, "'text' is missing"),
        ({"type": "text", "text": ["SECRET"]}, "text: text is allowed"),
        ({"type": "update", "instructions": "SECRET" * 4000}, "up to 20000 characters"),
        ({"type": "text", "text": "\ud800 SECRET"}, "half of a surrogate pair"),
        ({"type": "text", "text": "", "images": [{"media_type": "text/html", "data": "SECRET"}]}, "images"),
        ({"type": "text", "text": "", "images": [{"media_type": "image/png", "data": "SECRET!"}]}, "images"),
        ({"type": "text", "text": "", "images": {}}, "a list of up to 8"),
        ({"type": "played", "turn": -1, "ms": 0}, "turn: a whole number"),
        ({"type": "played", "turn": 1, "ms": "SECRET"}, "ms: a number"),
        ({"type": "played", "turn": 1, "ms": 1, "stopped": 1}, "stopped: true or false"),
        ({"type": "ping", "n": 2**60}, "n: a whole number"),
        ({"type": "SECRET"}, "one of start"),
        (["SECRET"], "one of start"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(message: Any, told: str) -> None:
    with pytest.raises(Refusal, match=told) as refused:
        msg.decode(json.dumps(message))
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("data", ['{"type":"ping","n":NaN}', '{"type":"ping","n":1e999}', "[" * 100_000, "1" * 5000])
def test_numbers_that_are_none_and_depth_without_end(data: str) -> None:
    with pytest.raises(Refusal, match=r"not JSON|one of start"):
        msg.decode(data)


def test_keys_do_not_show() -> None:
    start = msg.Start(keys=msg.Keys("AKIASECRET", "SECRET", "SECRET"), instructions="SECRET")
    assert "SECRET" not in repr(start)


def test_values_made_in_python_are_checked_too() -> None:
    with pytest.raises(BadInput, match="temperature"):
        msg.Start(temperature=7)
