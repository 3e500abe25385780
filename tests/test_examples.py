"""Every example runs, by its own command, and does what its page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]

EXAMPLES = {
    "hello.py": "years old",
    "file_to_file.py": "heard: how old is the brooklyn bridge",
    "interrupt.py": "turn 1 interrupted",
    "own_intents/lights.py": "lights: {'hall': 'on'}",
    "own_provider.py": "keeps the contract",
}


@pytest.mark.parametrize(("example", "tells"), EXAMPLES.items(), ids=EXAMPLES)
def test_the_example_runs(example: str, tells: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", _ROOT / "examples" / example],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tells in done.stdout


def test_every_example_is_listed_and_tried() -> None:
    index = (_ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    found = {path.relative_to(_ROOT / "examples").as_posix() for path in (_ROOT / "examples").rglob("*.py")}
    needs_a_sound_card = {"microphone.py"}
    assert found - needs_a_sound_card == set(EXAMPLES)
    assert all(f"({name})" in index for name in found)
