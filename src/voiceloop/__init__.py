"""voiceloop: hold a spoken conversation from any Python service.

::

    import voiceloop as vl

    async with vl.Session(model) as session:
        async for event in session:
            match event:
                case vl.AudioChunk(): await client.send_bytes(event.pcm)
                case vl.Viseme():     await client.send_json({"time": event.ms, "value": event.code})
                case vl.Interrupted(): await client.send_json({"type": "flush"})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy

if TYPE_CHECKING:
    from voiceloop.audio import (
        ALAW_8K,
        MULAW_8K,
        PCM16_8K,
        PCM16_16K,
        PCM16_22K,
        PCM16_24K,
        PCM16_48K,
        AudioFormat,
    )
    from voiceloop.cascade import Cascade, Deadlines
    from voiceloop.conversation import Conversation, ImagePart, Message
    from voiceloop.engine.pool import Pool
    from voiceloop.errors import (
        AudioFormatError,
        BadInput,
        InputStalled,
        MemoryConflict,
        MissingExtra,
        ProviderError,
        ProviderMisbehaved,
        ProviderRefused,
        ProviderTimeout,
        ProviderUnavailable,
        ReplyBroke,
        SessionClosed,
        SessionFailed,
        SettingRefused,
        SlowConsumer,
        SpeechBroke,
        UnknownName,
        VoiceloopError,
    )
    from voiceloop.events import (
        AudioChunk,
        ConnectionState,
        Event,
        Heard,
        Interrupted,
        Notice,
        Paused,
        ReplyText,
        Resumed,
        SessionEnded,
        SessionStarted,
        SettingApplied,
        SpokenWord,
        ToolCalled,
        ToolReturned,
        Transcript,
        TranscriptRevised,
        TurnEnded,
        TurnMetrics,
        TurnStarted,
        Usage,
        UserSpeechEnded,
        UserSpeechStarted,
        Viseme,
        Word,
    )
    from voiceloop.rules.budgets import Idle, Limits
    from voiceloop.rules.endpointing import Endpointing
    from voiceloop.session import Session, Utterance
    from voiceloop.tools import Tool, ToolContext, tool

__all__ = (
    "ALAW_8K",
    "MULAW_8K",
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_22K",
    "PCM16_24K",
    "PCM16_48K",
    "AudioChunk",
    "AudioFormat",
    "AudioFormatError",
    "BadInput",
    "Cascade",
    "ConnectionState",
    "Conversation",
    "Deadlines",
    "Endpointing",
    "Event",
    "Heard",
    "Idle",
    "ImagePart",
    "InputStalled",
    "Interrupted",
    "Limits",
    "MemoryConflict",
    "Message",
    "MissingExtra",
    "Notice",
    "Paused",
    "Pool",
    "ProviderError",
    "ProviderMisbehaved",
    "ProviderRefused",
    "ProviderTimeout",
    "ProviderUnavailable",
    "ReplyBroke",
    "ReplyText",
    "Resumed",
    "Session",
    "SessionClosed",
    "SessionEnded",
    "SessionFailed",
    "SessionStarted",
    "SettingApplied",
    "SettingRefused",
    "SlowConsumer",
    "SpeechBroke",
    "SpokenWord",
    "Tool",
    "ToolCalled",
    "ToolContext",
    "ToolReturned",
    "Transcript",
    "TranscriptRevised",
    "TurnEnded",
    "TurnMetrics",
    "TurnStarted",
    "UnknownName",
    "Usage",
    "UserSpeechEnded",
    "UserSpeechStarted",
    "Utterance",
    "Viseme",
    "VoiceloopError",
    "Word",
    "tool",
)

__version__ = "0.1.0"

# Names are loaded when they are first used: worker processes and command lines need few of them.
_HOMES = {
    "voiceloop.audio": (
        "ALAW_8K",
        "MULAW_8K",
        "PCM16_8K",
        "PCM16_16K",
        "PCM16_22K",
        "PCM16_24K",
        "PCM16_48K",
        "AudioFormat",
    ),
    "voiceloop.cascade": (
        "Cascade",
        "Deadlines",
    ),
    "voiceloop.conversation": (
        "Conversation",
        "ImagePart",
        "Message",
    ),
    "voiceloop.engine.pool": ("Pool",),
    "voiceloop.errors": (
        "AudioFormatError",
        "BadInput",
        "InputStalled",
        "MemoryConflict",
        "MissingExtra",
        "ProviderError",
        "ProviderMisbehaved",
        "ProviderRefused",
        "ProviderTimeout",
        "ProviderUnavailable",
        "ReplyBroke",
        "SessionClosed",
        "SessionFailed",
        "SettingRefused",
        "SlowConsumer",
        "SpeechBroke",
        "UnknownName",
        "VoiceloopError",
    ),
    "voiceloop.events": (
        "AudioChunk",
        "ConnectionState",
        "Event",
        "Heard",
        "Interrupted",
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
    ),
    "voiceloop.rules.budgets": (
        "Idle",
        "Limits",
    ),
    "voiceloop.rules.endpointing": ("Endpointing",),
    "voiceloop.session": (
        "Session",
        "Utterance",
    ),
    "voiceloop.tools": (
        "Tool",
        "ToolContext",
        "tool",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__getattr__ = lazy(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
