"""How far this machine's clock is from AWS's, by what an answer says of the time.

Sources: RFC 9110, 6.6.1 (Date); IAM user guide, "Troubleshoot Signature Version 4 signing": a signature is valid for
five minutes, and the refusal says between which times it should have been made.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from voiceloop import clock

_AGREES = timedelta(seconds=60)
_STAMP = r"(\d{8}T\d{6}Z)"
# "Signature expired: <made> is now earlier than <limit> (<now> - 5 min.)", and "not yet current ... later than".
_REFUSED = re.compile(rf"Signature (?:expired|not yet current):.*?than {_STAMP} \({_STAMP} [-+] ")


def skew(date: str, text: str) -> timedelta | None:
    """This machine's clock less AWS's, by the Date header of an answer just received, or the refusal's words.

    None where neither tells, or outside of an event loop, which has the clock.
    """
    theirs = _of_header(date) or _of_words(text)
    if theirs is None:
        return None
    try:
        return clock.utcnow() - theirs
    except RuntimeError:
        return None


def advice(away: timedelta | None, key: str = "") -> str:
    """What to do about the clock, or, if that is right, about ``key``."""
    if away is None:
        return f"Check the clock of this machine, and {key}." if key else "Check the clock of this machine."
    if abs(away) < _AGREES:
        return f"The clock of this machine agrees with AWS's: check {key}." if key else ""
    side = "ahead of" if away > timedelta() else "behind"
    return f"Set the clock of this machine: it is {_length(abs(away))} {side} AWS's."


def _of_header(date: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(date)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _of_words(text: str) -> datetime | None:
    found = _REFUSED.search(text)
    try:
        return datetime.strptime(found[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def _length(time: timedelta) -> str:
    """The two largest of its units."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    first = next(index for index, (count, _) in enumerate(parts) if count or index == len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
