"""Numbers, times and durations in words, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop.local.intents_types import duration_minutes, say_duration, say_time, time_of_day
from voiceloop.local.intents_words import figure, number_of, number_words, words_of


@settings(deadline=None, max_examples=60)
@given(st.integers(-999_999_999, 999_999_999))
def test_whole_numbers_come_back_from_their_words(number: int) -> None:
    assert number_of(number_words(number).split()) == number


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 99_999), st.integers(1, 99))
def test_fractions_come_back_from_their_words(whole: int, hundredths: int) -> None:
    number = round(whole + hundredths / 100, 2)
    assert number_of(number_words(number).split()) == pytest.approx(number)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_comes_back_from_how_it_is_said(hour: int, minutes: int) -> None:
    time = f"{hour:02}:{minutes:02}"
    assert time_of_day(words_of(say_time(time))) == time


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 24 * 60))
def test_a_duration_comes_back_from_how_it_is_said(minutes: int) -> None:
    assert duration_minutes(words_of(say_duration(minutes))) == minutes


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_any_text_becomes_plain_lower_case_words(text: str) -> None:
    words = words_of(text)
    assert all(word and not word.isspace() and not any(mark in word for mark in ' ,.?!;:"') for word in words)
    assert words_of(" ".join(words)) == words or not text.isascii()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2:30 PM, please!", "two thirty p m please"),
        ("14:05", "fourteen oh five"),
        ("at 9am", "at nine a m"),
        ("I am here", "i am here"),
        ("for 3 people", "for three people"),
        ("1,200 km", "one thousand two hundred kilometers"),
        ("7 / 2", "seven divided by two"),
        ("12 - 5", "twelve minus five"),
        ("What’s up", "what's up"),
        ("the 3rd", "the three"),
        ("", ""),
    ],
)
def test_written_forms_become_spoken_words(text: str, words: str) -> None:
    assert words_of(text) == tuple(words.split())


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("two thirty p m", "14:30"),
        ("two thirty", "14:30"),
        ("nine", "09:00"),
        ("nine in the evening", "21:00"),
        ("half past three", "15:30"),
        ("quarter to five a m", "04:45"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("twelve oh five a m", "00:05"),
        ("eighteen forty five", "18:45"),
        ("thirty", None),
        ("two ninety", None),
    ],
)
def test_times_of_day(said: str, time: str | None) -> None:
    assert time_of_day(said.split()) == time


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ("half an hour", 30),
        ("an hour and a half", 90),
        ("two hours", 120),
        ("two and a half hours", 150),
        ("forty five minutes", 45),
    ],
)
def test_durations(said: str, minutes: int) -> None:
    assert duration_minutes(said.split()) == minutes


def test_figures_are_short() -> None:
    assert [figure(number) for number in (84.0, 2.5, 16.09344, 13200, 0.1 + 0.2)] == [
        "84",
        "2.5",
        "16.0934",
        "13,200",
        "0.3",
    ]
