"""What is sent and what comes back, byte for byte and in every spelling."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.nova import events_in, events_out
from voiceloop.aws.nova.connection import Placement
from voiceloop.aws.nova.history import Line, lines
from voiceloop.aws.nova.ring import Ring
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import ProviderMisbehaved
from voiceloop.tools import tool

from .nova_memory import messages


def body(event: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(event)["event"]
    return value


def came(name: str, **members: Any) -> events_in.OutputEvent | None:
    event = json.dumps({"event": {name: {"promptName": "p", "sessionId": "s", **members}}}).encode()
    payload = json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abc"}).encode()
    return events_in.decode(Message({":message-type": "event", ":event-type": "chunk"}, payload))


# ---------------------------------------------------------------- out


def test_the_session_start() -> None:
    assert body(events_out.session_start(events_out.Inference(1024, 0.9, 0.7))) == {
        "sessionStart": {"inferenceConfiguration": {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}}
    }
    start = body(events_out.session_start(events_out.Inference(1, 1, 1, "HIGH")))
    assert start["sessionStart"]["turnDetectionConfiguration"] == {"endpointingSensitivity": "HIGH"}


@tool
async def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where, such as "Zürich".
    """
    return city


def test_the_prompt_start() -> None:
    plain = body(events_out.prompt_start("P", events_out.Speaking("tiffany", 24_000)))
    assert plain == {
        "promptStart": {
            "promptName": "P",
            "textOutputConfiguration": {"mediaType": "text/plain"},
            "audioOutputConfiguration": {
                "mediaType": "audio/lpcm",
                "sampleRateHertz": 24000,
                "sampleSizeBits": 16,
                "channelCount": 1,
                "voiceId": "tiffany",
                "encoding": "base64",
                "audioType": "SPEECH",
            },
        }
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [(None, None), ("auto", {"auto": {}}), ("any", {"any": {}}), ("weather", {"tool": {"name": "weather"}})],
)
def test_tools_go_with_the_prompt(choice: str | None, sent: Any) -> None:
    started = body(events_out.prompt_start("P", events_out.Speaking("tiffany", 24_000, (weather,), choice)))
    settings = started["promptStart"]["toolConfiguration"]
    assert settings.get("toolChoice") == sent
    (spec,) = settings["tools"]
    assert spec["toolSpec"]["name"] == "weather"
    schema = spec["toolSpec"]["inputSchema"]["json"]
    assert isinstance(schema, str)
    assert json.loads(schema) == weather.schema
    assert started["promptStart"]["toolUseOutputConfiguration"] == {"mediaType": "application/json"}


def test_a_block_of_text() -> None:
    start, data, end = events_out.text_block("P", "C", "USER", "Grüße", interactive=True)
    assert body(start) == {
        "contentStart": {
            "promptName": "P",
            "contentName": "C",
            "type": "TEXT",
            "interactive": True,
            "role": "USER",
            "textInputConfiguration": {"mediaType": "text/plain"},
        }
    }
    assert body(data) == {"textInput": {"promptName": "P", "contentName": "C", "content": "Grüße"}}
    assert body(end) == {"contentEnd": {"promptName": "P", "contentName": "C"}}


@given(st.text(max_size=300), st.integers(8, 60))
def test_long_text_is_sent_in_pieces_that_fit(text: str, most: int) -> None:
    clean = text.encode("utf-8", "replace").decode()
    made = events_out.pieces(clean, most)
    assert "".join(made) == clean
    assert all(len(piece.encode()) <= most for piece in made)
    assert all(made) or not clean


@pytest.mark.parametrize(
    ("result", "error", "sent"),
    [
        ('{"t": 72}', False, {"t": 72}),
        ("[1, 2]", False, {"result": [1, 2]}),
        ("7", False, {"result": 7}),
        ("null", False, {"result": None}),
        ("It is booked.", False, {"result": "It is booked."}),
        ("no table", True, {"error": "no table"}),
        ('{"a": 1}', True, {"error": '{"a": 1}'}),
        ("", False, {"result": ""}),
    ],
)
def test_a_result_is_always_one_json_object(result: str, error: bool, sent: Any) -> None:
    assert json.loads(events_out.tool_result(result, error=error)) == sent


def test_a_block_of_a_result() -> None:
    start, data, end = events_out.tool_block("P", "C", "use-1", '{"a":1}')
    assert body(start)["contentStart"] == {
        "promptName": "P",
        "contentName": "C",
        "interactive": False,
        "type": "TOOL",
        "role": "TOOL",
        "toolResultInputConfiguration": {
            "toolUseId": "use-1",
            "type": "TEXT",
            "textInputConfiguration": {"mediaType": "text/plain"},
        },
    }
    assert body(data)["toolResult"]["content"] == '{"a":1}'
    assert "contentEnd" in body(end)


@given(st.binary(max_size=200).map(lambda data: data[: len(data) & ~1]), st.uuids())
def test_audio_without_an_encoder_is_what_the_encoder_makes(pcm: bytes, name: Any) -> None:
    made = events_out.AudioFrames.of("prompt", str(name)).message(pcm)
    event = base64.b64decode(json.loads(made.payload)["bytes"])
    content = base64.b64encode(pcm).decode()
    assert body(event) == {"audioInput": {"promptName": "prompt", "contentName": str(name), "content": content}}


# ---------------------------------------------------------------- in


@pytest.mark.parametrize("stage", ["SPECULATIVE", "FINAL"])
def test_the_stage_is_json_in_a_string(stage: str) -> None:
    fields = json.dumps({"generationStage": stage})
    started = came("contentStart", contentId="c", type="TEXT", role="ASSISTANT", additionalModelFields=fields)
    assert started == events_in.BlockStarted("c", "TEXT", "ASSISTANT", stage)
    as_object = {"generationStage": stage}
    assert started == came(
        "contentStart", contentId="c", type="TEXT", role="ASSISTANT", additionalModelFields=as_object
    )


@pytest.mark.parametrize("fields", ["", "no json", None, 7, "[]", "{}"])
def test_other_fields_are_no_stage(fields: Any) -> None:
    started = came("contentStart", contentId="c", type="TEXT", role="USER", additionalModelFields=fields)
    assert started == events_in.BlockStarted("c", "TEXT", "USER", "")


@pytest.mark.parametrize("text", ['{ "interrupted" : true }', '{"interrupted":true}', ' {"interrupted": true}\n'])
def test_an_interruption_is_no_text(text: str) -> None:
    assert came("textOutput", contentId="c", content=text, role="ASSISTANT") == events_in.BargedIn("c")


@pytest.mark.parametrize("text", ["I was interrupted.", '{"interrupted": false}', "{interrupted: true}"])
def test_text_about_interruptions_is_text(text: str) -> None:
    assert came("textOutput", contentId="c", content=text) == events_in.TextCame("c", text)


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ('{"city": "Rome"}', {"city": "Rome"}),
        (json.dumps('{"city": "Rome"}'), {"city": "Rome"}),
        ({"city": "Rome"}, {"city": "Rome"}),
        ("{}", {}),
        ("", {}),
        (None, {}),
        ("Rome", "Rome"),
        ("[1]", "[1]"),
        ('"Rome"', '"Rome"'),
    ],
)
def test_arguments_in_every_wrapping(content: Any, arguments: Any) -> None:
    used = came("toolUse", contentId="c", toolUseId="u", toolName="weather", content=content)
    assert used == events_in.ToolUsed("c", "u", "weather", arguments)


def test_usage_counts_what_was_added() -> None:
    delta = {"input": {"speechTokens": 5, "textTokens": 0}, "output": {"speechTokens": 0, "textTokens": 2}}
    total = {"input": {"speechTokens": 50, "textTokens": 1}, "output": {"speechTokens": 0, "textTokens": 20}}
    used = came("usageEvent", details={"delta": delta, "total": total})
    assert used == events_in.Used(
        {"input_speech_tokens": 5, "output_text_tokens": 2},
        {"input_speech_tokens": 50, "input_text_tokens": 1, "output_text_tokens": 20},
    )
    assert came("usageEvent") == events_in.Used(None, {})


def test_speech_events_and_ends() -> None:
    assert came("userSpeechStart", inputAudioOffsetMs=11760) == events_in.SpeechStarted(11760)
    assert came("userSpeechEnd", inputAudioOffsetMs=1920, inputAudioDetectionOffsetMs=2400) == events_in.SpeechEnded(
        1920
    )
    assert came("userSpeechStart") == events_in.SpeechStarted(None)
    assert came("contentEnd", contentId="c", type="AUDIO", stopReason="END_TURN") == events_in.BlockEnded(
        "c", "AUDIO", "END_TURN"
    )
    assert came("contentEnd", contentId="c") == events_in.BlockEnded("c", None, "")
    assert came("completionEnd", stopReason="END_TURN") == events_in.Completed()


@pytest.mark.parametrize("name", ["completionStart", "contextUsage", "somethingNew"])
def test_unknown_events_are_passed_over(name: str) -> None:
    assert came(name, some={"thing": 1}) is None


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"garbage", b'{"bytes": 7}', b'{"bytes": "AA=="}', b'{"bytes": "e30="}']
)
def test_garbage_is_an_error_that_a_new_connection_mends(payload: bytes) -> None:
    with pytest.raises(ProviderMisbehaved) as caught:
        events_in.decode(Message({":message-type": "event", ":event-type": "chunk"}, payload))
    assert caught.value.retryable


def test_other_messages_are_passed_over() -> None:
    assert events_in.decode(Message({":message-type": "event", ":event-type": "initial-response"}, b"")) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_no_member_of_any_type_is_fatal(value: Any) -> None:
    names = ("contentStart", "contentEnd", "textOutput", "toolUse", "usageEvent", "userSpeechStart", "userSpeechEnd")
    keys = ("contentId", "type", "role", "content", "toolUseId", "toolName", "details", "additionalModelFields")
    for name in names:
        came(name, **dict.fromkeys(keys, value), inputAudioOffsetMs=value)


# ---------------------------------------------------------------- history, input, places


def test_a_history_begins_with_the_user_and_alternates() -> None:
    told = messages([("assistant", "Hi"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")])
    assert lines(told) == (Line("USER", "a b"), Line("ASSISTANT", "c"), Line("USER", "d"))
    assert lines(told, most=2) == (Line("USER", "d"),)
    assert lines(told, most=3) == (Line("USER", "a b"), Line("ASSISTANT", "c"), Line("USER", "d"))


def test_what_is_said_again_is_not_told_too() -> None:
    told = messages([("user", "a"), ("assistant", "b"), ("user", "note c")])
    assert lines(told, without="c")[-1] == Line("USER", "note")
    assert lines(told, without="note c")[-1] == Line("ASSISTANT", "b")
    assert lines(told, without="other")[-1] == Line("USER", "note c")
    assert lines(told[:2], without="b")[-1] == Line("ASSISTANT", "b"), "only words of the user"


@given(st.lists(st.integers(1, 2000), max_size=40), st.lists(st.integers(0, 40_000), max_size=10))
def test_input_is_kept_until_it_is_forgotten(chunks: list[int], forgets: list[int]) -> None:
    ring, whole = Ring(), b""
    for number, chunk in enumerate(chunks):
        pcm = (number + 1).to_bytes(2, "little") * chunk
        ring.append(pcm)
        whole += pcm
        if number < len(forgets):
            ring.forget(forgets[number])
        assert ring.end == len(whole) // 2
        assert ring.read(ring.start, 10**6) == whole[ring.start * 2 :]
        assert ring.read(ring.end, 10) == b""


def test_places_in_the_input() -> None:
    placement = Placement(1000)
    placement.add(100, None)
    placement.add(200, 0)
    placement.add(50, None)
    placement.add(100, 200)
    placement.add(100, 250)  # sent again
    assert placement.ms(0) == 0
    assert placement.ms(50) == 0
    assert placement.ms(150) == 50
    assert placement.ms(320) == 200, "silence of our own has no length"
    assert placement.ms(360) == 210
    assert placement.ms(460) == 260
    assert placement.ms(10_000) == pytest.approx(9800)
