"""Sessions in one process, by voiceloop and by hand, in alternation: added latency, processor time and memory.

Added latency is first audio minus the critical path: the times of the providers, which no program can beat.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

from figures import Figure, main, percentile, slope, start, told

KINDS = ("hand", "voiceloop")
Runs = dict[tuple[str, int], list[dict[str, Any]]]
_CARRIED_MS = 200.0


def measure(quick: bool) -> list[Figure]:
    """All figures; ``quick`` measures fewer sessions, for less time."""
    return [*_one(quick), *_many(quick), *_interruptions(quick)]


def _pair(*options: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The floor and voiceloop at the same time; only for a few sessions, which leave both cores idle."""
    running = [start("load.py", kind, *options) for kind in KINDS]
    floor, ours = map(told, running)
    return floor, ours


def _one(quick: bool) -> list[Figure]:
    seconds = 10 if quick else 50
    floor, ours = _pair(1, "--seconds", seconds, "--cycle", 2, "--speech", 0.3, "--ms-per-char", 5, "--patience", 1)
    return [_added(1, p, [ours], [floor]) for p in (50, 95, 99)] + [_unanswered([ours])]


def _many(quick: bool) -> list[Figure]:
    sizes, seconds, rounds = ((50, 200), 5, 1) if quick else ((50, 100, 200, 400, 600), 8, 2)
    runs: Runs = defaultdict(list)
    for _ in range(rounds):
        for size in sizes:
            for kind in KINDS:
                runs[kind, size].append(told(start("load.py", kind, size, "--seconds", seconds, "--patience", 1.2)))
    figures = []
    for size in sizes:
        ours, floor = runs["voiceloop", size], runs["hand", size]
        figures += [_added(size, p, ours, floor) for p in (50, 95, 99)]
        figures += [_unanswered(ours), _lag(size, ours, floor)]
    return [*figures, *_further(runs, [size for size in sizes if size <= 200]), _carried(runs, sizes)]


def _added(size: int, percent: int, ours: list[dict[str, Any]], floor: list[dict[str, Any]]) -> Figure:
    """Of the runs of a kind the median counts, so that one disturbed run does not."""
    value, by_hand = (
        statistics.median(percentile(run["added_ms"], percent) for run in runs) for runs in (ours, floor)
    )
    ratio = 2.0 if percent == 95 and size <= 200 else None
    most = _CARRIED_MS if percent == 95 and size > 200 else None
    return Figure(f"{size:>4} sessions: added latency p{percent}", "ms", value, by_hand, most=most, most_ratio=ratio)


def _unanswered(runs: list[dict[str, Any]]) -> Figure:
    missing = sum(run["asked"] - len(run["added_ms"]) for run in runs)
    return Figure(f"{runs[0]['sessions']:>4} sessions: questions unanswered", f"of {_asked(runs)}", missing, most=0)


def _asked(runs: list[dict[str, Any]]) -> int:
    return sum(run["asked"] for run in runs)


def _lag(size: int, ours: list[dict[str, Any]], floor: list[dict[str, Any]]) -> Figure:
    value, by_hand = (statistics.median(run["lag_p99_ms"] for run in runs) for runs in (ours, floor))
    return Figure(f"{size:>4} sessions: event loop lag p99", "ms", value, by_hand)


def _further(runs: Runs, sizes: list[int]) -> list[Figure]:
    """What one more session costs: the slope over the sizes that leave the processor idle."""

    def per_session(kind: str, what: str) -> float:
        rounds = zip(*(runs[kind, size] for size in sizes), strict=True)
        return statistics.median(slope([(run["sessions"], run[what]) for run in one]) for one in rounds)

    cpu = [per_session(kind, "cpu_percent") for kind in KINDS]
    memory = [per_session(kind, "resident_mb") for kind in KINDS]
    return [
        Figure("further session: processor", "% of a core", cpu[1], cpu[0], most=0.22),
        Figure("further session: memory", "MB", memory[1], memory[0], most=0.25),
    ]


def _carried(runs: Runs, sizes: tuple[int, ...]) -> Figure:
    """The most sessions with p95 below 200 ms and every question answered."""

    def fine(run: dict[str, Any]) -> bool:
        return percentile(run["added_ms"], 95) < _CARRIED_MS and run["asked"] == len(run["added_ms"])

    carried = max((size for size in sizes if any(map(fine, runs["voiceloop", size]))), default=0)
    return Figure("sessions carried with p95 below 200 ms", "of those tried", carried, least=max(sizes))


def _interruptions(quick: bool) -> list[Figure]:
    options = (4, "--barge-in", "--cycle", 2.5, "--seconds", 5 if quick else 20)
    floor, ours = _pair(*options)
    return [
        Figure(
            "barge-in: signal to last chunk, longest", "ms", ours["last_chunk_ms"], floor["last_chunk_ms"], most=0.2
        ),
        Figure(
            "barge-in: signal to Interrupted in hand, p50",
            "ms",
            *(percentile(run["stops_ms"], 50) for run in (ours, floor)),
        ),
    ]


if __name__ == "__main__":
    main("sessions", measure)
