"""The emulated Amazon Nova Sonic: ``Emulator.nova``.

::

    aws.nova.profile = NovaProfile(barge_in="b", finals="late")
    ...
    assert [turn.text for turn in aws.nova.connections[0].turns] == ["book a room"]

``connections`` tells what each connection received: input audio (samples and a digest), typed texts, history, tool
results.
"""

from voiceloop.testing.aws.nova.profile import DOCUMENTED, PROMPT, NovaLimits, NovaProfile, NovaTimers
from voiceloop.testing.aws.nova.record import HeardTurn, InputAudio, NovaConnection, Reply, ToolUse
from voiceloop.testing.aws.nova.service import NovaSonicStream

__all__ = (
    "DOCUMENTED",
    "PROMPT",
    "HeardTurn",
    "InputAudio",
    "NovaConnection",
    "NovaLimits",
    "NovaProfile",
    "NovaSonicStream",
    "NovaTimers",
    "Reply",
    "ToolUse",
)
