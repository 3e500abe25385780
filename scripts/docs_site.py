"""What the documentation's build adds to MkDocs (see mkdocs.yml).

A hook puts what each command says with ``--help`` into the page that asks for it. An extension turns the mark-up of
docstrings into Markdown, and shows the arguments of attrs classes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
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


class Rendering(griffe.Extension):
    """Docstrings as Markdown; the arguments of attrs classes, which no source code spells out."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe with each thing that may have a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called by griffe when all is loaded."""
        for cls in _classes(pkg):
            if _is_attrs(cls) and "__init__" not in cls.members:
                parameters = griffe.Parameters(griffe.Parameter("self"), *_parameters(cls))
                cls["__init__"] = griffe.Function("__init__", parameters=parameters)


def _classes(inside: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in list(inside.members.values()):
        if not member.is_alias and isinstance(member, griffe.Module | griffe.Class):
            if isinstance(member, griffe.Class):
                yield member
            yield from _classes(member)


def _is_attrs(cls: griffe.Class) -> bool:
    return any(decorator.callable_path.startswith("attrs.") for decorator in cls.decorators)


def _parameters(cls: griffe.Class) -> list[griffe.Parameter]:
    """First those that have a place, then those that are keywords only, as attrs orders them."""
    found: dict[str, griffe.Parameter] = {}
    for owner in (*reversed(cls.mro()), cls):
        if _is_attrs(owner):
            all_keywords = any("kw_only=True" in str(decorator.value) for decorator in owner.decorators)
            own = (each for each in owner.members.values() if isinstance(each, griffe.Attribute))
            found |= {made.name: made for each in own if (made := _parameter(each, all_keywords))}
    keywords = griffe.ParameterKind.keyword_only
    return sorted(found.values(), key=lambda each: each.kind is keywords)


def _parameter(attribute: griffe.Attribute, all_keywords: bool) -> griffe.Parameter | None:
    """The parameter of the constructor that sets ``attribute``; None if there is none."""
    if attribute.annotation is None or "property" in attribute.labels or "instance-attribute" not in attribute.labels:
        return None
    options = {}
    default = attribute.value
    if isinstance(default, griffe.ExprCall) and str(default.function) == "field":
        options = {each.name: each.value for each in default.arguments if isinstance(each, griffe.ExprKeyword)}
        default = options.get("default", f"{options['factory']}()" if "factory" in options else None)
    if str(options.get("init")) == "False":
        return None
    keyword = str(options.get("kw_only", all_keywords)) == "True"
    kind = griffe.ParameterKind.keyword_only if keyword else griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(attribute.name.lstrip("_"), annotation=attribute.annotation, kind=kind, default=default)


def markdown_of(text: str) -> str:
    """Roles become code, ``::`` and simple tables become blocks of code."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    text = re.sub(r"^={3,}[ =]*$.*^={3,}[ =]*$", _table, text, flags=re.M | re.S)
    text = re.sub(r"^::\n\n((?: {4}.*\n?|\n)+)", _block, text, flags=re.MULTILINE)
    return re.sub(r"::\n\n((?: {4}.*\n?|\n)+)", lambda found: f":\n\n{_block(found)}", text)


def _table(found: re.Match[str]) -> str:
    rows = [line for line in found[0].splitlines() if not line.startswith("=")]
    return "```text\n" + "\n".join(rows) + "\n```"


_PYTHON = re.compile(r"^(async |await |with |from |import |@|def |match |\w+ = \w+\()", re.MULTILINE)


def _block(found: re.Match[str]) -> str:
    code = re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE).strip("\n").replace("``", "")
    return f"```{'python' if _PYTHON.search(code) else 'text'}\n{code}\n```\n\n"
