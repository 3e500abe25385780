"""Flite: English text to speech with visemes, where the system has the program (Debian: apt install flite)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import IO

import anyio
from attrs import frozen

from voiceloop import clock
from voiceloop.audio import PCM16_16K
from voiceloop.errors import MissingExtra, ProviderMisbehaved, ProviderTimeout, ProviderUnavailable, UnknownName
from voiceloop.interfaces import (
    Clause,
    MarksUntil,
    SpeakConfig,
    Speech,
    SpeechAudio,
    Synthesizer,
    SynthesizerCapabilities,
    SynthesizerUsage,
    VisemeMark,
)
from voiceloop.local._shapes import Shapes
from voiceloop.local._text import clean, pieces
from voiceloop.visemes import ipa_of_arpabet

_HEADER = 44  # bytes of the WAV files that flite writes
_TIMEOUT = 20.0
_NOT_FOR_TALK = {"kal", "awb_time"}  # 8 kHz; tells the time of day and nothing else


@frozen
class FliteSynthesizer(Synthesizer):
    """Speaks English with Flite, in a process for each sentence or so. Nicer than espeak, slower, no words.

    ``voice``: "slt" (a woman), "rms", "awb" or "kal16" (men). Raises, at the first use, MissingExtra without the
    program, UnknownName for the voice.
    """

    voice: str = "slt"

    name = "flite"
    capabilities = SynthesizerCapabilities(output=PCM16_16K, marks=frozenset({"viseme"}))

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        """Speak one clause; see :meth:`Synthesizer.speak`."""
        known = await config.resources.get(("voiceloop.local", "flite"), _voices)
        voice = config.voice or self.voice
        if voice not in known:
            raise UnknownName("voice of flite", voice, known)
        async with aclosing(_speech(clause, voice, "viseme" in config.want)) as speech:
            yield speech


async def _speech(clause: Clause, voice: str, marks: bool) -> AsyncGenerator[Speech]:
    text = clean(clause.text)
    offset = 0.0
    for start, end, _ in pieces(text):
        pcm, phones = await _synthesize(text[start:end], voice)
        duration = PCM16_16K.ms(PCM16_16K.samples(pcm))
        if marks:
            shapes = Shapes()
            for phone, ms in _starts(phones, duration):
                shapes.begin(ipa_of_arpabet(phone), ms)
            shapes.finish(duration)
            for shape in shapes.take():
                yield VisemeMark(shape.code, shape.ms + offset, shape.end_ms + offset, shape.ipa or None)
            yield MarksUntil(offset + duration)
        yield SpeechAudio(pcm)
        offset += duration
    yield SynthesizerUsage({"characters": len(clause.text)})


def _starts(printed: str, duration: float) -> list[tuple[str, float]]:
    """The phones that ``-psdur`` printed, with their starts in ms.

    Each line is an utterance whose times begin at 0; each phone comes with its end, in seconds. An utterance lasts a
    few ms less than its times say, so all are scaled to the audio.
    """
    found: list[tuple[str, float]] = []
    offset = 0.0
    for line in printed.splitlines():
        at = 0.0
        for item in line.split():
            phone, _, end = item.rpartition(":")
            found.append((phone, offset + at))
            at = float(end) * 1000
        offset += at
    scale = duration / offset if offset else 1.0
    return [(phone, ms * scale) for phone, ms in found]


async def _synthesize(text: str, voice: str) -> tuple[bytes, str]:
    """Audio and printed phones of ``text``."""
    with _scratch() as source, _scratch() as target:
        source.write(text.encode())
        source.flush()
        files = f"/dev/fd/{source.fileno()}", f"/dev/fd/{target.fileno()}"
        printed = await _run(
            ("-voice", voice, "-psdur", "-f", files[0], "-o", files[1]), (source.fileno(), target.fileno())
        )
        target.seek(0)
        wav = target.read()
    if wav[:4] != b"RIFF" or int.from_bytes(wav[24:28], "little") != PCM16_16K.rate:
        raise ProviderMisbehaved("it wrote no audio of 16000 Hz", provider=FliteSynthesizer.name)
    return wav[_HEADER : len(wav) - len(wav) % 2], printed


def _scratch() -> IO[bytes]:
    """A file without a name: what was said is not left on a disk, nor shown in a list of processes."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("voiceloop"), "w+b")
    return tempfile.TemporaryFile()


async def _run(arguments: tuple[str, ...], files: tuple[int, ...] = ()) -> str:
    program = shutil.which("flite")
    if program is None:
        raise MissingExtra("the program 'flite' is not installed", hint="apt install flite")
    with clock.outside_work():
        with anyio.CancelScope(shield=True):  # a start that is cut in half would leave the process behind
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=files,
            )
        try:
            with anyio.fail_after(_TIMEOUT):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise ProviderTimeout(
                f"it did not answer within {_TIMEOUT:g} s", provider=FliteSynthesizer.name, retryable=True
            ) from None
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                    await process.communicate()  # reads to the end, so that its pipe is closed, and waits
    if process.returncode != 0:
        raise ProviderUnavailable(
            f"it ended with exit code {process.returncode}", provider=FliteSynthesizer.name, retryable=True
        )
    return printed.decode(errors="replace")


@asynccontextmanager
async def _voices() -> AsyncIterator[frozenset[str]]:
    """The voices that can be spoken with: an unknown one would be replaced without a word."""
    printed = await _run(("-lv",))
    yield frozenset(printed.rpartition(":")[2].split()) - _NOT_FOR_TALK
