"""A session's turn detector: it may be missing, and it may break."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.engine.blame import blame
from voiceloop.engine.wake import Timers
from voiceloop.errors import VoiceloopError
from voiceloop.interfaces import Final, Partial, TurnDetector, TurnSignal, TurnState


class Detector:
    """Asks ``turns`` what it hears in ``format``; without one, nothing.

    One that raises is asked nothing more and fails the session: by a timer, not in whoever sends the audio.
    """

    def __init__(self, turns: TurnDetector | None, format: AudioFormat, timers: Timers) -> None:
        self._blame = blame("turn detector" if turns is None else turns.name, "detecting speech")
        self._timers = timers
        self._state: TurnState | None = None
        if turns is not None:
            with self._blame:
                self._state = turns.start(format)

    def __bool__(self) -> bool:
        return self._state is not None

    def audio(self, pcm: bytes) -> Iterable[TurnSignal]:
        """See :meth:`TurnState.audio`."""
        return self._ask(lambda state: state.audio(pcm))

    def transcript(self, item: Partial | Final) -> Iterable[TurnSignal]:
        """See :meth:`TurnState.transcript`."""
        return self._ask(lambda state: state.transcript(item))

    def silence(self, ms: float) -> Iterable[TurnSignal]:
        """See :meth:`TurnState.silence`."""
        return self._ask(lambda state: state.silence(ms))

    def _ask(self, question: Callable[[TurnState], Iterable[TurnSignal]]) -> Iterable[TurnSignal]:
        if self._state is None:
            return ()
        try:
            with self._blame:
                return question(self._state)
        except VoiceloopError as failure:
            error, self._state = failure, None

            def fail() -> None:
                raise error

            self._timers.set("detector", clock.now(), fail)
            return ()
