"""What every emulated service is made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import field, frozen

from voiceloop.interfaces import Resources
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.aws.exchange import RestService, StreamService
from voiceloop.testing.aws.faults import Faults
from voiceloop.testing.aws.settings import Settings, Timers
from voiceloop.testing.aws.signatures import Keyring


@frozen
class Stage:
    """What a service works with: the engines behind it, the shared things these need, timers, quotas and faults."""

    backing: Backing
    resources: Resources
    timers: Timers
    settings: Settings
    faults: Faults
    account: str = "123456789012"
    ring: Keyring = field(factory=Keyring)


Service: TypeAlias = StreamService | RestService
Services: TypeAlias = Callable[[Stage], Sequence[Service]]


def services(stage: Stage) -> tuple[Service, ...]:
    """Every service there is. The first whose route fits a request answers it."""
    from voiceloop.testing.aws.converse import Converse
    from voiceloop.testing.aws.nova import NovaSonicStream
    from voiceloop.testing.aws.polly import Polly
    from voiceloop.testing.aws.polly_stream import PollyStream
    from voiceloop.testing.aws.sts import Sts
    from voiceloop.testing.aws.transcribe import Transcription, WebSocketTranscription

    streams = (Transcription(stage), WebSocketTranscription(stage), PollyStream(stage), NovaSonicStream(stage))
    return (*streams, Polly(stage), Converse(stage), Sts(stage))
