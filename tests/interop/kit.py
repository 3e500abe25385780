"""What the clients beside this file share. It runs in their environments: nothing of voiceloop is there.

A client runs under ``voiceloop emulator``, which sets the usual variables of the AWS SDKs, and is given a WAV file of
speech (16 kHz, 16 bit, mono), by which it holds its turns.
"""

from __future__ import annotations

import asyncio
import os
import sys
import wave
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

RATE = 16_000
_DEADLINE = 120.0

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_REGION"]
ACCESS_KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET_KEY = os.environ["AWS_SECRET_ACCESS_KEY"]


def speech() -> bytes:
    """The PCM of the file that is the first argument."""
    with wave.open(sys.argv[1]) as clip:
        assert (clip.getframerate(), clip.getsampwidth(), clip.getnchannels()) == (RATE, 2, 1), sys.argv[1]
        return clip.readframes(clip.getnframes())


@contextmanager
def crt_trusts_the_emulator() -> Iterator[None]:
    """TLS contexts that awscrt makes in here trust the authority in ``AWS_CA_BUNDLE``.

    awscrt reads no such variable, and the SDKs upon it (amazon-transcribe, aws-sdk-*) have no parameter for one.
    """
    from awscrt import io

    plain = io.TlsContextOptions

    class Trusting(plain):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.override_default_trust_store_from_path(ca_filepath=os.environ["AWS_CA_BUNDLE"])

    io.TlsContextOptions = Trusting
    try:
        yield
    finally:
        io.TlsContextOptions = plain


class Microphone:
    """Speech at its own pace, in chunks of ``ms``; then silence, as long as one listens."""

    def __init__(self, pcm: bytes, ms: int = 50) -> None:
        self._pcm = pcm
        self._ms = ms

    async def each(self, until: Callable[[], bool]) -> Any:
        """Its chunks, to the end of the speech and on until ``until()``."""
        loop = asyncio.get_running_loop()
        size, began, at = RATE * 2 * self._ms // 1000, loop.time(), 0
        while at < len(self._pcm) or not until():
            yield self._pcm[at : at + size].ljust(size, b"\0")
            at += size
            await asyncio.sleep(began + at / (RATE * 2) - loop.time())


class Turns:
    """Prints a line for each turn, and remembers whether all were good."""

    def __init__(self) -> None:
        self.bad = 0

    async def hold(self, name: str, turn: Coroutine[Any, Any, tuple[str, str, int]], enough: int = 16_000) -> None:
        """Await ``turn``: what was heard, what was said, and how many bytes of audio came."""
        try:
            heard, said, size = await asyncio.wait_for(turn, _DEADLINE)
        except Exception as error:
            self.bad += 1
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            if os.environ.get("INTEROP_DEBUG"):
                raise
            return
        good = heard.lower().rstrip(".") == os.environ["INTEROP_SAID"] and said and size >= enough
        self.bad += not good
        print(
            f"{name}: heard {heard!r}, said {said!r}, {size} bytes of audio: {'ok' if good else 'WRONG'}", flush=True
        )


def main(work: Callable[[Turns, bytes], Coroutine[Any, Any, None]]) -> None:
    """Run a client; exits with 1 if a turn was not good."""
    turns = Turns()
    asyncio.run(work(turns, speech()))
    sys.exit(1 if turns.bad else 0)
