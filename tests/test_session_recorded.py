"""Input that comes faster than it was spoken: a recording."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

import voiceloop as vl
from voiceloop.audio import PCM16_16K
from voiceloop.events import Event
from voiceloop.interfaces import ListenConfig, Listening, RecognizerItem
from voiceloop.testing.scripted import (
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
    silence,
    tone,
)

from .session_kit import assert_log, cascade, collect, finals, of, session

FRAME = 20.0
FRAME_BYTES = 640


def recording(*parts: tuple[str, float]) -> bytes:
    """Speech and silence of so many ms, in the frames that the scripted parts look at."""
    sounds = {"speech": tone, "silence": silence}
    return b"".join(sounds[kind](FRAME, PCM16_16K) for kind, ms in parts for _ in range(int(ms / FRAME)))


@pytest.mark.virtual_time(seed=0)
@pytest.mark.parametrize("after", [0.1, 0.7, 1.9])
@pytest.mark.parametrize("flushes", [True, False])
@pytest.mark.parametrize("pause", [40, 1000, 3000, 10_000])
async def test_what_a_slow_recognizer_tells_after_the_recording_is_answered(
    flushes: bool, after: float, pause: float
) -> None:
    model = cascade(
        ["book a room"], ["Which one?"], hears={"can_flush": flushes, "final_after": after, "partials": False}
    )
    log: list[Event] = []
    async with session(model, lead=None) as running:
        sound = recording(("speech", 1000), ("silence", pause))
        for at in range(0, len(sound), FRAME_BYTES):
            await running.send_audio(sound[at : at + FRAME_BYTES])
        await running.end_input()
        await collect(running, log)
    assert_log(log)
    assert finals(log) == ["book a room"]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == ["Which one?"]


class _Paced(Listening):
    """Takes audio at the pace of speech."""

    def __init__(self, inner: Listening) -> None:
        self._inner = inner

    async def send_audio(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), FRAME_BYTES):
            await anyio.sleep(FRAME / 1000)
            await self._inner.send_audio(pcm[at : at + FRAME_BYTES])

    async def flush(self, *, end_of_turn: bool) -> None:
        await self._inner.flush(end_of_turn=end_of_turn)

    def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        return self._inner.__aiter__()


class PacedRecognizer(ScriptedRecognizer):
    """Hears a recording as fast as it was spoken, and no faster."""

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with super().open(config) as listening:
            yield _Paced(listening)


@pytest.mark.virtual_time(seed=0)
@pytest.mark.parametrize("partials", [True, False])
@pytest.mark.parametrize("after", [0.1, 0.7, 1.9])
@pytest.mark.parametrize("flushes", [True, False])
@pytest.mark.parametrize("pause", [40, 1000, 3000, 10_000])
async def test_a_recognizer_that_hears_a_recording_at_the_pace_of_speech_is_waited_for(
    flushes: bool, after: float, pause: float, partials: bool
) -> None:
    """What it has not been given yet is no silence, however long ago the session took it."""
    hears = PacedRecognizer(["book a room for two"], can_flush=flushes, final_after=after, partials=partials)
    model = vl.Cascade(hears, ScriptedReasoner(["Which one?"]), ScriptedSynthesizer())
    log: list[Event] = []
    async with session(model, lead=None) as running:
        sound = recording(("silence", 4000), ("speech", 2000), ("silence", pause))
        for at in range(0, len(sound), FRAME_BYTES):
            await running.send_audio(sound[at : at + FRAME_BYTES])
        await running.end_input()
        await collect(running, log)
    assert_log(log)
    assert finals(log) == ["book a room for two"]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == ["Which one?"]


@pytest.mark.virtual_time(seed=0)
async def test_all_of_a_recording_is_heard_though_nobody_seems_to_speak_at_its_end() -> None:
    """The detector misses the speech, and the recognizer lags behind."""
    model = vl.Cascade(PacedRecognizer(["hush"]), ScriptedReasoner(["Yes?"]), ScriptedSynthesizer())
    log: list[Event] = []
    async with session(model, lead=None, turns=ScriptedTurns(speaking_ms=(10_000,))) as running:
        await running.send_audio(recording(("silence", 4000), ("speech", 600), ("silence", 600)))
        await running.end_input()
        await collect(running, log)
    assert finals(log) == ["hush"]
