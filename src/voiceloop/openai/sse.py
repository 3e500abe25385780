"""Server-sent events out of bytes, without I/O.

Source: HTML Living Standard, "Server-sent events", 9.2.6 (interpreting an event stream).
"""

from __future__ import annotations

import re

from attrs import define, field, frozen

LONGEST = 1_000_000
"""Bytes that one event may have."""

_END = re.compile(rb"\r\n|\n|\r")


class TooLong(Exception):
    """An event has more bytes than :data:`LONGEST`."""


@frozen
class Event:
    """An event: its ``name`` ("message" where none was given) and its ``data``."""

    name: str
    data: str


@define(eq=False)
class Events:
    """Takes the bytes of a stream, in pieces of any size."""

    _rest: list[bytes] = field(factory=list)  # the line that has not ended yet
    _name: str = ""
    _data: list[str] = field(factory=list)
    _size: int = 0  # bytes since the last event

    def feed(self, piece: bytes) -> list[Event]:
        """The events that ``piece`` completes. Raises TooLong."""
        self._size += len(piece)
        self._rest.append(piece)
        events: list[Event] = []
        if _END.search(piece) or self._rest[0].endswith(b"\r"):
            text = b"".join(self._rest)
            held = b"\r" if text.endswith(b"\r") else b""  # a line feed may follow
            *lines, rest = _END.split(text.removesuffix(held))
            self._rest = [rest + held]
            events = [event for line in lines if (event := self._line(line)) is not None]
            self._size = len(rest) if events else self._size
        if self._size > LONGEST:
            raise TooLong
        return events

    def end(self) -> list[Event]:
        """The event that lacks only the blank line after it, at the end of a stream."""
        events = self.feed(b"\n\n")
        self._rest = []
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        name, _, value = line.decode("utf-8", "replace").removeprefix("\ufeff").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        return None  # comments and other fields say nothing here
