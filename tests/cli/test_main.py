"""The command itself: help, exit codes, and how errors look."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import voiceloop
from voiceloop.audio import PCM16_16K, write_wav
from voiceloop.cli import main
from voiceloop.errors import BadInput

COMMAND = (sys.executable, "-m", "voiceloop.cli")


def _exit(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit(["--version"]) == 0
    assert capsys.readouterr().out == f"voiceloop {voiceloop.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"]])
def test_help_has_examples_that_fit_a_terminal(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert _exit(arguments) == 0
    shown = capsys.readouterr().out
    assert "examples:\n  voiceloop demo" in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_without_a_command_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit([]) == 2
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["demonstrate"], ["demo", "--pace", "slow"], ["demo", "--loud"]])
def test_wrong_arguments_are_told_in_a_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert _exit(arguments) == 2
    assert "voiceloop" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    write_wav(tmp_path / "nothing.wav", PCM16_16K, b"")
    write_wav(tmp_path / "long.wav", PCM16_16K, bytes(2 * 16_000 * 301))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text.wav", "it is no WAV file. WAV with"),
        ("empty.wav", "the file is empty"),
        ("nothing.wav", "it holds no sound"),
        ("long.wav", "301 s long; a turn of at most 300 s is allowed"),
        ("missing.wav", "there is no such file. Name WAV files"),
        (".", "Is a directory"),
    ],
)
def test_a_wrong_clip_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], files: Path, name: str, reason: str
) -> None:
    assert _exit(["demo", "--out", str(files / "out"), str(files / name)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"voiceloop demo: {files / name}: ")
    assert reason in shown.err
    assert shown.err.count("\n") == 1
    assert not (files / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anybody_speaks(
    capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    assert _exit(["demo", "--out", str(files / "text.wav" / "deeper")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("out", ["out", "out/of/sight", "."])
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--account"], 2, "--account goes with"),
        (["--on", "nova", "--account"], 2, "AWS_REGION"),
        (["--on", "nova", "--account", "--pace", "fast"], 2, "AWS_REGION"),
    ],
)
def test_a_start_that_fails_leaves_nothing_and_says_nothing_else(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    code: int,
    told: str,
    out: str,
) -> None:
    assert _exit(["demo", *arguments, "--out", str(tmp_path / out)]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_account", "files")
def test_a_start_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert _exit(["demo", "--on", "nova", "--account", "--pace", "fast", "--out", str(tmp_path)]) == 2
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "events.jsonl").read_text() == "mine"


def test_debug_shows_where_an_error_comes_from(files: Path) -> None:
    with pytest.raises(BadInput):
        main(["demo", "--debug", str(files / "text.wav")])


@pytest.mark.parametrize("package", ["pocketsphinx", "espeakng_loader"])
def test_a_missing_package_is_told_with_the_command_that_mends_it(tmp_path: Path, package: str) -> None:
    # a package of the same name that cannot be imported stands before the real one, in worker processes too
    (tmp_path / f"{package}.py").write_text("raise ImportError('it is not here')\n")
    run = subprocess.run(
        [*COMMAND, "demo", "--pace", "fast", "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert "pip install 'voiceloop[local]'" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.count("\n") == 1


def test_ctrl_c_ends_it_cleanly_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "demo", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # as a terminal starts it: a job in the background is told to ignore Ctrl-C, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    title, first = process.stdout.readline(), process.stdout.readline()
    # as a terminal does: to all processes of the group
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert title.startswith("A simulated caller")
    assert "book a room" in first
    assert "Stopped." in out
    assert err == ""
    assert {path.name for path in folder.iterdir()} == {"conversation.wav", "events.jsonl", "report.html"}
    deadline = time.monotonic() + 5
    while _lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(process.pid)


def _lives(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    run = subprocess.run(
        f"{sys.executable} -m voiceloop.cli demo --pace fast --out {tmp_path / 'out'} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "caller" in run.stdout
    assert run.stderr == ""
