"""The arguments of a session, checked where they are given."""

from __future__ import annotations

import math
from types import NoneType

from voiceloop.audio import AudioFormat
from voiceloop.engine.pool import Pool
from voiceloop.errors import BadInput
from voiceloop.interfaces import Memory, SpeechModel, Synthesizer, TurnDetector
from voiceloop.rules.budgets import Idle, Limits
from voiceloop.rules.endpointing import Endpointing

_KINDS: dict[str, tuple[type, ...]] = {
    "model": (SpeechModel,),
    "instructions": (str,),
    "voice": (str, NoneType),
    "speak": (bool,),
    "input": (AudioFormat,),
    "output": (AudioFormat,),
    "turns": (TurnDetector, str),
    "endpointing": (Endpointing,),
    "eager": (bool,),
    "ignore_echo": (bool,),
    "idle": (Idle, NoneType),
    "narrator": (Synthesizer, NoneType),
    "conversation_id": (str, NoneType),
    "memory": (Memory, NoneType),
    "limits": (Limits,),
    "pool": (Pool, NoneType),
}
_CHOICES = {
    "visemes": ("off", "prompt", "synced"),
    "barge_in": ("speech", "words", "off"),
    "turns": ("auto", "manual"),
}
_LEAST = {"chunk_ms": 1, "lead": 0, "viseme_wait": 0}
"""The numbers, all above 0."""

_MAY_BE_NONE = ("chunk_ms", "lead")
_HINTS = {"model": "Join a recognizer, a reasoner and a synthesizer by Cascade(recognizer, reasoner, synthesizer)."}


def check(**given: object) -> None:
    """Raises BadInput for the first argument, by its name, that a session does not take."""
    for name, value in given.items():
        if name in _KINDS:
            _check_kind(name, value)
        if name in _CHOICES and not isinstance(value, TurnDetector) and value not in _CHOICES[name]:
            raise BadInput(f"{name}={value!r}: one of {', '.join(map(repr, _CHOICES[name]))} is allowed")
        if name in _LEAST and not (value is None and name in _MAY_BE_NONE):
            _check_number(name, value, _LEAST[name])


def _check_kind(name: str, value: object) -> None:
    if not isinstance(value, _KINDS[name]):
        allowed = " or ".join("None" if kind is NoneType else kind.__name__ for kind in _KINDS[name])
        shown = repr(value) if isinstance(value, str | int | float | NoneType) else type(value).__name__
        raise BadInput(f"{name}={shown}: {allowed} is allowed", hint=_HINTS.get(name, ""))


def _check_number(name: str, value: object, least: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and least <= value < math.inf and value > 0):  # type: ignore[operator]
        allowed = f"a number from {least:g} on" if least else "a number above 0"
        raise BadInput(f"{name}={value!r}: {allowed} is allowed")
