"""Flite itself, where the system has it."""

from __future__ import annotations

import shutil
from array import array

import anyio
import pytest

from voiceloop.errors import MissingExtra, UnknownName
from voiceloop.interfaces import Clause, MarksUntil, Resources, SpeakConfig, Speech, SpeechAudio, VisemeMark
from voiceloop.local.flite import FliteSynthesizer

# CI installs it: apt-get install -y flite
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the program 'flite' is not installed")


async def speak(resources: Resources, text: str, voice: str = "slt") -> list[Speech]:
    config = SpeakConfig(resources, frozenset({"viseme"}))
    async with FliteSynthesizer(voice).speak(Clause(text), config) as speech:
        return [item async for item in speech]


def pcm(items: list[Speech]) -> array[int]:
    return array("h", b"".join(item.pcm for item in items if isinstance(item, SpeechAudio)))


@needs_flite
async def test_visemes_cover_the_audio_and_rest_is_quiet(resources: Resources) -> None:
    items = await speak(resources, "Hello world, this is a test. Bob may pay.")
    samples = pcm(items)
    visemes = [item for item in items if isinstance(item, VisemeMark)]
    assert visemes[0].ms == 0
    assert visemes[-1].end_ms == pytest.approx(len(samples) / 16)
    assert [mark.end_ms for mark in visemes[:-1]] == [mark.ms for mark in visemes[1:]]
    assert {mark.code for mark in visemes} >= {"sil", "p", "T", "k", "u", "E", "t", "s", "e", "a"}
    loud = max(map(abs, samples))
    for mark in visemes:
        middle = round((mark.ms + (mark.end_ms or 0)) * 8)
        level = max(map(abs, samples[middle - 160 : middle + 160]))
        assert (level < loud / 10) if mark.code == "sil" else level > 0
    marks_until = [item.ms for item in items if isinstance(item, MarksUntil)]
    assert marks_until == [pytest.approx(len(samples) / 16)]


@needs_flite
async def test_a_long_text_comes_in_pieces(resources: Resources) -> None:
    items = await speak(resources, "This is a sentence of a long text. " * 20)
    audio = [item for item in items if isinstance(item, SpeechAudio)]
    visemes = [item.ms for item in items if isinstance(item, VisemeMark)]
    assert len(audio) > 2
    assert visemes == sorted(visemes)
    assert len(pcm(items)) / 16000 > 30


@needs_flite
@pytest.mark.parametrize("voice", ["slt", "rms", "awb", "kal16"])
async def test_voices(resources: Resources, voice: str) -> None:
    assert len(pcm(await speak(resources, "Hello there.", voice))) > 8000


@needs_flite
async def test_unknown_voices_are_told(resources: Resources) -> None:
    with pytest.raises(UnknownName, match=r"mean 'slt'"):
        await speak(resources, "Hello.", "sltt")
    with pytest.raises(UnknownName):
        await speak(resources, "Hello.", "kal")  # 8 kHz


@needs_flite
async def test_text_without_words_or_like_an_option_does_no_harm(resources: Resources) -> None:
    for text in ("-lv", "😀", "...", "\0", "\ud800", "<speak>x</speak>"):
        await speak(resources, text)


@needs_flite
async def test_cancelling_leaves_no_process(resources: Resources) -> None:
    for delay in (0.0, 0.001, 0.01):
        with anyio.move_on_after(delay):
            await speak(resources, "This is a sentence of a long text. " * 20)
    # the fixture sees that nothing is left


async def test_without_the_program_it_says_what_to_install(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtra, match="apt install flite"):
        await speak(resources, "Hello.")
