"""Event streams beside other clients: processor time, memory and opening, the service in a process of its own.

The floor is amazon-transcribe as it comes, and the official SDK where ``VOICELOOP_OFFICIAL_PYTHON`` names a Python
3.12 that has ``aws-sdk-transcribe-streaming`` and ``awscrt``; the targets are against the official one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from figures import HERE, Figure, main, start

_PYTHONS = {"voiceloop": sys.executable, "amazon-transcribe": sys.executable}
_OFFICIAL = os.environ.get("VOICELOOP_OFFICIAL_PYTHON")
if _OFFICIAL:
    _PYTHONS["official"] = _OFFICIAL
# What of another client's cost may be ours, at 50 streams: processor time, memory, opening.
_TARGETS = {"cpu_per_stream_minute": 0.5, "memory_kb": 0.2, "opening_ms": 0.25}
_NAMES = {
    "cpu_per_stream_minute": ("cpu", "s/min"),  # seconds for a minute of one stream
    "memory_kb": ("memory", "KB"),  # of one stream
    "opening_ms": ("opening", "ms"),  # one more, until the service answered
}


def measure(quick: bool) -> list[Figure]:
    """All clients at each size, one client at a time."""
    figures: list[Figure] = []
    with _serving() as served:
        for streams in (1, 10, 50):
            runs = {kind: _run(kind, streams, served, 4 if quick else 12) for kind in _PYTHONS}
            ours = runs.pop("voiceloop")
            figures.append(Figure(f"{streams:>2} streams: events answered", "of 1", ours["answered"], least=0.95))
            for what, ratio in _TARGETS.items():
                figures += [
                    _beside(streams, what, ours, kind, theirs, ratio if kind == "official" else None)
                    for kind, theirs in runs.items()
                ]
    return figures


def _beside(
    streams: int, what: str, ours: dict[str, Any], kind: str, theirs: dict[str, Any], ratio: float | None
) -> Figure:
    name, unit = _NAMES[what]
    most = ratio if streams == 50 else None
    return Figure(f"{streams:>2} streams: {name}, against {kind}", unit, ours[what], theirs[what], most_ratio=most)


def _run(kind: str, streams: int, served: dict[str, Any], seconds: int) -> dict[str, Any]:
    command = [_PYTHONS[kind], "channel.py", kind, streams, "--port", served["port"], "--ca", served["ca"]]
    done = subprocess.run(
        [str(part) for part in (*command, "--seconds", seconds)], stdout=subprocess.PIPE, check=True, cwd=HERE
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _serving() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        server = start("channel_server.py", folder)
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())
        finally:
            server.terminate()
            server.communicate()


if __name__ == "__main__":
    main("channel", measure)
