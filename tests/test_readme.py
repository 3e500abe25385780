"""The README keeps its promises: its Python blocks run, and its commands, flags and links are there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_readme", ROOT / "scripts" / "check_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check = _load()
BLOCKS = [block for block in check.blocks((ROOT / "README.md").read_text()) if block.language == "python"]


@pytest.mark.parametrize("block", [pytest.param(b, id=f"line-{b.line}") for b in BLOCKS])
def test_a_python_block_runs_or_at_least_imports_what_exists(block, tmp_path: Path) -> None:
    text = block.text
    if block.needs:
        compile(text, f"README line {block.line}", "exec")
        text = "\n".join(line for line in text.splitlines() if line.startswith(("import ", "from ")))
    script = tmp_path / "test_block.py"
    script.write_text(text)
    command = [sys.executable, "-W", "error", str(script)]
    if "def test_" in text:
        options = ["asyncio_mode=auto", "asyncio_default_fixture_loop_scope=function"]
        command[3:3] = [
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *(word for each in options for word in ("-o", each)),
        ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_commands_and_links_are_there() -> None:
    assert check.main([]) == 0


def test_blocks_are_found_with_their_line_language_and_needs() -> None:
    text = "a\n\n<!-- needs: a microphone -->\n```python\nx = 1\n```\n\n~~~console\n$ make demo\n~~~\n"
    assert list(check.blocks(text)) == [
        check.Block("python", "x = 1\n", 5, "a microphone"),
        check.Block("console", "$ make demo\n", 9, ""),
    ]


def test_an_open_fence_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(check.blocks("text\n```python\nx = 1\n"))


def test_commands_skip_output_comments_and_settings() -> None:
    block = check.Block("console", "$ CI=1 make test ARGS='-k wav' && cd x  # runs\n31 passed\n", 3)
    assert list(check.commands(block)) == [(3, ["make", "test", "ARGS=-k wav"]), (3, ["cd", "x"])]


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        (["make", "demo", "ARGS=--open"], None),
        (["make", "coffee"], "no target coffee"),
        (["pip", "install", "voiceloop[local,cli]"], None),
        (["pip", "install", "voiceloop[soup]"], "no extra soup"),
        (["python", "examples/not_there.py"], "not in the repository"),
        (["python", "scripts/check_readme.py"], None),
        (["rm", "-rf", "/"], "no command that this check knows"),
    ],
)
def test_a_wrong_command_is_named(command: list[str], trouble: str | None) -> None:
    found = check.problem(command)
    assert found is None if trouble is None else trouble in found


def test_a_broken_link_is_named() -> None:
    text = "[a](README.md) [b](docs/none.md#part) [c](https://example.org) ![d](none.png 'title')"
    assert list(check.broken_links(text)) == ["docs/none.md", "none.png"]
