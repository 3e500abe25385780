"""The conversation: what may happen to it, and what its views then tell."""

from __future__ import annotations

import attrs
import pytest

from voiceloop.conversation import (
    NO_RESULT,
    OPENING,
    AssistantEntry,
    Conversation,
    HistoryLimits,
    ImagePart,
    Message,
    TextPart,
    ToolCallEntry,
    ToolCallPart,
    ToolResultEntry,
    ToolResultPart,
    UserEntry,
    bytes_of,
    cache,
    entry_from_json,
    entry_to_json,
    history_problems,
    valid_history,
    view,
)
from voiceloop.errors import BadInput
from voiceloop.events import Heard

PICTURE = ImagePart(b"\xff\xd8", "image/jpeg")
TOLD = HistoryLimits(tools=False)


def say(talk: Conversation, turn: int, text: str, heard: str | None = None) -> None:
    talk.assistant(turn)
    talk.wrote(turn, text)
    talk.heard(turn, Heard(text if heard is None else heard))
    talk.settle(turn)


def lines(talk: Conversation, limits: HistoryLimits = HistoryLimits()) -> list[str]:
    """A view, a line each: role, words, calls and results."""
    told = []
    for message in talk.view(limits):
        parts = []
        for part in message.parts:
            match part:
                case TextPart(text=text):
                    parts.append(text)
                case ToolCallPart(name=name, arguments=arguments):
                    parts.append(f"{name}{dict(arguments)}")
                case ToolResultPart(name=name, result=result):
                    parts.append(f"{name}={result}")
                case ImagePart():
                    parts.append("<picture>")
        told.append(f"{message.role[0]}: {' | '.join(parts)}")
    assert history_problems(talk.view(limits), limits) == ()
    return told


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


@pytest.mark.parametrize(
    ("data", "media_type", "named"),
    [
        ("image/png", b"\x89PNG", "data must be the bytes of a picture's file; it is of type str"),
        (b"", "image/png", "it is empty"),
        (b"\x89PNG", "nonsense", "media_type must be a picture's, such as 'image/png', not 'nonsense'"),
        (b"\x89PNG", b"hush", "not bytes"),
    ],
)
def test_what_cannot_be_a_picture_is_refused(data: bytes, media_type: str, named: str) -> None:
    with pytest.raises(BadInput, match=named) as refused:
        ImagePart(data, media_type)
    assert "hush" not in str(refused.value)


def test_nobody_said_anything(talk: Conversation) -> None:
    assert talk.view() == ()
    assert talk.entries == ()
    assert talk.settled == 0


def test_a_running_turn_shows_what_it_said_and_an_interrupted_one_what_was_heard(talk: Conversation) -> None:
    talk.user("Tell me a story.", confidence=0.9)
    talk.assistant(1)
    assert lines(talk) == ["u: Tell me a story."]
    talk.wrote(1, "Once upon ")
    talk.wrote(1, "a time there was a fox.")
    assert lines(talk) == ["u: Tell me a story.", "a: Once upon a time there was a fox."]
    talk.heard(1, Heard("Once upon a time", ms=900.0))
    talk.user("Another one.")
    assert lines(talk) == ["u: Tell me a story.", "a: Once upon a time", "u: Another one."]
    assert talk.view()[0].parts == (TextPart("Tell me a story.", 0.9),)


def test_a_turn_that_nobody_heard_disappears_and_its_neighbours_merge(talk: Conversation) -> None:
    talk.user("I want", confidence=0.9)
    talk.assistant(1)
    talk.wrote(1, "Yes?")
    talk.heard(1, Heard(""))
    talk.settle(1)
    talk.user("a dog.", confidence=0.5)
    assert lines(talk) == ["u: I want a dog."]
    assert talk.view()[0].parts == (TextPart("I want a dog.", 0.5),)


def test_the_assistant_spoke_first(talk: Conversation) -> None:
    say(talk, 1, "Welcome!")
    assert lines(talk) == [f"u: {OPENING}", "a: Welcome!"]
    talk.user("Hello.")
    say(talk, 2, "How are you?")
    assert lines(talk, HistoryLimits(total_bytes=64))[0] == f"u: {OPENING}"
    assert lines(talk, attrs.evolve(TOLD, total_bytes=64))[-1] == "a: How are you?"


def test_text_calls_results_and_text_keep_their_order(talk: Conversation) -> None:
    talk.user("How warm is it?")
    talk.assistant(1)
    talk.wrote(1, "Let me look. ")
    talk.tool_call(1, "c1", "weather", {"city": "Rome"})
    talk.tool_call(1, "c2", "weather", {"city": "Oslo"})
    talk.tool_result("c2", "3")
    assert lines(talk)[2:] == [f"u: weather={NO_RESULT} | weather=3"]
    talk.tool_result("c1", "30", error=False)
    talk.wrote(1, "It is 30 and 3 degrees.")
    talk.heard(1, Heard("Let me look. It is 30", ms=1200.0))
    assert lines(talk) == [
        "u: How warm is it?",
        "a: Let me look. | weather{'city': 'Rome'} | weather{'city': 'Oslo'}",
        "u: weather=30 | weather=3",
        "a: It is 30",
    ]
    assert lines(talk, TOLD) == [
        "u: How warm is it?",
        "a: Let me look.",
        'u: (The tool weather {"city":"Rome"} answered: 30) (The tool weather {"city":"Oslo"} answered: 3)',
        "a: It is 30",
    ]
    parts = [entry for entry in talk.entries if isinstance(entry, AssistantEntry)]
    assert [(part.said, part.heard and part.heard.text) for part in parts] == [
        ("Let me look. ", "Let me look. "),
        ("It is 30 and 3 degrees.", "It is 30"),
    ]


def test_a_result_that_comes_after_the_assistant_went_on_is_told_as_text(talk: Conversation) -> None:
    talk.user("Order it.")
    talk.assistant(1)
    talk.tool_call(1, "c1", "order", {"number": 7})
    talk.settle(1)
    talk.user("And how are you?")
    before = lines(talk)
    say(talk, 2, "Fine.")
    talk.tool_result("c1", "no such thing", error=True)
    assert lines(talk) == [
        *before,
        "a: Fine.",
        'u: (The tool order {"number":7} failed: no such thing)',
    ]


def test_speech_while_a_tool_runs_does_not_part_a_call_from_its_result(talk: Conversation) -> None:
    talk.user("Order it.")
    talk.assistant(1)
    talk.tool_call(1, "c1", "order", {})
    say(talk, 2, "One moment.")
    talk.tool_result("c1", "")
    assert lines(talk)[1:] == ["a: One moment. | order{}", "u: order=Done."]


def test_a_dropped_turn_keeps_only_the_calls_that_ran(talk: Conversation) -> None:
    first = talk.user("Book a")
    talk.assistant(1)
    talk.wrote(1, "Where to?")
    talk.tool_call(1, "ran", "look", {})
    talk.tool_call(1, "runs", "find", {})
    talk.tool_call(1, "never", "find", {})
    talk.tool_result("ran", "5")
    talk.drop(1)
    talk.amend_user(first, "Book a flight.")
    assert lines(talk) == ["u: Book a flight.", "a: look{}", "u: look=5"]
    talk.tool_result("runs", "6")
    assert lines(talk) == ["u: Book a flight.", "a: look{}", "u: look=5", "a: find{}", "u: find=6"]
    talk.drop(1)
    with pytest.raises(BadInput, match="turn 1 is dropped"):
        talk.wrote(1, "more")


def test_user_entries_are_amended_and_withdrawn_until_they_are_settled(talk: Conversation) -> None:
    first = talk.user("I want to")
    second = talk.user("fly")
    with pytest.raises(BadInput, match="not the newest"):
        talk.withdraw_user(first)
    talk.assistant(1)
    with pytest.raises(BadInput, match="drop"):
        talk.withdraw_user(second)
    talk.drop(1)
    talk.withdraw_user(second)
    talk.amend_user(first, "I want to fly.", 0.7)
    say(talk, 2, "Where to?")
    assert talk.settled == 2
    assert talk.entries[0] == UserEntry("I want to fly.", confidence=0.7)
    assert not talk.amendable(first)
    for refused in (talk.withdraw_user, lambda index: talk.amend_user(index, "no")):
        with pytest.raises(BadInput, match="settled"):
            refused(first)
    later = talk.user("Rome")
    assert talk.amendable(later)
    talk.amend_user(later, "Rome, please")
    assert lines(talk)[-1] == "u: Rome, please"


def test_a_handle_stays_when_an_earlier_turn_is_dropped(talk: Conversation) -> None:
    talk.user("One")
    talk.assistant(1)
    two = talk.user("two", typed=True)
    talk.drop(1)
    talk.amend_user(two, "three")
    assert lines(talk) == ["u: One three"]
    assert len(talk.entries) == 2


def test_settled_counts_leading_final_entries(talk: Conversation) -> None:
    talk.user("Hello.")
    talk.assistant(1)
    talk.wrote(1, "Hi.")
    talk.assistant(2)
    talk.wrote(2, "There.")
    talk.heard(2, Heard("There."))
    talk.settle(2)
    assert talk.settled == 1
    talk.heard(1, Heard("H"))
    talk.heard(1, Heard("Hi"))
    talk.settle(1)
    talk.settle(1)
    assert talk.settled == 3
    talk.user("Unanswered")
    assert talk.settled == 3
    talk.finish()
    assert talk.settled == len(talk.entries) == 4


def test_the_session_ends_in_the_middle_of_a_turn(talk: Conversation) -> None:
    talk.user("Hello.")
    talk.assistant(1)
    talk.wrote(1, "Nobody heard this.")
    talk.finish()
    assert lines(talk) == ["u: Hello."]
    assert talk.entries[1] == AssistantEntry(1, "Nobody heard this.", Heard("", dropped="the session ended"))


def test_what_cannot_be_is_refused(talk: Conversation) -> None:
    talk.user("Hello.")
    talk.assistant(1)
    talk.wrote(1, "Hi.")
    talk.tool_call(1, "c1", "look", "not JSON")
    talk.tool_result("c1", "5")
    refused = {
        "not blank": lambda: talk.user(" \n"),
        "not the handle": lambda: talk.amend_user(1, "x"),
        "cannot become blank": lambda: talk.amend_user(0, " "),
        "turn 1 has begun": lambda: talk.assistant(1),
        "turn 2 has not begun": lambda: talk.wrote(2, "x"),
        "not a prefix": lambda: talk.heard(1, Heard("Ho")),
        r"heard\(\)": lambda: talk.settle(1),
        "used before": lambda: talk.tool_call(1, "c1", "look", {}),
        "without blanks": lambda: talk.tool_call(1, "c2", " ", {}),
        "answered already": lambda: talk.tool_result("c1", "6"),
        "not known": lambda: talk.tool_result("c3", "6"),
    }
    before = talk.entries
    for message, refuse in refused.items():
        with pytest.raises(BadInput, match=message):
            refuse()
    assert talk.entries == before
    talk.heard(1, Heard("H"))
    with pytest.raises(BadInput, match="heard in part"):
        talk.drop(1)
    talk.settle(1)
    for late in (lambda: talk.heard(1, Heard("Hi")), lambda: talk.wrote(1, "x"), lambda: talk.drop(1)):
        with pytest.raises(BadInput, match="settled"):
            late()
    with pytest.raises(BadInput, match="at least 64"):
        HistoryLimits(total_bytes=10)


def test_oldest_whole_exchanges_go_first_and_no_result_is_left_without_its_call(talk: Conversation) -> None:
    for turn in range(1, 4):
        talk.user(f"Question {turn}?")
        talk.assistant(turn)
        talk.tool_call(turn, f"c{turn}", "look", {})
        talk.tool_result(f"c{turn}", f"result {turn}")
        talk.wrote(turn, f"Answer {turn}.")
        talk.heard(turn, Heard(f"Answer {turn}."))
        talk.settle(turn)
    talk.user("Last?")
    exchange = ["u: Question 3?", "a: look{}", "u: look=result 3", "a: Answer 3."]
    assert lines(talk, HistoryLimits(total_bytes=64)) == [*exchange, "u: Last?"]
    assert len(lines(talk, HistoryLimits(total_bytes=100))) == 9


def test_an_exchange_larger_than_all_the_room_is_cut_inside(talk: Conversation) -> None:
    talk.user("Read me everything.")
    talk.assistant(1)
    for number in range(3):
        talk.tool_call(1, f"c{number}", "read", {"page": number})
        talk.tool_result(f"c{number}", "é" * 100)
    messages = talk.view(HistoryLimits(total_bytes=80))
    assert [message.role for message in messages] == ["user"]
    assert messages[0].text.startswith("(The tool read answered: éé")
    assert bytes_of(messages[0]) in (79, 80)


def test_a_long_message_is_cut_on_a_character(talk: Conversation) -> None:
    talk.user("a" + "😀" * 40)
    limits = HistoryLimits(message_bytes=64)
    assert lines(talk, limits) == ["u: a" + "😀" * 15]


def test_calls_too_large_for_a_message_are_told_as_text(talk: Conversation) -> None:
    talk.user("Go.")
    talk.assistant(1)
    talk.tool_call(1, "c1", "write", {"page": "x" * 100})
    talk.tool_result("c1", "ok")
    assert lines(talk, HistoryLimits(message_bytes=64))[0].startswith('u: Go. (The tool write {"page":"xxx')


def test_pictures_are_left_out_where_they_cannot_stand(talk: Conversation) -> None:
    talk.user("", images=[PICTURE])
    say(talk, 1, "A cat.")
    talk.user("And this?", images=[PICTURE])
    assert lines(talk) == ["u: <picture>", "a: A cat.", "u: And this? | <picture>"]
    assert lines(talk, HistoryLimits(images=False)) == [f"u: {OPENING}", "a: A cat.", "u: And this?"]


def test_what_a_memory_gave_back_is_kept_and_its_views_are_repaired() -> None:
    damaged = [
        ToolResultEntry("gone", "look", "5"),
        UserEntry("  "),
        UserEntry("Hello."),
        ToolCallEntry(1, "c1", "look", {"sizes": (1, 2)}),
        ToolResultEntry("c1", "look", " "),
        ToolResultEntry("c1", "look", "again"),
        ToolCallEntry(1, "c1", "look", {}),
        ToolCallEntry(1, " ", "look", {}),
        AssistantEntry(1, "Hi.", Heard("Hi")),
        UserEntry("Bye."),
    ]
    talk = Conversation(damaged)
    assert talk.entries == tuple(damaged)
    assert talk.settled == 10
    assert lines(talk) == [
        "u: (The tool look answered: 5) Hello.",
        "a: look{'sizes': [1, 2]}",
        'u: look=Done. | (The tool look {"sizes":[1,2]} answered: again)',
        "a: Hi | look{}",
        f"u: look={NO_RESULT} | Bye.",
    ]
    talk.assistant(1)
    talk.tool_call(1, "c1", "look", {"new": True})
    talk.tool_result("c1", "new")
    assert lines(talk)[-2:] == ["a: look{'new': True}", "u: look=new"]
    assert talk.entries[:10] == tuple(damaged)
    assert [part.call for part in talk.view()[-1].parts if isinstance(part, ToolResultPart)] == ["c1"]


def test_a_view_is_the_same_object_until_something_changes(talk: Conversation) -> None:
    talk.user("Hello.")
    assert talk.view() is talk.view()
    before = talk.view()
    talk.assistant(1)
    talk.wrote(1, "Hi.")
    assert talk.view() != before


def test_what_is_settled_is_rendered_once(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def counting(entries, limits, asked):
        entries = list(entries)
        rendered.append(len(entries))
        return view.render(entries, limits, asked)

    monkeypatch.setattr(cache, "render", counting)
    for turn in range(100):
        talk.user("And then?")
        say(talk, turn, "Then it went on.")
    assert len(talk.view()) == 200
    rendered.clear()
    talk.user("And then?")
    say(talk, 100, "It ended.")
    talk.user("A pity.")
    assert len(talk.view()) == 203
    assert sum(rendered) <= 5


ENTRIES = [
    UserEntry("Hello.", (PICTURE,), 0.25, typed=True),
    UserEntry(""),
    AssistantEntry(3, "Hi there.", Heard("Hi", 120.5, "estimated", 40.0, "too late")),
    AssistantEntry(4, "", None),
    ToolCallEntry(3, "c1", "look", {"where": ["x", None, 1.5, {"é": True}]}),
    ToolResultEntry("c1", "look", "5", error=True),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_entries_survive_json(entry) -> None:
    assert entry_from_json(entry_to_json(entry)) == entry


@pytest.mark.parametrize(
    "value", [{}, {"kind": "guest"}, {"kind": "user"}, {"kind": "user", "text": "x", "images": [{}]}]
)
def test_what_is_no_entry_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="entry"):
        entry_from_json(value)


USER, REPLY = Message("user", (TextPart("Hi"),)), Message("assistant", (TextPart("Yes"),))
CALL = Message("assistant", (ToolCallPart("c1", "look", {}),))
RESULT = Message("user", (ToolResultPart("c1", "look", "5"),))
INVALID = {
    "assistant, where user": (REPLY,),
    "user, where assistant": (USER, USER),
    "empty": (Message("user", ()),),
    "blanks in text": (Message("user", (TextPart("Hi "),)),),
    "blanks in result": (USER, CALL, Message("user", (ToolResultPart("c1", "look", ""),))),
    "calls without": (USER, CALL),
    "results for 0 calls": (RESULT,),
    "results for 1 calls": (USER, CALL, USER),
    "2 results": (USER, CALL, Message("user", RESULT.parts * 2)),
    "second time": (USER, CALL, RESULT, CALL, RESULT),
    "assistant message of": (USER, Message("assistant", (*CALL.parts, TextPart("x"))), RESULT),
    "user message of": (Message("user", (TextPart("x"), PICTURE, TextPart("y"))),),
    "UTF-8": (Message("user", (TextPart("\ud800"),)),),
    "more than 64": (Message("user", (TextPart("é" * 33),)),),
    "in all": (Message("user", (TextPart("é" * 30),)), Message("assistant", (TextPart("é" * 30),))),
}


@pytest.mark.parametrize("problem", INVALID)
def test_the_checker_sees(problem: str) -> None:
    limits = HistoryLimits(total_bytes=100, message_bytes=64)
    assert problem in " ".join(history_problems(INVALID[problem], limits))
    assert not valid_history(INVALID[problem], limits)


def test_the_checker_knows_what_a_provider_does_not_take() -> None:
    assert valid_history((USER, CALL, RESULT, REPLY))
    assert not valid_history((USER, CALL, RESULT), HistoryLimits(tools=False))
    picture = (Message("user", (PICTURE,)),)
    assert valid_history(picture)
    assert not valid_history(picture, HistoryLimits(images=False))
