"""The session's append-only log, and the valid history views made from it for a provider."""

from voiceloop.conversation.check import history_problems, valid_history
from voiceloop.conversation.log import Conversation
from voiceloop.conversation.stored import entry_from_json, entry_to_json
from voiceloop.conversation.values import (
    NO_LIMITS,
    AssistantEntry,
    Entry,
    HistoryLimits,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCallEntry,
    ToolCallPart,
    ToolResultEntry,
    ToolResultPart,
    UserEntry,
)
from voiceloop.conversation.view import NO_RESULT, OPENING, bytes_of

__all__ = (
    "NO_LIMITS",
    "NO_RESULT",
    "OPENING",
    "AssistantEntry",
    "Conversation",
    "Entry",
    "HistoryLimits",
    "ImagePart",
    "Message",
    "Part",
    "TextPart",
    "ToolCallEntry",
    "ToolCallPart",
    "ToolResultEntry",
    "ToolResultPart",
    "UserEntry",
    "bytes_of",
    "entry_from_json",
    "entry_to_json",
    "history_problems",
    "valid_history",
)
