"""A page to talk on, and its server: ``create_app(stacks)`` is an ASGI app, :func:`serve` runs it.

Needs ``pip install 'voiceloop[web]'``. Names load when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from voiceloop.errors import MissingExtra

if TYPE_CHECKING:
    from voiceloop.transports.web.app import create_app
    from voiceloop.transports.web.guard import Guard
    from voiceloop.transports.web.lobby import LobbyLimits
    from voiceloop.transports.web.offers import PERSONAS, Persona, Stack
    from voiceloop.transports.web.server import Server, serve
    from voiceloop.transports.web.socket import StarletteSocket

__all__ = (
    "PERSONAS",
    "Guard",
    "LobbyLimits",
    "Persona",
    "Server",
    "Stack",
    "StarletteSocket",
    "create_app",
    "serve",
)

_HOME = {
    "PERSONAS": "offers",
    "Guard": "guard",
    "LobbyLimits": "lobby",
    "Persona": "offers",
    "Server": "server",
    "Stack": "offers",
    "StarletteSocket": "socket",
    "create_app": "app",
    "serve": "server",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("voiceloop"):
            raise
        raise MissingExtra(f"the server needs {error.name}", hint="pip install 'voiceloop[web]'") from error
    value: object = getattr(module, name)
    globals()[name] = value
    return value
