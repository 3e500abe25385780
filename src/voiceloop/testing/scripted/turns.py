"""A turn detector for the sound of :func:`tone` and :func:`silence`, exact to the chunk."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, frozen

from voiceloop.audio import AudioFormat
from voiceloop.interfaces import Silent, Speaking, TurnDetector, TurnOver, TurnSignal, TurnState
from voiceloop.testing.scripted.sound import is_speech


@frozen(eq=False)
class ScriptedTurns(TurnDetector):
    """Hears speech in a chunk whose first sample is loud.

    ``speaking_ms``: Speaking is sent when so much of a stretch was speech. ``silent_ms``: a pause this long is
    Silent; a shorter one belongs to the stretch. ``over_ms``: a pause this long is TurnOver (None: never).
    """

    name = "scripted turns"

    speaking_ms: tuple[float, ...] = (100, 250)
    silent_ms: float = 100
    over_ms: float | None = None

    def start(self, format: AudioFormat) -> TurnState:
        return _State(self, format)


@define(eq=False)
class _State(TurnState):
    _turns: ScriptedTurns
    _format: AudioFormat
    _now: float = 0.0
    _since: float | None = None
    _voiced: float = 0.0
    _quiet: float = 0.0
    _sent: int = 0
    _silent: bool = True

    def audio(self, pcm: bytes) -> Sequence[TurnSignal]:
        ms = self._format.ms(len(pcm) // 2)
        if not is_speech(pcm):
            return self.silence(ms)
        if self._since is None or (self._silent and self._sent):
            self._since, self._voiced, self._sent = self._now, 0.0, 0
        self._silent = False
        self._quiet = 0.0
        self._now += ms
        self._voiced += ms
        steps = self._turns.speaking_ms
        if self._sent == len(steps) or self._voiced < steps[self._sent]:
            return ()
        while self._sent < len(steps) and self._voiced >= steps[self._sent]:
            self._sent += 1
        return (Speaking(self._since, self._voiced),)

    def silence(self, ms: float) -> Sequence[TurnSignal]:
        self._now += ms
        if self._since is None:
            return ()
        before, self._quiet = self._quiet, self._quiet + ms
        signals: list[TurnSignal] = []
        if not self._silent and self._quiet >= self._turns.silent_ms:
            self._silent = True
            if self._sent:
                signals.append(Silent(self._now - self._quiet))
            else:
                self._since = None
        over = self._turns.over_ms
        if over is not None and self._sent and before < over <= self._quiet:
            signals.append(TurnOver("silence"))
        return signals
