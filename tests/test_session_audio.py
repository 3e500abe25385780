"""Audio in every format, at the right time, with its visemes."""

from __future__ import annotations

import anyio
import pytest

import voiceloop as vl
from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, PCM16_24K, PCM16_48K, AudioFormat
from voiceloop.interfaces import ReplyAudio, ReplyWord
from voiceloop.testing.scripted import Delay, ScriptedSpeechModel, Speak, Until, silence, tone

from .session_kit import LONG, cascade, collect, ends, finals, of, session, talk, the

pytestmark = pytest.mark.virtual_time
OVER = Until(vl.TurnEnded)


@pytest.mark.parametrize("input", [PCM16_8K, PCM16_16K, PCM16_48K, MULAW_8K], ids=str)
async def test_speech_is_heard_in_every_format(input: AudioFormat) -> None:
    from voiceloop.audio import convert

    log: list[vl.Event] = []
    async with (
        session(cascade(["yes please"], ["Good."]), input=input) as running,
        anyio.create_task_group() as group,
    ):
        group.start_soon(collect, running, log)
        sound = convert(tone(600) + silence(1000), PCM16_16K, input)
        size = input.bytes_of(input.samples_in(20))
        for at in range(0, len(sound), size):
            await running.send_audio(sound[at : at + size])
            await anyio.sleep(0.02)
        await running.end_input()
    assert finals(log) == ["yes please"]
    assert ends(log) == [(1, "completed", "Good.")]


@pytest.mark.parametrize("output", [PCM16_8K, PCM16_16K, PCM16_24K, PCM16_48K, MULAW_8K], ids=str)
@pytest.mark.parametrize("chunk_ms", [None, 20, 30])
async def test_audio_leaves_in_every_format_and_frame(output: AudioFormat, chunk_ms: int | None) -> None:
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."]), output=output, chunk_ms=chunk_ms)
    chunks = of(log, vl.AudioChunk)
    total = sum(chunk.samples for chunk in chunks)
    assert {chunk.format for chunk in chunks} == {output}
    wanted = output.samples_in(20 * 60)
    tail = output.samples_in(5)  # the resampler's own
    if chunk_ms is None:
        assert 0 <= total - wanted <= tail
    else:
        frame = output.samples_in(chunk_ms)
        assert {chunk.samples for chunk in chunks} == {frame}
        assert 0 <= total - wanted < frame + tail


async def test_the_lead_is_kept_to_the_frame() -> None:
    log = await talk(["Hi", OVER], cascade([], [LONG]), lead=0.3, chunk_ms=20, report_ms=None)
    chunks = of(log, vl.AudioChunk)
    first = chunks[0].at
    for number, chunk in enumerate(chunks):
        assert chunk.at == pytest.approx(first + max(0.0, (number + 1) * 0.02 - 0.3), abs=0.021)
    assert the(log, vl.TurnEnded).at == pytest.approx(first + len(chunks) * 0.02, abs=0.02)


async def test_without_a_lead_audio_comes_as_it_is_made() -> None:
    log = await talk(["Hi", OVER], cascade([], [LONG]), lead=None)
    chunks = of(log, vl.AudioChunk)
    assert chunks[-1].at - chunks[0].at < 1.0
    assert the(log, vl.TurnEnded).at == chunks[-1].at


async def test_a_slow_voice_leaves_as_it_comes() -> None:
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."], speaks={"speed": 0.5}))
    chunks = of(log, vl.AudioChunk)
    assert chunks[-1].at - chunks[0].at >= 2.0


async def test_synthesis_waits_when_enough_is_made() -> None:
    text = " ".join(["This sentence lasts a little more than three seconds in all."] * 20)
    model = cascade([], [text])
    made: list[float] = []
    async with session(model) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, [])
        await running.send_text("Hi")
        await anyio.sleep(3)
        made.append(len(model.synthesizer.clauses))  # type: ignore[attr-defined]
        await running.interrupt()
        await running.end_input()
    assert made[0] <= 9  # 10 s ahead, and what is on its way


# ---------------------------------------------------------------- visemes


async def test_marks_come_before_their_audio() -> None:
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."]))
    assert [word.text for word in of(log, vl.Word)] == ["It", "is", "ten", "past", "five."]
    assert [word.ms for word in of(log, vl.Word)] == [0, 180, 360, 600, 900]
    assert len(of(log, vl.Viseme)) == 9
    assert not any(mark.late for mark in (*of(log, vl.Word), *of(log, vl.Viseme)))


async def test_synced_waits_for_late_marks() -> None:
    speaks = {"marks_late": 0.06}
    on_time = await talk(["Hi", OVER], cascade([], ["It is ten past five."]))
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."], speaks=speaks))
    assert not any(mark.late for mark in (*of(log, vl.Word), *of(log, vl.Viseme)))
    assert of(log, vl.AudioChunk)[0].at == pytest.approx(of(on_time, vl.AudioChunk)[0].at + 0.06)


async def test_synced_waits_no_longer_than_it_was_told() -> None:
    speaks = {"marks_late": 0.5}
    on_time = await talk(["Hi", OVER], cascade([], ["It is ten past five."]))
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."], speaks=speaks))
    assert of(log, vl.AudioChunk)[0].at == pytest.approx(of(on_time, vl.AudioChunk)[0].at + 0.08)
    assert any(mark.late for mark in of(log, vl.Viseme))
    assert len(of(log, vl.Word)) == 5


async def test_prompt_never_waits() -> None:
    speaks = {"marks_late": 0.5}
    on_time = await talk(["Hi", OVER], cascade([], ["It is ten past five."]))
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."], speaks=speaks), visemes="prompt")
    assert of(log, vl.AudioChunk)[0].at == of(on_time, vl.AudioChunk)[0].at
    assert any(mark.late for mark in of(log, vl.Viseme))


async def test_off_asks_for_none() -> None:
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."]), visemes="off")
    assert of(log, vl.Viseme) == []
    assert len(of(log, vl.Word)) == 5


async def test_lost_marks_cost_the_wait_once() -> None:
    log = await talk(["Hi", OVER], cascade([], ["It is ten past five."], speaks={"marks_lost": True}))
    assert of(log, vl.Viseme) == of(log, vl.Word) == []
    assert of(log, vl.AudioChunk)[0].at == pytest.approx(0.2 + 0.04 + 0.1 + 0.08, abs=0.02)


async def test_a_mark_beyond_the_audio_is_moved_inside() -> None:
    model = ScriptedSpeechModel([["Hello there", ReplyWord(1, 0, 5, 99_000.0, 99_100.0)]], ms_per_char=20)
    log: list[vl.Event] = []
    async with vl.Session(model, turns="manual") as running:
        await running.send_text("Hi")
        await running.end_input()
        await collect(running, log)
    audio_ms = sum(chunk.duration_ms for chunk in of(log, vl.AudioChunk))
    assert max(word.ms for word in of(log, vl.Word)) <= audio_ms


async def test_audio_of_no_length_is_nothing() -> None:
    model = ScriptedSpeechModel([["Hello.", ReplyAudio(1, b"")]])
    log: list[vl.Event] = []
    async with vl.Session(model, turns="manual") as running:
        await running.send_text("Hi")
        await running.end_input()
        await collect(running, log)
    assert all(chunk.samples for chunk in of(log, vl.AudioChunk))
    assert ends(log) == [(1, "completed", "Hello.")]


async def test_silence_between_frames_is_no_speech() -> None:
    log = await talk([Speak(40), Delay(0.2), Speak(40), Delay(3)], cascade(["", ""], []))
    assert of(log, vl.TurnStarted) == []
