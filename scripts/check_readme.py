"""Check that what README.md shows is there: its commands, their flags, its extras and its links.

Run as ``python scripts/check_readme.py [FILE]``; it prints each thing that is not there and exits with 1. The Python
blocks of the README are run by ``tests/test_readme.py``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHELLS = frozenset({"sh", "bash", "shell", "console"})
# Commands of other people's tools, shown as they are.
FOREIGN = frozenset({"apt-get", "brew", "cd", "git", "ollama", "open", "source", "sudo", "xdg-open"})


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its first line's number, and what it ``needs`` to run, if anything.

    ``<!-- needs: a microphone -->`` on the line above a block says that it cannot run everywhere.
    """

    language: str
    text: str
    line: int
    needs: str = ""


def blocks(markdown: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order. Raises ValueError for a fence that is never closed."""
    fence, language, needs, start = "", "", "", 0
    body: list[str] = []
    for number, line in enumerate(markdown.splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,})\s*([\w+-]*)", line)
        if not fence:
            if mark:
                fence, language, start, body = mark[1], mark[2], number + 1, []
            elif note := re.fullmatch(r"\s*<!--\s*needs:\s*(.+?)\s*-->\s*", line):
                needs = note[1]
            elif line.strip():
                needs = ""
        elif line.strip() == fence:
            yield Block(language, "\n".join(body) + "\n", start, needs)
            fence = needs = ""
        else:
            body.append(line)
    if fence:
        raise ValueError(f"line {start - 1}: this fence is never closed")


def commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """The commands of a shell block, as (line number, words). In "console" blocks they are the lines with ``$``."""
    lines = block.text.splitlines()
    for offset, line in enumerate(lines):
        text = line.strip()
        if block.language == "console":
            if not text.startswith("$ "):
                continue
            text = text[2:]
        for part in re.split(r"\s(?:&&|\|\|?|;)\s", text):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
                words.pop(0)
            if words:
                yield block.line + offset, words


def problem(words: list[str], root: Path = ROOT) -> str | None:
    """What is wrong with a command, or None."""
    name, *rest = words
    if name == "make":
        return _make(rest, root)
    if name == "voiceloop":
        return _voiceloop(rest, root)
    if name in {"pip", "uv"} or words[:3] == ["python", "-m", "pip"]:
        return _extras(rest, root)
    if name in {"python", "python3"}:
        return _script(rest, root)
    if name in FOREIGN or name.startswith((".venv/", "#")):
        return None
    if "/" in name:
        return None if (root / name).exists() else f"{name} is not in the repository"
    return f"{name} is no command that this check knows"


def _make(rest: list[str], root: Path) -> str | None:
    targets = [word for word in rest if "=" not in word and not word.startswith("-")]
    known = set(re.findall(r"^([a-z][\w-]*):", (root / "Makefile").read_text(), re.MULTILINE))
    unknown = sorted(set(targets) - known)
    return f"the Makefile has no target {', '.join(unknown)}" if unknown else None


def _voiceloop(rest: list[str], root: Path) -> str | None:
    command = [word for word in rest[:1] if not word.startswith("-")]
    run = subprocess.run(
        [sys.executable, "-c", "from voiceloop.cli import main; main()", *command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        check=False,
    )
    if run.returncode:
        return f"`voiceloop {' '.join(command)} --help` exits with {run.returncode}"
    flags = {word.split("=")[0] for word in rest if word.startswith("-")}
    unknown = sorted(flag for flag in flags if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", run.stdout))
    return f"`voiceloop {' '.join(command)}` has no {', '.join(unknown)}" if unknown else None


def _extras(rest: list[str], root: Path) -> str | None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    known = set(project["project"]["optional-dependencies"])
    named = {extra.strip() for word in rest for group in re.findall(r"\[(.+?)\]", word) for extra in group.split(",")}
    unknown = sorted(named - known)
    return f"pyproject.toml has no extra {', '.join(unknown)}" if unknown else None


def _script(rest: list[str], root: Path) -> str | None:
    scripts = [word for word in rest[:1] if word.endswith(".py")]
    missing = [script for script in scripts if not (root / script).exists()]
    return f"{missing[0]} is not in the repository" if missing else None


def broken_links(markdown: str, root: Path = ROOT) -> Iterator[str]:
    """The links and pictures of a Markdown text that name a file which is not there."""
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", markdown):
        if not re.match(r"[a-z]+:", target) and not (root / target).exists():
            yield target


def main(argv: list[str]) -> int:
    """Check one file, by default README.md; returns the exit code."""
    path = Path(argv[0]) if argv else ROOT / "README.md"
    text = path.read_text()
    found = [f"link to {target}: no such file" for target in broken_links(text)]
    count = 0
    for block in blocks(text):
        if block.language not in SHELLS:
            continue
        for line, words in commands(block):
            count += 1
            if trouble := problem(words):
                found.append(f"line {line}: {shlex.join(words)}: {trouble}")
    for line in found:
        print(f"{path.name}: {line}", file=sys.stderr)
    print(f"{path.name}: {count} commands, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
