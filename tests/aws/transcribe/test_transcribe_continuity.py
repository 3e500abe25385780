from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.audio import MULAW_8K, AudioFormat
from voiceloop.aws.transcribe.continuity import Hearing
from voiceloop.aws.transcribe.results import Result, read
from voiceloop.aws.transcribe.sending import Pace, Sending
from voiceloop.interfaces import Final, Partial

from .numbered_words import FORMAT, PAUSE_MS, Ear, Word, event, speech, utterance

TICK_MS = 50
TICK = FORMAT.bytes_of(FORMAT.samples_in(TICK_MS))

words = st.builds(Word, st.integers(120, 500), st.integers(20, 400))
utterances = st.lists(st.lists(words, min_size=1, max_size=8), min_size=1, max_size=5)


@define
class Call:
    """A transcript in the making: audio goes in by ticks, results come ``delay`` ticks later, connections drop."""

    delay: int = 0
    stabilized: bool = True
    ring_ms: float = 30_000
    connections: int = 1
    told: list[Partial | Final] = field(factory=list)
    sending: Sending = field(init=False)
    hearing: Hearing = field(init=False)
    ear: Ear = field(init=False)
    coming: deque[tuple[int, tuple[Result, ...]]] = field(factory=deque)
    now: int = 0
    away: int = 0
    promised: dict[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.sending = Sending(FORMAT, self.ring_ms)
        self.hearing = Hearing(self.sending, "en-US")
        self.ear = Ear("c1", stabilized=self.stabilized)

    def drop(self, away: int = 0) -> None:
        self.coming.clear()
        self.hearing.restart()
        self.sending.restart()
        self.connections += 1
        self.ear = Ear(f"c{self.connections}", stabilized=self.stabilized)
        self.away = away

    def tick(self, pcm: bytes, *, silence: bool = False) -> None:
        self.now += 1
        self.sending.add(pcm)
        if self.away:
            self.away -= 1
            return
        while chunk := self.sending.chunk():
            self.hear(chunk)
        if silence:
            if rest := self.sending.chunk(rest=True):
                self.hear(rest)
            self.hear(self.sending.silence(TICK_MS))
        while self.coming and self.coming[0][0] <= self.now:
            for item in self.hearing.take(self.coming.popleft()[1]):
                self.see(item)

    def hear(self, pcm: bytes) -> None:
        if results := self.ear.hear(pcm):
            self.coming.append((self.now + self.delay, read(event(results).payload)))

    def see(self, item: Partial | Final) -> None:
        """The contract of a recognizer, whatever happens."""
        assert item.text.startswith(self.promised.get(item.item, "")), "text that was stable changed"
        if isinstance(item, Partial):
            self.promised[item.item] = item.text[: item.stable_chars]
            assert item.item not in {final.item for final in self.finals}, "a partial after its final"
        starts = [word.start_ms for word in item.words]
        assert starts == sorted(starts)
        self.told.append(item)

    @property
    def finals(self) -> list[Final]:
        return [item for item in self.told if isinstance(item, Final)]

    def run(self, pcm: bytes, drops: Iterable[tuple[int, int]] = (), silences: Sequence[int] = ()) -> list[Final]:
        at = dict(drops)
        pcm += bytes(TICK * (40 + self.delay))
        for number, start in enumerate(range(0, len(pcm), TICK)):
            if number in at:
                self.drop(at[number])
            quiet = not any(pcm[max(0, start + TICK - 2) : start + TICK + 2])
            self.tick(pcm[start : start + TICK], silence=quiet and number in silences)
        return self.finals


def said(finals: Iterable[Final]) -> list[tuple[str, list[tuple[str, float, float]]]]:
    return [(final.text, timed([final])) for final in finals]


def timed(finals: Iterable[Final]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_ms, word.end_ms) for final in finals for word in final.words]


@given(
    utterances,
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=4),
    st.integers(0, 20),
    st.booleans(),
)
def test_drops_change_nothing(
    spoken: list[list[Word]], drops: list[tuple[int, int]], delay: int, stabilized: bool
) -> None:
    pcm = speech(spoken)
    undisturbed = Call(delay, stabilized).run(pcm)
    assert len(undisturbed) == len(spoken)
    finals = Call(delay, stabilized).run(pcm + bytes(TICK * 80), drops)
    assert said(finals) == said(undisturbed)
    assert len({final.item for final in finals}) == len(finals)


@given(
    utterances,
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=3),
    st.lists(st.integers(0, 300), max_size=60),
    st.integers(0, 20),
)
def test_silence_that_was_put_in_shifts_no_word(
    spoken: list[list[Word]], drops: list[tuple[int, int]], silences: list[int], delay: int
) -> None:
    pcm = speech(spoken)
    wanted = timed(Call().run(pcm))
    assert timed(Call(delay).run(pcm + bytes(TICK * 80), drops, silences)) == wanted


@pytest.mark.parametrize("stabilized", [True, False])
def test_a_segment_longer_than_what_is_kept_survives_a_drop(stabilized: bool) -> None:
    pcm = speech([utterance(150)])
    wanted = Call(stabilized=stabilized).run(pcm)
    assert timed(wanted)[-1][2] > 40_000
    finals = Call(stabilized=stabilized).run(pcm, [(800, 10)])
    assert said(finals) == said(wanted)


def test_a_partial_goes_on_under_its_item() -> None:
    call = Call()
    pcm = speech([utterance(12)])
    finals = call.run(pcm, [(30, 0), (50, 0)])
    assert {item.item for item in call.told} == {"c1-0"}
    assert [word.text for word in finals[0].words] == [f"w{n}" for n in range(1, 13)]
    assert finals[0].text == "w1 w2 w3 w4 w5, w6 w7 w8 w9 w10, w11 w12."


def test_audio_is_sent_again_from_the_last_final_only() -> None:
    call, pcm = Call(), speech([utterance(4), utterance(4)])
    call.run(pcm[: len(pcm) // 2])
    end = call.finals[0].words[-1].end_ms
    assert call.sending.kept_from_ms == end
    call.drop()
    assert call.sending.waiting_ms < 600  # what is quiet is not sent again
    call.run(pcm[len(pcm) // 2 :])
    assert [final.text for final in call.finals] == ["w1 w2 w3 w4.", "w5, w6 w7 w8."]


def result(id: str, *words: tuple[str, float], channel: str | None = None, partial: bool = False) -> Result:
    """A result of ``words``, each 0.4 s long and, in a partial, stable when it begins with a capital."""
    items = [
        {"Content": word, "StartTime": at, "EndTime": at + 0.4, "Stable": word.istitle(), "Type": "pronunciation"}
        for word, at in words
    ]
    told = {
        "ResultId": id,
        "IsPartial": partial,
        "ChannelId": channel,
        "StartTime": words[0][1],
        "EndTime": words[-1][1] + 0.4,
        "Alternatives": [{"Transcript": " ".join(word for word, _ in words), "Items": items}],
    }
    return read(event([told]).payload)[0]


def listening(channels: int = 1) -> tuple[Sending, Hearing]:
    """After ten seconds of loud audio."""
    sending = Sending(AudioFormat(16_000, channels=channels))
    sending.add(b"\x11\x22" * (10 * 16_000 * channels))
    while sending.chunk():
        pass
    return sending, Hearing(sending)


def drop(sending: Sending, hearing: Hearing) -> None:
    hearing.restart()
    sending.restart()
    while sending.chunk():
        pass


def test_an_unfinished_item_is_closed_when_other_words_come_long_after_it() -> None:
    sending, hearing = listening()
    hearing.take([result("a", ("Yes", 0.5), ("we", 1.0), partial=True)])
    drop(sending, hearing)
    closed, opened = hearing.take([result("b", ("Yes", 0.5), ("later", 5.0), partial=True)])
    assert (closed.item, closed.text, type(closed)) == ("a", "Yes", Final)
    assert (opened.item, opened.text, type(opened)) == ("b", "later", Partial)


def test_a_final_that_adds_nothing_closes_the_unfinished_item() -> None:
    sending, hearing = listening()
    hearing.take([result("a", ("Yes", 0.5), ("Please", 1.0), partial=True)])
    drop(sending, hearing)
    assert hearing.take([result("b", ("Yes", 0.5), partial=True)]) == []
    (final,) = hearing.take([result("b", ("Yes", 0.5), ("Please", 1.0))])
    assert (final.item, final.text, type(final)) == ("a", "Yes Please", Final)


def test_nothing_is_told_twice_on_one_connection() -> None:
    _, hearing = listening()
    first = result("a", ("yes", 0.5), partial=True)
    assert len(hearing.take([first, first])) == 1
    assert len(hearing.take([result("a", ("yes", 0.5)), result("a", ("yes", 0.5)), first])) == 1


def test_text_without_spaces_is_joined_without_spaces() -> None:
    def spoken(id: str, text: str, stable: int, *, partial: bool) -> Result:
        items = [
            {"Content": sign, "StartTime": at * 0.3, "EndTime": at * 0.3 + 0.3, "Stable": at < stable}
            for at, sign in enumerate(text)
        ]
        alternative = {"Transcript": text, "Items": items}
        told = {"ResultId": id, "IsPartial": partial, "EndTime": 0.3 * len(text), "Alternatives": [alternative]}
        return read(event([told]).payload)[0]

    sending, hearing = listening()
    hearing.take([spoken("a", "今日は良", 3, partial=True)])
    drop(sending, hearing)
    (final,) = hearing.take([spoken("b", "今日わ良い日", 0, partial=False)])
    assert final.text == "今日は良い日"
    assert [word.text for word in final.words] == list("今日は良い日")


def test_finals_only_hides_partials_and_nothing_else() -> None:
    sending, hearing = listening()
    hearing.finals_only = True
    assert hearing.take([result("a", ("my", 0.5), partial=True)]) == []
    assert hearing.open
    drop(sending, hearing)
    (final,) = hearing.take([result("b", ("my", 0.5), ("name", 1.0))])
    assert (final.item, final.text) == ("a", "my name")


def test_two_channels_have_items_and_boundaries_of_their_own() -> None:
    sending, hearing = listening(channels=2)
    hearing.take([result("a", ("hello", 0.5), channel="ch_0")])
    hearing.take([result("b", ("Good", 0.6), ("Day", 1.2), channel="ch_1", partial=True)])
    assert sending.kept_from_ms == 0
    drop(sending, hearing)
    again = hearing.take([result("c", ("hello", 0.5), channel="ch_0"), result("d", ("there", 2.0), channel="ch_0")])
    assert [(item.item, item.text) for item in again] == [("d", "there")]
    (final,) = hearing.take([result("e", ("good", 0.6), ("day", 1.2), ("sir", 1.7), channel="ch_1")])
    assert (final.item, final.text) == ("b", "Good Day sir")
    assert {word.speaker for word in final.words} == {"ch_1"}
    assert sending.kept_from_ms == 2100


@given(st.lists(st.integers(1, 4000), max_size=40), st.sampled_from([FORMAT, MULAW_8K, AudioFormat(44_100)]))
def test_chunks_are_of_50_ms_and_lose_nothing(sizes: list[int], format: AudioFormat) -> None:
    sending, given_, taken = Sending(format), bytearray(), []
    for number, size in enumerate(sizes):
        pcm = bytes([number % 251 + 1]) * format.bytes_of(size)
        given_ += pcm
        sending.add(pcm)
        while chunk := sending.chunk():
            taken.append(chunk)
    assert {len(chunk) for chunk in taken} <= {format.bytes_of(format.samples_in(50))}
    rest = sending.chunk(rest=True)
    assert b"".join(taken) + rest == given_
    assert sending.waiting_ms == 0


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_what_was_not_sent_is_never_forgotten(sizes: list[int]) -> None:
    sending, total = Sending(FORMAT, ring_ms=100), 0
    for number, size in enumerate(sizes):
        sending.add(bytes([number + 1, 0]) * size)
        total += size
        assert sending.waiting_ms == pytest.approx(FORMAT.ms(total))
    assert len(b"".join(iter(lambda: sending.chunk(rest=True), b""))) == 2 * total


def test_what_is_kept_is_bounded() -> None:
    sending = Sending(FORMAT)
    for _ in range(2000):
        sending.add(bytes(2 * 800))
        sending.chunk()
    assert sending.kept_from_ms == pytest.approx(2000 * 50 - 30_000)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(20, 2000)), max_size=60), st.sampled_from([1.0, 1.5, 4.0]))
def test_pace_keeps_audio_within_a_second_of_the_clock(pushes: list[tuple[float, int]], rate: float) -> None:
    pace, now, began, sent = Pace(rate), 100.0, 100.0, 0.0
    for idle, ms in pushes:
        now += idle
        now += pace.admit(ms, now)
        sent += ms
        assert sent <= (now - began) * 1000 * rate + 1000 + 1e-6


def test_live_audio_is_never_held_up() -> None:
    pace, now = Pace(1.0), 0.0
    for _ in range(1000):
        now += 0.02
        assert pace.admit(20, now) == 0
    assert pace.admit(3000, now + 3) == 0, "a stall is made up for"
    assert PAUSE_MS == 700
