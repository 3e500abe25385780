"""What the chunks of different servers say: the same reply, however it is cut and shaped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.interfaces import ReasonerItem, ReasonerUsage, Stop, TextDelta, ToolCall
from voiceloop.openai.events import Reply
from voiceloop.openai.sse import LONGEST, Event, Events, TooLong

from .model_server import called


def read(*chunks: Mapping[str, Any], done: bool = True) -> list[ReasonerItem]:
    """The items of a reply; ids that are made are "id1", "id2", ..."""
    count = itertools.count(1)
    reply = Reply(lambda: f"id{next(count)}")
    items = [item for each in chunks for item in reply.feed(each)]
    return [*items, *(reply.done() if done else ()), *reply.last()]


def delta(finish: str | None = None, **members: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]}


def calls(*told: Any, finish: str | None = None) -> dict[str, Any]:
    return delta(finish, tool_calls=list(told))


def told(items: list[ReasonerItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


# ---------------------------------------------------------------- words


def test_what_says_nothing_is_passed_over() -> None:
    assert read(
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 1, "delta": {"content": "another choice"}}]},
        delta(role="assistant", content=None),
        delta(content="", tool_calls=None),
        delta(reasoning_content="Hm."),
        delta(reasoning="Hm."),
        delta(content="Yes."),
        delta("stop"),
        delta(content="after the end"),
    ) == [TextDelta("Yes."), Stop("end")]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", "end"), ("eos", "end"), ("length", "length"), ("content_filter", "filtered"), ("other", "other")],
)
def test_reasons(reason: str, stop: str) -> None:
    assert read(delta(reason, content="A"))[-1] == Stop(stop)


def test_a_missing_reason_is_an_end() -> None:
    assert read(delta(content="Yes.")) == [TextDelta("Yes."), Stop("end")]


def test_a_refusal_is_said() -> None:
    assert told(read(delta(refusal="I cannot."))) == "I cannot."


def test_content_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Yes."}]
    assert told(read(delta(content=parts))) == "Yes."


def test_a_whole_completion_of_a_server_that_does_not_stream() -> None:
    message = {"role": "assistant", "content": "Yes.", "tool_calls": [{"id": "c1", "function": {"name": "time"}}]}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    assert read(whole) == [TextDelta("Yes."), ToolCall("c1", "time", {}), Stop("tools")]


@given(st.data())
@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("<think>\nHm, <b> or </thin?\n</think>\n\nYes.", "Yes."),
        ("\n<think></think>Yes. <think>", "Yes. <think>"),
        ("<thin", "<thin"),
        ("<thing> is a tag", "<thing> is a tag"),
        ("  <", "<"),
        ("<think>for ever", ""),
        ("I <think> so.</think>", "I <think> so.</think>"),
    ],
)
def test_a_thought_in_tags_is_not_spoken_however_it_is_cut(written: str, spoken: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(written) - 1))))
    pieces = [written[a:b] for a, b in itertools.pairwise([0, *cuts, len(written)])]
    assert told(read(*(delta(content=piece) for piece in pieces), delta("stop"))).strip() == spoken


# ---------------------------------------------------------------- tool calls

BOTH = [ToolCall("a", "time", {"zone": "UTC"}), ToolCall("b", "time", {})]


def function(name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(called(("a", "time", {"zone": "UTC"}), ("b", "time", {}))[:-1], id="OpenAI"),
        pytest.param(
            [
                calls({"index": 0, "id": "a", "function": function("time", '{"zone": "UTC"}')}),
                calls({"index": 0, "id": "b", "function": function("time", "{}")}, finish="stop"),
            ],
            id="all with index 0",
        ),
        pytest.param(
            [
                calls(
                    {"id": "a", "function": function("time", '{"zone": "UTC"}')},
                    {"id": "b", "function": function("time", "")},
                )
            ],
            id="no index",
        ),
        pytest.param(
            [
                calls({"index": 0, "id": "a", "function": function("time", "")}),
                calls({"index": 0, "id": "a", "function": function(None, '{"zone":')}),
                calls({"index": 0, "id": "a", "function": function("time", ' "UTC"}')}),
                calls({"index": 1, "id": "b", "function": function("time", "{}")}),
            ],
            id="id and name each time",
        ),
        pytest.param(
            [
                calls({"index": 0, "id": "a", "function": function("time", "")}),
                calls({"index": 0, "id": "", "function": function(None, '{"zone": "UTC"}')}),
                calls({"index": 1, "id": "b", "function": function("time", "")}),
                calls({"index": 1, "id": "", "function": function(None, "{}")}),
            ],
            id="empty ids",
        ),
        pytest.param(
            [
                calls({"index": 0, "id": "a", "function": function("time", {"zone": "UTC"})}),
                calls({"index": 1, "id": "b", "function": function("time", {})}),
            ],
            id="arguments as objects",
        ),
    ],
)
def test_tool_calls_in_each_server_s_way(chunks: list[dict[str, Any]]) -> None:
    assert read(*chunks) == [*BOTH, Stop("tools")]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_calls_without_ids_get_some(index: dict[str, int]) -> None:
    items = read(
        calls({**index, "function": function("time", '{"zone"')}),
        calls({**index, "function": function(None, ': "UTC"}')}),
        calls({**index, "function": function("time", "{}")}),
    )
    assert items == [ToolCall("id1", "time", {"zone": "UTC"}), ToolCall("id2", "time", {}), Stop("tools")]


@pytest.mark.parametrize("written", ['{"zone": ', "[1]", "noon"])
def test_arguments_that_are_no_object_stay_text(written: str) -> None:
    assert read(calls({"id": "a", "function": function("time", written)}))[0] == ToolCall("a", "time", written)


def test_a_call_without_a_name_is_none() -> None:
    assert read(calls({"id": "a", "function": {}}, "?"), delta("stop", content="Yes."))[-1] == Stop("end")


NAMES = ("choices", "index", "delta", "message", "content", "refusal", "tool_calls", "function", "name", "arguments")
NAMES += ("id", "type", "text", "usage", "finish_reason", "prompt_tokens", "prompt_tokens_details", "cached_tokens")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.floats()
    | st.sampled_from(["", "text", "a", "{}", '{"b": 1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
TOOLS = st.lists(st.fixed_dictionaries({}, optional={"index": VALUES, "id": VALUES, "function": VALUES}), max_size=3)
DELTAS = st.fixed_dictionaries({}, optional={"content": VALUES, "refusal": VALUES, "tool_calls": TOOLS | VALUES})
CHOICES = st.fixed_dictionaries({"delta": DELTAS | VALUES}, optional={"index": VALUES, "finish_reason": VALUES})
CHUNKS = st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=2) | VALUES}, optional={"usage": VALUES})


@given(st.lists(CHUNKS, max_size=5))
def test_chunks_of_any_shape_come_to_a_reply(chunks: list[dict[str, Any]]) -> None:
    *items, stop = read(*chunks)
    assert isinstance(stop, Stop)
    assert stop.reason
    seen = set()
    for item in items:
        match item:
            case TextDelta(text):
                assert isinstance(text, str)
                assert text
            case ToolCall(call, name, arguments):
                assert call not in seen
                assert isinstance(name, str)
                assert name
                assert isinstance(arguments, str | Mapping)
                seen.add(call)
            case ReasonerUsage(amounts):
                assert all(value >= 0 for value in amounts.values())


# ---------------------------------------------------------------- usage


def test_usage_that_is_told_in_each_chunk_counts_once() -> None:
    usage = [{"prompt_tokens": 7, "completion_tokens": count} for count in (1, 2)]
    items = read(*({**delta(content="A"), "usage": each} for each in usage), delta("stop"))
    assert items[2:] == [ReasonerUsage({"input_tokens": 7.0, "output_tokens": 2.0}), Stop("end")]


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "7"}, {"completion_tokens": -1}, [7]]
)
def test_usage_that_is_none(usage: Any) -> None:
    assert read({**delta("stop", content="A"), "usage": usage}) == [TextDelta("A"), Stop("end")]


# ---------------------------------------------------------------- the stream of events


STREAM = [
    ("\r\n", "message", ["a"]),
    ("\n", "error", ["b", "", "ü 你"]),
    ("\r", "message", [" c"]),
    ("\r\n", "message", ["[DONE]"]),
]


def _bytes() -> bytes:
    def lines() -> Iterator[str]:
        for end, name, data in STREAM:
            yield f": keep-alive{end}id: 7{end}"
            if name != "message":
                yield f"event: {name}{end}"
            yield from (f"data: {each}{end}" if each else f"data{end}" for each in data)
            yield end

    return "".join(lines()).encode()


@given(st.lists(st.integers(0, len(_bytes()))))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    whole, events = _bytes(), Events()
    places = [0, *sorted(cuts), len(whole)]
    found = [event for a, b in itertools.pairwise(places) for event in events.feed(whole[a:b])]
    assert [*found, *events.end()] == [Event(name, "\n".join(data)) for _, name, data in STREAM]


def test_the_last_event_needs_no_blank_line() -> None:
    events = Events()
    assert events.feed(b"data:a\n\ndata:b") == [Event("message", "a")]
    assert events.end() == [Event("message", "b")]


def test_an_event_has_a_bound() -> None:
    events = Events()
    with pytest.raises(TooLong):
        for _ in range(LONGEST // 1000 + 1):
            events.feed(b"x" * 1000 if _ else b"data:")
