"""What events of ConverseStream become, in any order that the service is known to send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.bedrock.events import Reply
from voiceloop.interfaces import ReasonerUsage, Stop, TextDelta, ToolCall


def text(index: int, words: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"text": words}}}


def called(index: int, call: str, **more: Any) -> dict[str, Any]:
    tool = {"toolUseId": call, "name": "time", **more}
    return {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": tool}}}


def arguments(index: int, words: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": words}}}}


def thinking(index: int, **part: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"reasoningContent": part}}}


def stop(index: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index}}


def over(reason: str = "end_turn") -> dict[str, Any]:
    return {"messageStop": {"stopReason": reason}}


START = {"messageStart": {"role": "assistant"}}
USAGE = {"metadata": {"usage": {"inputTokens": 8, "outputTokens": 3, "totalTokens": 11}, "metrics": {"latencyMs": 5}}}


def read(*events: dict[str, Any]) -> tuple[Reply, list[Any]]:
    reply = Reply()
    return reply, [item for event in events for item in reply.feed(event)]


def test_text_comes_as_it_is_written_and_usage_after_the_end() -> None:
    reply, items = read(START, text(0, "Hel"), text(0, ""), text(0, "lo"), stop(0), over(), USAGE)
    assert items == [
        TextDelta("Hel"),
        TextDelta("lo"),
        ReasonerUsage({"input_tokens": 8, "output_tokens": 3}),
    ]
    assert reply.complete
    assert reply.stop() == Stop("end")


def test_parallel_tools_are_told_apart_by_index_even_when_mixed() -> None:
    _, items = read(
        called(3, "b"),
        called(1, "a"),
        arguments(1, '{"x"'),
        arguments(3, "{}"),
        arguments(1, ":1}"),
        stop(1),
        stop(3),
        over("tool_use"),
    )
    assert items == [ToolCall("a", "time", {"x": 1}), ToolCall("b", "time", {})]


@pytest.mark.parametrize(
    ("written", "read_as"), [("", {}), (" ", {}), ("[1]", "[1]"), ('{"x":', '{"x":'), ("nope", "nope")]
)
def test_arguments_that_are_no_object_stay_text(written: str, read_as: Any) -> None:
    _, items = read(called(0, "a"), arguments(0, written), stop(0))
    assert items == [ToolCall("a", "time", read_as)]


def test_deltas_after_a_stop_and_unknown_things_are_ignored() -> None:
    _, items = read(
        START,
        {"newEvent": {"x": 1}},
        {},
        {"contentBlockStart": {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"citation": {}}, "p": "abc"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"SDK_UNKNOWN_MEMBER": {"name": "new"}}}},
        arguments(7, "{}"),
        text(2, "yes"),
        stop(2),
        text(2, "late"),
        over(),
        text(4, "too late"),
    )
    assert items == [TextDelta("yes")]


def test_tools_of_the_service_itself_are_not_the_sessions() -> None:
    _, items = read(called(0, "a", type="server_tool_use"), arguments(0, "{}"), stop(0), over())
    assert items == []


def test_a_call_without_its_stop_is_told_at_the_end() -> None:
    _, items = read(called(0, "a"), arguments(0, '{"x": 2}'), over("tool_use"))
    assert items == [ToolCall("a", "time", {"x": 2})]


def test_reasoning_is_kept_as_it_came() -> None:
    reply, items = read(
        thinking(0, text="Let me "),
        thinking(0, text="see."),
        thinking(0, signature="sig"),
        stop(0),
        thinking(1, redactedContent=b"\x00\x01"),
        stop(1),
        thinking(2, text="unsigned"),
        called(3, "a"),
        stop(3),
    )
    assert items == [ToolCall("a", "time", {})]
    assert reply.first_call == "a"
    assert reply.thoughts() == (
        {"reasoningContent": {"reasoningText": {"text": "Let me see.", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": b"\x00\x01"}},
    )


@pytest.mark.parametrize(
    ("service", "ours"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("tool_use", "tools"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "filtered"),
        ("content_filtered", "filtered"),
        ("something_new", "something_new"),
    ],
)
def test_reasons(service: str, ours: str) -> None:
    assert read(over(service))[0].stop() == Stop(ours)


def test_cache_reads_are_counted() -> None:
    usage = {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 900, "cacheWriteInputTokens": 0}
    _, items = read(over(), {"metadata": {"usage": usage}})
    assert items == [
        ReasonerUsage({"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 900, "cache_write_tokens": 0})
    ]


ARGUMENTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=3)


@given(st.data(), st.lists(ARGUMENTS, max_size=3), st.text(max_size=12))
def test_any_cut_of_a_stream_gives_the_same_reply(data: st.DataObject, calls: list[Any], words: str) -> None:
    events = [text(0, part) for part in _cut(data, words)] + [stop(0)]
    for index, given_arguments in enumerate(calls, 1):
        written = json.dumps(given_arguments)
        events += [called(index, f"c{index}"), *(arguments(index, p) for p in _cut(data, written)), stop(index)]
    _, items = read(*events, over())
    assert "".join(item.text for item in items if isinstance(item, TextDelta)) == words
    assert [item.arguments for item in items if isinstance(item, ToolCall)] == calls


def _cut(data: st.DataObject, words: str) -> list[str]:
    places = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=4)))
    return [words[a:b] for a, b in zip([0, *places], [*places, len(words)], strict=True)]
