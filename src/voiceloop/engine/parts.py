"""What a session is made of, checked and complete."""

from __future__ import annotations

from collections.abc import AsyncIterable

from attrs import frozen

from voiceloop.audio import AudioFormat
from voiceloop.engine.ears import Hearing
from voiceloop.engine.pool import Pool
from voiceloop.engine.speaker import Voice
from voiceloop.interfaces import MarkKind, Memory, Observer, Settings, SpeechModel, TurnDetector
from voiceloop.rules.budgets import Idle, Limits


@frozen
class Plan:
    """How it behaves. ``input`` is the session's format, ``hears`` what ``model`` takes."""

    model: str
    input: AudioFormat
    hears: AudioFormat
    hearing: Hearing
    voice: Voice
    limits: Limits
    idle: Idle | None = None
    ignores_echo: bool = True


@frozen
class Parts:
    """What it is made of, besides its plan."""

    model: SpeechModel
    plan: Plan
    settings: Settings
    want: frozenset[MarkKind]
    conversation_id: str
    turns: TurnDetector | None = None
    memory: Memory | None = None
    pool: Pool | None = None
    audio: AsyncIterable[bytes] | None = None
    observers: tuple[Observer, ...] = ()
