"""Every rule of the input's order, every limit, and the text of each refusal."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.nova import NovaLimits
from voiceloop.testing.aws.nova.events import Invalid, decode
from voiceloop.testing.aws.nova.protocol import Protocol
from voiceloop.testing.aws.nova.requests import (
    Audio,
    AudioClosed,
    AudioOpened,
    History,
    PromptEnded,
    PromptStarted,
    SessionEnded,
    SessionStarted,
    System,
    ToolAnswered,
    UserText,
)

from .nova_kit import (
    NOVA_1,
    NOVA_2,
    as_message,
    audio_input,
    audio_start,
    content_end,
    content_start,
    opening,
    prompt_end,
    prompt_start,
    session_end,
    session_start,
    text,
    text_input,
    text_start,
    tool,
    tool_result,
    tool_start,
)

GENERIC = "Invalid input request, please fix your input and try again."
HISTORY_OVER = "Chat history is over max limit. Trim chat history and try again."
HISTORY_FIRST = "Chat history should be sent completely before streaming audio."
PCM = bytes(640)
Events = list[dict[str, Any]]


def feed(protocol: Protocol, events: Events) -> list[Any]:
    """What the events ask for."""
    asked = [protocol.feed(*decode(as_message(event))) for event in events]
    return [one for one in asked if one is not None]


def refusal(events: Events, *, before: Events | None = None, model: str = NOVA_2, **settings: Any) -> str:
    """How the last of ``events`` is refused; the others, and ``before``, must be taken."""
    protocol = Protocol(model, **settings)
    feed(protocol, before or [])
    feed(protocol, events[:-1])
    with pytest.raises(Invalid) as refused:
        feed(protocol, events[-1:])
    return str(refused.value)


def test_a_whole_session_is_taken() -> None:
    protocol = Protocol(NOVA_2)
    protocol.tools.offered("use")
    events = [
        session_start(turnDetectionConfiguration={"endpointingSensitivity": "HIGH"}),
        prompt_start(tools=["weather"]),
        *text("s", "SYSTEM", "Be kind."),
        *text("ss", "SYSTEM_SPEECH", "Speak slowly."),
        *text("h1", "USER", "Hello."),
        *text("h2", "ASSISTANT", "Hi."),
        audio_start(),
        audio_input(PCM),
        *text("t", "USER", "Tell me.", interactive=True),
        *tool_result("r", "use", '{"sun": 1}'),
        audio_input(PCM),
        content_end("audio"),
        prompt_end(),
        session_end(),
    ]
    started, prompt, *rest = feed(protocol, events)
    assert started == SessionStarted(1024, 0.9, 0.7, "HIGH")
    assert isinstance(prompt, PromptStarted)
    assert (prompt.voice, prompt.rate, [one.name for one in prompt.tools]) == ("tiffany", 24000, ["weather"])
    assert rest == [
        System("Be kind."),
        System("Speak slowly.", "SYSTEM_SPEECH"),
        History("USER", "Hello."),
        History("ASSISTANT", "Hi."),
        AudioOpened(16000),
        Audio(PCM),
        UserText("Tell me."),
        ToolAnswered("use", '{"sun": 1}'),
        Audio(PCM),
        AudioClosed(),
        PromptEnded(),
        SessionEnded(),
    ]


OPEN = [*opening(), audio_start()]
TALKING = [*OPEN, audio_input(PCM)]

ORDER: Mapping[str, Events] = {
    "something before sessionStart": [prompt_start()],
    "an unknown event": [session_start(), {"sessionUpdate": {}}],
    "two sessionStart": [session_start(), session_start()],
    "content before promptStart": [session_start(), text_start("s", "SYSTEM")],
    "two promptStart": [session_start(), prompt_start(), prompt_start()],
    "sessionEnd in a prompt": [*opening(), session_end()],
    "anything after sessionEnd": [session_start(), session_end(), session_start()],
    "anything after promptEnd": [*opening(), prompt_end(), audio_start()],
    "another prompt's name": [*opening(), {"promptEnd": {"promptName": "other"}}],
    "no prompt name": [*opening(), {"promptEnd": {}}],
    "history before SYSTEM": [session_start(), prompt_start(), text_start("h", "USER")],
    "audio before SYSTEM": [session_start(), prompt_start(), audio_start()],
    "two SYSTEM": [*opening(), text_start("s2", "SYSTEM")],
    "SYSTEM after audio": [*OPEN, text_start("s2", "SYSTEM")],
    "SYSTEM_SPEECH after history": [*opening(), *text("h", "USER", "a"), text_start("ss", "SYSTEM_SPEECH")],
    "history that starts with ASSISTANT": [*opening(), text_start("h", "ASSISTANT")],
    "neighbours of one role": [*opening(), *text("h", "USER", "a"), text_start("h2", "USER")],
    "history after audio": [*OPEN, text_start("h", "USER")],
    "interactive ASSISTANT after audio": [*OPEN, text_start("h", "ASSISTANT", interactive=True)],
    "an unknown role": [*opening(), text_start("h", "DEVELOPER")],
    "an unknown type": [*opening(), content_start("h", "VIDEO", "USER", True)],
    "interactive that is no boolean": [*opening(), content_start("h", "TEXT", "USER", "no")],  # type: ignore[arg-type]
    "a used content name": [*opening(), text_start("system", "USER")],
    "a block in a block": [*opening(), text_start("h", "USER"), text_start("h2", "USER")],
    "two AUDIO": [*OPEN, audio_start("audio2")],
    "AUDIO in a TEXT block": [*opening(), text_start("h", "USER"), audio_start()],
    "AUDIO of the ASSISTANT": [*opening(), {"contentStart": audio_start()["contentStart"] | {"role": "ASSISTANT"}}],
    "AUDIO not interactive": [*opening(), {"contentStart": audio_start()["contentStart"] | {"interactive": False}}],
    "audioInput without a block": [*opening(), audio_input(PCM)],
    "audioInput of another block": [*OPEN, audio_input(PCM, "other")],
    "audioInput after contentEnd": [*TALKING, content_end("audio"), audio_input(PCM)],
    "textInput without a block": [*opening(), text_input("h", "a")],
    "textInput of another block": [*opening(), text_start("h", "USER"), text_input("h2", "a")],
    "textInput to an AUDIO block": [*OPEN, text_input("audio", "a")],
    "textInput that is no text": [*opening(), text_start("h", "USER"), text_input("h", 5)],  # type: ignore[arg-type]
    "contentEnd of an unknown block": [*opening(), content_end("h")],
    "contentEnd twice": [*TALKING, content_end("audio"), content_end("audio")],
    "half a sample": [*OPEN, audio_input(b"123")],
    "audio that is not base64": [*OPEN, {"audioInput": audio_input(b"")["audioInput"] | {"content": "?"}}],
    "a result without toolUseId": [
        *OPEN,
        content_start("r", "TOOL", "TOOL", False, toolResultInputConfiguration={"type": "TEXT"}),
    ],
    "a result for an unknown use": [*OPEN, tool_start("r", "unknown")],
}


@pytest.mark.parametrize("events", ORDER.values(), ids=ORDER.keys())
def test_wrong_order_is_an_invalid_input_request(events: Events) -> None:
    assert refusal(events) == GENERIC


TEXTS: Mapping[str, tuple[Events, str]] = {
    "an empty AUDIO block": (
        [*OPEN, content_end("audio")],
        "Cannot end content [audio] as no content data was received",
    ),
    "empty audio": (
        [*OPEN, audio_input(b""), content_end("audio")],
        "Cannot end content [audio] as no content data was received",
    ),
    "an empty TEXT block": (
        [*opening(), text_start("h", "USER"), content_end("h")],
        "Cannot end content [h] as no content data was received",
    ),
    "an empty text": (
        [*opening(), *text("h", "USER", "")],
        "Cannot end content [h] as no content data was received",
    ),
    "promptEnd with open audio": ([*TALKING, prompt_end()], "All contents must be closed before ending prompt"),
    "promptEnd with open text": (
        [*opening(), text_start("h", "USER"), prompt_end()],
        "All contents must be closed before ending prompt",
    ),
    "audio in an interactive text": ([*OPEN, text_start("t", "USER", True), audio_input(PCM)], HISTORY_FIRST),
    "audio in a half interactive text": (
        [*OPEN, text_start("t", "USER", True), text_input("t", "a"), audio_input(PCM)],
        HISTORY_FIRST,
    ),
    "audio in a history": ([*opening(), text_start("h", "USER"), audio_input(PCM)], HISTORY_FIRST),
    "a history of over 200 KB": (
        [
            *opening(),
            *[
                event
                for number in range(4)
                for event in text(f"h{number}", ("USER", "ASSISTANT")[number % 2], "x" * 51_200)
            ],
            text_start("h4", "USER"),
            text_input("h4", "x"),
        ],
        HISTORY_OVER,
    ),
    "a message of over 50 KB": (
        [*opening(), text_start("h", "USER"), text_input("h", "x" * 51_200), text_input("h", "x")],
        HISTORY_OVER,
    ),
    "bytes, not characters": ([*opening(), text_start("h", "USER"), text_input("h", "é" * 25_601)], HISTORY_OVER),
}


@pytest.mark.parametrize(("events", "message"), TEXTS.values(), ids=TEXTS.keys())
def test_refusals_that_have_a_text_of_their_own(events: Events, message: str) -> None:
    assert refusal(events) == message


def test_the_older_limits() -> None:
    older = NovaLimits.older()
    assert refusal([*opening(), text_start("h", "USER"), text_input("h", "x" * 1_025)], limits=older) == HISTORY_OVER
    in_parts = [text_input("h", "x" * 1_024)] * 40
    assert (
        refusal([*opening(), text_start("h", "USER"), *in_parts, text_input("h", "x")], limits=older) == HISTORY_OVER
    )
    messages = [event for n in range(40) for event in text(f"h{n}", ("USER", "ASSISTANT")[n % 2], "x")]
    assert refusal([*opening(), *messages, text_start("h40", "USER")], limits=older) == HISTORY_OVER


def test_neighbours_of_one_role_are_taken_when_told_so() -> None:
    events = [*opening(), *text("h", "USER", "a"), *text("h2", "USER", "b")]
    assert feed(Protocol(NOVA_2, NovaLimits(alternate=False)), events)[-1] == History("USER", "b")


BAD_RESULTS = ("plain words", "[1]", '"text"', "5", "null", '{"a": ')


@pytest.mark.parametrize("content", BAD_RESULTS)
def test_a_result_must_be_a_json_object(content: str) -> None:
    protocol = Protocol(NOVA_2)
    protocol.tools.offered("use")
    feed(protocol, [*OPEN, *tool_result("r", "use", content)[:-1]])
    with pytest.raises(Invalid, match="Tool Response parsing error"):
        feed(protocol, [content_end("r")])


def test_a_use_has_one_result() -> None:
    protocol = Protocol(NOVA_2)
    protocol.tools.offered("use")
    feed(protocol, [*OPEN, *tool_result("r", "use", "{}")])
    with pytest.raises(Invalid, match=GENERIC):
        feed(protocol, [tool_start("r2", "use")])


def test_audio_may_be_refused_while_a_tool_is_pending() -> None:
    protocol = Protocol(NOVA_2)
    feed(protocol, TALKING)
    protocol.tools.offered("use")
    protocol.tools.deafen("use")
    feed(protocol, tool_result("r", "use", "{}"))
    feed(protocol, [audio_input(PCM)])
    protocol.tools.offered("use2")
    feed(protocol, [audio_input(PCM)])
    protocol.tools.deafen("use2")
    with pytest.raises(Invalid, match=GENERIC):
        feed(protocol, [audio_input(PCM)])


def test_blocked_phrases_are_refused_in_any_text() -> None:
    said = "This request has been blocked by our content filters."
    start = [session_start(), prompt_start(), text_start("s", "SYSTEM")]
    assert refusal([*start, text_input("s", "do evil")], blocked=("evil",)) == said
    assert refusal([*start, text_input("s", "do ev"), text_input("s", "il")], blocked=("evil",)) == said


SETTINGS: Mapping[str, Events] = {
    "maxTokens": [{"sessionStart": {"inferenceConfiguration": {"maxTokens": 0}}}],
    "topP": [{"sessionStart": {"inferenceConfiguration": {"topP": 1.5}}}],
    "temperature": [{"sessionStart": {"inferenceConfiguration": {"temperature": "warm"}}}],
    "sensitivity": [session_start(turnDetectionConfiguration={"endpointingSensitivity": "medium"})],
    "an unknown voice": [session_start(), prompt_start(audio={"voiceId": "joanna"})],
    "a voice of Nova 1": [session_start(), prompt_start(audio={"voiceId": "greta"})],
    "output rate": [session_start(), prompt_start(audio={"sampleRateHertz": 22050})],
    "output bits": [session_start(), prompt_start(audio={"sampleSizeBits": 8})],
    "output channels": [session_start(), prompt_start(audio={"channelCount": 2})],
    "output type": [session_start(), prompt_start(audio={"mediaType": "audio/mpeg"})],
    "text type": [session_start(), prompt_start(textOutputConfiguration={"mediaType": "text/html"})],
    "no prompt name": [session_start(), prompt_start(promptName="")],
    "tools without their output": [session_start(), prompt_start(toolConfiguration={"tools": [tool("a")]})],
    "a tool's name": [session_start(), prompt_start(tools=["no blanks"])],
    "two tools of a name": [session_start(), prompt_start(tools=["a", "a"])],
    "a tool's schema": [
        session_start(),
        prompt_start(
            tools=["a"],
            toolConfiguration={"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}]},
        ),
    ],
    "an unknown choice": [
        session_start(),
        prompt_start(tools=["a"], toolConfiguration={"tools": [], "toolChoice": {"x": {}}}),
    ],
    "the choice of no tool": [
        session_start(),
        prompt_start(tools=["a"], toolConfiguration={"tools": [tool("a")], "toolChoice": {"tool": {"name": "b"}}}),
    ],
    "input rate": [*opening(), audio_start(rate=44100)],
    "input bits": [*opening(), audio_start(sampleSizeBits=24)],
    "input encoding": [*opening(), audio_start(encoding="hex")],
}


@pytest.mark.parametrize("events", SETTINGS.values(), ids=SETTINGS.keys())
def test_wrong_settings_are_an_invalid_input_request(events: Events) -> None:
    assert refusal(events) == GENERIC


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("voice", ["tiffany", "tina", "olivia", "leo"])
def test_documented_rates_and_voices_are_taken(rate: int, voice: str) -> None:
    events = opening(audio={"voiceId": voice, "sampleRateHertz": rate})
    assert feed(Protocol(NOVA_2), [*events, audio_start(rate=rate)])[-1] == AudioOpened(rate)


def test_what_nova_1_does_not_have() -> None:
    later = session_start(turnDetectionConfiguration={"endpointingSensitivity": "LOW"})
    assert refusal([later], model=NOVA_1) == GENERIC
    assert refusal([*OPEN, text_start("t", "USER", interactive=True)], model=NOVA_1) == GENERIC
    assert refusal([*opening(), text_start("ss", "SYSTEM_SPEECH")], model=NOVA_1) == GENERIC
    assert refusal([session_start(), prompt_start(audio={"voiceId": "tina"})], model=NOVA_1) == GENERIC
    choice = {"tools": [tool("a")], "toolChoice": {"any": {}}}
    assert refusal([session_start(), prompt_start(tools=["a"], toolConfiguration=choice)], model=NOVA_1) == GENERIC
    assert feed(Protocol(NOVA_1), opening(audio={"voiceId": "greta"}))


def test_tools_and_schemas_that_are_taken() -> None:
    listed = {"tools": [], "toolChoice": {"auto": {}}}
    assert feed(Protocol(NOVA_2), [session_start(), prompt_start(toolConfiguration=listed)])
    schema = {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}]}
    events = [session_start(), prompt_start(tools=["a"], toolConfiguration=schema)]
    assert feed(Protocol(NOVA_2, NovaLimits(schema_objects=True)), events)


def test_interactive_text_before_any_audio_is_not_live() -> None:
    assert feed(Protocol(NOVA_2), [*opening(), *text("t", "USER", "Hi.", True)])[-1] == UserText("Hi.", live=False)
    assert feed(Protocol(NOVA_1), [*opening(), *text("t", "USER", "Hi.", True)])[-1] == History("USER", "Hi.")


def test_a_second_audio_block_with_a_new_name_is_taken() -> None:
    events = [*TALKING, content_end("audio"), audio_start("again", 8000), audio_input(PCM, "again")]
    assert feed(Protocol(NOVA_2), events)[-2:] == [AudioOpened(8000), Audio(PCM)]


def message(payload: bytes, **headers: str) -> Message:
    named = {f":{name.replace('_', '-')}": value for name, value in headers.items()}
    return Message({":message-type": "event", ":event-type": "chunk"} | named, payload)


def part(data: bytes) -> bytes:
    return json.dumps({"bytes": base64.b64encode(data).decode()}).encode()


BAD_MESSAGES = {
    "no JSON": message(b"hello"),
    "no object": message(b"[]"),
    "no bytes": message(b"{}"),
    "bytes that are no base64": message(b'{"bytes": "?"}'),
    "no event": message(part(b"{}")),
    "an event that is no object": message(part(b'{"event": 5}')),
    "two events": message(part(b'{"event": {"sessionStart": {}, "sessionEnd": {}}}')),
    "a body that is no object": message(part(b'{"event": {"sessionStart": 1}}')),
    "no UTF-8": message(part(b"\xff")),
    "another event type": message(part(b'{"event": {"sessionStart": {}}}'), event_type="audio"),
    "no event at all": message(part(b'{"event": {"sessionStart": {}}}'), message_type="exception"),
    "more than a megabyte": message(part(b'{"event": {"sessionStart": {}}}'.ljust(1_000_001))),
    "deep nesting": message(part(b"[" * 100_000)),
}


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_messages_that_hold_no_event(bad: Message) -> None:
    with pytest.raises(Invalid, match=GENERIC):
        decode(bad)
