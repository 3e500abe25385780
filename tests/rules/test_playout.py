"""The playhead and the text behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.rules.playout import Playhead, Script, SpokenAt, heard

SAID = "Hello there, (old) friend. Bye!"
WORDS = [
    SpokenAt(0, 5, 0, 300),
    SpokenAt(6, 11, 350, 600),
    SpokenAt(14, 17, 700, 900),
    SpokenAt(19, 25, 1000, 1500),
    SpokenAt(27, 30, 1800, 2000),
]


def playing(*deliveries: tuple[float, float]) -> Playhead:
    head = Playhead()
    for at, ms in deliveries:
        head.deliver(ms, at)
    return head


def test_it_moves_with_time_to_what_was_delivered() -> None:
    head = playing((10.0, 500))
    assert [head.position_ms(at) for at in (10.0, 10.2, 10.5, 99.0)] == pytest.approx([0, 200, 500, 500])
    assert head.ends_at() == 10.5


def test_it_stands_still_in_an_underrun() -> None:
    head = playing((10.0, 200), (11.0, 300))
    assert head.position_ms(11.0) == pytest.approx(200)
    assert head.position_ms(11.1) == pytest.approx(300)


def test_how_long_a_player_has_not_moved() -> None:
    head = playing((10.0, 500))
    assert head.still(12.0) == 0  # it never reported
    for at in (10.1, 10.2, 10.3):
        head.report(50, at)
    assert head.still(10.4) == pytest.approx(0.3)
    for tenth in range(1, 21):
        head.report(50 + tenth / 10, 10.4 + tenth / 100)
    assert head.still(10.65) == pytest.approx(0.05)  # slow, and yet
    head.pause(11.0)
    assert head.still(15.0) == 0
    head.resume(15.0)
    assert head.still(16.0) == pytest.approx(1.0)
    head.report(500, 17.0)
    assert head.still(20.0) == 0
    head.deliver(100, 21.0)
    head.report(500, 21.5)
    assert head.still(22.0) == pytest.approx(1.0)
    head.stop(22.0)
    assert (head.still(30.0), head.position_ms(30.0)) == (0, 500)


def test_it_stands_still_in_a_pause() -> None:
    head = playing((10.0, 1000))
    head.pause(10.4)
    head.pause(10.5)
    assert head.position_ms(20.0) == pytest.approx(400)
    head.deliver(100, 15.0)
    assert head.position_ms(20.0) == pytest.approx(400)
    head.resume(20.0)
    head.resume(20.1)
    assert head.position_ms(20.3) == pytest.approx(700)
    assert head.position_ms(99.0) == pytest.approx(1100)


def test_a_report_moves_it() -> None:
    head = playing((10.0, 1000))
    head.report(250, 10.5)
    assert head.position_ms(10.5) == pytest.approx(250)
    assert head.position_ms(10.7) == pytest.approx(450)
    assert head.uncertainty_ms(10.7) == pytest.approx(200)


def test_a_report_in_a_pause_holds() -> None:
    head = playing((10.0, 1000))
    head.pause(10.5)
    head.report(430, 10.6)
    assert head.position_ms(12.0) == pytest.approx(430)


@pytest.mark.parametrize(("told", "counts"), [(-5, 0), (200, 200), (900, 500), (1e9, 500)])
def test_no_report_beyond_what_can_have_been_played(told: float, counts: float) -> None:
    head = playing((10.0, 1000))
    head.report(told, 10.5, stopped=True)
    assert head.position_ms(99.0) == pytest.approx(counts)
    assert head.uncertainty_ms(99.0) == 0


@pytest.mark.parametrize("told", [1524.125, 1524.1, 1524])
def test_a_rounded_report_of_the_end_is_the_end(told: float) -> None:
    head = playing((10.0, 1524.125))
    head.report(told, 11.6)
    assert (head.position_ms(11.6), head.uncertainty_ms(11.6), head.ahead_ms(11.6)) == (1524.125, 0, 0)


def test_nothing_counts_after_the_last_word() -> None:
    head = playing((10.0, 1000))
    head.report(300, 10.5, stopped=True)
    head.report(900, 10.9)
    head.report(900, 10.9, stopped=True)
    assert head.position_ms(11.0) == pytest.approx(300)


def test_a_report_before_any_audio_is_no_report() -> None:
    head = Playhead()
    head.report(100, 10.0, stopped=True)
    head.deliver(500, 10.0)
    assert not head.reported
    assert head.position_ms(10.3) == pytest.approx(300)


def test_to_a_file_all_that_was_delivered_counts() -> None:
    head = Playhead(paced=False)
    head.deliver(500, 10.0)
    assert (head.position_ms(10.0), head.uncertainty_ms(10.0)) == (500, 0)


@given(st.lists(st.tuples(st.sampled_from("dpruw"), st.floats(0, 3000)), max_size=30))
def test_it_never_passes_what_was_delivered_nor_the_time(steps: list[tuple[str, float]]) -> None:
    head, now, first, delivered = Playhead(), 100.0, None, 0.0
    for step, value in steps:
        match step:
            case "d":
                first = now if first is None else first
                head.deliver(value, now)
                delivered += value
            case "p":
                head.pause(now)
            case "r":
                head.resume(now)
            case "u":
                head.report(value, now)
            case _:
                now += value / 1000
        position = head.position_ms(now)
        assert -1e-6 <= position <= delivered + 1e-6
        assert position <= (0 if first is None else (now - first) * 1000) + 1e-6


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, ""),
        (299, ""),
        (300, "Hello"),
        (599, "Hello"),
        (600, "Hello there,"),
        (900, "Hello there, (old)"),
        (1499, "Hello there, (old)"),
        (1500, "Hello there, (old) friend."),
        (2100, "Hello there, (old) friend. Bye!"),
    ],
)
def test_words_are_heard_when_they_are_over(ms: float, text: str) -> None:
    assert Script(SAID, words=WORDS).heard(ms, 2100) == (text, True)


def test_a_word_without_an_end_ends_with_the_next() -> None:
    words = [SpokenAt(0, 3, 0), SpokenAt(4, 7, 400)]
    script = Script("One two", words=words)
    assert [script.heard(ms, 900)[0] for ms in (399, 400, 899, 900)] == ["", "One", "One", "One two"]


def test_all_is_heard_at_the_end_of_a_complete_turn() -> None:
    said = "Hello 😀"
    words = [SpokenAt(0, 5, 0, 300)]
    assert Script(said, words=words, complete=True).heard(350, 350) == (said, True)
    assert Script(said, words=words, complete=False).heard(350, 350) == ("Hello", True)


def test_without_word_times_it_is_proportional_and_whole_words() -> None:
    script = Script("One two three four", spans=[SpokenAt(0, 18, 0, 1800)])
    assert script.heard(900, 1800) == ("One two", False)
    assert script.heard(1800, 1800) == ("One two three four", False)
    assert script.heard(0, 1800) == ("", False)


def test_shown_text_counts_as_it_leaves() -> None:
    assert Script("One two", shown=4, speaks=False).heard(0, 0) == ("One ", True)


@given(st.lists(st.floats(0, 3000), min_size=2, max_size=20).map(sorted), st.booleans())
def test_more_is_never_less(positions: list[float], timed: bool) -> None:
    script = Script(
        SAID, words=WORDS if timed else [], spans=[SpokenAt(0, 26, 0, 1500), SpokenAt(26, 31, 1800, None)]
    )
    texts = [script.heard(position, 2100)[0] for position in positions]
    assert all(SAID.startswith(text) for text in texts)
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)


def test_how_well_it_is_known() -> None:
    head = playing((10.0, 2100))
    script = Script(SAID, words=list(WORDS))
    estimated = heard(script, head, 11.0, total_ms=2100)
    assert (estimated.basis, estimated.uncertainty_ms, estimated.ms) == ("estimated", 300, 1000)
    head.report(950, 11.0, stopped=True)
    measured = heard(script, head, 12.0, total_ms=2100)
    assert (measured.basis, measured.uncertainty_ms, measured.text) == ("measured", 0, "Hello there, (old)")
    spread = heard(Script(SAID, spans=[SpokenAt(0, 31, 0, 2100)]), head, 12.0, total_ms=2100)
    assert (spread.basis, spread.uncertainty_ms) == ("estimated", 300)


def test_a_player_that_goes_on_is_never_measured_to_the_word() -> None:
    head = playing((10.0, 2100))
    head.report(950, 11.0)
    assert heard(Script(SAID, words=list(WORDS)), head, 11.0, total_ms=2100).basis == "estimated"
    head.report(2100, 12.1)
    assert heard(Script(SAID, words=list(WORDS), complete=True), head, 12.1, total_ms=2100).basis == "measured"
