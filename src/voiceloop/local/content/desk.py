"""The tools of the desk dialogue: what a machine knows without a network."""

from __future__ import annotations

from typing import Any, Literal

from voiceloop import clock
from voiceloop.errors import BadInput
from voiceloop.tools import tool

OPENED = {
    "Brooklyn Bridge": 1883,
    "Golden Gate Bridge": 1937,
    "Eiffel Tower": 1889,
    "Empire State Building": 1931,
    "Statue of Liberty": 1886,
    "Tower Bridge": 1894,
}
"""The year in which a landmark was opened."""

_UNITS = {
    "meters": ("length", 1.0), "kilometers": ("length", 1000.0), "centimeters": ("length", 0.01),
    "miles": ("length", 1609.344), "yards": ("length", 0.9144),
    "feet": ("length", 0.3048), "inches": ("length", 0.0254),
    "kilograms": ("weight", 1.0), "grams": ("weight", 0.001), "pounds": ("weight", 0.45359237),
    "ounces": ("weight", 0.028349523125), "liters": ("volume", 1.0), "gallons": ("volume", 3.785411784),
    "celsius": ("temperature", 1.0), "fahrenheit": ("temperature", 1.0),
}  # fmt: skip


@tool
async def time_now() -> str:
    """The time of day on this machine."""
    now = clock.utcnow().astimezone()
    return f"{(now.hour - 1) % 12 + 1}:{now.minute:02} {'pm' if now.hour >= 12 else 'am'}"


@tool
async def date_today() -> str:
    """The date on this machine."""
    now = clock.utcnow().astimezone()
    return f"{now:%A}, {now:%B} {now.day}, {now.year}"


@tool
async def calculate(a: float, operation: Literal["plus", "minus", "times", "divided by"], b: float) -> float:
    """Calculate with two numbers."""
    match operation:
        case "plus":
            return a + b
        case "minus":
            return a - b
        case "times":
            return a * b
        case "divided by":
            if b == 0:
                raise BadInput("nothing can be divided by zero")
            return a / b


@tool
async def convert(amount: float, unit: str, target: str) -> float:
    """Convert an amount from one unit to another, both as English plurals such as "miles"."""
    (kind, size), (target_kind, target_size) = _UNITS[unit], _UNITS[target]
    if kind != target_kind:
        raise BadInput(f"{unit} measure {kind}, and {target} {target_kind}")
    if kind == "temperature" and unit != target:
        return amount * 9 / 5 + 32 if target == "fahrenheit" else (amount - 32) * 5 / 9
    return amount * size / target_size


@tool
async def landmark_age(landmark: str) -> dict[str, Any]:
    """How old a landmark is, from the year in which it was opened."""
    year = OPENED[landmark]
    return {"year": year, "age": clock.utcnow().year - year}


@tool
async def move(direction: str, distance: int, step: str = "steps") -> str:
    """Move the robot, if there were one."""
    return f"{direction.title()} {distance} {step}, understood, but I have no wheels, so nothing moved"


TOOLS = (time_now, date_today, calculate, convert, landmark_age, move)
