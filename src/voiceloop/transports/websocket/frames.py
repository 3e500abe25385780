"""Audio as binary messages: 12 bytes of header, then PCM16 samples."""

from __future__ import annotations

import struct
from typing import Final

from attrs import frozen

from voiceloop.transports.websocket.endings import Refusal

INPUT: Final = 1
REPLY: Final = 2
VERSION: Final = 1

_HEADER = struct.Struct("<BBHII")
_WRAP = 1 << 32


@frozen
class Frame:
    """A piece of audio: ``kind`` is INPUT or REPLY, ``turn`` 0 for input, ``start`` its first sample's number."""

    kind: int
    turn: int
    start: int
    pcm: bytes


def encode(frame: Frame) -> bytes:
    """The frame as a binary message; turn and first sample are counted modulo 2**32."""
    return _HEADER.pack(frame.kind, VERSION, 0, frame.turn % _WRAP, frame.start % _WRAP) + frame.pcm


def decode(data: bytes, *, kind: int = INPUT) -> Frame:
    """The frame in a binary message of one ``kind``. Raises Refusal ("bad-frame") on anything else."""
    if len(data) < _HEADER.size:
        raise Refusal("bad-frame", f"a binary message of {len(data)} bytes: the header alone has {_HEADER.size}")
    found, version, reserved, turn, start = _HEADER.unpack_from(data)
    if version != VERSION:
        raise Refusal("bad-frame", f"version {version} in a binary message: {VERSION} is spoken here")
    if found != kind:
        raise Refusal("bad-frame", f"kind {found} in a binary message: {kind} is allowed")
    if reserved or (kind == INPUT and turn):
        raise Refusal("bad-frame", "the reserved field, and the turn of input, must be 0")
    if (len(data) - _HEADER.size) % 2:
        raise Refusal("bad-frame", "the samples are not whole: two bytes each")
    return Frame(found, turn, start, data[_HEADER.size :])


__all__ = ("INPUT", "REPLY", "VERSION", "Frame", "decode", "encode")
