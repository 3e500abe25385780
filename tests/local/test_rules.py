"""The rules reasoner: dialogues, tools, doubt, and what may be said next."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceloop import clock
from voiceloop.conversation import NO_RESULT, Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import BadInput, VoiceloopError
from voiceloop.interfaces import ReasonerRequest, Stop, TextDelta, ToolCall
from voiceloop.local.grammar import vocabulary
from voiceloop.local.rules_reasoner import Rules
from voiceloop.testing.conformance import check_reasoner

EXAMPLES = "You can say, for example: book a room; book a room in mountain view for two people today."


class Talk:
    """A conversation with rules: what the user says goes in, what is replied comes out; tools are run."""

    def __init__(self, rules: Rules, resources: object = None, *, tools: bool = True) -> None:
        self.rules = rules
        self.resources = resources
        self.tools = {tool.name: tool for tool in rules.tools} if tools else {}
        self.messages: list[Message] = []
        self.calls: list[tuple[str, dict[str, object]]] = []

    async def say(self, text: str, confidence: float | None = None, *, heard: str | None = None) -> str:
        self.messages.append(Message("user", (TextPart(text, confidence),)))
        while True:
            items = await self._reply()
            text = "".join(item.text for item in items if isinstance(item, TextDelta))
            calls = [item for item in items if isinstance(item, ToolCall)]
            if not calls:
                break
            await self._run(calls[0])
        if heard is None or heard:
            self.messages.append(Message("assistant", (TextPart(text if heard is None else heard),)))
        return text

    async def reply(self) -> str:
        return "".join(item.text for item in await self._reply() if isinstance(item, TextDelta))

    async def _reply(self) -> list[object]:
        request = ReasonerRequest(tuple(self.messages), self.resources, tools=tuple(self.tools.values()))
        async with self.rules.reply(request) as items:
            return [item async for item in items]

    async def _run(self, call: ToolCall) -> None:
        assert not isinstance(call.arguments, str)
        self.calls.append((call.name, dict(call.arguments)))
        self.messages.append(Message("assistant", (ToolCallPart(call.call, call.name, call.arguments),)))
        try:
            result, error = await self.tools[call.name].run(call.arguments), False
        except VoiceloopError as failure:
            result, error = str(failure), True
        self.messages.append(Message("user", (ToolResultPart(call.call, call.name, result, error),)))


BOOKING = ("book a room", "mountain view", "today", "two thirty p m", "half an hour", "two people")
BOOKED = {"place": "Mountain View", "day": "today", "time": "14:30", "minutes": 30, "people": 2}


async def test_a_request_begun_again_keeps_what_was_said() -> None:
    talk = Talk(Rules.booking())
    await talk.say("book a room in mountain view for two people")
    assert await talk.say("book a room for tomorrow") == "At what time?"
    for words in ("two thirty p m", "half an hour", "yes"):
        await talk.say(words)
    assert talk.calls == [("book_room", BOOKED | {"day": "tomorrow"})]


async def test_the_six_answers_book_a_room() -> None:
    talk = Talk(Rules.booking())
    for words in BOOKING:
        reply = await talk.say(words)
    assert reply == "A room in Mountain View today at 2:30 pm, for half an hour and 2 people. Shall I book it?"
    reply = await talk.say("yes")
    assert talk.calls == [("book_room", BOOKED)]
    assert reply.startswith(
        "Done. The room in Mountain View is yours today at 2:30 pm, for half an hour and 2 people."
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("Book a room in Mountain View for two people today, please.", "2:30 pm", "half an hour"),
        ("I need a room for half an hour at 14:30 today for 2 people in mountain view",),
        ("book a room", "for two people", "today", "in mountain view", "at half past two", "30 minutes"),
        ("book a room in paris", "no, in mountain view today", "2.30 p.m.", "30 mins", "three", "no, two people"),
        (*BOOKING[:5], "three people", "no", "two people"),
        (*BOOKING, "change the time", "2:30pm"),
        (*BOOKING, "what's that", "help", "repeat"),
        ("book a room in paris", "start over", *BOOKING[1:]),
    ],
)
async def test_slots_come_in_any_order_and_can_be_corrected(lines: tuple[str, ...]) -> None:
    talk = Talk(Rules.booking())
    for words in lines:
        await talk.say(words)
    await talk.say("Yes, please.")
    assert talk.calls == [("book_room", BOOKED)]


async def test_what_is_missing_is_asked_for_and_nonsense_is_told_what_can_be_said() -> None:
    talk = Talk(Rules.booking())
    assert "Where" in await talk.say("book a room")
    reply = await talk.say("colourless green ideas sleep")
    assert reply == "Sorry, I did not understand that. You can say a city, such as mountain view. Or say cancel."
    assert await talk.say("cancel") == "Okay, cancelled."
    assert "for example: book a room" in await talk.say("colourless green ideas sleep")
    reply = await talk.say("What can I say?")
    assert "I can book a meeting room." in reply
    assert "not a language model" in reply


async def test_a_noise_that_means_nothing_is_answered_briefly_and_with_help_the_second_time() -> None:
    talk, brief = Talk(Rules.booking()), "Sorry, I did not understand that."
    assert await talk.say("two people", 0.2) == brief
    assert await talk.say("two people", 0.2) == f"{brief} {EXAMPLES}"
    assert await talk.say("two people", 0.2) == brief
    assert "Where" in await talk.say("book a room")
    assert await talk.say("colourless green ideas sleep", 0.2) == brief
    assert (await talk.say("colourless green ideas sleep", 0.2)).startswith(f"{brief} You can say a city")
    assert await talk.say("boston", 0.9) == "Boston. For which day?"


async def test_a_single_word_that_means_nothing_may_be_a_noise_and_a_greeting_is_none() -> None:
    talk = Talk(Rules.booking())
    assert await talk.say("what") == "Sorry, I did not understand that."
    assert EXAMPLES in await talk.say("what")
    assert (await Talk(Rules.booking()).say("Hello!")).startswith("Hello. I can book a meeting room.")


async def test_the_first_words_that_mean_nothing_are_greeted() -> None:
    reply = await Talk(Rules.booking()).say("(The conversation begins.)")
    assert reply.startswith("Hello. I can book a meeting room.")


async def test_unlisted_places_can_be_typed() -> None:
    talk = Talk(Rules.booking())
    assert await talk.say("book a room in Port Moresby at noon") == "For which day?"
    assert await talk.say("tomorrow for 2 people") == "Tomorrow, 2 people. For how long?"
    assert "A room in Port Moresby tomorrow at noon" in await talk.say("an hour")


async def test_doubtful_words_are_asked_back() -> None:
    talk = Talk(Rules.booking())
    await talk.say("book a room")
    assert await talk.say("mountain view", 0.3) == "Did you say: mountain view?"
    assert await talk.say("yes", 0.2) == "Mountain View. For which day?"
    assert await talk.say("monday", 0.3) == "Did you say: monday?"
    assert await talk.say("no", 0.9) == "Sorry. For which day?"
    assert await talk.say("friday", 0.3) == "Did you say: friday?"
    assert await talk.say("today", 0.9) == "Today. At what time?"
    assert "did not understand" in await talk.say("ask not what your country can do", 0.1)


async def test_a_summary_that_was_not_heard_is_not_agreed_to() -> None:
    talk = Talk(Rules.booking())
    for words in BOOKING[:-1]:
        await talk.say(words)
    await talk.say("two people", heard="A room in")
    assert "Shall I book it?" in await talk.say("yes")
    assert talk.calls == []
    await talk.say("yes")
    assert talk.calls == [("book_room", BOOKED)]


async def test_texts_that_met_no_reply_are_taken_together() -> None:
    talk = Talk(Rules.booking())
    await talk.say("book a room")
    talk.messages.append(Message("user", (TextPart("in mountain view"), TextPart("today"))))
    assert await talk.reply() == "Mountain View, today. At what time?"


async def test_a_side_question_comes_back_to_the_booking() -> None:
    talk = Talk(Rules.demo())
    await talk.say("book a room in boston")
    assert await talk.say("what is twelve times seven") == "12 times 7 is 84. For which day?"
    assert await talk.say("What's the weather like?") == (
        "I do not know: I work offline and have no weather data. For which day?"
    )
    assert await talk.say("tomorrow") == "Tomorrow. At what time?"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("what is twelve times seven", "12 times 7 is 84."),
        ("7 / 2", "7 divided by 2 is 3.5."),
        ("7 / 0", "I cannot calculate that: nothing can be divided by zero."),
        ("convert ten miles to kilometers", "10 miles is 16.0934 kilometers."),
        ("how many feet in 2.5 miles?", "2.5 miles is 13,200 feet."),
        ("what is 100 celsius in fahrenheit", "100 celsius is 212 fahrenheit."),
        ("convert 10 miles to kg", "I cannot convert that: miles measure length, and kilograms weight."),
        ("go forward ten meters", "Forward 10 meters, understood, but I have no wheels, so nothing moved."),
        ("what's the weather like", "I do not know: I work offline and have no weather data."),
        ("how old is the Brooklyn Bridge?", "The Brooklyn Bridge opened in 1883, so it is 142 years old."),
        ("who are you", "I follow fixed rules on this machine: I am not a language model."),
    ],
)
async def test_the_desk_answers(words: str, reply: str) -> None:
    begin = datetime(2025, 7, 1, 14, 5, tzinfo=UTC).timestamp() - clock.now()
    token = clock.use(clock.Source(lambda: begin, Random(1)))
    try:
        assert await Talk(Rules.desk()).say(words) == reply
    finally:
        clock.reset(token)


async def test_a_session_without_the_tool_is_told_so() -> None:
    talk = Talk(Rules.desk(), tools=False)
    assert await talk.say("what time is it") == ("I cannot do that here: this session has no tool called time now.")
    assert "weather" in await talk.say("what's the weather like")


async def test_replies_stream_in_small_groups_of_words() -> None:
    rules = Rules.booking()
    request = ReasonerRequest((Message("user", (TextPart("help"),)),), None)  # type: ignore[arg-type]
    async with rules.reply(request) as items:
        found = [item async for item in items]
    assert found[-1] == Stop("end")
    pieces = [item.text for item in found if isinstance(item, TextDelta)]
    assert len(pieces) > 5
    assert max(len(piece.split()) for piece in pieces) <= 3


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from((*BOOKING, "yes", "no", "cancel", "what", "three people", "stop")),
                          st.sampled_from((None, 0.2, 0.9))), min_size=1, max_size=8))  # fmt: skip
async def test_the_state_follows_from_the_messages_alone(lines: list[tuple[str, float | None]]) -> None:
    talk = Talk(Rules.booking())
    for words, confidence in lines:
        reply = await talk.say(words, confidence)
    fresh = Rules.booking()
    assert fresh.expect(talk.messages) == talk.rules.expect(talk.messages)
    assert reply


async def test_each_state_expects_little_and_the_commands() -> None:
    talk = Talk(Rules.booking())
    start = vocabulary(talk.rules.expect(()).grammar)
    assert {"book", "room", "people", "help", "cancel"} <= set(start)
    assert "yes" not in start
    await talk.say("book a room")
    where = vocabulary(talk.rules.expect(talk.messages).grammar)
    assert {"mountain", "view", "stop", "repeat", "cancel"} <= set(where)
    assert not {"thirty", "people", "yes", "no"} & set(where)
    await talk.say("mountain view", 0.1)
    assert {"yes", "no", "mountain"} <= set(vocabulary(talk.rules.expect(talk.messages).grammar))
    for words in ("yes", *BOOKING[2:]):
        await talk.say(words)
    assert {"yes", "no"} <= set(vocabulary(talk.rules.expect(talk.messages).grammar))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[intent.a]\npatterns = ['x']\n", "needs patterns and a reply"),
        ("[intent.a]\npatterns = ['(x']\nreply = 'y'\n", "is missing"),
        ("[intent.a]\npatterns = ['x']\nreply = 'y'\nreplies = 1\n", "replies"),
        ("[intent.a]\npatterns = ['{x}']\nreply = 'y'\n[intent.a.slots.x]\ntype = 'tme'\n", "Did you mean 'time'"),
        ("[intent.a]\npatterns = ['{x}']\nreply = 'y'\n", "no slot 'x'"),
        ("[types.x]\nnumber = 3\n[intent.a]\npatterns = ['x']\nreply = 'y'\n", "number = [least, most]"),
        ("[talk]\nname = 'x'\n", "no [intent.<name>]"),
        ("= 3\n", "is no TOML"),
        ("/nowhere/rules.toml", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        Rules(text)
    assert message in str(caught.value)


def test_two_files_with_one_intent_cannot_be_merged() -> None:
    with pytest.raises(BadInput, match="'book'"):
        Rules.merged(Rules.booking(), Rules.booking())


@pytest.mark.virtual_time
async def test_rules_keep_the_contract_of_a_reasoner() -> None:
    await check_reasoner(Rules.demo)


async def test_a_late_result_is_told_when_it_comes() -> None:
    rules = Rules.desk()
    asked = Message("user", (TextPart("what time is it"),))
    called = Message("assistant", (ToolCallPart("c1", "time_now", {}),))
    waiting = Message("user", (ToolResultPart("c1", "time_now", NO_RESULT, error=True), TextPart("hello")))
    talk = Talk(rules)
    talk.messages = [asked, called, waiting]
    first = await talk.reply()
    assert first == "One moment. Hello. Say what you need, or ask: what can I say?"
    talk.messages.append(Message("assistant", (TextPart(first),)))
    talk.messages.append(Message("user", (TextPart('(The tool time_now {"a":1} answered: 2:05 pm)'),)))
    assert await talk.reply() == "It is 2:05 pm."


async def test_of_two_questions_in_one_text_the_last_is_answered() -> None:
    talk = Talk(Rules.demo())
    reply = await talk.say("What is twelve times seven? How old is the Brooklyn Bridge?")
    assert [name for name, _ in talk.calls] == ["landmark_age"]
    assert "Brooklyn Bridge" in reply
