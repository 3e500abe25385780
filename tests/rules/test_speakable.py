"""The spoken form of written text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.speakable import Speakable, speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**bold**, *it*, ***both***, __bold__, _it_, ~~gone~~", "bold, it, both, bold, it, gone"),
        ("# Title\n### Sub", "Title\nSub"),
        ("We are #1 in C# here", "We are #1 in C# here"),
        ("run `x = y*2` now", "run x = y*2 now"),
        ("Look:\n```python\nx = 1\n```\nDone", "Look:\nDone"),
        ("~~~\nx\n~~~\nDone", "Done"),
        ("```\nnever closed", ""),
        ("```code``` in a line", "code in a line"),
        ("see [the docs](https://x.y/a_(b)) now", "see the docs now"),
        ("see [the docs][1] now", "see the docs now"),
        ("![a cat](cat.png) sits", "a cat sits"),
        ("a fact [1][2] and [^note] more", "a fact and more"),
        ("- one\n* two\n+ three\n• four", "one\ntwo\nthree\nfour"),
        ("1. one\n2. two\n3) three", "one\ntwo\nthree"),
        ("In 1984. Then", "In 1984. Then"),
        ("3. is kept, no list begins with it", "3. is kept, no list begins with it"),
        ("- [x] done\n- [ ] open", "done\nopen"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b\n1, 2"),
        ("> quoted\n> > twice", "quoted\ntwice"),
        ("one\n\n---\n\n***\n* * *\ntwo", "one\ntwo"),
        ("<b>bold</b> and <a href='x'>link</a><br/>next <!-- no --> line", "bold and link\nnext line"),
        ("x < 5 and y > 3, a <b", "x < 5 and y > 3, a <b"),
        ("R&amp;D, R&D, AT&T, a&nbsp;b", "R&D, R&D, AT&T, a b"),
        ("at https://www.example.com/a?b=c#d, or http://foo.org.", "at example.com, or foo.org."),
        ("(www.example.com/x) <https://foo.bar/x>", "(example.com) foo.bar"),
        ("how who www https", "how who www https"),
        ("2 * 3 and 2*3", "2 * 3 and 2*3"),
        ("snake_case", "snake case"),
        (r"\*not bold\* and \(x\)", "*not bold* and x"),
        ("yes -- no", "yes — no"),
        ("Stop!!! Why?!? Well..... so,, on", "Stop! Why? Well... so, on"),
        ("Hi😀there 👍🏽 you", "Hi there you"),
        ("a👨‍👩‍👧‍👦b 🇩🇪 ❤️ ☎️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a b"),
        ("Press 1️⃣ or #️⃣", "Press 1 or"),
        ("1️⃣ one\n2️⃣ two", "one\ntwo"),
        ("20 °C © 5 € → x", "20 °C © 5 € x"),
        ("a\x00b\u200bc\u202ed", "abcd"),
        ("می‌خواهم", "می‌خواهم"),
        ("क्‍ष", "क्‍ष"),
        ("a \t  b\r\n c", "a b\nc"),
    ],
)
def test_spoken_form(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@given(
    st.text(st.sampled_from("ab1. *_`~[]()<>!-#|&;\\\n:/hw😀\u200d\ufe0f\u20e3\"'"), max_size=40), st.integers(0, 40)
)
def test_the_split_does_not_matter(text: str, at: int) -> None:
    whole, parts = Speakable(), Speakable()
    assert parts.push(text[:at]) + parts.push(text[at:]) + parts.finish() == whole.push(text) + whole.finish()


@given(st.text(max_size=60))
def test_each_character_knows_its_source(text: str) -> None:
    speaker = Speakable()
    spoken = speaker.push(text) + speaker.finish()
    edges = [edge for each in spoken for edge in (each.start, each.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)
    assert all(text[each.start] == each.char for each in spoken if each.char.isalnum() and "&" not in text)


_WORD = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
_MARKED = st.one_of(
    _WORD.map(lambda word: (word, word)),
    _WORD.map(lambda word: (f"**{word}**", word)),
    _WORD.map(lambda word: (f"_{word}_", word)),
    _WORD.map(lambda word: (f"`{word}`", word)),
    _WORD.map(lambda word: (f"[{word}](https://example.com/{word})", word)),
    _WORD.map(lambda word: (f"<em>{word}</em>", word)),
    _WORD.map(lambda word: (f"{word} 🎉", word)),
)


@given(st.lists(_MARKED, min_size=1, max_size=20), st.sampled_from(["", "# ", "- ", "> ", "1. "]))
def test_marked_words_are_spoken_as_words(marked: list[tuple[str, str]], mark: str) -> None:
    written = mark + " ".join(source for source, _ in marked)
    assert speakable(written) == " ".join(word for _, word in marked)


def test_words_are_not_held_back() -> None:
    speaker = Speakable()
    said = [char for token in ["Here", " we", " are", ",", " hello"] for char in speaker.push(token)]
    assert "".join(each.char for each in said) == "Here we are, hello"
