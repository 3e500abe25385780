"""espeak-ng itself: audio, marks in time with it, cancellation, many at once, and a killed worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from itertools import pairwise

import anyio
import pytest

from voiceloop.errors import BadInput, MissingExtra, ProviderUnavailable, UnknownName
from voiceloop.interfaces import (
    Clause,
    MarksUntil,
    Resources,
    SpeakConfig,
    Speech,
    SpeechAudio,
    SynthesizerUsage,
    VisemeMark,
    WordMark,
)
from voiceloop.local.espeak import EspeakSynthesizer
from voiceloop.local.worker import shared_worker
from voiceloop.visemes import CODES

pytest.importorskip("espeakng_loader", reason="the extra 'local' is not installed")

WORKER = "voiceloop.local.espeak_worker"
ALL = frozenset({"viseme", "word"})
SENTENCES = (
    "Hello world, this is a test.",
    "Your table is booked for two people, at half past seven. Is that right?",
    "Bob, please pick up a big apple pie.",
    "Well, I think so. But wait: there is more!",
)


async def speak(resources: Resources, text: str, *, voice: str = "en-us", **clause: str) -> list[Speech]:
    config = SpeakConfig(resources, ALL)
    async with EspeakSynthesizer(voice).speak(Clause(text, **clause), config) as speech:
        return [item async for item in speech]


def pcm(items: list[Speech]) -> array[int]:
    return array("h", b"".join(item.pcm for item in items if isinstance(item, SpeechAudio)))


def duration(items: list[Speech]) -> float:
    return len(pcm(items)) / 22.05


def quiet(samples: array[int], shortest: float = 60.0) -> list[tuple[float, float]]:
    """Stretches, in ms, in which nothing is heard."""
    found, start = [], 0
    for index, sample in enumerate([*samples, 32767]):
        if abs(sample) >= 250:
            if index - start > shortest * 22.05:
                found.append((start / 22.05, index / 22.05))
            start = index + 1
    return found


@pytest.mark.parametrize("text", SENTENCES)
async def test_marks_come_in_order_and_before_their_audio(resources: Resources, text: str) -> None:
    items = await speak(resources, text)
    known = played = 0.0
    last: dict[type, float] = {VisemeMark: 0.0, WordMark: 0.0}
    for item in items:
        match item:
            case VisemeMark() | WordMark():
                assert item.ms >= max(known, last[type(item)])
                assert item.end_ms is not None
                assert item.end_ms > item.ms
                last[type(item)] = item.ms
            case MarksUntil():
                assert item.ms > known
                known = item.ms
            case SpeechAudio():
                played += len(item.pcm) / 44.1
                assert played == pytest.approx(known, abs=0.1)
    assert max(pcm(items)) > 3000
    assert isinstance(items[-1], SynthesizerUsage)
    assert items[-1].amounts == {"characters": len(text)}


@pytest.mark.parametrize("text", SENTENCES)
async def test_visemes_cover_the_audio(resources: Resources, text: str) -> None:
    items = await speak(resources, text)
    visemes = [item for item in items if isinstance(item, VisemeMark)]
    assert {mark.code for mark in visemes} <= CODES
    assert visemes[0].ms == 0
    assert visemes[-1].end_ms == pytest.approx(duration(items), abs=0.1)
    for mark, following in pairwise(visemes):
        assert mark.end_ms == following.ms
        assert mark.code != following.code
        assert following.ms - mark.ms >= 20 or mark.code == "p"


@pytest.mark.parametrize("text", SENTENCES)
async def test_rest_is_where_nothing_is_heard(resources: Resources, text: str) -> None:
    for voice in ("en-us", "en-GB", "de", "es"):
        items = await speak(resources, text, voice=voice)
        rests = [i for i in items if isinstance(i, VisemeMark) and i.code == "sil" and (i.end_ms or 0) - i.ms >= 60]
        stretches = quiet(pcm(items))
        assert len(rests) >= 2
        for rest in rests:
            near = min(stretches, key=lambda stretch: abs(stretch[0] - rest.ms))
            assert near == pytest.approx((rest.ms, rest.end_ms), abs=20)


async def test_lips_close_for_a_stop_before_its_release(resources: Resources) -> None:
    items = await speak(resources, "a pie, a buy")
    closed = [item for item in items if isinstance(item, VisemeMark) and item.code == "p"]
    samples = pcm(items)
    assert len(closed) == 2
    start = round(closed[0].ms * 22.05)
    assert max(map(abs, samples[start : start + 400])) < 300  # p: nothing is heard while the lips are closed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello world, this is a test.", "Hello world this is a test"),
        (
            "I paid $3.50 for 1234 apples 😀 at 2:30pm, don't you?",
            "I paid 3.50 for 1234 apples 😀 at 2:30pm don't you",
        ),
        ("Ünïcödé — «très» bien!  Zwei\nZeilen.", "Ünïcödé très bien Zwei Zeilen"),
        ("The well-known U.S.A. e-mail & «co».", "The well-known U.S.A e-mail & co"),
        ("A. B. C. D. words", "A B C D words"),
        ("word " * 300, "word " * 300),
    ],
)
async def test_words_are_where_they_stand_in_the_text(resources: Resources, text: str, words: str) -> None:
    items = await speak(resources, text)
    marks = [item for item in items if isinstance(item, WordMark)]
    assert [text[mark.start : mark.end] for mark in marks] == words.split()
    for mark, following in pairwise(marks):
        assert mark.end <= following.start
        assert (mark.end_ms or 0) <= following.ms


async def test_words_of_a_script_without_blanks(resources: Resources) -> None:
    text = "你好世界，我们走吧"
    marks = [item for item in await speak(resources, text, voice="zh-CN") if isinstance(item, WordMark)]
    assert len(marks) > 3
    assert "".join(text[mark.start : mark.end] for mark in marks) == text.replace("，", "")


async def test_nobody_who_wants_no_marks_gets_any(resources: Resources) -> None:
    async with EspeakSynthesizer().speak(Clause("Hello."), SpeakConfig(resources)) as speech:
        items = [item async for item in speech]
    assert {type(item) for item in items} == {SpeechAudio, SynthesizerUsage}
    async with EspeakSynthesizer().speak(Clause("Hello."), SpeakConfig(resources, frozenset({"word"}))) as speech:
        items = [item async for item in speech]
    assert {type(item) for item in items} == {SpeechAudio, SynthesizerUsage, MarksUntil, WordMark}


async def test_text_without_words_does_no_harm(resources: Resources) -> None:
    for text in ("😀", " ", "\n", "...", "—", "\0\1\2", "\ud800", "\ue000", "\u200b", "<", "["):
        await speak(resources, text)
    assert duration(await speak(resources, "Still here.")) > 300


@pytest.mark.parametrize("text", ["<speak>no<break time='9s'/></speak>", "[[h@l'oU]] phonemes", "a\0b &lt; c"])
async def test_markup_is_spoken_as_it_stands(resources: Resources, text: str) -> None:
    items = await speak(resources, text)
    assert 500 < duration(items) < 5000
    spoken = [text[item.start : item.end] for item in items if isinstance(item, WordMark)]
    assert spoken[0] == text.split("\0")[0].split()[0].strip("<>[]")


async def test_the_end_of_a_clause_decides_the_pause(resources: Resources) -> None:
    sentence = duration(await speak(resources, "Hello there.", ends="sentence"))
    reply = duration(await speak(resources, "Hello there.", ends="reply"))
    comma = duration(await speak(resources, "Hello there,", ends="clause"))
    assert reply + 50 < comma < sentence - 50


async def test_rate_pitch_and_volume(resources: Resources) -> None:
    async def heard(synthesizer: EspeakSynthesizer) -> array[int]:
        async with synthesizer.speak(Clause("One two three four."), SpeakConfig(resources)) as speech:
            return pcm([item async for item in speech])

    usual = await heard(EspeakSynthesizer())
    fast = await heard(EspeakSynthesizer(rate=2.0))
    quieter = await heard(EspeakSynthesizer(volume=0.3))
    high = await heard(EspeakSynthesizer(pitch=1.9))
    assert len(fast) < 0.7 * len(usual)
    assert max(quieter) < 0.5 * max(usual)
    assert _period(high) < 0.7 * _period(usual)


def _period(samples: array[int]) -> int:
    """The voice's period, in samples, in the loudest stretch: where it is most like itself."""
    peak = max(range(len(samples)), key=lambda index: abs(samples[index]))
    start = min(max(0, peak - 600), len(samples) - 1400)
    stretch = samples[start : start + 800]
    return max(
        range(60, 500), key=lambda lag: sum(map(int.__mul__, stretch, samples[start + lag : start + lag + 800]))
    )


@pytest.mark.parametrize("setting", [{"rate": 0.1}, {"rate": "fast"}, {"pitch": 3}, {"volume": -1}, {"rate": True}])
def test_settings_out_of_range_are_refused_at_once(setting: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=f"{next(iter(setting))}=.* is allowed"):
        EspeakSynthesizer(**setting)


async def test_names_of_voices(resources: Resources) -> None:
    for voice in ("en-US", "en_us", "fr-FR", "de-AT", "zh-TW", "gmw/en-US", "en-us+f3", "Esperanto"):
        assert duration(await speak(resources, "no", voice=voice)) > 100


@pytest.mark.parametrize(
    ("voice", "match"), [("en-uss", "en-us"), ("Joanna", ""), ("en-us+f33", "f3"), ("", ""), ("../../etc/passwd", "")]
)
async def test_unknown_voices_are_told_with_near_names(resources: Resources, voice: str, match: str) -> None:
    config = SpeakConfig(resources, ALL, voice=voice or None)
    with pytest.raises(UnknownName) as caught:
        async with EspeakSynthesizer(voice).speak(Clause("Hello."), config) as speech:
            [item async for item in speech]
    assert not match or match in caught.value.matches


async def test_voices_can_be_listed_and_spoken_with(resources: Resources) -> None:
    voices = await EspeakSynthesizer().voices(resources)
    assert len(voices) > 100
    assert {"en-us", "fr-fr", "de", "ja"} <= {voice.language for voice in voices}
    for voice in voices[::20]:
        await speak(resources, "no", voice=voice.name)


async def test_leaving_cancels_within_a_block(resources: Resources) -> None:
    config = SpeakConfig(resources)
    async with EspeakSynthesizer().speak(Clause("word " * 6000), config) as speech:
        async for item in speech:
            assert isinstance(item, SpeechAudio)
            break
    worker = await shared_worker(resources, WORKER, name="espeak")
    made = (await worker.call({"op": "made"})).header["samples"]
    assert made < 22_050 * 60  # of half an hour
    assert (await worker.call({"op": "made"})).header["samples"] == made
    assert 300 < duration(await speak(resources, "And the next one is clean.")) < 3000


async def test_a_long_text_does_not_hold_up_others(resources: Resources) -> None:
    long = EspeakSynthesizer().speak(Clause("A sentence of some length. " * 400), SpeakConfig(resources, ALL))
    async with long as speech:
        words = audio = 0.0
        async for item in speech:
            if isinstance(item, SpeechAudio):
                audio += len(item.pcm) / 44.1
                if audio < 20_000:
                    assert duration(await speak(resources, "A short one.")) > 300
            words += isinstance(item, WordMark)
        assert words == 2000


async def test_twenty_at_once(resources: Resources) -> None:
    alone = {voice: duration(await speak(resources, SENTENCES[1], voice=voice)) for voice in ("en-us", "de", "fr")}

    async def one(number: int) -> None:
        voice = ("en-us", "de", "fr")[number % 3]
        items = await speak(resources, SENTENCES[1], voice=voice)
        assert duration(items) == pytest.approx(alone[voice], rel=0.02)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, number)


async def test_a_worker_killed_in_mid_speech(resources: Resources) -> None:
    async with EspeakSynthesizer().speak(Clause("word " * 6000), SpeakConfig(resources, ALL)) as speech:
        await anext(speech)
        worker = await shared_worker(resources, WORKER, name="espeak")
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ProviderUnavailable, match=r"espeak: .*SIGKILL") as caught:
            [item async for item in speech]
    assert caught.value.retryable
    assert duration(await speak(resources, "Here again.")) > 300


async def test_without_its_package_it_says_what_to_install(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shadow")
    (folder / "espeakng_loader.py").write_text("raise ImportError('not installed')")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    with pytest.raises(MissingExtra, match=r"pip install 'voiceloop\[local\]'"):
        await speak(resources, "Hello.")


def test_importing_it_loads_neither_espeak_nor_numpy() -> None:
    program = "import sys, voiceloop.local.espeak; print({'espeakng_loader', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
