"""Bad input is refused at once, with its name, its value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

import voiceloop as vl
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

from .session_kit import cascade, session

CONSTRUCTOR: dict[str, tuple[dict[str, Any], str]] = {
    "visemes": ({"visemes": "always"}, "visemes='always'"),
    "barge_in": ({"barge_in": True}, "barge_in=True"),
    "turns": ({"turns": "sometimes"}, "turns='sometimes'"),
    "lead below": ({"lead": -1}, "lead=-1"),
    "lead nothing": ({"lead": 0}, "lead=0"),
    "lead not a number": ({"lead": float("nan")}, "lead=nan"),
    "lead without end": ({"lead": float("inf")}, "lead=inf"),
    "chunk_ms nothing": ({"chunk_ms": 0}, "chunk_ms=0"),
    "chunk_ms shorter than a sample": ({"chunk_ms": 0.01}, "chunk_ms=0.01"),
    "chunk_ms in words": ({"chunk_ms": "20"}, "chunk_ms='20'"),
    "viseme_wait": ({"viseme_wait": -0.1}, "viseme_wait=-0.1"),
    "two tools of a name": ({"tools": [print, print]}, ""),
}


@pytest.mark.parametrize("case", CONSTRUCTOR)
def test_settings(case: str) -> None:
    options, message = CONSTRUCTOR[case]
    with pytest.raises(vl.BadInput) as bad:
        vl.Session(cascade(), **options)
    assert message in str(bad.value)


def test_a_model_is_needed() -> None:
    with pytest.raises(vl.BadInput, match="Cascade"):
        vl.Session(ScriptedReasoner())  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_cascade_needs_its_three_parts(wrong: int) -> None:
    parts: list[Any] = [ScriptedRecognizer(), ScriptedReasoner(), ScriptedSynthesizer()]
    parts[wrong] = object()
    with pytest.raises(vl.BadInput, match="object"):
        vl.Cascade(*parts)


@pytest.mark.parametrize(
    "name", ["connect", "input_stall", "consumer_stall", "signals", "close", "session", "settle"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), "5", True])
def test_limits(name: str, value: Any) -> None:
    with pytest.raises(vl.BadInput, match=f"limits.{name}="):
        vl.Limits(**{name: value})


@pytest.mark.parametrize("options", [{"after": 0}, {"after": -1}, {"times": 0}])
def test_idle(options: dict[str, Any]) -> None:
    with pytest.raises(vl.BadInput, match="idle"):
        vl.Idle(**options)


@pytest.mark.virtual_time
@pytest.mark.parametrize("pcm", [b"\0", b"\0\0\0"])
async def test_broken_samples(pcm: bytes) -> None:
    async with session(cascade()) as running:
        with pytest.raises(vl.AudioFormatError, match="whole samples"):
            await running.send_audio(pcm)
        await running.send_audio(b"\0\0")
        await running.send_audio(bytearray(4))
        await running.send_audio(memoryview(bytes(4)))
        await running.send_audio(b"")


@pytest.mark.virtual_time
@pytest.mark.parametrize("text", ["", " ", "\n\t"])
async def test_blank_text(text: str) -> None:
    async with session(cascade()) as running:
        with pytest.raises(vl.BadInput, match="blank"):
            await running.send_text(text)
        with pytest.raises(vl.BadInput, match="blank"):
            await running.say(text)


@pytest.mark.virtual_time
async def test_nothing_to_change() -> None:
    async with session(cascade()) as running:
        with pytest.raises(vl.BadInput, match="nothing to change"):
            await running.update()


async def test_a_session_that_was_not_entered() -> None:
    running = session(cascade())
    for call in (running.send_text("Hi"), running.say("Hi"), running.end(), running.__anext__()):
        with pytest.raises(vl.BadInput, match="not been entered"):
            await call
