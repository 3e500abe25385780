"""Input that comes faster than it was spoken: a recording."""

from __future__ import annotations

import pytest

import voiceloop as vl
from voiceloop.audio import PCM16_16K
from voiceloop.events import Event
from voiceloop.testing.scripted import silence, tone

from .session_kit import assert_log, cascade, collect, finals, of, session

FRAME = 20.0


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
        frame = PCM16_16K.bytes_of(PCM16_16K.samples_in(FRAME))
        sound = recording(("speech", 1000), ("silence", pause))
        for at in range(0, len(sound), frame):
            await running.send_audio(sound[at : at + frame])
        await running.end_input()
        await collect(running, log)
    assert_log(log)
    assert finals(log) == ["book a room"]
    assert [turn.said for turn in of(log, vl.TurnEnded)] == ["Which one?"]
