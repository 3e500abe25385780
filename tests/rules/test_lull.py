"""What comes next when something has ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.lull import Lull, follows

FLAGS = ("hearing", "unanswered", "ending", "input_ended", "model_answers", "late_words")
lulls = st.builds(Lull, st.booleans(), *(st.booleans() for _ in FLAGS))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "idle"),
        ({"hearing": True}, "goes on"),
        ({"unanswered": True}, "goes on"),
        ({"late_words": True}, "idle"),
        ({"ending": True}, "end"),
        ({"ending": True, "hearing": True, "unanswered": True, "late_words": True}, "end"),
        ({"input_ended": True}, "end"),
        ({"input_ended": True, "model_answers": True}, "end"),
        ({"input_ended": True, "late_words": True}, "await words"),
        ({"input_ended": True, "hearing": True}, "goes on"),
        ({"input_ended": True, "unanswered": True, "model_answers": True}, "await answer"),
        ({"input_ended": True, "hearing": True, "model_answers": True}, "await answer"),
    ],
)
def test_what_follows(known: dict[str, Any], expected: str) -> None:
    assert follows(Lull(speaking=False, **known)) == expected


@given(lulls)
def test_what_is_being_said_is_said(lull: Lull) -> None:
    assert (follows(lull) == "goes on") >= lull.speaking


@given(lulls)
def test_nothing_is_waited_for_that_cannot_come(lull: Lull) -> None:
    """Once the input has ended nobody waits for the user, and without a request to end nothing ends before it."""
    following = follows(lull)
    assert not (lull.input_ended and following == "idle")
    assert lull.ending or lull.input_ended or following not in ("end", "await answer", "await words")
