"""From output events to link events, in every order that was seen on the real service.

Scripts are lines. ``U text``: a block of the user's words. ``S text``, ``F text``: a SPECULATIVE or FINAL block of
the assistant. ``A``: a block of 100 ms of audio. ``T name``: a tool use. ``I``: the mark of an interruption. ``<``,
``>``: start and end of user speech. ``.``: the end of the completion. A ``!`` after the letter ends a block with
END_TURN, a ``?`` with INTERRUPTED. ``+n`` lets n seconds pass.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.nova.events_in import (
    AudioCame,
    BargedIn,
    BlockEnded,
    BlockStarted,
    Completed,
    OutputEvent,
    SpeechEnded,
    SpeechStarted,
    TextCame,
    ToolUsed,
    Used,
)
from voiceloop.aws.nova.turns import Ids, Turns
from voiceloop.interfaces import (
    Final,
    LinkEvent,
    ModelCut,
    ModelSpeechStarted,
    ModelSpeechStopped,
    ModelToolCall,
    ModelUsage,
    ReplyAudio,
    ReplyEnded,
    ReplySpan,
    ReplyStarted,
    ReplyTextDelta,
    Settled,
)

PCM = bytes(2 * 2400)
_ROLES = {"U": ("TEXT", "USER", ""), "S": ("TEXT", "ASSISTANT", "SPECULATIVE"), "F": ("TEXT", "ASSISTANT", "FINAL")}


def block(content: str, line: str) -> list[OutputEvent]:
    letter, text = line[0], line[1:].lstrip("!?").strip()
    stop = {"!": "END_TURN", "?": "INTERRUPTED"}.get(line[1:2], "PARTIAL_TURN")
    if letter == "A":
        return [
            BlockStarted(content, "AUDIO", "ASSISTANT"),
            AudioCame(content, PCM),
            BlockEnded(content, "AUDIO", stop),
        ]
    if letter == "T":
        used = ToolUsed(content, f"use-{text}", text, {})
        return [BlockStarted(content, "TOOL", "TOOL"), used, BlockEnded(content, "TOOL", "TOOL_USE")]
    kind, role, stage = _ROLES[letter]
    data: list[OutputEvent] = [TextCame(content, text, role)] if text else []
    return [BlockStarted(content, kind, role, stage), *data, BlockEnded(content, kind, stop)]  # type: ignore[arg-type]


class Script:
    """Plays lines into a reducer."""

    def __init__(self, turns: Turns | None = None, now: float = 100.0) -> None:
        self.turns = turns or Turns(1, 24_000, Ids())
        self.now = now
        self.made: list[LinkEvent] = []
        self._contents = itertools.count(1)

    def play(self, *scripts: str) -> Script:
        for line in itertools.chain.from_iterable(script.split("|") for script in scripts):
            self._line(line.strip())
        return self

    def _line(self, line: str) -> None:
        if line.startswith("+"):
            self.now += float(line[1:])
            return
        if line[0] in "<>":
            ms = float(line[1:] or 0)
            events: list[OutputEvent] = [SpeechStarted(ms) if line[0] == "<" else SpeechEnded(ms)]
        elif line == ".":
            events = [Completed()]
        elif line == "I":
            content = f"c{next(self._contents)}"
            started = BlockStarted(content, "TEXT", "ASSISTANT", "FINAL")
            events = [started, BargedIn(content), BlockEnded(content, "TEXT", "PARTIAL_TURN")]
        else:
            events = block(f"c{next(self._contents)}", line)
        for event in events:
            self.made += self.turns.take(event, self.now)

    @property
    def story(self) -> str:
        return " | ".join(filter(None, map(told, self.made)))


def told(event: LinkEvent) -> str:
    match event:
        case ReplyStarted(reply, turn):
            return f"reply {reply}" + (f" as {turn}" if turn else "")
        case ReplyTextDelta(reply, text):
            return f"{reply} says{text if text.startswith(' ') else ' ' + text}"
        case ReplyAudio(reply):
            return f"{reply} sounds"
        case ReplyEnded(reply):
            return f"{reply} ends"
        case ModelCut(reply):
            return f"{reply} cut"
        case Settled(reply, text):
            return f"{reply} spoke {text}"
        case ModelToolCall(reply, _, _, name):
            return f"{reply} calls {name}"
        case Final(item, text):
            return f"{item} {text}"
        case ModelSpeechStarted(ms):
            return f"speech {ms:g}"
        case ModelSpeechStopped(ms):
            return f"stopped {ms:g}"
        case ReplySpan():
            return ""
        case _:
            return type(event).__name__


TURNS = {
    "a turn as it was recorded": (
        "< 100 | > 700 | U book a table | S Yes. | A | S For when? | A! | F Yes. | F! For when?",
        "speech 100 | user-1 book a table | stopped 700 | reply 1 | 1 says Yes. | 1 sounds | 1 says For when? |"
        " 1 sounds | 1 ends | 1 spoke Yes. | 1 spoke Yes. For when?",
    ),
    "no events of speech": (
        "U book a table | S Yes. | A!",
        "user-1 book a table | reply 1 | 1 says Yes. | 1 sounds | 1 ends",
    ),
    "the end of speech after the words": (
        "< 100 | U book | > 700 | S Yes. | A!",
        "speech 100 | user-1 book | stopped 700 | reply 1 | 1 says Yes. | 1 sounds | 1 ends",
    ),
    "words in several blocks are one item": (
        "< 100 | U book a | U table | > 900 | S Yes. | A!",
        "speech 100 | user-1 book a | user-1 book a table | stopped 900 | reply 1 | 1 says Yes. | 1 sounds | 1 ends",
    ),
    "words that come after the answer began": (
        "< 100 | > 700 | S Yes. | U book | A!",
        "speech 100 | stopped 700 | reply 1 | 1 says Yes. | user-1 book | 1 sounds | 1 ends",
    ),
    "empty words are nothing": ("U  | U", ""),
    "a language label is no word": ("U [de-DE] guten Tag", "user-1 guten Tag"),
    "FINAL comes after the next start of speech": (
        "U one | S Yes. | A! | < 2000 | F! Yes. | > 2500 | U two | S No. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | speech 2000 | 1 spoke Yes. | 1 cut | user-2 two |"
        " stopped 2500 | reply 2 | 2 says No. | 2 sounds | 2 ends",
    ),
    "FINAL comes when the next reply is being made": (
        "U one | S Yes. | A! | +9 | U two | S No. | F! Yes. | A! | F! No.",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | user-2 two | reply 2 | 2 says No. | 1 spoke Yes. |"
        " 2 sounds | 2 ends | 2 spoke No.",
    ),
    "FINAL never comes": (
        "U one | S Yes. | A! | +9 | U two | S No. | A! | F! No.",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | user-2 two | reply 2 | 2 says No. | 2 sounds |"
        " 2 ends | 2 spoke No.",
    ),
    "FINAL alone ends a reply whose audio did not say so": (
        "U one | S Yes. | A | F! Yes.",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 spoke Yes. | 1 ends",
    ),
    "the completion's end ends a reply": (
        "U one | S Yes. | A | .",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends",
    ),
    "a model that announces nothing": (
        "U one | F Yes. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 spoke Yes. | 1 sounds | 1 ends",
    ),
    "barge-in a: only the start of speech": (
        "U one | S Yes. | A | S But. | < 2000 | F Yes. | > 2500 | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 says But. | speech 2000 | 1 spoke Yes. | 1 cut |"
        " user-2 stop | stopped 2500 | reply 2 | 2 says Well. | 2 sounds | 2 ends",
    ),
    "barge-in b: a mark in the text": (
        "U one | S Yes. | A | < 2000 | I | I | F Yes. | > 2500 | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | speech 2000 | 1 cut | 1 spoke Yes. | user-2 stop |"
        " stopped 2500 | reply 2 | 2 says Well. | 2 sounds | 2 ends",
    ),
    "barge-in c: FINAL ends with INTERRUPTED": (
        "U one | S Yes. | A | S But. | A | < 2000 | F Yes. | F? Bu | > 2500 | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 says But. | 1 sounds | speech 2000 | 1 spoke Yes. |"
        " 1 spoke Yes. Bu | 1 cut | user-2 stop | stopped 2500 | reply 2 | 2 says Well. | 2 sounds | 2 ends",
    ),
    "barge-in d: AUDIO ends with INTERRUPTED": (
        "U one | S Yes. | A? | F? Yes. | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 cut | 1 spoke Yes. | user-2 stop | reply 2 |"
        " 2 says Well. | 2 sounds | 2 ends",
    ),
    "generation outran playback: END_TURN first, INTERRUPTED later": (
        "U one | S Yes. | A! | < 2000 | F? Ye | > 2500 | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | speech 2000 | 1 spoke Ye | 1 cut | user-2 stop |"
        " stopped 2500 | reply 2 | 2 says Well. | 2 sounds | 2 ends",
    ),
    "INTERRUPTED of the last reply does not cut the next one": (
        "U one | S Yes. | A! | +9 | U two | S No. | F? Ye | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | user-2 two | reply 2 | 2 says No. | 1 spoke Ye |"
        " 2 sounds | 2 ends",
    ),
    "INTERRUPTED without any text": (
        "U one | S Yes. | A | F? | U stop | S Well. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 cut | user-2 stop | reply 2 | 2 says Well. | 2 sounds |"
        " 2 ends",
    ),
    "what is said when nothing can be playing any more is no interruption": (
        "U one | S Yes. | A! | +9 | < 2000 | U two | S No. | A!",
        "user-1 one | reply 1 | 1 says Yes. | 1 sounds | 1 ends | speech 2000 | user-2 two | reply 2 | 2 says No. |"
        " 2 sounds | 2 ends",
    ),
    "a tool without words": (
        "U one | T book",
        "user-1 one | reply 1 | 1 calls book",
    ),
    "a tool after words, and words after it": (
        "U one | S Wait. | A! | T book | S Still. | A!",
        "user-1 one | reply 1 | 1 says Wait. | 1 sounds | 1 ends | reply 2 | 2 calls book | 2 says Still. | 2 sounds",
    ),
    "several tools": (
        "U one | S Wait. | A | T book | T look",
        "user-1 one | reply 1 | 1 says Wait. | 1 sounds | 1 calls book | 1 calls look",
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_turn(name: str) -> None:
    script, story = TURNS[name]
    assert Script().play(script).story == story


def test_spans_place_text_in_the_audio() -> None:
    script = Script().play("U one | S Yes. | A | S For when? | A!")
    spans = [event for event in script.made if isinstance(event, ReplySpan)]
    assert [(span.start, span.end, span.ms, span.end_ms) for span in spans] == [
        (0, 4, 0, None),
        (0, 4, 0, 100),
        (5, 14, 100, None),
        (5, 14, 100, 200),
    ]


def test_two_blocks_of_text_before_their_audio_are_one_span() -> None:
    script = Script().play("U one | S Yes. | S For when? | A!")
    spans = [event for event in script.made if isinstance(event, ReplySpan)]
    assert [(span.start, span.end, span.end_ms) for span in spans] == [(0, 14, None), (0, 14, 100)]


def test_an_odd_byte_waits_for_the_next_event() -> None:
    turns = Turns(1, 24_000, Ids())
    turns.take(BlockStarted("a", "AUDIO", "ASSISTANT"), 1.0)
    pcm = b"".join(
        event.pcm
        for part in (b"\x01", b"\x02\x03\x04\x05", b"\x06")
        for event in turns.take(AudioCame("a", part), 1.0)
        if isinstance(event, ReplyAudio)
    )
    assert pcm == bytes(range(1, 7))


def test_late_audio_of_what_was_interrupted_is_dropped_and_the_next_is_not() -> None:
    script = Script().play("U one | S Yes. | A")
    turns, now = script.turns, script.now
    turns.take(BlockStarted("late", "AUDIO", "ASSISTANT"), now)
    assert [type(event) for event in turns.take(BargedIn("late"), now)] == [ModelCut]
    assert turns.take(AudioCame("late", PCM), now) == []
    assert Script(turns, now).play("S New. | A!").story == "reply 2 | 2 says New. | 2 sounds | 2 ends"


def test_a_reply_to_something_else_while_the_user_speaks_answers_nothing_of_it() -> None:
    script = Script().play("U one | T look | < 900")
    script.turns.answer_tool("use-look", script.now)
    script.play("S It is there. | A! | > 4000 | U two | S Yes. | A!")
    assert script.story.endswith(
        "speech 900 | 1 says It is there. | 1 sounds | 1 ends | 1 cut | user-2 two | stopped 4000 | reply 2 |"
        " 2 says Yes. | 2 sounds | 2 ends"
    )


def test_typed_text_gets_the_next_reply() -> None:
    script = Script()
    script.turns.asked.add(7, script.now)
    assert script.play("S Yes. | A!").story == "reply 1 as 7 | 1 says Yes. | 1 sounds | 1 ends"


def test_typed_text_while_a_reply_is_made() -> None:
    script = Script().play("U one | S Yes. | A")
    script.turns.asked.add(7, script.now)
    script.play("S But. | A | F? Yes. | S Seven. | A!")
    assert script.story.endswith(
        "1 says But. | 1 sounds | 1 spoke Yes. | 1 cut | reply 2 as 7 | 2 says Seven. | 2 sounds | 2 ends"
    )


def test_typed_text_that_nothing_shows_to_have_interrupted() -> None:
    script = Script().play("U one | S Yes. | A")
    script.turns.asked.add(7, script.now)
    script.play("+1 | S Seven. | A!")
    assert script.story.endswith("reply 2 as 7 | 2 says Seven. | 2 sounds | 2 ends")


def test_the_answer_after_a_tool_belongs_to_the_reply_that_called() -> None:
    script = Script().play("U one | S Wait. | A | T book")
    script.turns.answer_tool("use-book", script.now)
    assert script.turns.owes
    script.play("S Booked. | A!")
    assert script.story.endswith("1 calls book | 1 says Booked. | 1 sounds | 1 ends")
    assert not script.turns.owes


def test_a_reply_that_waits_for_a_tool_goes_on_after_its_end_of_turn() -> None:
    script = Script().play("U one | T book | S Wait. | A!")
    assert "ends" not in script.story
    script.turns.answer_tool("use-book", script.now)
    script.play("S Booked. | A!")
    assert script.story.endswith("1 says Wait. | 1 sounds | 1 says Booked. | 1 sounds | 1 ends")


def test_a_reply_that_only_waits_for_a_tool_ends_when_the_user_goes_on() -> None:
    script = Script().play("U one | T book | S Wait. | A! | +9 | U two | S Yes. | A!")
    assert script.story.endswith("1 sounds | 1 ends | user-2 two | reply 2 | 2 says Yes. | 2 sounds | 2 ends")


def test_a_tool_that_was_answered_and_brought_nothing_ends_the_reply_after_a_while() -> None:
    script = Script().play("U one | T book | S Wait. | A!")
    script.turns.answer_tool("use-book", script.now)
    assert script.turns.settle(script.now - 10) == []
    assert [told(event) for event in script.turns.settle(script.now + 1)] == ["1 ends"]


def test_a_connection_that_was_replaced_only_completes_its_reply() -> None:
    script = Script().play("U one | S Yes. | A")
    assert script.turns.retire() == []
    script.made.clear()
    script.play("< 900 | U two | S But. | A! | F Yes. | F! But. | S More. | A! | T book")
    assert script.story == "1 says But. | 1 sounds | 1 ends | 1 spoke Yes. | 1 spoke Yes. But."


def test_what_is_said_to_words_that_moved_on_is_no_part_of_the_reply_before() -> None:
    """The user spoke over a reply without any sign that this cut it; then their words went elsewhere."""
    script = Script().play("U one | S Yes. | A | < 900 | +3")
    script.turns.retire()
    script.made.clear()
    script.play("U two | S You said two. | A!")
    assert script.story == "1 cut"


def test_a_connection_that_was_replaced_may_still_call_a_tool() -> None:
    script = Script().play("U one | S Yes. | A")
    script.turns.retire()
    script.made.clear()
    script.play("T book | S More.")
    assert script.story == "1 calls book | 1 ends"
    assert script.turns.ids.calls == {(1, "use-book")}


@pytest.mark.parametrize(
    ("script", "lost"),
    [
        ("U one | S Yes. | A", "1 ends"),
        ("U one | S Yes.", "1 cut"),
        ("U one | T book", "1 cut"),
        ("U one | S Y. | A!", ""),
    ],
)
def test_a_connection_that_broke_ends_its_reply(script: str, lost: str) -> None:
    played = Script().play(script)
    assert " | ".join(filter(None, map(told, played.turns.retire(lost=True)))) == lost


def test_the_user_interrupts_what_the_connection_before_said() -> None:
    before = Script().play("U one | S Yes. | A").turns
    after = Turns(2, 24_000, before.ids, before=before.reply)
    before.retire()
    assert Script(after).play("< 0 | U stop | S Well. | A!").story == (
        "speech 0 | 1 cut | user-2 stop | reply 2 | 2 says Well. | 2 sounds | 2 ends"
    )
    assert before.take(AudioCame("late", PCM), 100.0) == []


def test_usage_is_what_was_added() -> None:
    turns = Turns(1, 24_000, Ids())

    def amounts(event: Used) -> list[Any]:
        return [dict(made.amounts) for made in turns.take(event, 1.0) if isinstance(made, ModelUsage)]

    assert amounts(Used({"input_text_tokens": 3}, {"input_text_tokens": 3})) == [{"input_text_tokens": 3}]
    assert amounts(Used(None, {"input_text_tokens": 10})) == [{"input_text_tokens": 7}]
    assert amounts(Used({}, {"input_text_tokens": 10})) == []


_LINES = st.sampled_from(
    [
        "< 100",
        "> 900",
        "U hello",
        "U  ",
        "S One.",
        "S Two.",
        "F One.",
        "F! One.",
        "F? On",
        "F?",
        "A",
        "A!",
        "A?",
        "T t",
        "I",
        ".",
        "+1",
        "+9",
    ]
)


@given(st.lists(_LINES, max_size=30), st.integers(0, 40), st.booleans())
def test_whatever_comes_the_story_holds_together(script: list[str], asked: int, retired: bool) -> None:
    """Each reply starts once, ends at most once and is cut at most once; nothing of it comes before its start or
    after its end but how far it was spoken, and its own cut."""
    played = Script()
    for number, line in enumerate(script):
        if number == asked:
            played.turns.asked.add(5, played.now)
        if number == asked + 4 and retired:
            played.made += played.turns.retire()
        played.play(line)
    started: set[int] = set()
    over: set[int] = set()
    cut: list[int] = []
    texts: dict[int, str] = {}
    for event in played.made:
        match event:
            case ReplyStarted(reply):
                assert reply not in started
                started.add(reply)
            case ReplyTextDelta(reply, text):
                assert reply in started - over
                texts[reply] = texts.get(reply, "") + text
            case ReplyAudio(reply) | ModelToolCall(reply):
                assert reply in started - over
            case ReplyEnded(reply):
                assert reply in started - over
                over.add(reply)
            case ModelCut(reply):
                assert reply in started
                assert reply not in cut
                over.add(reply)
                cut.append(reply)
            case ReplySpan(reply, start, end, ms, end_ms):
                assert reply in started
                assert 0 <= start < end <= len(texts[reply])
                assert end_ms is None or end_ms >= ms
            case _:
                pass
