"""Amazon Transcribe, Bedrock, Polly and Nova Sonic as parts of a conversation.

``Account`` says whose account is used and how it is reached; each provider takes one. Nothing of AWS's packages is
loaded before a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy

if TYPE_CHECKING:
    from voiceloop.aws.account import Account, Keys
    from voiceloop.aws.bedrock import Bedrock
    from voiceloop.aws.nova import NovaSonic
    from voiceloop.aws.polly import Polly
    from voiceloop.aws.transcribe import Transcribe

__all__ = ("Account", "Bedrock", "Keys", "NovaSonic", "Polly", "Transcribe")

_HOME = {
    "Account": "voiceloop.aws.account",
    "Bedrock": "voiceloop.aws.bedrock",
    "Keys": "voiceloop.aws.account",
    "NovaSonic": "voiceloop.aws.nova",
    "Polly": "voiceloop.aws.polly",
    "Transcribe": "voiceloop.aws.transcribe",
}

__getattr__ = lazy(__name__, _HOME)
