"""The frames of an event stream (``application/vnd.amazon.eventstream``): messages as bytes, and back.

A frame is its length, its headers' length, the CRC of those two, the headers, the payload and the CRC of it all, in
network order. Source: Amazon Transcribe developer guide, "Event stream encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID
from zlib import crc32

from voiceloop.aws.wire.stream import HeaderValue, Message
from voiceloop.errors import BadInput

__all__ = (
    "BrokenFrame",
    "Decoder",
    "Encoder",
    "Int8",
    "Int16",
    "Int64",
    "encode",
    "encode_headers",
    "milliseconds",
    "pack",
)

MOST_HEADERS = 128 * 1024
"""Bytes of headers in a frame."""
MOST_VALUE = 32 * 1024 - 1
"""Bytes of a text or bytes value of a header."""
MOST_SENT = 16 * 1024 * 1024
"""Bytes of payload in a frame that is sent."""
MOST_RECEIVED = 24 * 1024 * 1024
"""Bytes of payload in a frame that is received."""

_PRELUDE = struct.Struct("!III")
_LENGTHS = struct.Struct("!II")
_U32 = struct.Struct("!I")
_U16 = struct.Struct("!H")
_I64 = struct.Struct("!q")
_FRAMING = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MOST_KNOWN_BLOCKS = 32


class BrokenFrame(Exception):
    """Bytes that are no event-stream frame."""


class Int8(int):
    """A header's value of one byte."""


class Int16(int):
    """A header's value of two bytes."""


class Int64(int):
    """A header's value of eight bytes; an ``int`` that fits goes as four."""


def milliseconds(when: datetime) -> int:
    """Milliseconds since 1970 of an aware time, rounded down."""
    return (when - _EPOCH) // _MILLISECOND


def encode(message: Message) -> bytes:
    """One message as a frame. Raises BadInput for what a frame cannot hold."""
    return pack(encode_headers(message.headers), message.payload)


def pack(headers: bytes, payload: bytes) -> bytes:
    """A frame of encoded headers and a payload."""
    if len(payload) > MOST_SENT:
        raise BadInput(f"a message's payload of {len(payload)} bytes is too long: at most {MOST_SENT} bytes")
    lengths = _LENGTHS.pack(len(headers) + len(payload) + _FRAMING, len(headers))
    crc = crc32(lengths)
    body = b"".join((_U32.pack(crc), headers, payload))
    return b"".join((lengths, body, _U32.pack(crc32(body, crc))))


class Encoder:
    """Encodes many messages; those with the same headers as the last cost less."""

    def __init__(self) -> None:
        self._headers: Mapping[str, HeaderValue] | None = None
        self._block = b""

    def encode(self, message: Message) -> bytes:
        """As :func:`encode`."""
        if message.headers != self._headers:
            self._block = encode_headers(message.headers)
            # only texts: True and 1 are equal, but not on the wire
            texts = all(type(value) is str for value in message.headers.values())
            self._headers = dict(message.headers) if texts else None
        return pack(self._block, message.payload)


def encode_headers(headers: Mapping[str, HeaderValue]) -> bytes:
    """A frame's headers, in their order. Raises BadInput for what a header cannot hold."""
    parts: list[bytes] = []
    for name, value in headers.items():
        raw = name.encode()
        if not 0 < len(raw) < 256:
            raise BadInput(f"a header's name of {len(raw)} bytes is not possible: 1 to 255 bytes")
        try:
            parts += (bytes((len(raw),)), raw, _encode_value(value))
        except (struct.error, TypeError) as error:
            raise BadInput(f"header {name!r} cannot hold a {type(value).__name__} of this size or kind") from error
    block = b"".join(parts)
    if len(block) > MOST_HEADERS:
        raise BadInput(f"a message's headers of {len(block)} bytes are too long: at most {MOST_HEADERS} bytes")
    return block


def _encode_value(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return b"\0" if value else b"\1"
        case Int8():
            return struct.pack("!Bb", 2, value)
        case Int16():
            return struct.pack("!Bh", 3, value)
        case int():
            fits = not isinstance(value, Int64) and -(1 << 31) <= value < 1 << 31
            return struct.pack("!Bi", 4, value) if fits else struct.pack("!Bq", 5, value)
        case bytes():
            return b"\6" + _sized(value)
        case str():
            return b"\7" + _sized(value.encode())
        case datetime():
            return struct.pack("!Bq", 8, milliseconds(value))
        case UUID():
            return b"\x09" + value.bytes
    raise TypeError(type(value).__name__)


def _sized(value: bytes) -> bytes:
    if len(value) > MOST_VALUE:
        raise struct.error(f"{len(value)} bytes")
    return _U16.pack(len(value)) + value


class Decoder:
    """Turns bytes, split anywhere, into messages. After a :class:`BrokenFrame` it is of no more use."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._blocks: dict[bytes, Mapping[str, HeaderValue]] = {}

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes; exhaust it. Raises BrokenFrame, after the good ones before."""
        buffer: bytes | bytearray = data
        if self._rest:
            self._rest += data
            buffer = self._rest
        start, end = 0, len(buffer)
        while end - start >= _PRELUDE.size:
            total, length = _check_prelude(buffer, start)
            if end - start < total:
                break
            yield self._message(buffer, start, total, length)
            start += total
        if buffer is self._rest:
            del self._rest[:start]
        elif start < end:
            self._rest += data[start:]

    def end(self) -> None:
        """Nothing more comes. Raises BrokenFrame in the middle of a frame."""
        if self._rest:
            raise BrokenFrame(f"the stream ended within a frame, after {len(self._rest)} bytes of it")

    def _message(self, buffer: bytes | bytearray, start: int, total: int, length: int) -> Message:
        with memoryview(buffer) as whole, whole[start : start + total] as frame:
            if crc32(frame[:-4]) != _U32.unpack_from(frame, total - 4)[0]:
                raise BrokenFrame("a frame's checksum is wrong")
            block = bytes(frame[_PRELUDE.size : _PRELUDE.size + length])
            payload = bytes(frame[_PRELUDE.size + length : -4])
        headers = self._blocks.get(block)
        if headers is None:
            if len(self._blocks) >= _MOST_KNOWN_BLOCKS:
                self._blocks.clear()
            headers = self._blocks[block] = MappingProxyType(_decode_headers(block))
        return Message(headers, payload)


def _check_prelude(buffer: bytes | bytearray, start: int) -> tuple[int, int]:
    """A frame's length and its headers'."""
    total, length, crc = _PRELUDE.unpack_from(buffer, start)
    if crc32(buffer[start : start + _LENGTHS.size]) != crc:
        raise BrokenFrame("the checksum of a frame's lengths is wrong")
    payload = total - length - _FRAMING
    if length > MOST_HEADERS or not 0 <= payload <= MOST_RECEIVED:
        raise BrokenFrame(
            f"a frame of {total} bytes with {length} bytes of headers: "
            f"at most {MOST_HEADERS} bytes of headers and {MOST_RECEIVED} of payload are taken"
        )
    return total, length


def _decode_headers(block: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name, at = _text(block, at + 1, block[at])
            if name in headers:
                raise BrokenFrame(f"header {name!r} occurs twice in a frame")
            headers[name], at = _READERS[block[at]](block, at + 1)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise BrokenFrame(f"a frame's headers cannot be read ({error})") from error
    return headers


_Reader: TypeAlias = Callable[[bytes, int], tuple[HeaderValue, int]]


def _slice(block: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(block):
        raise IndexError("a value goes beyond the headers' end")
    return block[at : at + length], at + length


def _text(block: bytes, at: int, length: int) -> tuple[str, int]:
    raw, at = _slice(block, at, length)
    return raw.decode(), at


def _integer(code: str, kind: type[int]) -> _Reader:
    layout = struct.Struct(f"!{code}")
    return lambda block, at: (kind(layout.unpack_from(block, at)[0]), at + layout.size)


def _read_bytes(block: bytes, at: int) -> tuple[HeaderValue, int]:
    return _slice(block, at + 2, _U16.unpack_from(block, at)[0])


def _read_text(block: bytes, at: int) -> tuple[HeaderValue, int]:
    return _text(block, at + 2, _U16.unpack_from(block, at)[0])


def _read_time(block: bytes, at: int) -> tuple[HeaderValue, int]:
    return _EPOCH + timedelta(milliseconds=_I64.unpack_from(block, at)[0]), at + _I64.size


def _read_uuid(block: bytes, at: int) -> tuple[HeaderValue, int]:
    raw, at = _slice(block, at, 16)
    return UUID(bytes=raw), at


_READERS: tuple[_Reader, ...] = (
    lambda block, at: (True, at),
    lambda block, at: (False, at),
    _integer("b", Int8),
    _integer("h", Int16),
    _integer("i", int),
    _integer("q", Int64),
    _read_bytes,
    _read_text,
    _read_time,
    _read_uuid,
)
