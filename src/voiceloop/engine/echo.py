"""Whether the words that are heard are the assistant's own, come back from the listener's loudspeaker."""

from __future__ import annotations

from math import inf

from voiceloop import clock
from voiceloop.engine.speaker import Speaker
from voiceloop.engine.turn import Turn
from voiceloop.rules.echo import is_echo
from voiceloop.rules.playout import WITHOUT_REPORTS_MS

_TAIL = 2.0
"""How long after its end, in seconds, a turn may still be heard as an echo."""

_LAG_MS = 300.0
"""How late sound comes back: loudspeaker, air, microphone, and the way here."""

_FRAMES_MS = 100.0
"""How wrong the beginning of speech and a reported position may be: both come in frames."""


class EchoGuard:
    """Compares words with the reply that is being played, from where it was when the user's speech began."""

    def __init__(self, speaker: Speaker, *, on: bool) -> None:
        self._speaker = speaker
        self._on = on
        self._last: tuple[Turn | None, float] = (None, -inf)
        self._since: tuple[Turn | None, float] = (None, -inf)

    def turn_over(self, turn: Turn) -> None:
        """``turn`` has ended."""
        self._last = turn, clock.now()

    def user_began(self, at: float) -> None:
        """The user's speech began ``at`` that time."""
        turn, over = self._played()
        if turn is not None:
            head = turn.track.playhead
            quiet = max(0.0, at - over, 0.0 if head.ahead_ms(at) else at - head.ends_at())
            doubt_ms = min(max(head.uncertainty_ms(at), _FRAMES_MS), WITHOUT_REPORTS_MS)
            unsure_ms = 0.0 if head.certain_of_all else doubt_ms
            self._since = turn, head.position_ms(at) + quiet * 1000 - _LAG_MS - unsure_ms

    def is_echo(self, text: str) -> bool:
        """Whether ``text`` is what the reply says in these moments."""
        turn, over = self._played()
        if not (self._on and text) or turn is None or not turn.audible or clock.now() - over > _TAIL:
            return False
        head = turn.track.playhead
        of, since = self._since
        since_ms = since if of is turn else -inf
        return head.paced and is_echo(text, turn.script.spoken(), head.position_ms(clock.now()), since_ms=since_ms)

    def _played(self) -> tuple[Turn | None, float]:
        """The turn that may be heard, and since when it is over."""
        current = self._speaker.current
        return self._last if current is None else (current, inf)
