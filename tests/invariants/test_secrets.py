"""No key, token, audio or transcript text in logs, reprs or errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop.interfaces import ReasonerItem, ReasonerRequest, ToolCall
from voiceloop.memory import InProcessMemory
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import (
    Fail,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
    tone,
)

from .conftest import PROFILE

SPOKEN, REPLY, ARGUMENT, KEY, RESULT, TYPED = (
    f"secret{word}" for word in ("spoken", "reply", "argument", "key", "result", "typed")
)
MARKERS = (SPOKEN, REPLY, ARGUMENT, KEY, RESULT, TYPED)


@frozen(eq=False)
class KeyedReasoner(ScriptedReasoner):
    """A reasoner with a key, as those of real services."""

    api_key: str = field(default=KEY, repr=False, kw_only=True)


@vl.tool
async def lookup(what: str) -> str:
    """Look."""
    if what.endswith("bad"):
        raise ValueError("no")
    return RESULT


class Everything(logging.Handler):
    """All log records, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


async def converse(place: str, seen: list[str]) -> None:
    replies: list[Any] = [
        [f"{REPLY} one. ", ToolCall("1", "lookup", {"what": ARGUMENT + ("bad" if place == "tool" else "")})],
        [f"{REPLY} two.", *([Fail(RuntimeError("broken"))] if place == "reasoner" else [])],
        f"{REPLY} three.",
    ]
    said: list[Any] = [SPOKEN, Fail() if place == "recognizer" else SPOKEN]
    reasoner = KeyedReasoner(replies)
    synthesizer = ScriptedSynthesizer(faults={1: Fail(RuntimeError("broken"))} if place == "synthesizer" else {})
    model = vl.Cascade(ScriptedRecognizer(said), reasoner, synthesizer)
    async with vl.Pool() as pool:
        session = vl.Session(model, tools=[lookup], turns=ScriptedTurns(), memory=InProcessMemory(), pool=pool)
        try:
            async with session, anyio.create_task_group() as group:
                group.start_soon(_user, session)
                seen += [repr(event) async for event in session if isinstance(event, vl.AudioChunk | vl.Notice)]
        except* vl.VoiceloopError as failures:
            for failure in failures.exceptions:
                chain: BaseException | None = failure
                while chain is not None:
                    seen += [str(chain), repr(chain), repr(getattr(chain, "__notes__", ""))]
                    chain = chain.__cause__
        seen += [repr(session), repr(pool), repr(synthesizer)]


async def _user(session: vl.Session) -> None:
    try:
        for sound in (tone(400), bytes(32_000 * 2), tone(400), bytes(32_000)):
            for at in range(0, len(sound), 640):
                await session.send_audio(sound[at : at + 640])
                await anyio.sleep(0.02)
        await session.send_text(TYPED)
        await session.end_input()
    except vl.SessionClosed:
        pass


@settings(PROFILE, max_examples=8)
@given(st.sampled_from(("nowhere", "tool", "reasoner", "recognizer", "synthesizer")))
def keeps_secrets(place: str) -> None:
    seen: list[str] = []
    handler, root = Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        virtual_time.run(converse, place, seen)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    text = "\n".join([*seen, *handler.lines])
    assert seen
    assert [marker for marker in MARKERS if marker in text] == []


test_secrets = keeps_secrets


def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = ScriptedReasoner.reply

    @asynccontextmanager
    async def chatty(self: ScriptedReasoner, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        logging.getLogger("voiceloop").debug("asked %r", request.messages)
        async with exact(self, request) as items:
            yield items

    monkeypatch.setattr(ScriptedReasoner, "reply", chatty)
    with pytest.raises(AssertionError):
        keeps_secrets()
