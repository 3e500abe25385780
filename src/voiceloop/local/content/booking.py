"""The tool of the meeting-room dialogue."""

from __future__ import annotations

from typing import Any

from voiceloop.tools import tool


@tool
async def book_room(place: str, day: str, time: str, minutes: int, people: int) -> dict[str, Any]:
    """Book a meeting room.

    Nothing is really booked: this is the demo's own answer.

    Args:
        place: The city.
        day: "today", "tomorrow" or a day of the week.
        time: When it begins, as "14:30".
        minutes: How long it is needed.
        people: How many come.
    """
    hour, minute = (int(part) for part in time.split(":"))
    number = 100 + (hour * 60 + minute + minutes + 7 * people + sum(map(ord, place + day))) % 900
    return {"number": number}


TOOLS = (book_room,)
