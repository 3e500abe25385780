"""Whatever a caller sends, in whatever order and pieces: what is legal is served, the rest refused; none hangs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import anyio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.interfaces import ToolCall
from voiceloop.testing import virtual_time
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import Refusal, UncleanEnd
from voiceloop.testing.aws.nova import NovaProfile
from voiceloop.testing.scripted import silence, tone

from .nova_kit import (
    Client,
    audio_input,
    audio_start,
    calling,
    content_end,
    opening,
    prompt_end,
    service,
    session_end,
    text,
    text_start,
    tool_result,
)

Events = list[dict[str, Any]]

REFUSALS = (
    "Invalid input request, please fix your input and try again.",
    "Cannot end content [",
    "All contents must be closed before ending prompt",
    "Chat history is over max limit. Trim chat history and try again.",
    "Chat history should be sent completely before streaming audio.",
    "Tool Response parsing error",
    "Timed out waiting for",
)


def backing() -> Backing:
    """Every reply is of another kind: plain, with a tool, with one in the middle."""
    replies = (
        "One two. Three four five.",
        [ToolCall("1", "weather", {})],
        "Six.",
        ["Seven. ", ToolCall("2", "time", {}), "Eight."],
    )
    return Backing.scripted(["some words", "", "more words"] * 20, replies)


# ------------------------------------------------------------ legal input


@frozen
class Act:
    """What the caller does next; ``split``: sizes in samples of the pieces in which audio is sent."""

    kind: str
    ms: int = 0
    split: tuple[int, ...] = (320,)


pieces = st.lists(st.integers(1, 2000), min_size=1, max_size=4).map(tuple)
acts = st.one_of(
    st.builds(Act, st.just("speak"), st.integers(20, 900), pieces),
    st.builds(Act, st.just("quiet"), st.integers(20, 2500), pieces),
    st.builds(Act, st.sampled_from(["type", "answer", "reopen", "wait"])),
)
profiles = st.builds(
    NovaProfile,
    barge_in=st.sampled_from(["a", "b", "c", "c+d", "end_turn_first"]),
    finals=st.sampled_from(["after", "late", "missing"]),
    speech_end=st.sampled_from(["before", "after"]),
    tools=st.sampled_from(["talks", "silent"]),
    filler=st.sampled_from([None, "Wait."]),
    speed=st.sampled_from([1.0, 4.0, 50.0]),
)


async def pour(client: Client, pcm: bytes, split: tuple[int, ...]) -> None:
    """Send ``pcm`` in pieces of those sizes, over and over, at its own pace."""
    at, number = 0, 0
    while at < len(pcm):
        size = 2 * split[number % len(split)]
        piece = pcm[at : at + size]
        client.sent += piece
        await client.send(audio_input(piece, client.audio_name))
        await anyio.sleep(len(piece) / 32_000)
        at, number = at + size, number + 1


async def perform(client: Client, act: Act, answered: set[str]) -> None:
    match act.kind:
        case "speak":
            await pour(client, tone(act.ms), act.split)
        case "quiet":
            await pour(client, silence(act.ms), act.split)
        case "type":
            await client.type("Hello there.")
        case "wait":
            await anyio.sleep(5)
        case "answer":
            for body in client.named("toolUse"):
                if body["toolUseId"] not in answered:
                    answered.add(body["toolUseId"])
                    await client.answer(body["toolUseId"], '{"result": "x"}')
        case "reopen":
            await pour(client, silence(20), (320,))
            await client.send(content_end(client.audio_name))
            client.audio_name += "x"
            await client.send(audio_start(client.audio_name))


def check_blocks(client: Client) -> None:
    """Blocks follow each other without overlap, and each is opened and closed once."""
    current: str | None = None
    for seen in client.seen:
        content = seen.body.get("contentId")
        if seen.name == "contentStart":
            assert current is None
            current = content
        elif seen.name == "contentEnd":
            assert current == content
            current = None
        elif content is not None:
            assert current == content
    assert current is None
    names = [seen.name for seen in client.seen]
    assert names.count("completionStart") == names.count("completionEnd") <= 1


@given(st.lists(acts, max_size=8), profiles, st.booleans())
@settings(max_examples=40)
def test_legal_input_is_served_to_its_end(plan: list[Act], profile: NovaProfile, history: bool) -> None:
    async def call() -> None:
        async with service(backing(), profile=profile) as nova, calling(nova) as client:
            before = [*text("h", "USER", "Hello."), *text("h2", "ASSISTANT", "Hi.")] if history else []
            await client.send(*opening(["weather", "time"]), *before, audio_start())
            answered: set[str] = set()
            for act in plan:
                await perform(client, act, answered)
            await pour(client, silence(20), (320,))
            await client.close()
            assert client.error is None
        (record,) = nova.connections
        assert record.ended == "closed"
        assert record.audio.samples * 2 == len(client.sent)
        assert record.audio.digest() == hashlib.sha256(client.sent).hexdigest()
        assert len(record.texts) == sum(act.kind == "type" for act in plan)
        assert {one.use for one in record.results} == answered
        check_blocks(client)

    virtual_time.run(call, seed=0)


# ------------------------------------------------------------ any input


def legal() -> Events:
    pcm = tone(400)
    return [
        *opening(["weather", "time"]),
        *text("h", "USER", "Hello."),
        *text("h2", "ASSISTANT", "Hi."),
        audio_start(),
        audio_input(pcm),
        audio_input(silence(1000)),
        *text("t", "USER", "Tell me.", interactive=True),
        audio_input(silence(200)),
        content_end("audio"),
        prompt_end(),
        session_end(),
    ]


Change = Callable[[Events], Events]


def dropped(at: int) -> Change:
    return lambda events: events[:at] + events[at + 1 :]


def doubled(at: int) -> Change:
    return lambda events: events[: at + 1] + events[at:]


def swapped(a: int, b: int) -> Change:
    def change(events: Events) -> Events:
        events = list(events)
        events[a % len(events)], events[b % len(events)] = events[b % len(events)], events[a % len(events)]
        return events

    return change


def added(at: int, what: Events) -> Change:
    return lambda events: events[:at] + what + events[at:]


extras = st.sampled_from(
    [
        tool_result("r", "unknown", "{}"),
        [text_start("x", "SYSTEM")],
        [content_end("x")],
        [audio_input(b"")],
        [audio_input(b"1")],
        [{"unknown": {}}],
        text("x", "ASSISTANT", ""),
        text("x", "USER", "x" * 60_000),
    ]
)
places = st.integers(0, 22)
changes = st.one_of(
    st.builds(dropped, places),
    st.builds(doubled, places),
    st.builds(swapped, places, places),
    st.builds(added, places, extras),
)


@given(st.lists(changes, max_size=3), st.sampled_from(["end", "unclean", "open"]), st.floats(0, 2))
@settings(max_examples=100)
def test_any_input_is_served_or_refused_in_the_documented_words(made: list[Change], end: str, pause: float) -> None:
    async def call() -> None:
        events = legal()
        for change in made:
            events = change(events)
        async with service(backing()) as nova, calling(nova) as client:
            for event in events:
                await client.send(event)
                await anyio.sleep(pause)
            if end != "open":
                client.exchange.put(None if end == "end" else UncleanEnd())
            with anyio.fail_after(100):
                await client.over.wait()
            (record,) = nova.connections
            assert client.exchange.responded is not None or isinstance(client.error, UncleanEnd)
            match client.error:
                case None:
                    assert record.ended in ("closed", "unfinished")
                case UncleanEnd():
                    assert record.ended == "unclean"
                case Refusal():
                    assert client.error.code == "ValidationException"
                    assert record.message.startswith(REFUSALS)
                    assert record.ended == "validationException"
                case error:
                    raise error

    virtual_time.run(call, seed=0)
