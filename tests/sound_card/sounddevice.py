"""A sound card of two files, in place of the module ``sounddevice``, for programs that run in a process of their own.

The microphone gives the speech of the WAV file SOUND_CARD_HEARS once the loudspeaker has spoken and been silent for a
second; all that it plays goes to the WAV file SOUND_CARD_PLAYS. Both run in real time, in blocks of 10 ms.
"""

from __future__ import annotations

import os
import threading
import time
import wave
from types import SimpleNamespace
from typing import Any

from voiceloop.audio import PCM16_16K, convert, read_wav

BLOCK = 160
QUIET = 100  # blocks
NOISE = b"\x03\x00\xfd\xff" * (BLOCK // 2)  # a microphone is never quite silent


class PortAudioError(Exception):
    """As sounddevice's."""


default = SimpleNamespace(device=(0, 1))


def query_devices() -> list[dict[str, Any]]:
    one = {"name": "Files", "max_input_channels": 0, "max_output_channels": 0, "default_samplerate": 16_000.0}
    return [one | {"max_input_channels": 1}, one | {"max_output_channels": 1}]


def check_input_settings(**settings: Any) -> None:
    """All are taken."""


check_output_settings = check_input_settings


class _Stream:
    latency = 0.01

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        stamps = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0, outputBufferDacTime=0.0)
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self.block(self._settings["callback"], stamps)
            due += BLOCK / 16_000

    def block(self, callback: Any, stamps: Any) -> None:
        raise NotImplementedError


class RawOutputStream(_Stream):
    """Plays into a file."""

    quiet_for = -1
    """Blocks since it spoke; -1: it has not."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._wav = wave.open(os.environ["SOUND_CARD_PLAYS"], "wb")  # noqa: SIM115 - closed with the stream
        self._wav.setparams((1, 2, 16_000, 0, "NONE", ""))

    def block(self, callback: Any, stamps: Any) -> None:
        out = bytearray(2 * BLOCK)
        callback(memoryview(out), BLOCK, stamps, None)
        self._wav.writeframes(out)
        if any(out):
            RawOutputStream.quiet_for = 0
        elif RawOutputStream.quiet_for >= 0:
            RawOutputStream.quiet_for += 1

    def close(self) -> None:
        super().close()
        self._wav.close()


class RawInputStream(_Stream):
    """Hears a file."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        given, pcm = read_wav(os.environ["SOUND_CARD_HEARS"])
        self._speech = convert(pcm, given, PCM16_16K)
        self._speaking = False

    def block(self, callback: Any, stamps: Any) -> None:
        self._speaking = self._speaking or RawOutputStream.quiet_for > QUIET
        piece = b""
        if self._speaking:
            piece, self._speech = self._speech[: 2 * BLOCK], self._speech[2 * BLOCK :]
        callback(memoryview(piece + NOISE[len(piece) :]), BLOCK, stamps, None)
