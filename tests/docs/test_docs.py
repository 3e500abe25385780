"""The documentation keeps its promises: its programs run and print what it shows, its commands are there."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check = _module(ROOT / "scripts" / "check_readme.py")
PAGES = sorted(DOCS.rglob("*.md"))


def _blocks() -> list[object]:
    """Each Python block, and the output shown under it: the next block of the page, if that is ``text``."""
    found = []
    for page in PAGES:
        blocks = [*check.blocks(page.read_text(encoding="utf-8")), check.Block("", "", 0)]
        for block, following in pairwise(blocks):
            if block.language == "python":
                shown = following.text if following.language == "text" else None
                name = f"{page.relative_to(DOCS)}:{block.line}"
                found.append(pytest.param(block, shown, id=name))
    return found


@pytest.mark.parametrize(("block", "shown"), _blocks())
def test_a_python_block_runs_and_prints_what_is_shown(
    block, shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = compile(block.text, f"block at line {block.line}", "exec")
    monkeypatch.chdir(tmp_path)
    if block.needs:
        imports = [line for line in block.text.splitlines() if line.startswith(("import ", "from "))]
        exec("\n".join(imports), {})
        return
    if "def test_" in block.text:
        _as_tests(block.text, tmp_path)
        return
    try:
        exec(code, {"__name__": "__main__"})
    finally:
        asyncio.set_event_loop(None)
    printed = capsys.readouterr().out
    if shown is not None:
        shown, got = (re.sub(r"\d+(?= ms)", "0", text) for text in (shown, printed))  # times differ from run to run
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(shown, got, options), f"it printed:\n{printed}"


def _as_tests(text: str, folder: Path) -> None:
    (folder / "test_block.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_commands_are_there(page: Path) -> None:
    blocks = check.blocks(page.read_text(encoding="utf-8"))
    wrong = [
        f"line {line}: {trouble}"
        for block in blocks
        if block.language in check.SHELLS
        for line, words in check.commands(block)
        if (trouble := check.problem(words))
    ]
    assert wrong == []


# ---------------------------------------------------------------- pages that repeat what the code says


def test_the_table_of_the_floor_is_the_one_that_runs() -> None:
    from voiceloop.rules.floor import TABLE, Floor, Happening

    page = (DOCS / "explanation" / "turn-taking.md").read_text(encoding="utf-8")
    for happening in Happening:
        cells = [happening.name]
        for floor in Floor:
            after, act = TABLE[floor, happening]
            words = [after.name] if after is not floor else []
            words += [act.name.lower()] if act.name != "NOTHING" else []
            cells.append(", ".join(words) or "·")
        assert f"| {' | '.join(cells)} |" in page


def test_the_picture_of_the_floor_has_every_change_of_state() -> None:
    from voiceloop.rules.floor import TABLE

    page = (DOCS / "explanation" / "turn-taking.md").read_text(encoding="utf-8")
    drawn = {
        (start, happening, end)
        for start, happenings, end in re.findall(r'data-edge="(\w+) ([\w,]+) (\w+)"', page)
        for happening in happenings.split(",")
    }
    runs = {(start.name, on.name, end.name) for (start, on), (end, _) in TABLE.items() if start is not end}
    assert drawn == runs


def test_the_table_of_renewal_is_the_one_that_runs() -> None:
    from voiceloop.rules.renewal import TABLE, Act, Happening, State

    page = (DOCS / "explanation" / "aws.md").read_text(encoding="utf-8")
    for state in set(State) - {State.OVER}:
        follows = []
        for happening in (each for each in Happening if each is not Happening.LEFT):
            after, act = TABLE[state, happening]
            does = f" ({act.name.lower().replace('_', ' ')})" if act is not Act.NOTHING else ""
            follows += [f"{happening.name} → {after.name}{does}"] if (after, act) != (state, Act.NOTHING) else []
        assert f"| {state.name} | {', '.join(follows)} |" in page
        assert TABLE[state, Happening.LEFT] == (State.OVER, Act.CLOSE)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    names = {re.match(r"[\w-]+", each)[0] for each in wanted} - {"voiceloop"}  # type: ignore[index]
    page = (DOCS / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"| {name} |" not in page] == []


def test_every_public_name_is_in_the_reference() -> None:
    import voiceloop

    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: ([\w.]+)", pages, re.MULTILINE))

    def is_there(name: str) -> bool:
        parts = f"{getattr(getattr(voiceloop, name), '__module__', '')}.{name}".split(".")
        return f"`{name}`" in pages or any(".".join(parts[:size]) in shown for size in range(2, len(parts) + 1))

    assert [name for name in voiceloop.__all__ if not is_there(name)] == []


@pytest.mark.parametrize("package", ["voiceloop.aws", "voiceloop.local", "voiceloop.testing.aws"])
def test_every_name_of_a_package_is_in_the_reference(package: str) -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    shown = {
        name.rpartition(".")[2] for name in re.findall(rf"^::: ({re.escape(package)}[\w.]+)", pages, re.MULTILINE)
    }
    assert set(importlib.import_module(package).__all__) <= shown


def test_every_code_of_a_notice_is_listed() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    codes = set(re.findall(r'Notice\(\s*(?:code=)?"([\w-]+)"', sources))
    page = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
    assert codes == set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))


@pytest.mark.parametrize("name", ["invariants", "aws"])
def test_promises_name_tests_that_exist(name: str) -> None:
    page = (DOCS / "explanation" / f"{name}.md").read_text(encoding="utf-8")
    paths = re.findall(r"`(tests/[\w/.]+)`", page)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
