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
    "anywhere.py": "wrote answer.wav",
    "anywhere.py aws --emulator": "polly:DescribeVoices",  # more of it on a machine that is not too busy to hear
    "anywhere.py nova --emulator": "bedrock:InvokeModel",
    "polly_file.py --emulator": "24 characters are billed",
    "-m pytest own_service/test_hotline.py": "4 passed",
    "-m pytest fastapi_app/test_app.py": "3 passed",
}
"""What each command prints, more or less."""


@pytest.mark.parametrize(("command", "tells"), EXAMPLES.items(), ids=EXAMPLES)
def test_the_example_runs(command: str, tells: str, tmp_path: Path) -> None:
    examples = _ROOT / "examples"
    words = [str(examples / word) if word.endswith(".py") else word for word in command.split()]
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert tells in done.stdout


def test_every_example_is_listed_and_tried() -> None:
    index = (_ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    found = {path.relative_to(_ROOT / "examples").as_posix() for path in (_ROOT / "examples").rglob("*.py")}
    needs_a_sound_card, tried_by_its_test = {"microphone.py"}, {"own_service/hotline.py", "fastapi_app/app.py"}
    tried = {word for command in EXAMPLES for word in command.split() if word.endswith(".py")}
    assert found - needs_a_sound_card - tried_by_its_test == tried
    assert all(f"({name})" in index for name in found)
