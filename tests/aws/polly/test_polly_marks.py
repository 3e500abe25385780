"""Text and marks: characters of any text, however bytes are cut; order, ends, and how far marks are known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, PCM16_16K
from voiceloop.audio.g711 import decode
from voiceloop.aws.polly.marks import Lines, Marks
from voiceloop.aws.polly.speech import Whole
from voiceloop.aws.polly.text import BILLED_LIMIT, TOTAL_LIMIT, Script, scripts, speakable
from voiceloop.errors import ProviderMisbehaved
from voiceloop.interfaces import MarksUntil, VisemeMark, WordMark

BOTH = frozenset({"viseme", "word"})
RATES = st.sampled_from([None, 0.8, 1.25])


def lines(*marks: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(mark, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for mark in marks)


def word(script: Script, source_start: int, source_end: int, time: int = 0) -> dict[str, Any]:
    """A word's line as the service writes it: bytes of what it was sent, found by looking at what it was sent."""
    before, inside = "<speak><prosody", script.text
    lead = inside.index(">", inside.index(before) + 7) + 1 if script.ssml else 0
    pieces = [escaped(c) if script.ssml else c for c in speakable(script.source)]
    start = lead + len("".join(pieces[:source_start]).encode())
    end = start + len("".join(pieces[source_start:source_end]).encode())
    assert inside.encode()[start:end].decode() == "".join(pieces[source_start:source_end])
    return {"time": time, "type": "word", "start": start, "end": end, "value": "x"}


def escaped(character: str) -> str:
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}.get(character, character)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


# ---------------------------------------------------------------- text


@given(text=st.text(min_size=1, max_size=60), rate=RATES, data=st.data())
def test_characters_of_words_are_right_for_any_text(text: str, rate: float | None, data: st.DataObject) -> None:
    [script] = scripts(text, rate)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    mark = word(script, start, end)
    span = script.span(mark["start"], mark["end"])
    stripped = text[start:end].strip()
    assert (text[span[0] : span[1]] if span else "") == stripped
    assert span is None or start <= span[0] < span[1] <= end


@given(text=st.text(max_size=200), rate=RATES)
def test_what_is_sent_can_be_read_back(text: str, rate: float | None) -> None:
    sent = "".join(
        "".join(ElementTree.fromstring(script.text).itertext()) if script.ssml else script.text
        for script in scripts(text, rate)
    )
    # a carriage return in XML is read as a line feed
    assert sent == (speakable(text).replace("\r\n", "\n").replace("\r", "\n") if rate else speakable(text))
    assert len(speakable(text)) == len(text)


_PIECES = st.tuples(st.sampled_from(["word ", "Ende. ", "😀", "&<", "très, "]), st.integers(1, 900))


@settings(max_examples=30)
@given(text=st.lists(_PIECES, max_size=12).map(lambda pieces: "".join(p * n for p, n in pieces)), rate=RATES)
def test_a_long_text_is_cut_within_the_limits_and_nothing_is_lost(text: str, rate: float | None) -> None:
    made = scripts(text, rate)
    assert "".join(script.source for script in made) == text
    for script in made:
        assert text[script.start :].startswith(script.source)
        assert len(script.source.encode("utf-16-le")) // 2 <= BILLED_LIMIT
        assert len(script.text.encode("utf-16-le")) // 2 <= TOTAL_LIMIT


def test_a_long_text_is_cut_at_the_end_of_a_sentence() -> None:
    text = "This is a sentence of some length. " * 200
    assert all(script.source.endswith(". ") for script in scripts(text))
    assert len(scripts(text)) == 3


def test_the_rate_is_told_in_ssml() -> None:
    [script] = scripts("Tom & Jerry's", 1.25)
    assert script.text == '<speak><prosody rate="125%">Tom &amp; Jerry&apos;s</prosody></speak>'


# ---------------------------------------------------------------- marks

MARY = "Mary had a little lamb."
CAPTURED = lines(
    {"time": 0, "type": "sentence", "start": 0, "end": 23, "value": MARY},
    {"time": 6, "type": "word", "start": 0, "end": 4, "value": "Mary"},
    {"time": 6, "type": "viseme", "value": "p"},
    {"time": 73, "type": "viseme", "value": "E"},
    {"time": 180, "type": "viseme", "value": "r"},
    {"time": 292, "type": "viseme", "value": "i"},
    {"time": 373, "type": "word", "start": 5, "end": 8, "value": "had"},
    {"time": 373, "type": "viseme", "value": "k"},
    {"time": 1300, "type": "viseme", "value": "sil"},
)


def test_marks_of_the_developer_guide() -> None:
    [script] = scripts(MARY)
    marks = Marks(script, BOTH)
    assert [*marks.feed(CAPTURED), *marks.finish()] == [
        WordMark(0, 4, 6),
        VisemeMark("p", 6, 73),
        VisemeMark("E", 73, 180),
        VisemeMark("r", 180, 292),
        WordMark(5, 8, 373),
        VisemeMark("i", 292, 373),
        VisemeMark("k", 373, 1300),
        MarksUntil(1300),
        VisemeMark("sil", 1300),
    ]


@given(
    places=st.lists(st.integers(0, 10_000), max_size=12),
    want=st.sets(st.sampled_from(["viseme", "word"]), min_size=1),
)
def test_marks_are_the_same_however_they_are_cut(places: list[int], want: set[Any]) -> None:
    [script] = scripts(MARY)
    whole, parts = Marks(script, want, 500), Marks(script, want, 500)
    once = [*whole.feed(CAPTURED), *whole.finish()]
    cuts = [item for part in cut(CAPTURED, places) for item in parts.feed(part)] + parts.finish()
    assert [i for i in cuts if not isinstance(i, MarksUntil)] == [i for i in once if not isinstance(i, MarksUntil)]
    until = 0.0
    last = {VisemeMark: 0.0, WordMark: 0.0}
    for item in cuts:
        if isinstance(item, MarksUntil):
            assert item.ms > until
            until = item.ms
        else:
            assert item.ms >= max(until, last[type(item)], 500)
            last[type(item)] = item.ms
    assert {type(item) for item in once} - {MarksUntil} == {{"viseme": VisemeMark, "word": WordMark}[w] for w in want}


@given(
    times=st.lists(st.tuples(st.integers(0, 900), st.sampled_from(["p", "sil", "??", "word"])), max_size=20),
    base=st.sampled_from([0.0, 1234.5]),
)
def test_marks_out_of_order_and_unknown_shapes_do_no_harm(times: list[tuple[int, str]], base: float) -> None:
    [script] = scripts("a " * 20)
    told = [
        {"time": t, "type": "word", "start": i, "end": i + 1}
        if v == "word"
        else {"time": t, "type": "viseme", "value": v}
        for i, (t, v) in enumerate(times)
    ]
    marks = Marks(script, BOTH, base)
    items = [*marks.feed(lines(*told)), *marks.finish()]
    visemes = [item for item in items if isinstance(item, VisemeMark)]
    assert [v.code for v in visemes] == [("@" if value == "??" else value) for _, value in times if value != "word"]
    for before, after in pairwise(visemes):
        assert before.end_ms == after.ms
    words = [item for item in items if isinstance(item, WordMark)]
    assert all(before.end <= after.start for before, after in pairwise(words))


def test_a_word_told_twice_is_given_once() -> None:
    [script] = scripts("It costs $5 now")
    told = [word(script, 9, 11, 10), word(script, 10, 11, 20), word(script, 12, 15, 30)]
    items = Marks(script, BOTH).feed(lines(*told))
    assert [(i.start, i.end) for i in items if isinstance(i, WordMark)] == [(9, 11), (12, 15)]


@pytest.mark.parametrize("line", [b"{", b"[1]", b'"x"', b"{}", b'{"time":"0"}', b'{"time":null}', b"\xff\xfe"])
def test_a_line_that_is_no_mark_is_told(line: bytes) -> None:
    with pytest.raises(ProviderMisbehaved, match="speech mark"):
        list(Lines().feed(line + b"\n"))


def test_unknown_kinds_and_blank_lines_are_left_out() -> None:
    [script] = scripts("Hi")
    marks = Marks(script, BOTH)
    assert marks.feed(b'\n{"time":5,"type":"emotion","value":"joy"}\r\n\n') == [MarksUntil(5)]
    assert marks.finish() == []
    assert not math.isinf(marks.feed(lines({"time": 9, "type": "viseme", "value": "p"}))[0].ms)


# ---------------------------------------------------------------- audio


@given(data=st.binary(max_size=60), places=st.lists(st.integers(0, 100), max_size=8))
def test_audio_is_whole_samples_however_it_is_cut(data: bytes, places: list[int]) -> None:
    whole = Whole(PCM16_16K)
    parts = [whole.feed(part) for part in cut(data, places)]
    assert all(len(part) % 2 == 0 for part in parts)
    assert b"".join(parts) == data[: len(data) // 2 * 2]
    spoken = Whole(MULAW_8K)
    assert b"".join(spoken.feed(part) for part in cut(data, places)) == decode(data, "mulaw")
