"""Whether the words that are heard are the assistant's own, come back from the listener's loudspeaker."""

from __future__ import annotations

from math import inf

from voiceloop import clock
from voiceloop.engine.speaker import Speaker
from voiceloop.engine.turn import Turn
from voiceloop.rules.echo import is_echo

_TAIL = 2.0
"""How long after its end, in seconds, a turn may still be heard as an echo."""

_LAG_MS = 300.0
"""How late sound comes back: loudspeaker, air, microphone, and the way here."""


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
            ms = head.position_ms(at) + max(0.0, at - over) * 1000
            self._since = turn, ms - _LAG_MS - head.uncertainty_ms(at)

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
