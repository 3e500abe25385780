"""The whole demo, with its real recognizer, rules and voice, on simulated time."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from attrs import frozen
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from voiceloop import event_json
from voiceloop.audio import AudioFormat, convert, read_wav, write_wav
from voiceloop.cli import main
from voiceloop.events import (
    AudioChunk,
    Event,
    Interrupted,
    SessionEnded,
    ToolCalled,
    ToolReturned,
    Transcript,
    TurnEnded,
    TurnMetrics,
    UserSpeechEnded,
    UserSpeechStarted,
)
from voiceloop.testing.event_log import check_log

T = TypeVar("T")
SIX = ("df_book_a_room", "df_mountain_view", "df_today", "df_230pm", "df_half_an_hour", "df_two_people")


@frozen
class Outcome:
    """What a run left behind."""

    code: int
    folder: Path
    printed: str
    events: list[Event]

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def booked(self) -> list[dict[str, object]]:
        done = {event.call for event in self.all(ToolReturned) if event.name == "book_room" and not event.error}
        return [dict(event.arguments) for event in self.all(ToolCalled) if event.call in done]

    def sides(self) -> tuple[AudioFormat, np.ndarray]:
        form, pcm = read_wav(self.folder / "conversation.wav")
        return form, np.frombuffer(pcm, "<i2").reshape(-1, form.channels)


def _demo(folder: Path, *arguments: object) -> Outcome:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *values, **_: lines.append(" ".join(map(str, values))))
        code = main(["demo", "--pace", "fast", "--quiet", "--out", str(folder), *map(str, arguments)])
    events = [event_json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return Outcome(code, folder, "\n".join(lines), events)


@pytest.fixture(scope="module")
def recorded(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Six recordings of people, one a turn."""
    return _demo(tmp_path_factory.mktemp("recorded"), *(clips / f"{name}.wav" for name in SIX))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The simulated caller."""
    return _demo(tmp_path_factory.mktemp("simulated"))


# ---------------------------------------------------------------- what came of it


def test_six_recordings_end_in_the_booking_that_they_ask_for(recorded: Outcome) -> None:
    assert recorded.code == 0
    assert recorded.booked() == [
        {"place": "Mountain View", "day": "today", "time": "14:30", "minutes": 30, "people": 2}
    ]
    assert "Booked: Mountain View, today at 14:30, 30 minutes, 2 people" in recorded.printed


def test_the_simulated_caller_interrupts_and_gets_what_it_asked_for_last(simulated: Outcome) -> None:
    assert simulated.code == 0
    assert simulated.booked() == [
        {"place": "Chicago", "day": "tomorrow", "time": "14:30", "minutes": 45, "people": 3}
    ]
    (interrupted,) = simulated.all(Interrupted)
    ended = next(event for event in simulated.all(TurnEnded) if event.turn == interrupted.turn)
    assert ended.said.startswith(ended.heard.text)
    assert 0 < len(ended.heard.text) < len(ended.said)
    assert ended.heard.basis == "measured"


@pytest.mark.parametrize(
    ("clip", "said", "answer"),
    [
        ("go_brooklyn", "how old is the brooklyn bridge", "143 years old"),
        ("az_weather", "what's the weather like", "no weather data"),
        ("ps_goforward", "go forward ten meters", "Forward 10 meters"),
    ],
)
def test_a_question_gets_its_answer(clips: Path, tmp_path: Path, clip: str, said: str, answer: str) -> None:
    # also in a format that is not the line's
    form, pcm = read_wav(clips / f"{clip}.wav")
    other = AudioFormat(44_100, channels=2)
    write_wav(tmp_path / "clip.wav", other, convert(pcm, form, other))
    outcome = _demo(tmp_path / "out", tmp_path / "clip.wav")
    assert next(event.text for event in outcome.all(Transcript) if event.final) == said
    assert answer in outcome.all(TurnEnded)[-1].said


def test_a_silent_recording_is_told_and_is_no_failure(tmp_path: Path) -> None:
    write_wav(tmp_path / "silent.wav", AudioFormat(16_000), bytes(32_000))
    outcome = _demo(tmp_path / "out", tmp_path / "silent.wav")
    assert outcome.code == 0
    assert "silent.wav: nothing was understood" in outcome.printed
    assert "silent.wav is silent." in (outcome.folder / "report.html").read_text()


# ---------------------------------------------------------------- what it leaves behind


@pytest.fixture(params=["recorded", "simulated"])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    made: Outcome = request.getfixturevalue(request.param)
    return made


def test_the_events_are_a_whole_log_that_reads_back(outcome: Outcome) -> None:
    assert check_log(outcome.events) == []
    written = (outcome.folder / "events.jsonl").read_text().splitlines()
    assert [event_json.dumps(event) for event in outcome.events] == written


def test_every_turn_was_understood_and_answered(outcome: Outcome) -> None:
    final = [event for event in outcome.all(Transcript) if event.final]
    assert len(final) >= 6
    assert len(outcome.all(TurnMetrics)) == len(final)
    assert not any("Sorry" in event.said for event in outcome.all(TurnEnded))


def test_simulated_time_is_not_sold_as_measured(outcome: Outcome) -> None:
    assert not any(event.measured for event in outcome.all(TurnMetrics))
    assert "not measured" in outcome.printed
    assert "not measured" in (outcome.folder / "report.html").read_text()


def test_the_sound_lasts_as_long_as_the_session_with_each_side_on_its_own_channel(outcome: Outcome) -> None:
    form, sides = outcome.sides()
    (ended,) = outcome.all(SessionEnded)
    assert len(sides) / form.rate == pytest.approx(ended.at, abs=0.001)
    loud = np.abs(sides.astype(np.int32))
    for began, over in zip(outcome.all(UserSpeechStarted), outcome.all(UserSpeechEnded), strict=True):
        span = slice(form.samples_in(began.ms), form.samples_in(over.ms))
        assert loud[span, 0].max() > 1000
    quiet = [chunk for chunk in outcome.all(AudioChunk) if not any(chunk.pcm)]
    spoken = sum(chunk.duration_ms for chunk in outcome.all(AudioChunk)) - sum(c.duration_ms for c in quiet)
    heard_ms = form.ms(int((loud[:, 1] > 0).sum()))
    assert 0.5 * spoken < heard_ms <= spoken


def test_after_a_barge_in_the_assistant_is_silent(simulated: Outcome) -> None:
    form, sides = simulated.sides()
    (interrupted,) = simulated.all(Interrupted)
    following = next(event for event in simulated.all(AudioChunk) if event.turn > interrupted.turn)
    start, end = (form.samples_in(at * 1000) for at in (interrupted.at + 0.04, following.at))
    assert end - start > form.rate
    assert not sides[start:end, 1].any()


def test_the_report_plays_and_says_who_was_simulated(simulated: Outcome, browser: webdriver.Chrome) -> None:
    browser.get((simulated.folder / "report.html").as_uri())
    wait = WebDriverWait(browser, 20, poll_frequency=0.02)
    wait.until(lambda b: b.execute_script("return document.documentElement.dataset.ready === '1'"))
    assert "The caller is simulated" in browser.find_element(By.ID, "notes").text
    browser.find_element(By.ID, "play").click()
    browser.execute_script("audio.currentTime = 6")
    shapes = wait.until(
        lambda b: b.execute_script(
            """window.shapes ??= new Set(); window.shapes.add(face.dataset.viseme);
            return audio.currentTime > 6.5 && window.shapes.size > 3 && [...window.shapes]"""
        )
    )
    assert set(shapes) - {"sil"}
