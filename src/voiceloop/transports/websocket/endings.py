"""How a connection ends: the codes that clients are told, and the close codes that go with them (RFC 6455, 7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from voiceloop.errors import VoiceloopError

CLOSE_CODES: Mapping[str, int] = MappingProxyType(
    {
        "ended": 1000,
        "draining": 1001,
        "disconnected": 1001,
        "bad-message": 1003,
        "bad-frame": 1003,
        "unauthorized": 1008,
        "too-fast": 1008,
        "slow": 1008,
        "silent": 1008,
        "refused": 1008,
        "too-large": 1009,
        "failed": 1011,
        "full": 1013,
        "replaced": 4409,
    }
)
"""The close code of each reason for which a connection ends."""


@frozen
class Outcome:
    """How a connection ended. ``code`` is stable: a key of CLOSE_CODES; ``text`` is for people.

    "ended": the session did; "disconnected": the client left.
    """

    code: str
    text: str = ""


class Refusal(VoiceloopError):
    """The connection cannot go on; ``code`` says why, and is what the client is told."""

    def __init__(self, code: str, text: str, *, hint: str = "") -> None:
        super().__init__(text, hint=hint)
        self.code = code

    @property
    def outcome(self) -> Outcome:
        """The same, as a value."""
        return Outcome(self.code, str(self))


__all__ = ("CLOSE_CODES", "Outcome", "Refusal")
