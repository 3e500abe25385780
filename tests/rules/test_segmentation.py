"""Cutting a reply into clauses while it is written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.segmentation import FIRST_CLAUSE_S, Piece, Segmenter
from voiceloop.rules.speakable import Speakable

_TOKENS = [
    "Hello", "the", "house", "He", "The", " ", " ", " ", "\n", ".", ". ", ", ", ",", "!", "?", "...", "…", "Dr.",
    "e.g.", "U.S.", "p.m.", "3.14", "$2.50", "J.", "1. ", "- ", "--", " — ", "*", "**", "_", "`", "```", "# ", "> ",
    "|", "[", "](", "]", "(", ")", "https://", "www.", "example.com", "h", "w", "<b>", "<br>", "<", "<!--", "-->",
    "&amp;", "&", "😀", "👨‍👩‍👧", "1️⃣", "🇩🇪", '"', "“", "”", "'", "你好", "。", "、", "؟", "।", "\\", "\t", "\r\n",
    "é", "\x00",
]  # fmt: skip
_WRITTEN = st.lists(st.sampled_from(_TOKENS), max_size=40).map("".join)


def cut(text: str, *splits: int, at: float = 0.0) -> list[Piece]:
    segmenter = Segmenter()
    pieces: list[Piece] = []
    edges = [0, *sorted(splits), len(text)]
    for start, end in pairwise(edges):
        pieces += segmenter.push(text[start:end], at)
    return pieces + segmenter.finish()


def texts(text: str) -> list[str]:
    return [piece.text for piece in cut(text)]


def written_until_cut(text: str) -> str:
    """What had been written when the first piece came."""
    segmenter = Segmenter()
    for count, char in enumerate(text, 1):
        if segmenter.push(char, 0.0):
            return text[:count]
    pytest.fail("nothing was cut before the end")


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "Really?",
        "I am here.",
        "One line\n",
        "Well, I think so,",
        "And so we go;",
        "Here are three things:",
        "It is what it is —",
        "你好。",
        "是吗？",
        "मैं ठीक हूँ।",
        "كيف حالك؟",
    ],
)
def test_an_unambiguous_end_is_cut_at_its_last_character(text: str) -> None:
    assert written_until_cut(text + " And more.") == text


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Ask Dr. Smith or Mrs. Jones. They know.", ["Ask Dr. Smith or Mrs. Jones.", "They know."]),
        ("Use tools, e.g. a saw. Then stop.", ["Use tools, e.g. a saw.", "Then stop."]),
        ("He lives in the U.S. The rest do not.", ["He lives in the U.S.", "The rest do not."]),
        ("The U.S. Army came. It went.", ["The U.S. Army came.", "It went."]),
        ("Pi is 3.14 or so. It costs $2.50. Fine.", ["Pi is 3.14 or so.", "It costs $2.50.", "Fine."]),
        ("John F. Kennedy met J. R. Tolkien. So he says.", ["John F. Kennedy met J. R. Tolkien.", "So he says."]),
        ("Well... I do. Well... maybe not.", ["Well...", "I do.", "Well... maybe not."]),
        ("It is so… odd. Yes.", ["It is so… odd.", "Yes."]),
        ("Go to example.com today. Bye.", ["Go to example.com today.", "Bye."]),
        ("Please visit foobar.org now. Bye.", ["Please visit foobar.org now.", "Bye."]),
        ("Open Config.yaml or v1.2.3. Done.", ["Open Config.yaml or v1.2.3.", "Done."]),
        ("Run `a.b. C` now. Done.", ["Run a.b. C now.", "Done."]),
        ("See https://www.example.com/a/b?c=d. Then go.", ["See example.com.", "Then go."]),
        ("Come at 5 p.m. today. Or at 6 p.m. We wait.", ["Come at 5 p.m. today.", "Or at 6 p.m.", "We wait."]),
        ('He said "I am fine." Then he left.', ['He said "I am fine."', "Then he left."]),
        ('"Really?" she asked. "Yes!" He went.', ['"Really?" she asked.', '"Yes!"', "He went."]),
        ("It works (I hope!) now. Good.", ["It works (I hope!) now.", "Good."]),
        ("“Wir gehen.” Sie kam am 3. Oktober. Gut.", ["“Wir gehen.”", "Sie kam am 3. Oktober.", "Gut."]),
        ("No. 5 is best. Is it? No. It is not.", ["No. 5 is best.", "Is it?", "No.", "It is not."]),
        ("你好。我很好！是吗？", ["你好。", "我很好！", "是吗？"]),
        ("मैं ठीक हूँ। आप?", ["मैं ठीक हूँ।", "आप?"]),
        ("1. First\n2. Second\n\nEnd", ["First", "Second", "End"]),
        ("42. That is it.", ["42.", "That is it."]),
        ("Stop!!! Why?!?! So.", ["Stop!", "Why?", "So."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert texts(text) == sentences


def test_the_first_clause_ends_at_punctuation_after_three_words() -> None:
    first, rest = cut("Well, to be honest, I would rather wait, if I may, until they come")
    assert (first.text, first.ends) == ("Well, to be honest,", "clause")
    assert (rest.text, rest.ends) == ("I would rather wait, if I may, until they come", "reply")


def test_numbers_and_times_do_not_end_the_first_clause() -> None:
    assert texts("It was 10:30 and 1,000 came")[0] == "It was 10:30 and 1,000 came"


def test_the_first_clause_ends_after_eight_words() -> None:
    first, rest = cut("one two three four five six seven eight nine ten")
    assert first.text == "one two three four five six seven eight"
    assert rest.text == "nine ten"


def test_the_first_clause_does_not_end_after_a_title() -> None:
    assert texts("one two three four five six seven Dr. Who came")[0].endswith("Dr. Who")


class TestTime:
    def test_the_first_clause_is_cut_at_its_last_whole_word(self) -> None:
        segmenter = Segmenter()
        assert segmenter.deadline is None
        assert segmenter.push("I thi", 10.0) == []
        assert segmenter.deadline == 10.0 + FIRST_CLAUSE_S
        assert segmenter.tick(10.2) == []
        assert [piece.text for piece in segmenter.tick(10.25)] == ["I"]
        assert segmenter.deadline is None
        assert [piece.text for piece in segmenter.push("nk. ", 10.3)] == ["think."]

    def test_half_a_word_waits_for_its_end(self) -> None:
        segmenter = Segmenter()
        segmenter.push("Extra", 0.0)
        assert segmenter.tick(0.3) == []
        assert segmenter.deadline is None
        assert segmenter.push("ordin", 0.4) == []
        assert [piece.text for piece in segmenter.push("ary day", 0.5)] == ["Extraordinary"]

    def test_a_title_is_not_torn_from_its_name(self) -> None:
        segmenter = Segmenter()
        segmenter.push("Ask Dr. Sm", 0.0)
        assert [piece.text for piece in segmenter.tick(0.3)] == ["Ask"]

    def test_nothing_is_forced_once_the_first_clause_is_out(self) -> None:
        segmenter = Segmenter()
        assert len(segmenter.push("Hello! And then", 0.0)) == 1
        assert segmenter.deadline is None
        assert segmenter.tick(9.0) == []

    @given(_WRITTEN, st.data())
    def test_pieces_depend_on_when_each_character_came_and_not_on_tokens_or_ticks(
        self, text: str, data: st.DataObject
    ) -> None:
        tokens = data.draw(
            st.lists(st.integers(0, len(text)), max_size=6).map(lambda at: [0, *sorted(at), len(text)])
        )
        gaps = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=7, max_size=7))
        whole, single = Segmenter(), Segmenter()
        pieces: list[Piece] = []
        others: list[Piece] = []
        now = 0.0
        for start, end, gap in zip(tokens, tokens[1:], gaps, strict=False):
            now += gap
            if single.deadline is not None and now > single.deadline:
                others += single.tick(single.deadline)
            pieces += whole.push(text[start:end], now)
            for char in text[start:end]:
                others += single.push(char, now)
        assert pieces + whole.finish() == others + single.finish()


class TestLength:
    def test_a_very_long_sentence_is_cut_at_a_clause_boundary(self) -> None:
        pieces = cut("Yes. " + "word " * 30 + "one, " + "word " * 20 + "two, " + "word " * 10 + "end.")
        assert [piece.ends for piece in pieces] == ["sentence", "clause", "sentence"]
        assert pieces[1].text.endswith("two,")

    def test_an_endless_sentence_is_cut_at_a_space(self) -> None:
        pieces = cut("Yes. " + "words " * 300)
        assert all(len(piece.text) <= 400 for piece in pieces)
        assert all(piece.text.endswith("words") for piece in pieces[1:])

    def test_text_without_spaces_is_cut_all_the_same(self) -> None:
        assert [len(piece.text) for piece in cut("x" * 1000)] == [400, 400, 200]


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "🎉 👨‍👩‍👧 🇩🇪", "**", "---", "...", "```\ncode\n```\n", "?!"])
def test_what_cannot_be_spoken_makes_no_piece(text: str) -> None:
    assert cut(text) == []


@given(_WRITTEN, st.lists(st.integers(0, 80), max_size=8))
def test_pieces_are_the_same_however_the_text_was_split(text: str, splits: list[int]) -> None:
    assert cut(text, *(at for at in splits if at <= len(text))) == cut(text)


@given(_WRITTEN)
def test_pieces_follow_each_other_and_cover_all_that_is_spoken(text: str) -> None:
    pieces, speaker = cut(text), Speakable()
    spoken = [each for each in (*speaker.push(text), *speaker.finish()) if each.char.isalnum()]
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces)][: len(pieces)]
    said = [pair for piece in pieces for pair in zip(piece.offsets, piece.text, strict=True) if pair[1].isalnum()]
    assert said == [(each.start, each.char) for each in spoken]
    for piece in pieces:
        assert piece.text == piece.text.strip() != ""
        assert list(piece.offsets) == sorted(piece.offsets)
        assert piece.start <= piece.offsets[0] <= piece.offsets[-1] < piece.end <= len(text)


@given(st.lists(st.from_regex(r"[a-z]{2,9}[,;!?]?", fullmatch=True), min_size=1, max_size=60))
def test_plain_words_all_come_out_in_order_and_at_their_places(words: list[str]) -> None:
    text = " ".join(words)
    pieces = cut(text)
    assert " ".join(piece.text for piece in pieces) == text
    for piece in pieces:
        assert "".join(text[at] for at in piece.offsets) == piece.text
