"""Amazon Nova Sonic: speech in, speech out, over one bidirectional stream that is renewed before it ends."""

from __future__ import annotations

from voiceloop.aws.nova.family import Voice, voices_of
from voiceloop.aws.nova.sonic import NovaSonic
from voiceloop.aws.nova.waits import Waits

__all__ = ("NovaSonic", "Voice", "Waits", "voices_of")
