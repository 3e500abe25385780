"""What is echo of the assistant's own words, and what is the user."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.echo import is_echo

REPLY = "The weather in Paris is sunny today, with no rain until the evening. Shall I stop here, yes or no?"
SPOKEN = [(word, index * 300.0) for index, word in enumerate(REPLY.split())]  # "sunny" 1500, "stop" 4500, "no?" 5700


@pytest.mark.parametrize(
    ("text", "playhead_ms", "expected"),
    [
        ("the weather in paris", 1000, True),
        ("The weather in Paris is sunny today.", 2400, True),
        ("whether in paris is sonny", 1800, True),
        ("the weather in spain is sunny", 1800, True),
        ("weather paris sunny today", 2400, True),
        # long ago, or not yet said
        ("the weather in paris", 9000, False),
        ("rain until the evening", 1000, False),
        # other words, or the same in another order
        ("what about tomorrow", 1800, False),
        ("today sunny is paris in", 2400, False),
        ("the is the with", 4000, False),
        # the user over the echo
        ("the weather in paris stop", 1500, False),
        ("the weather in paris is what about london", 1800, False),
        ("wait the weather in paris", 1500, False),
        # one or two words
        ("stop", 1500, False),
        ("stop", 4600, True),
        ("stop", 6100, False),
        ("no", 6000, True),
        ("yes", 1000, False),
        ("sunny today", 2400, True),
        ("sunny evening", 3600, False),
        ("weather is", 900, False),
        ("", 1000, False),
    ],
)
def test_whose_words(text: str, playhead_ms: float, expected: bool) -> None:
    assert is_echo(text, SPOKEN, playhead_ms) is expected


@pytest.mark.parametrize(("since_ms", "expected"), [(5400, True), (5700, True), (5701, False), (6200, False)])
def test_what_began_before_the_user_did_is_no_echo(since_ms: float, expected: bool) -> None:
    assert is_echo("no", SPOKEN, 6100, since_ms=since_ms) is expected


def test_nothing_said_has_no_echo() -> None:
    assert not is_echo("hello there my friend", [], 0)


def test_a_long_echo_is_compared_with_as_much_of_the_reply() -> None:
    spoken = [(f"word{chr(97 + i)}{chr(97 + i)}{chr(97 + i)}", i * 350.0) for i in range(20)]
    assert is_echo(" ".join(word for word, _ in spoken), spoken, 20 * 350.0)


@given(st.integers(0, 16), st.integers(3, 8))
def test_any_stretch_that_is_being_said_is_echo(start: int, length: int) -> None:
    stretch = SPOKEN[start : start + length]
    assert is_echo(" ".join(word for word, _ in stretch), SPOKEN, stretch[-1][1] + 400)


@given(st.lists(st.sampled_from(["apple", "river", "seven", "blue"]), min_size=1, max_size=8), st.floats(0, 6000))
def test_words_that_the_reply_does_not_hold_are_never_echo(words: list[str], playhead_ms: float) -> None:
    assert not is_echo(" ".join(words), SPOKEN, playhead_ms)
