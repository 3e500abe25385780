"""The demo's parts by themselves: recorder, player, the views' entries and pictures, the summary."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voiceloop.audio import PCM16_16K, PCM16_24K, read_wav
from voiceloop.cli import summary
from voiceloop.cli.line import Player
from voiceloop.cli.recorder import Recorder, Sounding
from voiceloop.cli.report import Played
from voiceloop.cli.view import Moment, NoView, View, make_view, mouth
from voiceloop.cli.view.live import LiveView
from voiceloop.cli.view.plain import PlainView
from voiceloop.events import (
    AudioChunk,
    Event,
    Heard,
    Interrupted,
    Paused,
    ReplyText,
    Resumed,
    SessionEnded,
    ToolCalled,
    ToolReturned,
    Transcript,
    TurnEnded,
    TurnMetrics,
    TurnStarted,
    UserSpeechStarted,
    Viseme,
    Word,
)
from voiceloop.rules.endpointing import Endpointing
from voiceloop.visemes import CODES


def _loud(ms: float) -> bytes:
    return np.full(PCM16_24K.samples_in(ms), 9000, "<i2").tobytes()


def _chunk(turn: int, ms: float, start: int = 0) -> AudioChunk:
    return AudioChunk(turn, _loud(ms), PCM16_24K, start)


# ---------------------------------------------------------------- recorder


def test_a_recording_has_both_sides_on_one_timeline(tmp_path: Path) -> None:
    recorder = Recorder(PCM16_16K, PCM16_24K)
    recorder.said(b"\x00\x20" * 1600)
    recorder.heard(bytes(2 * 1200))
    recorder.heard(_loud(50), [Sounding(1, 0, 0, 50)])
    recorder.event(SessionEnded("ended", at=0.25))
    recording = recorder.save(tmp_path)
    form, pcm = read_wav(recording.wav)
    sides = np.frombuffer(pcm, "<i2").reshape(-1, 2)
    assert (form.rate, form.channels, len(sides)) == (24_000, 2, 6000)
    assert np.flatnonzero(sides[:, 1])[[0, -1]].tolist() == [1200, 2399]
    assert 2300 < np.flatnonzero(sides[:, 0])[-1] < 2500
    assert recording.played == {1: [Played(0.05, 0, 50)]}


def test_played_audio_without_a_gap_is_one_stretch_and_a_pause_makes_two() -> None:
    recorder = Recorder(PCM16_16K, PCM16_24K)
    for pieces in (
        [Sounding(1, 0, 0, 20)],
        [Sounding(1, 20, 0, 20)],
        [],
        [Sounding(1, 40, 0, 5), Sounding(2, 0, 5, 15)],
    ):
        recorder.heard(bytes(960), pieces)
    assert recorder.played == {1: [Played(0, 0, 40), Played(0.06, 40, 5)], 2: [Played(0.065, 0, 15)]}


def test_a_recording_of_nothing_still_has_a_sound(tmp_path: Path) -> None:
    recording = Recorder(PCM16_16K, PCM16_24K).save(tmp_path)
    assert read_wav(recording.wav)[1] == bytes(4)


# ---------------------------------------------------------------- player


def test_the_player_plays_in_order_and_knows_what_of_whom_was_heard() -> None:
    player = Player(PCM16_24K)
    player.take(_chunk(1, 25))
    player.take(_chunk(2, 10))
    assert player.play(480)[1] == [Sounding(1, 0, 0, 20)]
    sound, pieces = player.play(480)
    assert pieces == [Sounding(1, 20, 0, 5), Sounding(2, 0, 5, 10)]
    assert sound == _loud(15) + bytes(2 * 120)
    assert (player.heard_ms(1), player.heard_ms(2), player.playing) == (25, 10, False)


def test_a_pause_holds_and_an_interruption_flushes() -> None:
    player = Player(PCM16_24K)
    player.take(_chunk(1, 60))
    player.play(480)
    player.take(Paused(1))
    assert player.play(480) == (bytes(960), [])
    player.take(Resumed(1))
    assert player.play(480)[1] == [Sounding(1, 20, 0, 20)]
    player.take(Interrupted(1, Heard("")))
    assert player.play(480) == (bytes(960), [])
    assert player.heard_ms(1) == 40


def test_the_mouth_follows_what_is_played() -> None:
    player = Player(PCM16_24K)
    for viseme in (Viseme(1, "p", 0), Viseme(1, "a", 25), Viseme(1, "sil", 50)):
        player.take(viseme)
    player.take(_chunk(1, 60))
    seen = []
    for _ in range(5):
        player.play(480)
        seen.append(player.mouth)
    assert seen == ["p", "a", "sil", "sil", "sil"]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("code", [*sorted(CODES), "unknown"])
def test_every_mouth_has_one_size(code: str, plain: bool) -> None:
    lines = mouth.draw(code, plain=plain)
    assert [len(line) for line in lines] == [mouth.WIDTH] * mouth.HEIGHT
    assert "".join(lines).isascii() or not plain
    assert "".join(lines).strip()


# ---------------------------------------------------------------- views

METRICS = TurnMetrics(1, 1, 412.0, 300.0, 2.0, 0.0, 95.0, 15.0)
STORY: list[Event] = [
    UserSpeechStarted(500, at=0.6),
    Transcript(1, "book a", at=0.9),
    Transcript(1, "book a room", final=True, at=1.5),
    TurnStarted(1, utterance=1, at=1.5),
    ReplyText(1, "In Zürich? It has a big screen and seats for eight.", 0, at=1.5),
    Word(1, "In", 0, 0, 2, at=1.6),
    Viseme(1, "i", 0, at=1.6),
    METRICS,
    ToolCalled(1, "t", "find_room", {"place": "Zürich", "people": 2}, at=1.8),
    ToolReturned(1, "t", "find_room", '{"room": "Maple"}', ms=3, at=1.9),
    Interrupted(1, Heard("In Zürich?", 700), at=2.4),
    TurnEnded(
        1, "In Zürich? It has a big screen and seats for eight.", Heard("In Zürich?", 700), "interrupted", at=2.5
    ),
]


class Screen(io.StringIO):
    """A file that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_plain_lines_tell_what_is_over_and_fit_80_columns() -> None:
    out = io.StringIO()
    view = PlainView(out)
    for event in STORY:
        view.event(event)
        view.moment(Moment(event.at, bytes(640), bytes(960), "a"))
    lines = out.getvalue().splitlines()
    assert [line.split()[2] for line in lines if line[:10].strip().endswith("s")] == ["caller", "tool", "assistant"]
    assert "[not heard: It has a big screen" in out.getvalue()
    assert """find_room(place=Zürich, people=2) -> {"room": "Maple"}""" in out.getvalue()
    assert "412 ms: silence 300, text 2, clause 0, voice 95, out 15" in out.getvalue()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("make", [PlainView, LiveView])
def test_a_model_that_owns_its_turns_is_one_part_of_the_wait(make: Callable[..., View]) -> None:
    out = io.StringIO()
    view = make(out, owns_turns=True)
    for event in STORY:
        view.event(event)
    assert "412 ms: model 397, out 15" in out.getvalue()
    assert "silence" not in out.getvalue()


def test_latencies_of_simulated_time_are_not_shown() -> None:
    out = io.StringIO()
    view = PlainView(out)
    for event in STORY:
        view.event(TurnMetrics(1, 1, 412, 300, 2, 0, 95, 15, measured=False) if event is METRICS else event)
    assert "412" not in out.getvalue()


def test_plain_lines_survive_a_terminal_of_little_letters() -> None:
    raw = io.BytesIO()
    view = PlainView(io.TextIOWrapper(raw, encoding="ascii"))
    for event in STORY:
        view.event(event)
    assert b"Z?rich" in raw.getvalue()


def test_the_live_view_draws_and_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    with LiveView(screen) as view:
        for event in STORY:
            view.event(event)
            for _ in range(4):
                view.moment(Moment(event.at, bytes(640), _loud(20), "a", 100))
        during = screen.getvalue()
    assert "book a" in during
    assert "Zürich" in during
    assert "╭─────╮" in during
    assert "interrupted" in during
    after = screen.getvalue()
    assert after.rfind("\x1b[?25h") > after.rfind("\x1b[?25l")


def test_the_view_suits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert isinstance(make_view(Screen()), LiveView)
    assert isinstance(make_view(Screen(), quiet=True), NoView)
    assert isinstance(make_view(io.StringIO()), PlainView)
    monkeypatch.setitem(sys.modules, "rich", None)
    without = Screen()
    assert isinstance(make_view(without), PlainView)
    assert "pip install 'voiceloop[cli]'" in without.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    assert isinstance(make_view(Screen()), PlainView)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_view(Screen()), PlainView)


# ---------------------------------------------------------------- summary


def test_a_booking_that_failed_is_none() -> None:
    wanted = {"place": "Boston", "day": "today", "time": "09:00", "minutes": 60, "people": 4}
    called = ToolCalled(1, "t", "book_room", wanted)
    assert summary.booking([called, ToolReturned(1, "t", "book_room", "no", error=True)]) is None
    booked = summary.booking([called, ToolReturned(1, "t", "book_room", '{"number": 7}')])
    assert str(booked) == "Boston, today at 09:00, 60 minutes, 4 people (number 7)"


def test_a_wait_beyond_the_silence_counts() -> None:
    events = [
        Transcript(1, "yes please", final=True),  # 300 ms end it
        TurnMetrics(1, 1, 450, 400, 10, 0, 30, 10),
        Transcript(2, "in boston", final=True),  # 600 ms
        TurnMetrics(2, 2, 640, 600, 10, 0, 20, 10),
    ]
    assert summary.answer_ms(events, Endpointing()) == [150, 40]
    assert "95 ms (p50 of 2, slowest 150)" in summary.describe(events, Endpointing())[0]
    assert summary.describe(events, None)[0] == (
        "Answers began 545 ms after speech (p50 of 2, slowest 640): the model's own end of the turn, thinking and "
        "voice, which it does not tell apart."
    )
