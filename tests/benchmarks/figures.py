"""What a benchmark found, one line for each figure, and the table of them."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import asdict, frozen

HERE = Path(__file__).parent
RESULTS = HERE / "results"
_COLUMNS = "{:<52} {:>9} {:>9} {:>7}  {:<14} {}"


@frozen
class Figure:
    """A measured value. ``floor``: the same of the program joined by hand. ``most``: the target for the value,
    ``most_ratio``: for value over floor; without either it is only told. ``least``: a target to reach at least."""

    what: str
    unit: str
    value: float
    floor: float | None = None
    most: float | None = None
    most_ratio: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def target(self) -> str:
        if self.least is not None:
            return f"at least {self.least:g}"
        if self.most is not None:
            return f"at most {self.most:g}"
        return f"{self.most_ratio:g} x floor" if self.most_ratio is not None else ""

    @property
    def verdict(self) -> str:
        if not self.target:
            return ""
        reached = (
            (self.least is None or self.value >= self.least)
            and (self.most is None or self.value <= self.most)
            and (self.most_ratio is None or (self.ratio is not None and self.ratio <= self.most_ratio))
        )
        return "ok" if reached else "SHORT"

    def __str__(self) -> str:
        floor = "" if self.floor is None else number(self.floor)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return _COLUMNS.format(
            f"{self.what} [{self.unit}]", number(self.value), floor, ratio, self.target, self.verdict
        ).rstrip()


def number(value: float) -> str:
    """Three digits that count."""
    if not math.isfinite(value):
        return "none"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def header() -> str:
    return _COLUMNS.format("", "measured", "floor", "ratio", "target", "")


def keep(name: str, figures: Iterable[Figure]) -> None:
    """Write the figures next to the benchmarks, as JSON."""
    RESULTS.mkdir(exist_ok=True)
    found = [asdict(figure) | {"ratio": figure.ratio, "verdict": figure.verdict} for figure in figures]
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def main(name: str, measure: Callable[[bool], list[Figure]]) -> None:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="short runs, for work on the benchmark itself")
    figures = measure(parser.parse_args().quick)
    print(header(), *figures, sep="\n")
    keep(name, figures)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a Python program of this folder, or Python with other arguments; it prints JSON."""
    return subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=HERE)


def told(process: subprocess.Popen[str]) -> dict:
    """What the program printed. Raises CalledProcessError when it failed."""
    out, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(out)


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that ``percent`` of the values do not exceed; not a number without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else math.nan


def slope(points: list[tuple[float, float]]) -> float:
    """By how much y grows with x, by least squares."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope
