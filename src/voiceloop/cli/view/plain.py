"""Plain lines: for pipes, logs, and terminals without colour."""

from __future__ import annotations

import textwrap
from typing import TextIO

from voiceloop.cli.view.base import View
from voiceloop.cli.view.entries import Entry, Teller
from voiceloop.events import Event

_WIDTH = 80
_MARGIN = 20


class PlainView(View):
    """Writes a line for each thing that happened, as soon as it is over."""

    def __init__(self, out: TextIO, *, owns_turns: bool = False) -> None:
        self._out = out
        self._teller = Teller(owns_turns)

    def event(self, event: Event) -> None:
        """Tell what is over now."""
        for entry in self._teller.tell(event):
            self._write(f"{entry.at:7.1f} s {entry.who:<9} ", entry)

    def _write(self, head: str, entry: Entry) -> None:
        text = entry.text + (f" [not heard: {entry.unheard.strip()}]" if entry.unheard.strip() else "")
        lines = textwrap.wrap(text, _WIDTH - _MARGIN) or [""]
        if entry.latency is not None and entry.latency.measured:
            parts = ", ".join(f"{name} {ms:.0f}" for name, ms in entry.parts)
            lines.append(f"({entry.latency.voice_to_voice:.0f} ms: {parts})")
        for number, line in enumerate(lines):
            margin = head if not number else " " * _MARGIN
            self._out.write(self._safe(f"{margin}{line}") + "\n")
        self._out.flush()

    def _safe(self, line: str) -> str:
        encoding = self._out.encoding or "utf-8"
        return line.replace("→", "->").encode(encoding, "replace").decode(encoding)
