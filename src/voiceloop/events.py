"""Everything a session yields: a closed union of frozen values.

``Event`` is the union; ``match`` with ``typing.assert_never`` finds every place where a new event must be handled.
Times called ``ms`` are milliseconds on the timeline of the reply that the event belongs to (0 is its first sample of
audio), except on user speech and transcripts, where they are milliseconds of input audio since the session began.
``at`` is the time in seconds since the session began at which the event left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from voiceloop.audio import AudioFormat

Basis: TypeAlias = Literal["measured", "estimated"]
Link: TypeAlias = Literal["connecting", "ready", "renewing", "recovering", "degraded", "closed"]


@frozen
class SpokenWord:
    """A recognized word: its text, ``start_ms`` and ``end_ms`` on the input timeline, and what is known of it."""

    text: str
    start_ms: float
    end_ms: float
    confidence: float | None = None
    stable: bool = False
    speaker: str | None = None


@frozen
class Heard:
    """What the listener heard of a turn: a prefix of what was said.

    ``ms``: how much of the turn's audio was played. ``basis``: "measured" when the player reported it, "estimated"
    when it was computed from the time since delivery or from text without word times; then ``uncertainty_ms`` bounds
    the error. ``dropped`` says why nothing was played, when nothing was.
    """

    text: str
    ms: float = 0.0
    basis: Basis = "measured"
    uncertainty_ms: float = 0.0
    dropped: str | None = None


@frozen(kw_only=True)
class BaseEvent:
    """What all events have: ``at``, seconds since the session began."""

    at: float = 0.0


@frozen
class SessionStarted(BaseEvent):
    """The first event. Formats are those of ``send_audio`` (input) and of ``AudioChunk`` (output)."""

    conversation_id: str
    model: str
    input: AudioFormat
    output: AudioFormat


@frozen
class SessionEnded(BaseEvent):
    """The last event.

    ``reason``: "ended", "input ended", "limit", "idle", "closed" or "failed"; ``error`` when it failed.
    """

    reason: str
    error: str | None = None


@frozen
class ConnectionState(BaseEvent):
    """The state of the connection to the speech model, or to a cascade's recognizer; ``detail`` says why it changed.

    ``state``: "connecting", "ready", "renewing", "recovering", "degraded" or "closed".
    """

    state: Link
    detail: str = ""


@frozen
class UserSpeechStarted(BaseEvent):
    """The user began to speak, at ``ms`` of the input."""

    ms: float


@frozen
class UserSpeechEnded(BaseEvent):
    """The user's turn is over; they stopped speaking at ``ms`` of the input."""

    ms: float


@frozen
class Transcript(BaseEvent):
    """What the user said, so far (``final=False``) or for good; exactly one final one for each utterance.

    ``utterance`` counts the user's utterances from 1. ``stable_chars``: how many leading characters will not change.
    """

    utterance: int
    text: str
    final: bool = False
    words: tuple[SpokenWord, ...] = ()
    stable_chars: int = 0
    confidence: float | None = None
    language: str | None = None


@frozen
class TranscriptRevised(BaseEvent):
    """The recognizer corrected an utterance after its final transcript. Never answered twice."""

    utterance: int
    before: str
    text: str


@frozen
class TurnStarted(BaseEvent):
    """The assistant begins to answer (``cause`` "reply"), or speaks by itself ("say", "greet", "idle").

    ``utterance`` is the one being answered, if any.
    """

    turn: int
    cause: Literal["reply", "say", "greet", "idle"] = "reply"
    utterance: int | None = None


@frozen
class ReplyText(BaseEvent):
    """A piece of the reply as the model wrote it; ``start`` is its offset, in characters, in the whole reply."""

    turn: int
    text: str
    start: int


@frozen
class AudioChunk(BaseEvent):
    """A piece of the reply's audio. Chunks of a turn are contiguous: ``start`` is its first sample's number."""

    turn: int
    pcm: bytes = field(repr=lambda pcm: f"<{len(pcm)} bytes>")
    format: AudioFormat
    start: int

    @property
    def samples(self) -> int:
        """How many samples the chunk holds."""
        return self.format.samples(self.pcm)

    @property
    def ms(self) -> float:
        """Where the chunk begins, in ms."""
        return self.format.ms(self.start)

    @property
    def duration_ms(self) -> float:
        """How long the chunk lasts, in ms."""
        return self.format.ms(self.samples)


@frozen
class Viseme(BaseEvent):
    """A mouth shape in Polly's alphabet, from ``ms`` on; comes before the audio it belongs to, or says ``late``."""

    turn: int
    code: str
    ms: float
    end_ms: float | None = None
    phoneme: str | None = None
    late: bool = False


@frozen
class Word(BaseEvent):
    """A word of the reply is spoken from ``ms`` on; ``start`` and ``end`` are its characters in the whole reply."""

    turn: int
    text: str
    ms: float
    start: int
    end: int
    end_ms: float | None = None
    late: bool = False


@frozen
class Paused(BaseEvent):
    """The user may be interrupting: no more audio of this turn for now. Pause or duck the player; discard nothing."""

    turn: int


@frozen
class Resumed(BaseEvent):
    """It was no interruption: the turn goes on where it stopped."""

    turn: int


@frozen
class Interrupted(BaseEvent):
    """The turn is dead: flush the player. ``heard`` is provisional; :class:`TurnEnded` has the last word."""

    turn: int
    heard: Heard
    cause: Literal["speech", "words", "text", "model", "call"] = "speech"


@frozen
class TurnEnded(BaseEvent):
    """The turn is over. ``said`` is all that the model wrote, ``heard`` what the listener got, as stored.

    ``reason``: "completed", "interrupted", "dropped" (nothing of it was played), or "failed": not all of it could be
    made; a Notice or the session's own failure says why.
    """

    turn: int
    said: str
    heard: Heard
    reason: Literal["completed", "interrupted", "dropped", "failed"] = "completed"


@frozen
class SettingApplied(BaseEvent):
    """A change asked for by ``update`` holds from now on. ``settings`` names what changed."""

    settings: tuple[str, ...]


@frozen
class ToolCalled(BaseEvent):
    """The model calls a tool; arguments are as validated, or raw when they did not fit."""

    turn: int
    call: str
    name: str
    arguments: Mapping[str, Any]


@frozen
class ToolReturned(BaseEvent):
    """A tool's result as the model gets it; ``ms`` is how long the tool took."""

    turn: int
    call: str
    name: str
    result: str
    error: bool = False
    ms: float = 0.0


@frozen
class Usage(BaseEvent):
    """What a provider consumed since its last report: ``amounts`` by unit, which is "input_tokens", "characters",
    "seconds", and so on. ``turn``: for which, where it is for one."""

    provider: str
    amounts: Mapping[str, float]
    turn: int | None = None


@frozen
class TurnMetrics(BaseEvent):
    """The latency waterfall of one answered utterance, in ms; its parts sum to ``voice_to_voice``.

    ``endpointing``: end of speech to the decision that the turn is over. ``first_token``: to the model's first text.
    ``first_clause``: to the first clause handed to synthesis. ``synthesis``: to its first audio.
    ``delivery``: to the first audio chunk leaving the session. ``cut_offs``: turns so far that were ended too early.
    ``measured`` is False on simulated time.
    """

    turn: int
    utterance: int
    voice_to_voice: float
    endpointing: float
    first_token: float
    first_clause: float
    synthesis: float
    delivery: float
    cut_offs: int = 0
    turns: int = 0
    measured: bool = True


@frozen
class Notice(BaseEvent):
    """Something worth knowing that is no failure; ``code`` is stable, ``text`` is for people."""

    code: str
    text: str


Event: TypeAlias = (
    SessionStarted
    | SessionEnded
    | ConnectionState
    | UserSpeechStarted
    | UserSpeechEnded
    | Transcript
    | TranscriptRevised
    | TurnStarted
    | ReplyText
    | AudioChunk
    | Viseme
    | Word
    | Paused
    | Resumed
    | Interrupted
    | TurnEnded
    | SettingApplied
    | ToolCalled
    | ToolReturned
    | Usage
    | TurnMetrics
    | Notice
)

__all__ = (
    "AudioChunk",
    "BaseEvent",
    "Basis",
    "ConnectionState",
    "Event",
    "Heard",
    "Interrupted",
    "Link",
    "Notice",
    "Paused",
    "ReplyText",
    "Resumed",
    "SessionEnded",
    "SessionStarted",
    "SettingApplied",
    "SpokenWord",
    "ToolCalled",
    "ToolReturned",
    "Transcript",
    "TranscriptRevised",
    "TurnEnded",
    "TurnMetrics",
    "TurnStarted",
    "Usage",
    "UserSpeechEnded",
    "UserSpeechStarted",
    "Viseme",
    "Word",
)
