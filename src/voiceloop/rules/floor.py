"""Who has the floor: one table over every state and event, for every speech model.

``SUSPECT`` is about 100 ms of speech or a model's soft hint; ``CONFIRM`` is about 250 ms of speech; ``WORDS`` is a
recognized word that is not the assistant's own echo.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal, TypeAlias

BargeIn: TypeAlias = Literal["speech", "words", "off"]


class Floor(Enum):
    """Who may speak."""

    OPEN = auto()
    """The user: no reply is being made or played."""
    THINKING = auto()
    """A reply is being made; nothing of it was heard yet."""
    HELD = auto()
    """As THINKING, but the user may be going on: nothing of the reply is let out."""
    SPEAKING = auto()
    """The assistant: the listener hears a reply."""
    PAUSED = auto()
    """As SPEAKING, but the user may be interrupting: playback is paused, nothing is discarded."""


class Happening(Enum):
    """What happens to the floor."""

    REQUESTED = auto()
    """A reply was asked for."""
    AUDIBLE = auto()
    """The first audio (or text, when not speaking) of the reply left."""
    DONE = auto()
    """The reply was played to its end, or ended in another way."""
    SUSPECT = auto()
    CONFIRM = auto()
    WORDS = auto()
    DOUBT = auto()
    """Nothing confirmed the suspicion in time."""
    TYPED = auto()
    """Typed text, a call of ``interrupt``, or the model's own strong signal."""


class Act(Enum):
    """What is to be done."""

    NOTHING = auto()
    HOLD = auto()
    """Let nothing out, say nothing."""
    RELEASE = auto()
    PAUSE = auto()
    RESUME = auto()
    INTERRUPT = auto()
    """The turn is dead; keep what was heard."""
    MERGE = auto()
    """The turn never happened; what the user says now belongs to what they said before."""


_STAY = Act.NOTHING
TABLE: dict[tuple[Floor, Happening], tuple[Floor, Act]] = {
    (Floor.OPEN, Happening.REQUESTED): (Floor.THINKING, _STAY),
    (Floor.OPEN, Happening.AUDIBLE): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.DONE): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.SUSPECT): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.CONFIRM): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.WORDS): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.DOUBT): (Floor.OPEN, _STAY),
    (Floor.OPEN, Happening.TYPED): (Floor.OPEN, _STAY),
    (Floor.THINKING, Happening.REQUESTED): (Floor.THINKING, _STAY),
    (Floor.THINKING, Happening.AUDIBLE): (Floor.SPEAKING, _STAY),
    (Floor.THINKING, Happening.DONE): (Floor.OPEN, _STAY),
    (Floor.THINKING, Happening.SUSPECT): (Floor.HELD, Act.HOLD),
    (Floor.THINKING, Happening.CONFIRM): (Floor.OPEN, Act.MERGE),
    (Floor.THINKING, Happening.WORDS): (Floor.OPEN, Act.MERGE),
    (Floor.THINKING, Happening.DOUBT): (Floor.THINKING, _STAY),
    (Floor.THINKING, Happening.TYPED): (Floor.OPEN, Act.INTERRUPT),
    (Floor.HELD, Happening.REQUESTED): (Floor.HELD, _STAY),
    (Floor.HELD, Happening.AUDIBLE): (Floor.PAUSED, Act.PAUSE),
    (Floor.HELD, Happening.DONE): (Floor.OPEN, _STAY),
    (Floor.HELD, Happening.SUSPECT): (Floor.HELD, _STAY),
    (Floor.HELD, Happening.CONFIRM): (Floor.OPEN, Act.MERGE),
    (Floor.HELD, Happening.WORDS): (Floor.OPEN, Act.MERGE),
    (Floor.HELD, Happening.DOUBT): (Floor.THINKING, Act.RELEASE),
    (Floor.HELD, Happening.TYPED): (Floor.OPEN, Act.INTERRUPT),
    (Floor.SPEAKING, Happening.REQUESTED): (Floor.SPEAKING, _STAY),
    (Floor.SPEAKING, Happening.AUDIBLE): (Floor.SPEAKING, _STAY),
    (Floor.SPEAKING, Happening.DONE): (Floor.OPEN, _STAY),
    (Floor.SPEAKING, Happening.SUSPECT): (Floor.PAUSED, Act.PAUSE),
    (Floor.SPEAKING, Happening.CONFIRM): (Floor.OPEN, Act.INTERRUPT),
    (Floor.SPEAKING, Happening.WORDS): (Floor.OPEN, Act.INTERRUPT),
    (Floor.SPEAKING, Happening.DOUBT): (Floor.SPEAKING, _STAY),
    (Floor.SPEAKING, Happening.TYPED): (Floor.OPEN, Act.INTERRUPT),
    (Floor.PAUSED, Happening.REQUESTED): (Floor.PAUSED, _STAY),
    (Floor.PAUSED, Happening.AUDIBLE): (Floor.PAUSED, _STAY),
    (Floor.PAUSED, Happening.DONE): (Floor.OPEN, _STAY),
    (Floor.PAUSED, Happening.SUSPECT): (Floor.PAUSED, _STAY),
    (Floor.PAUSED, Happening.CONFIRM): (Floor.OPEN, Act.INTERRUPT),
    (Floor.PAUSED, Happening.WORDS): (Floor.OPEN, Act.INTERRUPT),
    (Floor.PAUSED, Happening.DOUBT): (Floor.SPEAKING, Act.RESUME),
    (Floor.PAUSED, Happening.TYPED): (Floor.OPEN, Act.INTERRUPT),
}


def weighed(happened: Happening, floor: Floor, *, only_suspects: bool, merges: bool) -> Happening:
    """What a barge-in counts as.

    Only as a suspicion where the model alone may interrupt itself (``only_suspects``), and where mere speech would
    end an answer of which nothing was heard and which cannot be asked again (not ``merges``).
    """
    lost = happened is Happening.CONFIRM and floor in (Floor.THINKING, Floor.HELD) and not merges
    return Happening.SUSPECT if only_suspects or lost else happened


def decide(floor: Floor, happened: Happening, *, barge_in: BargeIn = "speech") -> tuple[Floor, Act]:
    """The next state and what to do.

    While the assistant is heard, ``barge_in`` "words" lets speech alone only suspect, and "off" lets it do nothing.
    """
    if floor in (Floor.SPEAKING, Floor.PAUSED):
        if barge_in == "words" and happened is Happening.CONFIRM:
            happened = Happening.SUSPECT
        if barge_in == "off" and happened in (Happening.SUSPECT, Happening.CONFIRM, Happening.WORDS):
            return floor, Act.NOTHING
    return TABLE[floor, happened]
