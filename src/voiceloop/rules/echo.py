"""Is what the recognizer hears only the assistant's own voice, coming back from the listener's loudspeaker?"""

from __future__ import annotations

import re
from collections.abc import Sequence

# How far behind the playhead the words may lie that a heard word is compared with, beyond the caller's window.
_MS_PER_WORD = 400.0
# The playhead is an estimate, and a word's time is its start.
_AHEAD_MS = 300.0
_SHORT_ANSWER_WINDOW_MS = 1500.0
_SHORT_ANSWER_WORDS = 2

_COMMANDS = frozenset(
    ["yes", "yeah", "no", "stop", "wait", "okay", "ok", "cancel", "sorry", "excuse", "quiet", "help"]
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def is_echo(
    text: str,
    spoken: Sequence[tuple[str, float]],
    playhead_ms: float,
    *,
    since_ms: float = float("-inf"),
    window_ms: float = 2500.0,
) -> bool:
    """Whether the user's words ``text`` are words that the assistant is just saying.

    ``spoken``: the reply's words, each with the ms of the reply at which it starts, in order. ``playhead_ms``: where
    the listener is; words up to ``window_ms`` before it are compared, and further back for a long ``text``, but none
    from before ``since_ms``: what began before the first sound of ``text`` is no echo in it.

    Echo is at least two thirds of the words, in order, nearly alike (echo is often misheard) and close together in
    the reply; and what is left over is neither a command ("stop", "no") nor two words at the end, where a user who
    talks over the assistant is heard. One or two words must all be said within 1.5 s of the playhead: an answer that
    only happens to occur in the reply is the user's.
    """
    heard = _words(text)
    if not heard:
        return False
    short = len(heard) <= _SHORT_ANSWER_WORDS
    back = _SHORT_ANSWER_WINDOW_MS if short else window_ms + _MS_PER_WORD * len(heard)
    first, last = max(playhead_ms - back, since_ms), playhead_ms + _AHEAD_MS
    said = [part for word, ms in spoken if first <= ms <= last for part in _words(word)]
    if 3 * sum(any(_alike(word, other) for other in said) for word in heard) < 2 * len(heard):
        return False
    reach = len(heard) if short else len(heard) * 3 // 2 + 1
    matched = max(
        (_matched(heard, said[start : start + reach]) for start in range(len(said))), key=len, default=set()
    )
    missing = [index for index in range(len(heard)) if index not in matched]
    if short:
        return not missing
    tail = missing[-2:] == [len(heard) - 2, len(heard) - 1]
    return 3 * len(matched) >= 2 * len(heard) and not tail and _COMMANDS.isdisjoint(heard[index] for index in missing)


def _words(text: str) -> list[str]:
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def _matched(heard: Sequence[str], said: Sequence[str]) -> set[int]:
    """Which words of ``heard`` are in their longest common subsequence with ``said``."""
    best: list[frozenset[int]] = [frozenset()] * (len(said) + 1)
    for index, word in enumerate(heard):
        row = [best[0]]
        for column, other in enumerate(said):
            longest = max(best[column + 1], row[column], key=len)
            taken = best[column] | {index}
            row.append(taken if len(taken) > len(longest) and _alike(word, other) else longest)
        best = row
    return set(best[-1])


def _alike(one: str, other: str) -> bool:
    """Equal, or one edit apart from four letters on, two from seven on."""
    if one == other:
        return True
    shorter = min(len(one), len(other))
    allowed = 2 if shorter >= 7 else 1 if shorter >= 4 else 0
    return abs(len(one) - len(other)) <= allowed and _edits(one, other) <= allowed


def _edits(one: str, other: str) -> int:
    distances = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        diagonal, distances[0] = distances[0], row
        for column, candidate in enumerate(other, 1):
            best = min(diagonal + (letter != candidate), distances[column] + 1, distances[column - 1] + 1)
            diagonal, distances[column] = distances[column], best
    return distances[-1]
