"""Frames between a process and its worker: kind, request, a JSON header and binary payload. No I/O."""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

_PREFIX = struct.Struct("<BIII")  # kind, request, bytes of header, bytes of payload
_MOST_HEADER = 4 << 20
_MOST_PAYLOAD = 256 << 20

WINDOW = 256 << 10
"""How many bytes of payload a request may be ahead of its reader, before its job pauses at its next resting point."""


class Kind(enum.IntEnum):
    """What a frame is. The first three go to the worker, the others come from it."""

    REQUEST = 1
    CANCEL = 2
    TAKEN = 3  # so many more bytes of payload were taken: header {"bytes": n}
    READY = 4
    REPLY = 5
    LAST = 6
    ERROR = 7


class BrokenFrame(ValueError):
    """The bytes are no frames."""


@frozen
class Frame:
    """One message. ``request`` is the number of the request that it belongs to; 0 for the worker itself."""

    kind: Kind
    request: int
    header: dict[str, Any]
    payload: bytes = field(repr=lambda payload: f"<{len(payload)} bytes>")


def encode(kind: Kind, request: int, header: Mapping[str, Any] | None = None, payload: bytes = b"") -> bytes:
    """The frame's bytes. Raises ValueError if a part is too long to be sent."""
    text = json.dumps(header, separators=(",", ":")).encode() if header else b""
    if len(text) > _MOST_HEADER or len(payload) > _MOST_PAYLOAD:
        raise ValueError(
            f"a frame of {len(text)} + {len(payload)} bytes: {_MOST_HEADER} + {_MOST_PAYLOAD} are allowed"
        )
    return b"".join((_PREFIX.pack(kind, request, len(text), len(payload)), text, payload))


@define(eq=False)
class Decoder:
    """Bytes in, in pieces of any size; frames out."""

    _buffer: bytearray = field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes. Raises :class:`BrokenFrame`."""
        self._buffer += data
        start = 0
        try:
            while (frame_end := self._end_of_frame(start)) is not None:
                kind, request, header, _ = _PREFIX.unpack_from(self._buffer, start)
                split = start + _PREFIX.size + header
                text = self._buffer[start + _PREFIX.size : split]
                frame = Frame(
                    Kind(kind), request, json.loads(text) if text else {}, bytes(self._buffer[split:frame_end])
                )
                start = frame_end
                yield frame
        except BrokenFrame:
            raise
        except ValueError as error:
            raise BrokenFrame("a frame cannot be read") from error
        finally:
            del self._buffer[:start]

    def _end_of_frame(self, start: int) -> int | None:
        if len(self._buffer) - start < _PREFIX.size:
            return None
        _, _, header, payload = _PREFIX.unpack_from(self._buffer, start)
        if header > _MOST_HEADER or payload > _MOST_PAYLOAD:
            raise BrokenFrame("a frame is too long")
        end: int = start + _PREFIX.size + header + payload
        return end if end <= len(self._buffer) else None
