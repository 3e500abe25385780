"""Event-stream frames, by amazon-transcribe's codec: a judge that shares nothing with voiceloop's own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

from amazon_transcribe.eventstream import (
    EventStreamBuffer,
    EventStreamMessageSerializer,
    ParserError,
)
from attrs import define, field

from voiceloop.aws.wire.stream import Message

Chunk: TypeAlias = bytes | Message
"""A part of a response's body: bytes, or a message yet to be encoded."""

_SERIALIZER = EventStreamMessageSerializer()
_PRELUDE = 12
_SMALLEST = 16


class BadFrame(Exception):
    """The bytes are no event-stream message: a wrong checksum, length or header."""


def encode(message: Message) -> bytes:
    """One message as it goes on the wire."""
    encoded: bytes = _SERIALIZER.serialize(dict(message.headers), message.payload)
    return encoded


def as_bytes(chunk: Chunk) -> bytes:
    """A part of a response as it goes on the wire."""
    return encode(chunk) if isinstance(chunk, Message) else chunk


@define(eq=False)
class Decoder:
    """Takes bytes, however they are cut, and gives messages. Both checksums are verified."""

    _buffer: Any = field(factory=EventStreamBuffer)
    _held: int = 0

    @property
    def whole(self) -> bool:
        """Whether all bytes so far made whole messages."""
        return not self._held

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes. Raises BadFrame; nothing may be fed after that."""
        self._buffer.add_data(data)
        self._held += len(data)
        try:
            for raw in self._buffer:
                self._held -= raw.prelude.total_length
                yield Message(raw.headers, bytes(raw.payload))
        except (ParserError, KeyError, ValueError, IndexError, struct.error) as error:
            raise BadFrame(str(error)) from error


def decode(data: bytes) -> Message:
    """The one message that ``data`` holds. Raises BadFrame if it holds less or more."""
    decoder = Decoder()
    messages = list(decoder.feed(data))
    if len(messages) != 1 or not decoder.whole:
        raise BadFrame(f"{len(data)} bytes hold {len(messages)} messages")
    return messages[0]


def spoil(frame: bytes) -> bytes:
    """The same frame with a wrong checksum at its end."""
    (right,) = struct.unpack("!I", frame[-4:])
    return frame[:-4] + struct.pack("!I", right ^ 0xFFFFFFFF)


__all__ = ("BadFrame", "Chunk", "Decoder", "as_bytes", "decode", "encode", "spoil")
