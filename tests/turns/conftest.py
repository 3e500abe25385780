"""Fixtures of the turn detectors' tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .listening import Clip, Sounds


@pytest.fixture
def sounds() -> Sounds:
    return Sounds()


@pytest.fixture(scope="session")
def clip(clips: Path) -> Callable[[str], Clip]:
    """A human clip by the name of its file."""
    entries = {entry["file"]: entry for entry in json.loads((clips / "index.json").read_text())}
    return lambda name: Clip(clips, entries[name], Sounds())


@pytest.fixture(scope="session")
def all_clips(clips: Path) -> Sequence[Clip]:
    """All human clips."""
    return [Clip(clips, entry, Sounds()) for entry in json.loads((clips / "index.json").read_text())]
