"""The bounds of a session: how long each wait may last and how much may wait."""

from __future__ import annotations

import attrs
from attrs import frozen

from voiceloop.errors import BadInput


@frozen
class Limits:
    """Bounds of one session; times in seconds. Reaching one is an event or an error, never silence.

    ``connect``: opening the model. ``input_stall``: the model takes no audio. ``input_buffer``: audio that may wait
    for the model. ``consumer_stall``: nobody takes events. ``signals``: events that may wait. ``reply_ahead``: audio
    made ahead of the listener before synthesis waits. ``reply_audio``: the most audio of one reply that may wait.
    ``close``: leaving the session. ``session``: the whole session (None: no limit), which then ends politely.
    ``suspicion``: a pause for a barge-in that nothing confirms. ``settle``: waiting for the player's last word on
    what was heard. ``player_stall``: a player that has audio and reports the same position for so long is given up:
    the turn ends there.
    """

    connect: float = 10.0
    input_stall: float = 5.0
    input_buffer: float = 10.0
    consumer_stall: float = 30.0
    signals: int = 1000
    reply_ahead: float = 10.0
    reply_audio: float = 300.0
    close: float = 5.0
    session: float | None = None
    suspicion: float = 1.0
    settle: float = 1.0
    player_stall: float = 10.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if value is None and name == "session":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise BadInput(f"limits.{name}={value!r}: a number above 0 is allowed")


@frozen
class Idle:
    """What to do when nobody says anything.

    After ``after`` seconds of silence the assistant speaks: ``say`` word for word, or by ``prompt`` in its own words.
    After ``times`` prompts without an answer nothing more is said, or the session ends politely with ``then_end``.
    """

    after: float = 10.0
    say: str | None = None
    prompt: str | None = None
    times: int = 2
    then_end: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.after > 0:
            raise BadInput(f"idle.after={self.after!r}: a number of seconds above 0 is allowed")
        if self.times < 1:
            raise BadInput(f"idle.times={self.times!r}: a whole number from 1 is allowed")
