"""The demo against AWS's protocols: its emulator, real speech, real sockets where time is real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voiceloop import event_json
from voiceloop.cli import main
from voiceloop.events import (
    AudioChunk,
    Event,
    Interrupted,
    ToolCalled,
    Transcript,
    TurnEnded,
    TurnMetrics,
    Usage,
    Viseme,
)
from voiceloop.testing.event_log import check_log

SIX = ("df_book_a_room", "df_mountain_view", "df_today", "df_230pm", "df_half_an_hour", "df_two_people")


def demo(folder: Path, *arguments: object) -> list[Event]:
    assert main(["demo", "--quiet", "--out", str(folder), *map(str, arguments)]) == 0
    assert (folder / "report.html").stat().st_size > 50_000
    events = [event_json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert check_log(events) == []
    return events


@pytest.mark.parametrize(("on", "causes"), [("aws", {"speech", "words"}), ("nova", {"model"})])
def test_a_caller_books(tmp_path: Path, on: str, causes: set[str]) -> None:
    events = demo(tmp_path, "--on", on, "--pace", "fast")
    (interrupted,) = [event for event in events if isinstance(event, Interrupted)]
    assert interrupted.cause in causes
    (booked,) = [event for event in events if isinstance(event, ToolCalled)]
    assert dict(booked.arguments) == {
        "place": "Chicago", "day": "tomorrow", "time": "14:30", "minutes": 45, "people": 3
    }  # fmt: skip
    assert any(isinstance(event, Viseme) for event in events) == (on == "aws")


@pytest.mark.parametrize("on", ["aws", "nova"])
def test_recorded_people_book(tmp_path: Path, clips: Path, on: str) -> None:
    events = demo(tmp_path, "--on", on, "--pace", "fast", *(clips / f"{name}.wav" for name in SIX))
    (booked,) = [event for event in events if isinstance(event, ToolCalled)]
    assert dict(booked.arguments) == {
        "place": "Mountain View", "day": "today", "time": "14:30", "minutes": 30, "people": 2
    }  # fmt: skip


@pytest.mark.parametrize("on", ["aws", "nova"])
def test_a_recorded_question_over_real_sockets(tmp_path: Path, clips: Path, on: str) -> None:
    events = demo(tmp_path, "--on", on, clips / "go_brooklyn.wav")
    finals = [event.text for event in events if isinstance(event, Transcript) and event.final]
    assert [final.lower().rstrip(".?") for final in finals] == ["how old is the brooklyn bridge"]
    assert "143 years old" in [event for event in events if isinstance(event, TurnEnded)][-1].said
    assert next(event for event in events if isinstance(event, TurnMetrics)).measured
    assert any(isinstance(event, AudioChunk) for event in events)
    assert any(isinstance(event, Viseme) for event in events) == (on == "aws")
    providers = {event.provider for event in events if isinstance(event, Usage)}
    if on == "aws":
        assert providers == {"Amazon Transcribe", "Amazon Bedrock", "Amazon Polly"}
    else:
        assert providers == {"Amazon Nova Sonic"}


def test_what_does_not_go_together_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--account", "--out", str(tmp_path)]) == 2
    assert "--on aws" in capsys.readouterr().err


def test_without_credentials_it_says_which_are_missing(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    arguments = ["demo", "--on", "nova", "--account", "--out", str(tmp_path), str(clips / "go_brooklyn.wav")]
    assert main(arguments) != 0
    assert "AWS_REGION" in capsys.readouterr().err
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "AWS_ACCESS_KEY_ID" in told
    assert "aws configure" in told


# ---------------------------------------------------------------- the emulator as a command

PROGRAM = """
import boto3
speech = boto3.client("polly").synthesize_speech(Text="Hello.", VoiceId="Joanna", Engine="neural", OutputFormat="pcm")
print(len(speech["AudioStream"].read()) > 8000)
"""


def emulator(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voiceloop.cli", "emulator", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_runs_against_the_emulator() -> None:
    ran = emulator("--", sys.executable, "-c", PROGRAM)
    assert (ran.returncode, ran.stdout.strip()) == (0, "True")
    assert "SynthesizeSpeech" in ran.stderr
    assert "polly:SynthesizeSpeech" in ran.stderr
    ran = emulator("--deny", "polly:*", "--quiet", "--", sys.executable, "-c", PROGRAM)
    assert ran.returncode == 1
    assert "not authorized to perform: polly:SynthesizeSpeech" in ran.stderr


def test_the_emulator_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    for arguments, told in [
        (["--", "no-such-program"], "no-such-program"),
        (["--port", "70000"], "port=70000"),
        (["--timers", "0"], "timers=0.0"),
        (["--deny", "poly:*"], "'polly:*'"),
        (["--region", "nowhere!", "--", "true"], "unknown region 'nowhere!'"),
        (["--env", str(tmp_path / "none" / "file")], "--env"),
    ]:
        ran = emulator(*arguments)
        assert ran.returncode == 2
        assert told in ran.stderr
        assert "Traceback" not in ran.stderr
