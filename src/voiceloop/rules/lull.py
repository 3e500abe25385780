"""Something ended: does anything go on, or what comes next?"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

Next: TypeAlias = Literal["goes on", "end", "await answer", "await words", "idle"]
"""It goes on by itself; the session ends; or it waits: for the model's answer, for late words, or for the user."""


@frozen
class Lull:
    """What is going on in a session.

    ``speaking``: a turn of the assistant is alive, waiting or unsettled, or a tool runs. ``hearing``: an utterance
    goes on or is being decided. ``unanswered``: one is over and has no answer yet. ``ending``: somebody asked for the
    end. ``input_ended``: nothing more will be said. ``model_answers``: the model answers by itself, or does not.
    ``late_words``: words of what was said may still come.
    """

    speaking: bool
    hearing: bool = False
    unanswered: bool = False
    ending: bool = False
    input_ended: bool = False
    model_answers: bool = False
    late_words: bool = False


def follows(lull: Lull) -> Next:
    """What comes next."""
    if lull.speaking:
        return "goes on"
    if lull.ending:
        return "end"
    if lull.hearing or lull.unanswered:
        return "await answer" if lull.input_ended and lull.model_answers else "goes on"
    if lull.input_ended:
        return "await words" if lull.late_words else "end"
    return "idle"
