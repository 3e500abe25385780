"""What the documentation's build adds to MkDocs (see mkdocs.yml).

A hook puts what each command says with ``--help`` into the page that asks for it. An extension turns the mark-up of
docstrings into Markdown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import griffe

MARK = "<!-- help of every command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with each page."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


def commands() -> str:
    """A section for ``voiceloop`` and one for each of its commands."""
    first = _help()
    names = re.findall(r"^    (\w+) ", first, re.MULTILINE)
    sections = {"voiceloop": first} | {f"voiceloop {name}": _help(name) for name in names}
    return "\n".join(f"## {title}\n\n```text\n{text}```\n" for title, text in sections.items())


def _help(*command: str) -> str:
    call = [sys.executable, "-m", "voiceloop.cli", *command, "--help"]
    width = {**os.environ, "COLUMNS": "96"}
    return subprocess.run(call, env=width, capture_output=True, text=True, timeout=60, check=True).stdout


class Docstrings(griffe.Extension):
    """Docstrings as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe with each thing that may have a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)


def markdown_of(text: str) -> str:
    """Roles become code, ``::`` and simple tables become blocks of code."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    text = re.sub(r"^={3,}[ =]*$.*^={3,}[ =]*$", lambda table: f"```text\n{table[0]}\n```", text, flags=re.M | re.S)
    text = re.sub(r"^::\n\n((?: {4}.*\n?|\n)+)", _block, text, flags=re.MULTILINE)
    return re.sub(r"::\n\n((?: {4}.*\n?|\n)+)", lambda found: f":\n\n{_block(found)}", text)


def _block(found: re.Match[str]) -> str:
    code = re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE).strip("\n")
    language = (
        "python"
        if re.search(r"^(async |await |with |from |import |@|def |match |\w+ = \w+\()", code, re.M)
        else "text"
    )
    return f"```{language}\n{code}\n```\n\n"
