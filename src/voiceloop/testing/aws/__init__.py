"""An emulator of AWS's speech services that speaks their wire protocols, for your tests and ours.

::

    async with Emulator(backing=Backing.scripted(heard=["a table for two"], replies=["For when?"])) as aws:
        account = aws.account()
        model = Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))

Real clients, real TLS, real signatures: everything that AWS checks is checked, and refused in AWS's own words.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiceloop.testing.aws.backing import Backing
    from voiceloop.testing.aws.emulator import Emulator
    from voiceloop.testing.aws.faults import Fault
    from voiceloop.testing.aws.record import Call
    from voiceloop.testing.aws.settings import Settings

__all__ = ("Backing", "Call", "Emulator", "Fault", "Settings")

_HOME = {"Backing": "backing", "Call": "record", "Emulator": "emulator", "Fault": "faults", "Settings": "settings"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = importlib.import_module(f"{__name__}.{_HOME[name]}")
    except ImportError as error:
        from voiceloop.errors import MissingExtra

        raise MissingExtra(
            f"the emulator needs {error.name or error}", hint="pip install 'voiceloop[emulator]'"
        ) from error
    value: object = getattr(home, name)
    globals()[name] = value
    return value
