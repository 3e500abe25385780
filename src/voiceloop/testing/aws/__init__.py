"""An emulator of AWS's speech services that speaks their wire protocols, for your tests and ours.

::

    async with Emulator(backing=Backing.scripted(heard=["a table for two"], replies=["For when?"])) as aws:
        account = aws.account()
        model = Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))

Real clients, real TLS, real signatures: everything that AWS checks is checked, and refused in AWS's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy
from voiceloop.errors import MissingExtra

if TYPE_CHECKING:
    from voiceloop.testing.aws.backing import Backing
    from voiceloop.testing.aws.emulator import Emulator
    from voiceloop.testing.aws.faults import Fault
    from voiceloop.testing.aws.record import Call
    from voiceloop.testing.aws.settings import Settings

__all__ = ("Backing", "Call", "Emulator", "Fault", "Settings")

_HOMES = {"Backing": "backing", "Call": "record", "Emulator": "emulator", "Fault": "faults", "Settings": "settings"}

_load = lazy(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ImportError as error:
        raise MissingExtra(
            f"the emulator needs {error.name or error}", hint="pip install 'voiceloop[emulator]'"
        ) from error
