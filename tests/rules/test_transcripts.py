"""Which words make up which utterance, whatever the order of partials, finals and commits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceloop.events import SpokenWord
from voiceloop.interfaces import Final, Partial
from voiceloop.rules.transcripts import Change, Committed, Revised, Transcripts, Updated


def timed(text: str, start: float = 0, step: float = 100) -> tuple[SpokenWord, ...]:
    """Words of 80 ms, one every ``step`` ms from ``start`` on."""
    return tuple(
        SpokenWord(word.strip(".,"), start + i * step, start + i * step + 80) for i, word in enumerate(text.split())
    )


def partial(item: str, text: str, start: float | None = None, stable: int = 0) -> Partial:
    return Partial(item, text, () if start is None else timed(text, start), stable)


def final(item: str, text: str, start: float | None = None, confidence: float | None = None) -> Final:
    return Final(item, text, () if start is None else timed(text, start), confidence, "en-US")


def committed_text(transcripts: Transcripts, until_ms: float | None = None) -> str:
    committed = transcripts.commit(until_ms)
    assert isinstance(committed, Committed)
    return committed.utterance.text


def current(changes: list[Change]) -> str:
    (change,) = changes
    assert isinstance(change, Updated)
    return change.utterance.text


def test_items_of_an_utterance_are_joined_in_order() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book"))
    transcripts.item(partial("b", "for too", stable=4))
    transcripts.item(final("a", "Book a room", 0, 0.9))
    transcripts.item(final("c", "today", confidence=0.7))
    utterance = transcripts.current
    assert utterance.text == "Book a room for too today"
    assert [word.text for word in utterance.words] == ["Book", "a", "room"]
    assert utterance.text[: utterance.stable_chars] == "Book a room for "
    assert (utterance.number, utterance.confidence, utterance.language) == (1, 0.7, "en-US")
    assert not utterance.final
    transcripts.item(final("b", "for two"))
    assert transcripts.current.final
    assert transcripts.current.stable


def test_nothing_new_is_no_change() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book"))
    assert transcripts.item(partial("a", "book")) == []
    assert transcripts.item(final("b", "")) == []
    assert not Transcripts().current.final


def test_a_blank_utterance_is_not_committed() -> None:
    transcripts = Transcripts()
    assert transcripts.commit() is None
    transcripts.item(final("noise", ""))
    assert transcripts.commit(500) is None
    transcripts.item(final("a", "hello"))
    assert transcripts.current.number == 1


def test_the_final_of_a_committed_utterance_is_no_news_when_its_words_are_the_same() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book a room", 0))
    assert committed_text(transcripts) == "book a room"
    assert transcripts.item(final("a", "Book a room.", 0)) == []
    assert transcripts.current.text == ""


def test_a_different_final_revises_the_committed_utterance() -> None:
    for start in (0, None):
        transcripts = Transcripts()
        transcripts.item(partial("a", "book a rum", start))
        transcripts.commit()
        assert transcripts.item(final("a", "Book a room.", start)) == [Revised(1, "book a rum", "Book a room.")]
        assert transcripts.item(final("a", "Book a room.", start)) == []


def test_a_wavering_partial_revises_nothing() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book a rum", 0))
    transcripts.commit()
    assert transcripts.item(partial("a", "book a room", 0)) == []
    assert transcripts.item(partial("a", "book", 0, stable=4)) == []
    assert transcripts.item(partial("a", "book a room", 0, stable=11)) == [Revised(1, "book a rum", "book a room")]


def test_words_that_begin_after_the_commit_are_the_next_utterance() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book a room", 0))
    transcripts.commit(350)
    late_and_new = final("a", "Book a room please and call", 0)
    assert transcripts.item(late_and_new) == [
        Revised(1, "book a room", "Book a room please"),
        Updated(transcripts.current),
    ]
    assert (transcripts.current.number, transcripts.current.text) == (2, "and call")


def test_a_late_item_from_before_the_commit_belongs_to_what_was_committed() -> None:
    transcripts = Transcripts()
    transcripts.item(final("a", "book a room", 0))
    transcripts.commit(600)
    assert transcripts.item(final("b", "for two", 300)) == [Revised(1, "book a room", "book a room for two")]
    assert transcripts.current.text == ""


def test_without_times_the_commit_is_found_by_the_text() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "book a rum"))
    transcripts.commit()
    assert current(transcripts.item(partial("a", "book a rum for"))) == "for"
    assert transcripts.item(final("a", "Book a room for two")) == [
        Revised(1, "book a rum", "Book a room"),
        Updated(transcripts.current),
    ]
    assert transcripts.current.text == "for two"


def test_punctuation_that_is_no_word_of_its_own_stays_with_its_word() -> None:
    transcripts = Transcripts()
    words = timed("Yes please Book it")
    transcripts.item(Final("a", "Yes , please . Book it !", words[:2]))
    transcripts.commit(190)
    transcripts.item(Final("a", "Yes , please . Book it !", words))
    assert transcripts.current.text == "Book it !"


def test_reopening_makes_one_utterance_of_two() -> None:
    transcripts = Transcripts()
    assert transcripts.reopen() == []
    transcripts.item(partial("a", "book a room", 0))
    transcripts.commit()
    transcripts.item(partial("b", "for two", 900))
    assert transcripts.current.number == 2
    assert current(transcripts.reopen()) == "book a room for two"
    assert transcripts.reopen() == []
    assert transcripts.item(final("a", "Book a room", 0)) == [Updated(transcripts.current)]
    committed = transcripts.commit()
    assert committed is not None
    assert (committed.utterance.number, committed.utterance.text) == (1, "Book a room for two")
    assert committed.before == "book a room"
    transcripts.item(final("c", "thanks", 2000))
    committed = transcripts.commit()
    assert committed is not None
    assert (committed.utterance.number, committed.utterance.text, committed.before) == (2, "thanks", None)


def test_dropped_words_are_in_no_utterance() -> None:
    transcripts = Transcripts()
    transcripts.item(partial("a", "the weather in", 0))
    assert current(transcripts.drop()) == ""
    assert transcripts.drop() == []
    transcripts.item(final("a", "The weather in Paris stop", 0))
    assert (transcripts.current.number, transcripts.current.text) == (1, "Paris stop")
    assert committed_text(transcripts) == "Paris stop"


# ---------------------------------------------------------------- any order


@st.composite
def schedules(draw: st.DrawFn) -> tuple[list[Partial | Final | str], list[str]]:
    """Items that grow word by word and end in a final, interleaved with commits and reopenings."""
    has_times = draw(st.booleans())
    steps: list[Partial | Final | str] = []
    said: list[str] = []
    open_finals: list[Final] = []
    clock = 0.0
    for item in range(draw(st.integers(1, 5))):
        words: list[SpokenWord] = []
        for _ in range(draw(st.integers(1, 4))):
            clock += draw(st.sampled_from([100.0, 700.0]))
            word = SpokenWord(f"w{len(said)}", clock, clock + 80)
            words.append(word)
            said.append(word.text)
            heard = draw(st.sampled_from([words, words[:-1]]))
            misheard = [draw(st.sampled_from([w.text, w.text, "x"])) for w in heard]
            shown = tuple(SpokenWord(t, w.start_ms, w.end_ms) for t, w in zip(misheard, heard, strict=True))
            text = " ".join(misheard)
            stable = draw(st.sampled_from([0, len(text)])) if "x" not in misheard else 0
            steps.append(Partial(f"i{item}", text, shown if has_times else (), stable))
            steps.extend(draw(st.lists(st.sampled_from(["commit", "commit here", "reopen"]), max_size=2)))
            if open_finals and draw(st.booleans()):
                steps.append(open_finals.pop(0))
        open_finals.append(Final(f"i{item}", " ".join(w.text for w in words), tuple(words) if has_times else ()))
    steps.extend(open_finals)
    return steps, said


@given(schedules())
def test_no_word_is_lost_or_doubled_and_each_utterance_is_final_once(
    schedule: tuple[list[Partial | Final | str], list[str]],
) -> None:
    steps, said = schedule
    transcripts = Transcripts()
    texts: dict[int, str] = {}
    finals: list[int] = []
    pending = 0
    clock = 0.0

    def take(committed: Committed | None) -> None:
        nonlocal pending
        if committed is not None:
            pending += 1
            number = committed.utterance.number
            assert committed.before == texts.get(number)
            texts[number] = committed.utterance.text
            if committed.before is None:
                finals.append(number)

    for step in steps:
        if step == "commit" or step == "commit here":
            if pending < 4:
                take(transcripts.commit(clock if step == "commit here" else None))
        elif step == "reopen":
            pending -= bool(transcripts.reopen())
        else:
            assert not isinstance(step, str)
            clock = max([clock, *(word.end_ms for word in step.words)])
            for change in transcripts.item(step):
                if isinstance(change, Revised):
                    assert texts[change.number] == change.before
                    texts[change.number] = change.text
    take(transcripts.commit())
    assert finals == list(range(1, len(finals) + 1))
    assert sorted(" ".join(texts.values()).split()) == sorted(said)
    if all(isinstance(step, str) or step.words for step in steps):
        assert " ".join(texts[number] for number in finals).split() == said
