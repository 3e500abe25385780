"""Whether the optional packages of a stack are there, asked before anything is begun."""

from __future__ import annotations

from importlib.util import find_spec

from voiceloop.errors import MissingExtra

ENGINES = ("espeakng_loader", "pocketsphinx")
"""What hearing and speaking on this machine imports."""

EMULATOR = ("amazon_transcribe", "h11", "trustme", "wsproto")
"""What the emulator of AWS imports, without the engines behind it."""


def need(what: str, *modules: str, extra: str = "demo") -> None:
    """Raises MissingExtra, which names all of ``modules`` that are missing, and the ``extra`` that has them all."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"{what} needs {', '.join(missing)}", hint=f"pip install 'voiceloop[{extra}]'")
