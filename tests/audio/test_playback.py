"""The playback buffer: exact lengths, exact positions, and nothing lost between threads."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, PCM16_16K, AudioFormat, PlaybackBuffer
from voiceloop.audio.playback import Position
from voiceloop.errors import AudioFormatError, BadInput, SlowConsumer

steps = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 30), st.integers(1, 3)),
    st.tuples(st.just("pull"), st.integers(0, 40)),
    st.tuples(st.just("flush"), st.none() | st.integers(1, 3)),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
)


@given(
    steps=st.lists(steps, max_size=40), format=st.sampled_from([PCM16_16K, MULAW_8K, AudioFormat(8_000, channels=2)])
)
@settings(deadline=None)
def test_it_behaves_as_a_list_of_samples(steps: list[tuple[object, ...]], format: AudioFormat) -> None:
    buffer, waiting, paused = PlaybackBuffer(format), list[tuple[int, bytes]](), False
    played: dict[int, int] = {}
    last: int | None = None
    counter = 0
    for step in steps:
        match step:
            case ("push", int(samples), int(turn)):
                audio = bytes((counter + n) % 251 + 1 for n in range(format.bytes_of(samples)))
                counter += len(audio)
                size = format.sample_bytes
                waiting += [(turn, audio[at : at + size]) for at in range(0, len(audio), size)]
                buffer.push(bytearray(audio), turn)
            case ("pull", int(samples)):
                now, waiting = ([], waiting) if paused else (waiting[:samples], waiting[samples:])
                for turn, _ in now:
                    played[turn] = played.get(turn, 0) + 1
                    last = turn
                expected = b"".join(sample for _, sample in now) + format.silence(samples - len(now))
                assert buffer.pull(samples) == expected
            case ("flush", turn):
                waiting = [] if turn is None else [piece for piece in waiting if piece[0] != turn]
                buffer.flush(turn)  # type: ignore[arg-type]
            case ("pause",):
                paused = True
                buffer.pause()
            case _:
                paused = False
                buffer.resume()
        assert buffer.waiting == len(waiting)
        assert buffer.paused == paused
        assert [buffer.played(turn).samples for turn in (1, 2, 3)] == [played.get(turn, 0) for turn in (1, 2, 3)]
        assert (buffer.position and buffer.position.turn) == last


def test_silence_does_not_count() -> None:
    buffer = PlaybackBuffer(PCM16_16K)
    assert buffer.position is None
    buffer.push(b"\x01\x00" * 160, turn=4)
    assert buffer.pull(320) == b"\x01\x00" * 160 + bytes(320)
    assert buffer.pull(320) == bytes(640)
    buffer.push(b"\x02\x00" * 16, turn=4)
    buffer.pull(8)
    assert buffer.position == Position(turn=4, samples=168, ms=10.5)


def test_what_is_pushed_may_be_changed_afterwards() -> None:
    buffer, audio = PlaybackBuffer(PCM16_16K), bytearray(b"\x01\x02")
    buffer.push(audio, 1)
    audio[0] = 9
    assert buffer.pull(1) == b"\x01\x02"


def test_more_than_the_limit_is_refused_whole() -> None:
    buffer = PlaybackBuffer(PCM16_16K, limit_ms=10)
    buffer.push(bytes(300), 1)
    with pytest.raises(SlowConsumer, match="10 ms"):
        buffer.push(bytes(22), 1)
    assert buffer.waiting == 150
    buffer.push(bytes(20), 1)


def test_old_turns_are_forgotten() -> None:
    buffer = PlaybackBuffer(PCM16_16K)
    for turn in range(1, 66):
        buffer.push(bytes(2), turn)
        buffer.pull(1)
    assert [buffer.played(turn).samples for turn in (1, 2, 65)] == [0, 1, 1]


def test_wrong_arguments_are_named() -> None:
    buffer = PlaybackBuffer(PCM16_16K)
    with pytest.raises(AudioFormatError, match="1 bytes"):
        buffer.push(b"a", 1)
    with pytest.raises(BadInput, match="samples=-1"):
        buffer.pull(-1)
    with pytest.raises(BadInput, match="limit_ms=0"):
        PlaybackBuffer(PCM16_16K, limit_ms=0)


def test_two_threads_lose_nothing() -> None:
    buffer = PlaybackBuffer(MULAW_8K)
    pieces = [bytes([1 + number % 250]) * (1 + number % 37) for number in range(3_000)]

    def produce() -> None:
        for number, piece in enumerate(pieces):
            buffer.push(piece, 1 + number // 1_000)

    producer = threading.Thread(target=produce)
    producer.start()
    heard, positions = b"", [0]
    while producer.is_alive() or buffer.waiting:
        heard += buffer.pull(29).replace(b"\xff", b"")
        positions.append(sum(buffer.played(turn).samples for turn in (1, 2, 3)))
    producer.join()
    assert heard == b"".join(pieces)
    assert positions[-1] == len(heard)
    assert all(before <= after for before, after in pairwise(positions))
