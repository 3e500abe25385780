"""A page to talk on, and its server: ``create_app(stacks)`` is an ASGI app, :func:`serve` runs it.

Needs ``pip install 'voiceloop[web]'``. Names load when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceloop._lazy import lazy
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
    "PERSONAS": f"{__name__}.offers",
    "Guard": f"{__name__}.guard",
    "LobbyLimits": f"{__name__}.lobby",
    "Persona": f"{__name__}.offers",
    "Server": f"{__name__}.server",
    "Stack": f"{__name__}.offers",
    "StarletteSocket": f"{__name__}.socket",
    "create_app": f"{__name__}.app",
    "serve": f"{__name__}.server",
}


_load = lazy(__name__, _HOME)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("voiceloop"):
            raise
        raise MissingExtra(f"the server needs {error.name}", hint="pip install 'voiceloop[web]'") from error
