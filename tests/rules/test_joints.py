"""Joining the audio of clauses."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.errors import AudioFormatError, BadInput
from voiceloop.rules.joints import LONGEST_HOLD_MS, Ends, Joints

RATE = 8000
_LOUD = 104  # the smallest loud sample at -50 dBFS


def quiet(ms: float) -> bytes:
    return np.full(int(ms * RATE / 1000), _LOUD - 1, "<i2").tobytes()


def sound(ms: float) -> bytes:
    return np.full(int(ms * RATE / 1000), -3000, "<i2").tobytes()


def ms_of(pcm: bytes) -> float:
    return len(pcm) / 2 * 1000 / RATE


def spoken(joints: Joints, ends: Ends, pcm: bytes) -> bytes:
    joints.begin(ends)
    return joints.audio(pcm) + joints.end()


def test_the_silence_before_a_reply_is_cut() -> None:
    assert spoken(Joints(RATE), "clause", quiet(400) + sound(50)) == quiet(20) + sound(50)
    assert spoken(Joints(RATE), "clause", quiet(5) + sound(50)) == quiet(5) + sound(50)


@pytest.mark.parametrize(("ends", "pause"), [("clause", 120), ("sentence", 300)])
@pytest.mark.parametrize(("after", "before"), [(400, 500), (400, 0), (0, 400), (150, 150), (290, 15), (100, 1000)])
def test_the_pause_between_two_clauses_is_cut(ends: Ends, pause: float, after: float, before: float) -> None:
    joints = Joints(RATE)
    out = spoken(joints, ends, sound(50) + quiet(after)) + spoken(joints, "reply", quiet(before) + sound(50))
    assert out == sound(50) + quiet(min(pause, after + before)) + sound(50)
    assert joints.samples == len(out) // 2


def test_the_beginning_of_a_sound_is_kept() -> None:
    """The last silence before a sound is its own, never that after the sound before."""
    joints = Joints(RATE)
    onset = np.full(160, 50, "<i2").tobytes()
    out = spoken(joints, "clause", sound(50) + quiet(400)) + spoken(joints, "clause", quiet(90) + onset + sound(5))
    assert out.endswith(onset + sound(5))


def test_silence_inside_a_clause_is_not_touched() -> None:
    pcm = sound(10) + quiet(900) + sound(10) + quiet(LONGEST_HOLD_MS + 500) + sound(10)
    assert spoken(Joints(RATE), "clause", pcm) == pcm


def test_the_end_of_a_reply_keeps_a_little_silence() -> None:
    assert spoken(Joints(RATE), "reply", sound(50) + quiet(900)) == sound(50) + quiet(120)
    assert spoken(Joints(RATE, tail_ms=0), "reply", sound(50) + quiet(900)) == sound(50)


def test_that_the_reply_is_over_may_be_known_only_at_the_end() -> None:
    joints = Joints(RATE)
    joints.begin("sentence")
    assert joints.audio(sound(50) + quiet(900)) + joints.end("reply") == sound(50) + quiet(120)


def test_silence_is_not_held_back_for_ever() -> None:
    joints = Joints(RATE)
    joints.begin("sentence")
    joints.audio(sound(50))
    assert ms_of(joints.audio(quiet(LONGEST_HOLD_MS - 100))) == 100
    assert ms_of(joints.audio(quiet(100))) == LONGEST_HOLD_MS - 100
    assert ms_of(joints.audio(quiet(70))) == 70
    assert joints.end() == b""


def test_sound_is_never_held_back() -> None:
    joints = Joints(RATE)
    joints.begin("clause")
    assert joints.audio(sound(20)) == sound(20)
    assert joints.audio(sound(20)) == sound(20)


@pytest.mark.parametrize("nothing", [b"", quiet(30), quiet(4000)])
def test_a_clause_without_sound_only_lengthens_the_pause(nothing: bytes) -> None:
    joints = Joints(RATE)
    out = spoken(joints, "clause", nothing) + spoken(joints, "sentence", sound(50) + quiet(50))
    out += spoken(joints, "clause", nothing) + spoken(joints, "reply", quiet(10) + sound(50))
    assert out == quiet(min(20, ms_of(nothing))) + sound(50) + quiet(min(300, 60 + ms_of(nothing))) + sound(50)


def test_a_long_pause_still_leaves_the_next_sound_its_beginning() -> None:
    joints = Joints(RATE)
    first = sound(50) + quiet(LONGEST_HOLD_MS)
    assert spoken(joints, "clause", first) + spoken(joints, "reply", quiet(500) + sound(5)) == (
        first + quiet(20) + sound(5)
    )


class TestMarks:
    def test_marks_move_with_their_audio(self) -> None:
        joints = Joints(RATE)
        joints.begin("clause")
        assert joints.place(130) is None
        joints.audio(quiet(100))
        assert joints.place(0) is None
        assert joints.decided_ms == 0
        joints.audio(sound(50) + quiet(500))
        assert joints.place(0) == joints.place(80) == 0
        assert joints.place(130) == 50
        assert joints.decided_ms == 250
        assert joints.place(joints.decided_ms) == 170
        assert joints.place(251) is None
        joints.end()
        assert joints.place(600) == 170
        assert joints.decided_ms == inf

    def test_marks_of_a_clause_without_sound_are_where_it_would_be(self) -> None:
        joints = Joints(RATE)
        spoken(joints, "clause", sound(50))
        spoken(joints, "clause", quiet(500))
        assert joints.place(0) == joints.place(400) == joints.samples * 1000 / RATE


class TestMisuse:
    def test_calls_out_of_order(self) -> None:
        joints = Joints(RATE)
        with pytest.raises(BadInput, match="begin"):
            joints.audio(b"")
        with pytest.raises(BadInput, match="begin"):
            joints.end()
        joints.begin("clause")
        with pytest.raises(BadInput, match="end"):
            joints.begin("clause")

    def test_values_out_of_range(self) -> None:
        with pytest.raises(BadInput, match="clause_ms=10"):
            Joints(RATE, clause_ms=10)
        with pytest.raises(BadInput, match="threshold_dbfs=3"):
            Joints(RATE, threshold_dbfs=3)
        joints = Joints(RATE)
        joints.begin("clause")
        with pytest.raises(AudioFormatError):
            joints.audio(b"\0")


# Clauses for which each sample has a value of its own: odd numbers are loud, so that it can be found again.
_RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=6)


@frozen
class Spoken:
    ends: Ends
    samples: list[int]
    cuts: list[int]


@st.composite
def replies(draw: st.DrawFn) -> list[Spoken]:
    clauses: list[Spoken] = []
    number = 0
    for runs in draw(st.lists(_RUNS, max_size=5)):
        samples: list[int] = []
        for loud, length in runs:
            for _ in range(length * (10 if not loud else 1)):
                number += 1
                samples.append(1000 + number if loud else number % 100)
        cuts = draw(st.lists(st.integers(0, len(samples)), max_size=4).map(sorted))
        clauses.append(Spoken(draw(st.sampled_from(["clause", "sentence", "reply"])), samples, cuts))
    return clauses


def pcm_of(samples: list[int]) -> bytes:
    return np.array(samples, "<i2").tobytes()


def play(clauses: list[Spoken], *, chunked: bool) -> tuple[list[int], list[list[float | None]]]:
    """The reply's samples; for each clause where each of its samples is, in samples, asked when it is complete."""
    joints, out, places = Joints(1000 * 4, lead_ms=2, clause_ms=8, sentence_ms=20, tail_ms=8), b"", []
    for clause in clauses:
        joints.begin(clause.ends)
        edges = [0, *(clause.cuts if chunked else ()), len(clause.samples)]
        for start, end in pairwise(edges):
            out += joints.audio(pcm_of(clause.samples[start:end]))
        out += joints.end()
        assert len(out) == 2 * joints.samples
        places.append([place(joints, at) for at in range(len(clause.samples))])
    return np.frombuffer(out, "<i2").tolist(), places


def place(joints: Joints, sample: int) -> float | None:
    found = joints.place(sample / 4)
    return None if found is None else found * 4


@given(replies())
def test_every_sound_comes_out_once_and_in_order(clauses: list[Spoken]) -> None:
    out, _ = play(clauses, chunked=True)
    assert [sample for sample in out if sample >= 1000] == [
        sample for clause in clauses for sample in clause.samples if sample >= 1000
    ]


@given(replies())
def test_every_pause_is_as_long_as_its_joint_allows(clauses: list[Spoken]) -> None:
    """Written as a plain loop over whole clauses: what the reply's silences must be."""
    clauses = [clause for clause in clauses if clause.ends != "reply"]
    out, _ = play(clauses, chunked=True)
    pauses, silence, longest, inside = [], 0, 8, False
    for clause in clauses:
        for sample in clause.samples:
            if sample < 1000:
                silence += 1
            else:
                pauses.append(silence if inside else min(silence, longest))
                silence, inside = 0, True
        limit = {"clause": 32, "sentence": 80}[clause.ends]
        longest = limit if inside else max(longest, limit) if pauses else longest
        inside = False
    lengths = [len(run) for run in "".join("x" if sample >= 1000 else "." for sample in out).split("x")]
    assert lengths[:-1] == pauses


@given(replies())
def test_chunks_do_not_matter(clauses: list[Spoken]) -> None:
    assert play(clauses, chunked=True) == play(clauses, chunked=False)


@given(replies())
def test_marks_stay_with_their_audio_and_in_order(clauses: list[Spoken]) -> None:
    out, places = play(clauses, chunked=True)
    every = [at for clause in places for at in clause]
    assert all(at is not None and 0 <= at <= len(out) for at in every)
    assert every == sorted(every, key=float)
    for clause, found in zip(clauses, places, strict=True):
        loud = [at for at, sample in enumerate(clause.samples) if sample >= 1000]
        for at in range(loud[0], loud[-1] + 1) if loud else ():
            assert out[int(found[at])] == clause.samples[at]


@given(replies())
def test_an_answer_given_early_is_the_answer(clauses: list[Spoken]) -> None:
    joints = Joints(4000, lead_ms=2, clause_ms=8, sentence_ms=20, tail_ms=8)
    for clause in clauses:
        joints.begin(clause.ends)
        early: list[tuple[int, float]] = []
        edges = [0, *clause.cuts, len(clause.samples)]
        for start, end in pairwise(edges):
            joints.audio(pcm_of(clause.samples[start:end]))
            answers = [(at, place(joints, at)) for at in range(len(clause.samples))]
            early += [(at, found) for at, found in answers if found is not None]
            assert all(found <= joints.samples for _, found in early)
            decided = joints.place(joints.decided_ms)
            assert decided is None or decided * 4 == joints.samples
        joints.end()
        assert all(place(joints, at) == found for at, found in early)
