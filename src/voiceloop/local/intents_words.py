"""Words as they are spoken: text to plain words, numbers to words and back."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: value for value, word in enumerate(_ONES)} | {"oh": 0, "a": 1, "an": 1}
_TEN = {word: 10 * value for value, word in enumerate(_TENS, 2)}
_SCALES = ((1_000_000, "million"), (1_000, "thousand"))
_MOST = 1_000_000_000

_SPELLINGS = {
    "p.m": "p m",
    "pm": "p m",
    "whats": "what's",
    "ok": "okay",
    "fourty": "forty",
    "metre": "meter",
    "metres": "meters",
    "litre": "liter",
    "litres": "liters",
    "kilometre": "kilometer",
    "kilometres": "kilometers",
    "centimetre": "centimeter",
    "centimetres": "centimeters",
    "km": "kilometers",
    "cm": "centimeters",
    "kg": "kilograms",
    "min": "minutes",
    "mins": "minutes",
    "hr": "hours",
    "hrs": "hours",
    "&": "and",
    "+": "plus",
    "*": "times",
    "×": "times",
    "/": "divided by",
    "÷": "divided by",
    "=": "",
}
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|(?:a|p)\.m\b|[^\W\d_]+(?:'[^\W\d_]+)*|[&+*×/÷=]")
_CLOCK = re.compile(r"\b([0-9]{1,2})[:.h]([0-9]{2})(?=\s*(?:[ap]\.?\s?m\b|$|\s|[,.?!]))")
_MINUS = re.compile(r"(?<=[0-9])\s*[-−]\s*(?=[0-9])|(?<=[0-9])\s+[-−]\s+(?=\w)")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}\b)")
_ORDINALS = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\b")


def words_of(text: str) -> tuple[str, ...]:
    """``text`` as lower-case spoken words: "2:30 PM, please" is two, thirty, p, m, please."""
    text = _THOUSANDS.sub("", text.lower().replace("’", "'"))
    text = _ORDINALS.sub("", text)
    text = _CLOCK.sub(lambda found: f"{found[1]} {_minutes(int(found[2]))} ", text)
    text = _MINUS.sub(" minus ", text)
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token[0] in "0123456789":
            words += number_words(float(token) if "." in token else int(token)).split()
        elif (
            token in ("am", "a.m") and words and (words[-1] in _SMALL or words[-1] in _TEN or words[-1] == "o'clock")
        ):
            words += ["a", "m"]
        else:
            words += _SPELLINGS.get(token, token).split()
    return tuple(words)


def _minutes(minutes: int) -> str:
    if minutes == 0:
        return "o'clock"
    return f"oh {_ONES[minutes]}" if minutes < 10 else number_words(minutes)


def number_words(number: float) -> str:
    """A number in words: 42 is "forty two", 2.5 is "two point five". Very large ones digit by digit."""
    if number < 0:
        return f"minus {number_words(-number)}"
    if number != int(number):
        whole, _, fraction = f"{number:.6f}".rstrip("0").partition(".")
        return " ".join((number_words(int(whole)), "point", *(_ONES[int(digit)] for digit in fraction)))
    whole_number = int(number)
    if whole_number >= _MOST:
        return " ".join(_ONES[int(digit)] for digit in str(whole_number))
    return " ".join(_whole(whole_number)) or "zero"


def _whole(number: int) -> list[str]:
    for size, name in _SCALES:
        if number >= size:
            return [*_whole(number // size), name, *_whole(number % size)]
    if number >= 100:
        return [_ONES[number // 100], "hundred", *_whole(number % 100)]
    if number >= 20:
        return [_TENS[number // 10 - 2], *_whole(number % 10)]
    return [_ONES[number]] if number else []


def number_of(words: Sequence[str]) -> float | None:
    """The number that ``words`` say: "two and a half" is 2.5. None if they say none."""
    if words and words[0] == "minus":
        rest = number_of(words[1:])
        return None if rest is None else -rest
    if tuple(words[-3:]) == ("and", "a", "half"):
        whole = _whole_of(words[:-3])
        return None if whole is None else whole + 0.5
    if "point" in words:
        at = words.index("point")
        digits = [_SMALL.get(word, 10) for word in words[at + 1 :]]
        whole = _whole_of(words[:at])
        if whole is None or not digits or max(digits) > 9:
            return None
        return float(f"{whole}.{''.join(map(str, digits))}")
    return _whole_of(words)


def _whole_of(words: Sequence[str]) -> int | None:
    for size, name in (*_SCALES, (100, "hundred")):
        if name in words:
            at = len(words) - 1 - list(reversed(words)).index(name)
            before, after = _whole_of(words[:at]), 0
            if rest := [word for word in words[at + 1 :] if word != "and"]:
                below = _whole_of(rest)
                after = size if below is None else below
            return None if before is None or after >= size else before * size + after
    match tuple(words):
        case (ten, one) if ten in _TEN and 0 < _SMALL.get(one, 0) < 10:
            return _TEN[ten] + _SMALL[one]
        case (only,):
            return _TEN.get(only, _SMALL.get(only))
    return None


def figure(number: float) -> str:
    """A number as written: 2.5, 3, 1,200; at most four decimals."""
    return f"{round(number):,}" if abs(number - round(number)) < 5e-5 else f"{number:,.4f}".rstrip("0")
