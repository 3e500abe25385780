"""What a failure means for the connection: whether another one can mend it."""

from __future__ import annotations

from enum import Enum, auto

from voiceloop.aws.faults import fault_of
from voiceloop.errors import ProviderError, ProviderRefused

_CROWDED = ("servicequotaexceeded", "throttling", "toomanyrequests", "modelnotready")
_GENERIC = "invalid input request"


class Trouble(Enum):
    """Kinds of failure."""

    PASSING = auto()
    """A new connection mends it."""
    CROWDED = auto()
    """Too many connections or requests at once."""
    TOO_LONG = auto()
    """The history is longer than the service takes."""
    GENERIC = auto()
    """The service calls some input invalid, and does not say which."""
    EXPIRED = auto()
    """The credentials are no longer good."""
    LASTING = auto()
    """Permission, content, a request that is wrong: it will be refused again."""


def trouble(error: Exception) -> Trouble:
    """What kind of failure ``error`` is."""
    fault = fault_of(error)
    if fault is not None:
        code = fault.code.lower()
        if any(code.startswith(name) for name in _CROWDED):
            return Trouble.CROWDED
        if fault.remedy == "reopen with half the history":
            return Trouble.TOO_LONG
        if fault.remedy == "renew credentials":
            return Trouble.EXPIRED
        if _GENERIC in fault.message.lower():
            return Trouble.GENERIC
    if isinstance(error, ProviderError) and (error.retryable or not isinstance(error, ProviderRefused)):
        return Trouble.PASSING if error.retryable else Trouble.LASTING
    return Trouble.LASTING
