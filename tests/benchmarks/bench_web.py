"""Conversations over WebSockets in one server process, the callers in another, by voiceloop and by hand.

Added latency is what lies between the client and the providers: from a frame sent to the recognizer that has it, and
from the first audio that a voice made to the client that has it.
"""

from __future__ import annotations

import json
from typing import Any

from figures import Figure, main, percentile, slope, start, told

KINDS = ("hand", "voiceloop")
WAYS = {"up": "a frame until it is heard", "down": "audio until it is with the client"}
_CALLS = 100
_MOST_MS = 50.0


def measure(quick: bool) -> list[Figure]:
    """All figures; ``quick`` measures for less time, and fewer numbers of sessions."""
    sizes, seconds = ((10, _CALLS), 8) if quick else ((10, 50, _CALLS), 12)
    runs = {(kind, size): _run(kind, size, seconds) for size in sizes for kind in KINDS}
    figures = []
    for size in sizes:
        ours, floor = runs["voiceloop", size], runs["hand", size]
        figures += [_added(size, way, p, ours, floor) for way in WAYS for p in (50, 95, 99)]
        figures += [_lost(size, ours), _unanswered(size, ours), _late(size, ours), _processor(size, ours, floor)]
        figures.append(Figure(f"{size:>4} calls: memory", "MB", ours["resident_mb"], floor["resident_mb"]))
    return [*figures, *_further(runs, [size for size in sizes if size <= _CALLS])]


def _run(kind: str, size: int, seconds: float) -> dict[str, Any]:
    server = start("web_server.py", kind)
    try:
        assert server.stdout is not None
        where = json.loads(server.stdout.readline())
        return told(start("callers.py", where["url"], where["process"], size, "--seconds", seconds))
    finally:
        server.terminate()
        server.communicate()


def _added(size: int, way: str, percent: int, ours: dict[str, Any], floor: dict[str, Any]) -> Figure:
    value, by_hand = (percentile(run[f"{way}_ms"], percent) for run in (ours, floor))
    most = _MOST_MS if percent == 95 and size <= _CALLS else None
    return Figure(f"{size:>4} calls: {WAYS[way]}, p{percent}", "ms", value, by_hand, most=most)


def _unanswered(size: int, run: dict[str, Any]) -> Figure:
    return Figure(
        f"{size:>4} calls: questions unanswered", f"of {run['asked']}", run["asked"] - run["answered"], most=0
    )


def _lost(size: int, run: dict[str, Any]) -> Figure:
    return Figure(f"{size:>4} calls: connections lost", f"of {size}", len(run["lost"]), most=0)


def _late(size: int, run: dict[str, Any]) -> Figure:
    return Figure(f"{size:>4} calls: chunks later than their place", "", run["late"], most=0)


def _processor(size: int, ours: dict[str, Any], floor: dict[str, Any]) -> Figure:
    most = 90.0 if size == _CALLS else None
    return Figure(f"{size:>4} calls: processor", "% of a core", ours["cpu_percent"], floor["cpu_percent"], most=most)


def _further(runs: dict[tuple[str, int], dict[str, Any]], sizes: list[int]) -> list[Figure]:
    """What one more call costs."""

    def per_call(kind: str, what: str) -> float:
        return slope([(size, runs[kind, size][what]) for size in sizes])

    return [
        Figure(
            "further call: processor",
            "% of a core",
            per_call("voiceloop", "cpu_percent"),
            per_call("hand", "cpu_percent"),
        ),
        Figure("further call: memory", "MB", per_call("voiceloop", "resident_mb"), per_call("hand", "resident_mb")),
    ]


if __name__ == "__main__":
    main("web", measure)
