"""Binary messages: what is written is read, and all else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.transports.websocket import Refusal, frames

UINT32 = st.integers(0, 2**32 - 1)
SAMPLES = st.binary(max_size=200).filter(lambda pcm: len(pcm) % 2 == 0)


@given(turn=UINT32, start=UINT32, pcm=SAMPLES)
def test_a_reply_comes_out_as_it_went_in(turn: int, start: int, pcm: bytes) -> None:
    frame = frames.Frame(frames.REPLY, turn, start, pcm)
    assert frames.decode(frames.encode(frame), kind=frames.REPLY) == frame


@given(start=UINT32, pcm=SAMPLES)
def test_input_comes_out_as_it_went_in(start: int, pcm: bytes) -> None:
    frame = frames.Frame(frames.INPUT, 0, start, pcm)
    assert frames.decode(frames.encode(frame)) == frame


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_that_writes_the_same_or_refused(data: bytes) -> None:
    try:
        written = frames.encode(frames.decode(data))
    except Refusal as refusal:
        written = refusal.code.encode()
    assert written in (data, b"bad-frame")


def test_the_header_is_what_is_written_down() -> None:
    assert (
        frames.encode(frames.Frame(frames.REPLY, 3, 0x01020304, b"\x05\x06")).hex() == "0201000003000000040302010506"
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes"),
        (bytes(11), "11 bytes"),
        (bytes((1, 2)) + bytes(10), "version 2"),
        (bytes((2, 1)) + bytes(10), "kind 2"),
        (bytes((1, 1, 1)) + bytes(9), "must be 0"),
        (bytes((1, 1, 0, 0, 1)) + bytes(7), "must be 0"),
        (bytes((1, 1)) + bytes(11), "not whole"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, told: str) -> None:
    with pytest.raises(Refusal, match=told):
        frames.decode(data)
