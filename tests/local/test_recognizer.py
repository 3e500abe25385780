"""The local recognizer, on human speech."""

from __future__ import annotations

import os
import signal
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from voiceloop.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from voiceloop.errors import BadInput, MissingExtra, ProviderUnavailable, UnknownName
from voiceloop.interfaces import (
    Expectation,
    Final,
    ListenConfig,
    Listening,
    Partial,
    ReasonerRequest,
    RecognizerItem,
    RecognizerUsage,
    Resources,
    TextDelta,
    ToolCall,
)
from voiceloop.local.recognizer import PocketSphinx
from voiceloop.local.recognizer_audio import Gate
from voiceloop.local.rules_reasoner import Rules
from voiceloop.local.worker import Worker
from voiceloop.testing.conformance import check_recognizer

BOOKING = {
    "df_book_a_room": "book a room",
    "df_mountain_view": "mountain view",
    "df_today": "today",
    "df_230pm": "two thirty p m",
    "df_half_an_hour": "half an hour",
    "df_two_people": "two people",
}
DESK = {
    "go_brooklyn": "how old is the brooklyn bridge",
    "az_weather": "what's the weather like",
    "ps_goforward": "go forward ten meters",
}
OFF_TOPIC = ("ps_forever_2", "librivox_austen_0880", "ps_tidigits_2934z", "ps_cards_005", "az_weather")


def hush(seconds: float, seed: int = 1) -> bytes:
    """The faint noise of a quiet room."""
    return np.random.default_rng(seed).normal(0, 6, round(16_000 * seconds)).astype("<i2").tobytes()


def clip(clips: Path, name: str) -> bytes:
    with wave.open(str(clips / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


class Ear:
    """A stream and what came of it."""

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self.items = aiter(listening)
        self.sent_ms = 0.0
        self.seen: list[RecognizerItem] = []

    async def send(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 640):
            await self.listening.send_audio(pcm[at : at + 640])
        self.sent_ms += len(pcm) / 32

    async def hear(self, pcm: bytes, *, pause: bool = True) -> Final:
        """One utterance: speech, a pause, the end of the turn; the last final."""
        await self.send(hush(0.4) + pcm + hush(0.2))
        if pause:
            await self.listening.flush(end_of_turn=False)
        await self.send(hush(0.3))
        await self.listening.flush(end_of_turn=True)
        self.seen = [item async for item in self.until_usage()]
        return next(item for item in reversed(self.seen) if isinstance(item, Final))

    async def until_usage(self) -> AsyncIterator[RecognizerItem]:
        async for item in self.items:
            yield item
            if isinstance(item, RecognizerUsage):
                return


async def reply(rules: Rules, messages: list[Message], resources: Resources) -> tuple[str, ToolCall | None]:
    request = ReasonerRequest(tuple(messages), resources, tools=rules.tools)
    async with rules.reply(request) as items:
        found = [item async for item in items]
    text = "".join(item.text for item in found if isinstance(item, TextDelta))
    return text, next((item for item in found if isinstance(item, ToolCall)), None)


async def test_six_clips_book_a_room(clips: Path, resources: Resources) -> None:
    rules = Rules.demo()
    messages: list[Message] = []
    async with PocketSphinx(workers=1).open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        for name, words in BOOKING.items():
            await listening.expect(rules.expect(messages))
            begin = ear.sent_ms
            final = await ear.hear(clip(clips, name))
            assert final.text == words
            assert final.confidence is not None
            assert final.confidence >= 0.8
            assert [word.text for word in final.words] == words.split()
            assert begin < final.words[0].start_ms < final.words[-1].end_ms <= ear.sent_ms
            partials = [item for item in ear.seen if isinstance(item, Partial)]
            assert partials
            assert {item.item for item in ear.seen if not isinstance(item, RecognizerUsage)} == {final.item}
            messages.append(Message("user", (TextPart(final.text, final.confidence),)))
            text, call = await reply(rules, messages, resources)
            messages.append(Message("assistant", (TextPart(text),)))
    assert text == "A room in Mountain View today at 2:30 pm, for half an hour and 2 people. Shall I book it?"
    messages.append(Message("user", (TextPart("yes", 0.9),)))
    _, call = await reply(rules, messages, resources)
    assert call is not None
    assert call.arguments == {
        "place": "Mountain View", "day": "today", "time": "14:30", "minutes": 30, "people": 2,
    }  # fmt: skip
    result = await rules.tools[0].run(call.arguments)
    messages.append(Message("assistant", (ToolCallPart("1", call.name, call.arguments),)))
    messages.append(Message("user", (ToolResultPart("1", call.name, result),)))
    text, _ = await reply(rules, messages, resources)
    assert text.startswith("Done. The room in Mountain View is yours today at 2:30 pm")


async def test_three_clips_ask_the_desk(clips: Path, resources: Resources) -> None:
    async with PocketSphinx(workers=1).open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        await listening.expect(Rules.demo().expect(()))
        finals = {name: await ear.hear(clip(clips, name)) for name in DESK}
    assert {name: final.text for name, final in finals.items()} == DESK
    assert min(final.confidence or 0 for final in finals.values()) >= 0.8


@pytest.mark.parametrize("answers", [("book a room",), ("book a room", "paris", "today", "noon", "an hour")])
async def test_what_is_off_topic_is_doubted(clips: Path, resources: Resources, answers: tuple[str, ...]) -> None:
    rules = Rules.demo()
    messages: list[Message] = []
    for words in answers:
        messages += [Message("user", (TextPart(words),)), Message("assistant", (TextPart("?"),))]
    async with PocketSphinx(workers=1).open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        await listening.expect(rules.expect(messages))
        finals = {name: await ear.hear(clip(clips, name)) for name in OFF_TOPIC}
        finals["jfk"] = await ear.hear(clip(clips, "jfk")[: 6 * 32_000])
    assert {name: final.text for name, final in finals.items() if not final.text} == {}
    assert {name: final.text for name, final in finals.items() if (final.confidence or 0) >= 0.5} == {}


async def test_sessions_that_take_turns_hear_what_they_hear_alone(clips: Path, resources: Resources) -> None:
    rules = Rules.demo()
    place, idle = rules.expect([Message("user", (TextPart("book a room"),))]), rules.expect(())
    recognizer = PocketSphinx(workers=1)
    sounds = {"df_mountain_view": place, "go_brooklyn": idle}
    config = ListenConfig(resources)

    async def alone(name: str, expected: Expectation) -> Final:
        async with recognizer.open(config) as listening:
            await listening.expect(expected)
            return await Ear(listening).hear(clip(clips, name))

    separate = [await alone(name, expected) for name, expected in sounds.items()]
    async with recognizer.open(config) as first, recognizer.open(config) as second:
        ears = [Ear(first), Ear(second)]
        audio = [hush(0.4) + clip(clips, name) + hush(0.5) for name in sounds]
        for ear, expected in zip(ears, sounds.values(), strict=True):
            await ear.listening.expect(expected)
        for at in range(0, max(map(len, audio)), 3200):
            for ear, pcm in zip(ears, audio, strict=True):
                await ear.send(pcm[at : at + 3200])
        together = []
        for ear in ears:
            await ear.listening.flush(end_of_turn=True)
            together += [item for item in [each async for each in ear.until_usage()] if isinstance(item, Final)]
    assert [(final.text, final.confidence, final.words) for final in separate] == [
        (final.text, final.confidence, final.words) for final in together
    ]


async def test_a_final_at_the_pause_is_the_final_of_the_turn(clips: Path, resources: Resources) -> None:
    recognizer = PocketSphinx(workers=1, grammar="#JSGF V1.0; grammar g; public <g> = today | tomorrow | monday;")
    async with recognizer.open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        today = clip(clips, "df_today")
        with_pause = await ear.hear(today)
        finals = [item for item in ear.seen if isinstance(item, Final)]
        assert [final.text for final in finals] == ["today", "today"]
        assert finals[0] == with_pause
        without = await ear.hear(today, pause=False)
        assert (without.item, without.text) == ("u2", "today")
        await ear.send(hush(0.4) + today + hush(0.2))
        await listening.flush(end_of_turn=False)
        longer = await ear.hear(today)  # speech went on: the same item
        assert longer.item == "u3"
        assert longer.words[-1].end_ms > without.words[-1].end_ms


async def test_silence_says_nothing(resources: Resources) -> None:
    async with PocketSphinx(workers=1).open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        await listening.expect(Rules.demo().expect(()))
        await listening.flush(end_of_turn=True)
        assert [item async for item in ear.until_usage()] == [Final("u1", ""), RecognizerUsage({"seconds": 0.0})]
        assert await ear.hear(bytes(32_000)) == Final("u2", "")
        assert await ear.hear(hush(1.0)) == Final("u3", "")


async def test_free_speech(clips: Path, resources: Resources) -> None:
    recognizer = PocketSphinx("dictation", workers=1)
    async with recognizer.open(ListenConfig(resources, language="en-GB")) as listening:
        ear = Ear(listening)
        await listening.expect(Rules.demo().expect(()))  # is not followed
        final = await ear.hear(clip(clips, "ps_tidigits_2934z"))
    assert final.text == "two nine three four zero"
    assert final.confidence is None


async def test_a_killed_worker_ends_its_sessions_and_the_next_one_works(clips: Path, resources: Resources) -> None:
    recognizer = PocketSphinx(workers=1, grammar="#JSGF V1.0; grammar g; public <g> = today | tomorrow;")
    async with recognizer.open(ListenConfig(resources)) as listening:
        ear = Ear(listening)
        await ear.send(clip(clips, "df_today"))
        worker = await resources.get(("voiceloop.local.recognizer_worker", 1, 0), None)  # type: ignore[arg-type]
        assert isinstance(worker, Worker)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ProviderUnavailable, match="SIGKILL"):
            async for _ in listening:
                pass
        with pytest.raises(ProviderUnavailable):
            await listening.send_audio(bytes(640))
    async with recognizer.open(ListenConfig(resources)) as listening:
        assert (await Ear(listening).hear(clip(clips, "df_today"))).text == "today"


async def test_a_grammar_that_is_none_is_refused(resources: Resources) -> None:
    with pytest.raises(BadInput, match="no JSGF grammar"):
        async with PocketSphinx(workers=1, grammar="book a room").open(ListenConfig(resources)):
            pass


async def test_words_that_no_dictionary_has(clips: Path, resources: Resources) -> None:
    grammar = "#JSGF V1.0; grammar g; public <g> = voiceloop | tudeh | zzyzx;"
    recognizer = PocketSphinx(workers=1, grammar=grammar, words={"tudeh": "T AH D EY"})
    async with recognizer.open(ListenConfig(resources)) as listening:
        final = await Ear(listening).hear(clip(clips, "df_today"))
    assert final.text == "tudeh"
    assert final.confidence == 0  # dictation heard a word that exists


@pytest.mark.virtual_time
async def test_on_virtual_time_it_hears_the_same(clips: Path) -> None:
    await check_recognizer(PocketSphinx(workers=1), hush(0.3) + clip(clips, "df_two_people") + hush(0.3))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UnknownName, match="dictation"):
        PocketSphinx("dictate")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="workers=0"):
        PocketSphinx(workers=0)


async def test_without_pocketsphinx_it_says_what_to_install(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pocketsphinx.py").write_text("raise ImportError\n")
    monkeypatch.syspath_prepend(tmp_path)  # a worker looks for modules where its parent does
    with pytest.raises(MissingExtra, match=r"pip install 'voiceloop\[local\]'"):
        async with PocketSphinx(workers=1).open(ListenConfig(resources)):
            pass


async def test_other_languages_are_refused(resources: Resources) -> None:
    with pytest.raises(BadInput, match="English only"):
        async with PocketSphinx().open(ListenConfig(resources, language="de-DE")):
            pass


def test_the_gate_is_the_same_for_any_size_of_chunks(clips: Path) -> None:
    audio = hush(0.5) + clip(clips, "df_today") + hush(2.0) + clip(clips, "df_two_people") + hush(0.5)
    kept = []
    for size in (2, 640, 1000, len(audio)):
        gate = Gate()
        for at in range(0, len(audio), size):
            gate.feed(audio[at : at + size])
        kept.append((gate.utterance.pieces, gate.utterance.pcm()))
    assert all(each == kept[0] for each in kept)
    (first, _), (second, _) = kept[0][0]
    assert 3200 <= first <= 8000  # up to 300 ms before the first word
    assert second > first + 16_000  # the long silence between them was left out
    assert gate.utterance.ms(0) == first / 16


def test_the_gate_lets_no_click_through() -> None:
    gate = Gate()
    assert not gate.feed(hush(0.5) + b"\xff\x3f" * 80 + hush(0.5))
    assert gate.utterance.pcm() == b""
