"""Fixtures for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure: no test is judged by how long an example took.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of human speech clips: VOICELOOP_CLIPS, by default ../shared/audio beside the repository."""
    folder = Path(os.environ.get("VOICELOOP_CLIPS", _ROOT.parent / "shared" / "audio"))
    if not (folder / "index.json").exists():
        pytest.skip(f"the human speech clips are not in {folder}; set VOICELOOP_CLIPS to their folder")
    return folder


# On a machine with all cores busy these would measure the machine.
_REAL_TIME = ("cli", "transports", "test_examples.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(_ROOT / "tests").parts[0] in _REAL_TIME:
            item.add_marker(pytest.mark.real_time)
