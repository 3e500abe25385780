"""Frames of an event stream, against amazon-transcribe's encoder and decoder."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest
from amazon_transcribe import eventstream as oracle
from hypothesis import assume, given
from hypothesis import strategies as st

from voiceloop.aws.wire import frames
from voiceloop.aws.wire.frames import BrokenFrame, Decoder, Encoder, Int8, Int16, Int64, encode, encode_headers, pack
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import BadInput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# the oracle computes milliseconds with a float; these are exact there too
TIMES = st.integers(0, 4_000_000_000).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
VALUES = st.one_of(
    st.booleans(),
    st.integers(-128, 127).map(Int8),
    st.integers(-(1 << 15), (1 << 15) - 1).map(Int16),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1).map(Int64),
    st.binary(max_size=300),
    st.text(max_size=80),
    TIMES,
    st.uuids(),
)
NAMES = st.text(min_size=1, max_size=60)
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=6), st.binary(max_size=2000))
SIMPLE = Message({":message-type": "event", ":event-type": "AudioEvent"}, b"sound")


def of_oracle(value: Any) -> Any:
    wrapped = {
        Int8: oracle.Int8HeaderValue,
        Int16: oracle.Int16HeaderValue,
        Int64: oracle.Int64HeaderValue,
    }.get(type(value))
    return wrapped(int(value)) if wrapped else value


def by_oracle(message: Message) -> bytes:
    headers = {name: of_oracle(value) for name, value in message.headers.items()}
    return oracle.EventStreamMessageSerializer().serialize(headers, message.payload)


def decoded(data: bytes) -> list[Message]:
    return list(Decoder().feed(data))


@given(MESSAGES)
def test_encodes_as_amazon_transcribe_does(message: Message) -> None:
    assert encode(message) == by_oracle(message)


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_decodes_what_it_encoded_however_it_is_split(messages: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder, found = Decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    decoder.end()
    assert found == messages
    kinds = [[type(value) for value in message.headers.values()] for message in found]
    assert kinds == [[type(value) for value in message.headers.values()] for message in messages]


@given(MESSAGES)
def test_amazon_transcribe_reads_it(message: Message) -> None:
    buffer = oracle.EventStreamBuffer()
    buffer.add_data(encode(message))
    (read,) = list(buffer)
    assert read.payload == message.payload
    assert list(read.headers) == list(message.headers)


@given(st.lists(MESSAGES, max_size=6))
def test_an_encoder_of_many_says_the_same(messages: list[Message]) -> None:
    encoder = Encoder()
    for message in messages:
        for _ in range(2):
            assert encoder.encode(message) == encode(message)


def test_equal_values_of_different_types_are_told_apart() -> None:
    encoder = Encoder()
    values = [True, 1, Int8(1), Int16(1), Int64(1)]
    assert [encoder.encode(Message({"a": value})) for value in values] == [
        encode(Message({"a": value})) for value in values
    ]


@given(MESSAGES, st.data())
def test_any_changed_byte_is_found(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BrokenFrame):
        decoded(bytes(frame))


@given(st.binary(max_size=200))
def test_headers_of_any_bytes_are_read_or_broken(block: bytes) -> None:
    try:
        (message,) = decoded(pack(block, b""))
    except BrokenFrame:
        return
    assume(not any(isinstance(value, bool) for value in message.headers.values()))
    assert len(encode_headers(message.headers)) == len(block)


def test_good_messages_before_a_broken_one_come_first() -> None:
    messages = Decoder().feed(encode(SIMPLE) + encode(SIMPLE)[:-1] + b"\0")
    assert next(messages) == SIMPLE
    with pytest.raises(BrokenFrame, match="checksum is wrong"):
        next(messages)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (encode_headers({"twice": 1}) * 2, "'twice' occurs twice"),
        (b"\x04name", "cannot be read"),
        (b"\x01a\x0a", "cannot be read"),
        (b"\x01a\x07\x00\x09short", "cannot be read"),
        (b"\x01a\x07\x00\x02\xff\xff", "cannot be read"),
        (b"\x01a\x08\x7f\xff\xff\xff\xff\xff\xff\xff", "cannot be read"),
        (b"\x01a\x09\x00", "cannot be read"),
        (b"\x01a\x04\x00", "cannot be read"),
    ],
)
def test_headers_that_are_none(block: bytes, words: str) -> None:
    with pytest.raises(BrokenFrame, match=words):
        decoded(pack(block, b""))


@pytest.mark.parametrize(
    ("total", "headers"), [(15, 0), (30, 15), (frames.MOST_HEADERS + 17, frames.MOST_HEADERS + 1), (1 << 31, 0)]
)
def test_lengths_beyond_the_limits_are_found_before_the_frame_is_there(total: int, headers: int) -> None:
    lengths = struct.pack("!II", total, headers)
    with pytest.raises(BrokenFrame, match="at most"):
        decoded(lengths + struct.pack("!I", crc32(lengths)))


def test_a_prelude_of_noise_is_found_at_once() -> None:
    with pytest.raises(BrokenFrame, match="lengths"):
        decoded(b"HTTP/1.1 400 Bad Request")


def test_an_end_within_a_frame() -> None:
    decoder = Decoder()
    assert list(decoder.feed(encode(SIMPLE)[:-3])) == []
    with pytest.raises(BrokenFrame, match="ended within a frame"):
        decoder.end()


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"": 1}, "1 to 255 bytes"),
        ({"n" * 256: 1}, "1 to 255 bytes"),
        ({"a": "x" * 32768}, "'a' cannot hold a str"),
        ({"a": b"x" * 32768}, "'a' cannot hold a bytes"),
        ({"a": 1 << 63}, "'a' cannot hold a int"),
        ({"a": 1.5}, "'a' cannot hold a float"),
        ({"a": datetime(2026, 1, 1)}, "'a' cannot hold a datetime"),
        ({f"h{n}": "x" * 32767 for n in range(5)}, "headers of .* are too long"),
    ],
)
def test_headers_that_cannot_be_sent(headers: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        encode(Message(headers))


def test_a_payload_that_cannot_be_sent() -> None:
    with pytest.raises(BadInput, match="too long"):
        encode(Message({}, bytes(frames.MOST_SENT + 1)))


def test_a_time_keeps_its_milliseconds() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    assert encode_headers({":date": when}).hex() == "053a64617465080000019b7ca98f2e"
    assert decoded(encode(Message({":date": when})))[0].headers == {":date": when}


def test_a_uuid() -> None:
    value = UUID(int=7)
    assert decoded(encode(Message({"id": value})))[0].headers == {"id": value}
