"""All benchmarks, one after another, in one table: ``python run.py [--quick] [NAME ...]``.

Each figure is measured beside the same providers joined by hand (the floor) where that is possible, so that the ratio
says something on a busy machine too. The figures are kept as JSON in ``results/``.
"""

from __future__ import annotations

import argparse
import importlib
import time

from figures import HERE, RESULTS, header, keep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(names)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="short runs, for work on the benchmarks themselves")
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    began, short = time.monotonic(), 0
    print(header(), flush=True)
    for name in options.names or names:
        figures = importlib.import_module(f"bench_{name}").measure(options.quick)
        print(f"-- {name}", *figures, sep="\n", flush=True)
        keep(name, figures)
        short += sum(figure.verdict == "SHORT" for figure in figures)
    where, took = RESULTS.relative_to(HERE.parents[1]), time.monotonic() - began
    print(f"{short} short of the target; {took:.0f} s; kept in {where}")


if __name__ == "__main__":
    main()
