"""The types of slots: numbers, times of day, days, durations and choices, as patterns of words with a meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voiceloop.errors import BadInput, UnknownName
from voiceloop.local.grammar import Pattern, SlotType, match, one_of, parse, slots_of
from voiceloop.local.intents_words import figure, number_of, number_words

_DIGITS = "one | two | three | four | five | six | seven | eight | nine"
_TEENS = "ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen"
_TENS = "twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety"
_UNDER_100 = f"{_DIGITS} | {_TEENS} | ({_TENS}) [{_DIGITS}]"
_UNDER_1000 = f"{_UNDER_100} | (a | {_DIGITS}) hundred [[and] ({_UNDER_100})]"
_MILLIONS = f"({_UNDER_1000}) [million] [({_UNDER_1000}) thousand] [thousand] [[and] ({_UNDER_1000})]"

_HOURS = f"{_DIGITS} | ten | eleven | twelve"
_FIVES = "(twenty | thirty | forty | fifty) [five] | ten | fifteen | oh five"
_PART = "p m | a m | in the (morning | afternoon | evening)"
_TIME = f"({_HOURS}) [o'clock | {_FIVES}] [{_PART}] | half past ({_HOURS}) | quarter (past | to) ({_HOURS}) | noon"
_TIME_TYPED = (
    f"({_HOURS} | {_TEENS} | twenty [one | two | three] | zero) [o'clock | oh ({_DIGITS}) | {_UNDER_100}] "
    f"[{_PART} | at night] | [a] (quarter | half | five | ten | twenty [five]) (past | to) ({_HOURS}) [{_PART}] "
    "| midday | midnight"
)
_UNIT_M, _UNIT_H = "minutes | minute", "hours | hour"
_DURATION = (
    "half an hour | a quarter of an hour | an hour [and a half] | one hour | (two | three | four) hours "
    "| (ten | fifteen | twenty | thirty | forty five | sixty | ninety) minutes"
)
_DURATION_TYPED = (
    f"({_UNDER_100} | an) [and a half | point five] ({_UNIT_H}) [and a half | [and] ({_UNDER_100}) ({_UNIT_M})] "
    f"| ({_UNDER_1000}) ({_UNIT_M}) | half hour | a half hour | three quarters of an hour"
)
_WEEKDAYS = "monday | tuesday | wednesday | thursday | friday | saturday | sunday"
_DAY = f"today | tomorrow | [the] day after tomorrow | [next | this] ({_WEEKDAYS})"


def number_type(name: str, least: float, most: float, *, fractions: bool = False, listen: float = 99) -> SlotType:
    """Numbers from ``least`` to ``most``; only whole ones up to ``listen`` are listened for."""
    if most <= 20 and least >= 0:
        text = " | ".join(number_words(value) for value in range(round(least), round(most) + 1))
    else:
        text = (
            _UNDER_100 if most < 100 else _UNDER_1000 if most < 1000 else f"{_UNDER_1000} | ({_UNDER_100}) thousand"
        )
        text = text if least > 0 else f"zero | {text}"
    if fractions:
        text = f"({text}) [point ({_DIGITS})]"

    def value(words: tuple[str, ...]) -> float | None:
        number = number_of(words)
        if number is None or not least <= number <= most or (number != int(number) and not fractions):
            return None
        return int(number) if number == int(number) else number

    more = f"zero | [minus] ({_MILLIONS}) [point (zero | {_DIGITS})+ | and a half]"
    return SlotType(name, parse(text), value, figure, typed=parse(more))


def time_of_day(words: Sequence[str]) -> str | None:
    """The time that ``words`` say, as "14:30". Without a.m. or p.m., one to seven are in the afternoon."""
    rest = " ".join(words)
    if rest in ("noon", "midday", "midnight"):
        return "00:00" if rest == "midnight" else "12:00"
    part = ""
    for ending, meaning in {
        "p m": "pm", "a m": "am", "in the morning": "am", "in the afternoon": "pm",
        "in the evening": "pm", "at night": "pm",
    }.items():  # fmt: skip
        if rest.endswith(f" {ending}"):
            rest, part = rest.removesuffix(f" {ending}"), meaning
    for joint, sign in (("past", 1), ("to", -1)):
        before, found, after = rest.removeprefix("a ").partition(f" {joint} ")
        if found:
            minutes = {"half": 30, "quarter": 15}.get(before) or number_of(before.split())
            hour = number_of(after.split())
            return None if minutes is None or hour is None else _clock(int(hour), sign * int(minutes), part)
    said = rest.removesuffix(" o'clock").split()
    for split in range(len(said), 0, -1):
        hour, minutes = (
            number_of(said[:split]),
            number_of([word for word in said[split:] if word != "oh"] or ["zero"]),
        )
        if hour is not None and minutes is not None and hour < 24 and minutes < 60:
            return _clock(int(hour), int(minutes), part)
    return None


def _clock(hour: int, minutes: int, part: str) -> str:
    if hour > 12 or hour == 0:
        part = "as is"
    if (part == "pm" and hour < 12) or (not part and hour < 8):
        hour += 12
    elif part == "am" and hour == 12:
        hour = 0
    total = (hour * 60 + minutes) % 1440
    return f"{total // 60:02}:{total % 60:02}"


def say_time(value: str) -> str:
    """ "14:30" as people say it: "2:30 pm"."""
    hour, minutes = map(int, value.split(":"))
    if minutes == 0 and hour in (0, 12):
        return "noon" if hour else "midnight"
    shown = f"{(hour - 1) % 12 + 1}:{minutes:02}" if minutes else f"{(hour - 1) % 12 + 1}"
    return f"{shown} {'pm' if hour >= 12 else 'am'}"


def duration_minutes(words: Sequence[str]) -> int | None:
    """The duration that ``words`` say, in minutes."""
    text = " ".join(words)
    fixed = {
        "half an hour": 30, "half hour": 30, "a half hour": 30, "a quarter of an hour": 15,
        "three quarters of an hour": 45,
    }  # fmt: skip
    if text in fixed:
        return fixed[text]
    minutes = 0.0
    hours_at = next((at for at, word in enumerate(words) if word in _UNIT_H.split(" | ")), None)
    rest = list(words)
    if hours_at is not None:
        hours = number_of(words[:hours_at])
        if hours is None:
            return None
        rest = [word for word in words[hours_at + 1 :] if word != "and"]
        minutes = 60 * hours
        if rest == ["a", "half"]:
            return round(minutes + 30)
    if rest:
        more = number_of(rest[:-1])
        if more is None:
            return None
        minutes += more
    return round(minutes)


def say_duration(minutes: int) -> str:
    """Minutes as people say them: 30 is "half an hour", 90 "1 hour and 30 minutes"."""
    if minutes == 30:
        return "half an hour"
    hours, rest = divmod(minutes, 60)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in ((hours, "hour"), (rest, "minute")) if count
    ]
    return " and ".join(parts)


def _day(words: tuple[str, ...]) -> str:
    return " ".join(word for word in words if word not in ("the", "this"))


def _say_day(day: str) -> str:
    if day in ("today", "tomorrow"):
        return day
    return f"the {day}" if day.startswith("day") else " ".join(("on", day.title())) if " " not in day else day.title()


def choice_type(name: str, choices: Mapping[str, Sequence[str]], free: int = 0) -> SlotType:
    """One of several names; each may be said in several ways (patterns), by default as it is written."""
    ways = {value: one_of(parse(way) for way in (said or [value])) for value, said in choices.items()}
    if not ways or any(map(slots_of, ways.values())):
        raise BadInput(f"type {name!r}: choices must be one or more, in plain words without slots")

    def value(words: tuple[str, ...]) -> str | None:
        return next((value for value, way in ways.items() if match(way, words, {}) is not None), None)

    return SlotType(name, one_of(ways.values()), value, free=free)


def make_type(name: str, table: Mapping[str, Any]) -> SlotType:
    """The type that a file's ``[types]`` table describes. Raises BadInput when it describes none."""
    known = {"number", "fractions", "listen", "duration", "choices", "free"}
    for key in table:
        if key not in known:
            raise UnknownName(f"setting of the type {name!r}", key, known)
    match table:
        case {"number": [int() | float() as least, int() | float() as most]}:
            fractions, listen = bool(table.get("fractions", False)), float(table.get("listen", 99))
            return number_type(name, least, most, fractions=fractions, listen=listen)
        case {"duration": [int() as least, int() as most]}:
            return _duration_type(name, least, most)
        case {"choices": {} as choices}:
            return choice_type(name, choices, int(table.get("free", 0)))
        case {"choices": [*names]}:
            return choice_type(name, {str(value): () for value in names}, int(table.get("free", 0)))
    raise BadInput(f"type {name!r} needs number = [least, most], duration = [least, most] or choices = ...")


def _duration_type(name: str, least: int, most: int) -> SlotType:
    def value(words: tuple[str, ...]) -> int | None:
        minutes = duration_minutes(words)
        return minutes if minutes is not None and least <= minutes <= most else None

    return SlotType(name, parse(_DURATION), value, say_duration, typed=parse(_DURATION_TYPED))


def built_in() -> dict[str, SlotType]:
    """The types that need no description: ``time`` and ``day``."""
    day: Pattern = parse(_DAY)
    return {
        "time": SlotType("time", parse(_TIME), time_of_day, say_time, typed=parse(_TIME_TYPED)),
        "day": SlotType("day", day, _day, _say_day),
    }
