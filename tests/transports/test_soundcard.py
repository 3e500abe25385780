"""A session on a simulated sound card."""

from __future__ import annotations

from typing import Any

import anyio
import numpy as np
import pytest

import voiceloop as vl
from voiceloop.errors import BadInput, ProviderUnavailable
from voiceloop.testing.scripted import ScriptedSynthesizer, ScriptedTurns
from voiceloop.transports.soundcard import SoundCard

from .calls import assistant, hold
from .room import Path, PortAudioError, Room

TEXT = "One two three four five six seven eight nine ten."


def tone(ms: float, rate: int = 16_000) -> Any:
    return np.full(round(ms * rate / 1000), 8_000.0)


@pytest.mark.virtual_time
@pytest.mark.parametrize("rates", [(16_000, 24_000), (48_000, 48_000), (44_100, 22_050), (8_000, 16_000)])
@pytest.mark.parametrize("stamps", [True, False])
async def test_what_is_said_is_played_and_measured(rates: tuple[int, int], stamps: bool) -> None:
    room = Room(Path(None), rates=rates, stamps=stamps)
    call = await hold(room, assistant(ScriptedSynthesizer()), TEXT, echo="off")
    (ended,) = call.of(vl.TurnEnded)
    said_ms = sum(chunk.duration_ms for chunk in call.of(vl.AudioChunk))
    assert ended.reason == "completed"
    assert ended.heard == vl.Heard(TEXT, ms=pytest.approx(said_ms), basis="measured")
    played = np.frombuffer(b"".join(room.played), "<i2")
    assert np.count_nonzero(np.abs(played) > 500) / rates[1] * 1000 == pytest.approx(said_ms, abs=15)


@pytest.mark.virtual_time
async def test_frames_tell_what_was_heard_of_whom_and_when() -> None:
    call = await hold(Room(Path(None)), assistant(ScriptedSynthesizer()), TEXT, echo="off")
    pieces = [piece for frame in call.frames for piece in frame.pieces]
    end = 0.0
    for piece in pieces:
        assert (piece.turn, piece.ms) == (1, pytest.approx(end, abs=0.1))
        end = piece.ms + piece.duration_ms
    assert end == pytest.approx(call.of(vl.TurnEnded)[0].heard.ms, abs=1)
    for frame in call.frames:
        covered = sum(piece.duration_ms for piece in frame.pieces)
        assert len(frame.said) == len(frame.heard) == 320
        assert np.count_nonzero(np.frombuffer(frame.heard, "<i2")) / 16 == pytest.approx(covered, abs=2)
    steps = np.diff([frame.at for frame in call.frames])
    assert steps.min() > 0.009
    assert steps.max() < 0.011


@pytest.mark.virtual_time
async def test_the_user_is_heard_when_they_speak() -> None:
    room = Room(Path(None))

    async def speak(session: vl.Session) -> None:
        room.say(tone(600), after=1.0)
        await anyio.sleep(3.0)

    model = assistant(ScriptedSynthesizer(), ["good evening"])
    call = await hold(room, model, echo="off", turns=ScriptedTurns(), session=speak)
    (started,) = call.of(vl.UserSpeechStarted)
    assert started.ms == pytest.approx(1000, abs=40)
    assert [event.text for event in call.of(vl.Transcript) if event.final] == ["good evening"]
    assert call.of(vl.TurnEnded)[0].heard.text == "Fine. "


@pytest.mark.virtual_time
async def test_a_barge_in_pauses_and_stops_the_loudspeaker() -> None:
    room = Room(Path(None))
    model = assistant(ScriptedSynthesizer())
    call = await hold(room, model, TEXT, user=tone(700), after=1.0, echo="off", turns=ScriptedTurns())
    paused, cut = call.when(vl.Paused)[0], call.when(vl.Interrupted)[0]
    assert 0.05 < paused < cut < 0.5
    (ended,) = call.of(vl.TurnEnded)
    assert (ended.reason, ended.heard.basis) == ("interrupted", "measured")
    loud = np.flatnonzero(np.abs(np.frombuffer(b"".join(room.played), "<i2")) > 500)
    assert len(loud) / 16 == pytest.approx(ended.heard.ms, abs=12)
    assert TEXT.startswith(ended.heard.text)


@pytest.mark.virtual_time
async def test_a_cough_only_pauses() -> None:
    room = Room(Path(None))
    model = assistant(ScriptedSynthesizer())
    call = await hold(room, model, TEXT, user=tone(150), after=1.0, echo="off", turns=ScriptedTurns())
    assert len(call.of(vl.Paused)) == len(call.of(vl.Resumed)) == 1
    assert not call.of(vl.Interrupted)
    (ended,) = call.of(vl.TurnEnded)
    assert ended.heard.text == TEXT


@pytest.mark.virtual_time
async def test_without_a_microphone_one_can_type() -> None:
    async def type_it(session: vl.Session) -> None:
        await session.send_text("hello")

    room = Room(Path(None))
    call = await hold(room, assistant(ScriptedSynthesizer()), microphone=False, session=type_it)
    assert set(room.streams) == {"output"}
    assert call.of(vl.TurnEnded)[0].heard.text == "Fine. "
    assert call.frames


@pytest.mark.virtual_time
async def test_a_microphone_that_gives_nothing_is_told() -> None:
    room = Room(Path(None), noise=0.0)

    async def wait(session: vl.Session) -> None:
        await anyio.sleep(5.0)

    call = await hold(room, assistant(ScriptedSynthesizer()), session=wait)
    (notice,) = [event for event in call.of(vl.Notice) if event.code == "microphone-silent"]
    assert 3.0 <= notice.at < 3.2


@pytest.mark.virtual_time
async def test_a_card_that_stops_is_an_error() -> None:
    room = Room(Path(None))

    async def unplug(session: vl.Session) -> None:
        await anyio.sleep(1.0)
        room.streams["input"].running = False
        await anyio.sleep(30.0)

    with pytest.raises(BaseExceptionGroup) as failure:
        await hold(room, assistant(ScriptedSynthesizer()), session=unplug)
    (error,) = failure.value.exceptions
    assert isinstance(error, ProviderUnavailable)
    assert "unplugged" in str(error)
    assert all(stream.closed for stream in room.streams.values())


@pytest.mark.virtual_time
async def test_a_device_that_cannot_be_opened_is_an_error_and_nothing_stays_open() -> None:
    class Held(Room):
        def RawInputStream(self, **settings: Any) -> Any:
            raise PortAudioError("Device unavailable")

    room = Held(Path(None))
    async with vl.Session(assistant(ScriptedSynthesizer())) as session:
        with pytest.raises(BadInput, match=r"input device 0 \(Mic\) cannot be opened: Device unavailable"):
            await SoundCard(system=room).run(session)
    assert room.streams["output"].closed


@pytest.mark.parametrize("latency", [0, -1, 2])
def test_a_latency_that_cannot_be_is_refused(latency: float) -> None:
    with pytest.raises(BadInput, match="latency"):
        SoundCard(latency=latency)
