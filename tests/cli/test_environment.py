"""``.env`` files of the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceloop.cli import main
from voiceloop.cli.environment import load
from voiceloop.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_set_already_goes_first_and_the_local_file_before_the_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=2\nC=3\n")
    (tmp_path / ".env.local").write_text("B=two\n")
    environ = {"A": "one"}
    load(tmp_path, environ)
    assert environ == {"A": "one", "B": "two", "C": "3"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=plain", "plain"),
        ("  export X = spaced  ", "spaced"),
        ("X='a # b'", "a # b"),
        ('X="quoted"', "quoted"),
        ("X=a=b", "a=b"),
        ("X=a # why", "a"),
        ("X=a#b", "a#b"),
        ("X=", ""),
        ("# X=1\n\nX=2", "2"),
    ],
)
def test_lines(line: str, value: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(line)
    environ: dict[str, str] = {}
    load(tmp_path, environ)
    assert environ == {"X": value}


@pytest.mark.parametrize("line", ["HIDDEN", "1HIDDEN=2", "X='HIDDEN", "HI-DDEN=1", 'X="'])
def test_a_line_that_is_none_is_named_and_not_shown(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"A=1\n{line}\n")
    with pytest.raises(BadInput, match="line 2") as refused:
        load(tmp_path, {})
    assert "HIDDEN" not in str(refused.value).replace(str(tmp_path), "")


def test_the_command_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICELOOP_SECRET", "")
    monkeypatch.delenv("VOICELOOP_SECRET")
    (tmp_path / ".env.local").write_text("VOICELOOP_SECRET=short\n")
    assert main(["serve", "--no-open", "--port", "0"]) == 2
    assert "at least 8 characters" in capsys.readouterr().err


def test_the_example_names_what_the_presets_read() -> None:
    shown = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read = set(re.findall(r'"((?:NOVA|AWS_BEDROCK|VOICELOOP)_[A-Z_]+)"', _sources()))
    assert read - {"NOVA_VOICE_ID"} <= shown


def _sources() -> str:
    return "\n".join((ROOT / "src" / "voiceloop" / name).read_text() for name in ("presets.py", "cli/serve.py"))
