"""``.env`` files of the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceloop import Cascade, presets
from voiceloop.aws import NovaSonic
from voiceloop.cli import main
from voiceloop.cli.environment import load, settle_region
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
    read = set(re.findall(r'"((?:NOVA|AWS|OPENAI|VOICELOOP|USE)_[A-Z_]+)"', _sources()))
    assert read == shown - CHAIN
    assert shown >= CHAIN


CHAIN = {
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
}  # read by the AWS providers, and by boto


def _sources() -> str:
    room = ROOT / "src" / "voiceloop"
    paths = (*(room / "presets").glob("*.py"), room / "cli" / "serve.py", room / "cli" / "environment.py")
    return "\n".join(path.read_text() for path in paths)


def test_the_example_holds_as_it_stands(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    (tmp_path / ".env").write_text("\n".join(re.sub(r"^#([A-Z_]+=)", r"\1", line) for line in lines))
    environ: dict[str, str] = {}
    load(tmp_path, environ)
    assert environ["NOVA_SONIC_SESSION_TIMEOUT"] == "480000"
    model = presets.nova(environ=environ).model
    assert isinstance(model, NovaSonic)
    assert (model.voice, model.output_rate, model.account.region) == ("matthew", 24_000, "us-east-1")
    assert isinstance(presets.aws(environ=environ).model, Cascade)
    assert presets.usual(environ) == "local"


@pytest.fixture
def no_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No region anywhere; the file where the profiles are."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path / "config"


def test_the_region_for_want_of_one(no_region: Path) -> None:
    environ: dict[str, str] = {}
    assert settle_region(environ) == "us-east-1"
    assert environ == {"AWS_REGION": "us-east-1"}


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_region_of_the_environment_stays(name: str, no_region: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "eu-west-1")
    environ: dict[str, str] = {}
    assert settle_region(environ) is None
    assert environ == {}


def test_a_region_of_the_profile_stays(no_region: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_region.write_text("[profile work]\nregion = eu-west-1\n")
    assert settle_region({}) == "us-east-1"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert settle_region({}) is None
    monkeypatch.setenv("AWS_PROFILE", "play")
    with pytest.raises(BadInput, match="no profile 'play'"):
        settle_region({})
