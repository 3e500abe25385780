"""Ten live conversations on the offline recognizer, with real voice activity detection: is the event loop free?

The recognizer runs in worker processes; what is left in this one must not hold up anybody's audio. Speaks human
clips (VOICELOOP_CLIPS, by default ../shared/audio beside the repository); without them there is nothing to measure.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from figures import HERE, Figure, main, percentile
from load import FRAME_S, Measured, lag
from providers import TimedReasoner, TimedSynthesizer

import voiceloop as vl
from voiceloop.audio import convert, read_wav
from voiceloop.local.recognizer import PocketSphinx
from voiceloop.testing.scripted import silence

_SESSIONS = 10
_PAUSE_S = 6.0


def measure(quick: bool) -> list[Figure]:
    """The lag while they talk, once all have begun."""
    clips = Path(os.environ.get("VOICELOOP_CLIPS", HERE.parents[2] / "shared" / "audio"))
    sounds = [_speech(path) for path in sorted(clips.glob("*.wav"))[:_SESSIONS]]
    if not sounds:
        return []
    measured, heard = asyncio.run(_run(sounds, 6.0 if quick else 20.0))
    return [
        Figure(
            f"{_SESSIONS} sessions on PocketSphinx: event loop lag p99",
            "ms",
            percentile(measured.lags, 99) * 1000,
            most=20,
        ),
        Figure(
            f"{_SESSIONS} sessions on PocketSphinx: event loop lag p50", "ms", percentile(measured.lags, 50) * 1000
        ),
        Figure(f"{_SESSIONS} sessions on PocketSphinx: turns heard", "turns", heard, least=1),
    ]


def _speech(path: Path) -> bytes:
    form, pcm = read_wav(path)
    return convert(pcm, form, vl.PCM16_16K)


async def _run(sounds: list[bytes], seconds: float) -> tuple[Measured, int]:
    measured = Measured()
    loop = asyncio.get_running_loop()
    recognizer = PocketSphinx("dictation")
    async with vl.Pool() as pool:
        end = loop.time() + 5.0 + seconds
        talks = [
            asyncio.create_task(_talk(recognizer, pool, sounds[n % len(sounds)], n * 0.37, end))
            for n in range(_SESSIONS)
        ]
        await asyncio.sleep(5.0)
        await lag(measured, end)
        heard = sum(await asyncio.gather(*talks))
    return measured, heard


async def _talk(recognizer: PocketSphinx, pool: vl.Pool, speech: bytes, offset: float, end: float) -> int:
    """One user, who says the same again and again; how many turns were heard."""
    heard = 0
    loop = asyncio.get_running_loop()
    size = vl.PCM16_16K.bytes_of(vl.PCM16_16K.samples_in(FRAME_S * 1000))
    sound = speech + silence(_PAUSE_S * 1000)
    frames = [sound[at : at + size] for at in range(0, len(sound) - size, size)]
    model = vl.Cascade(recognizer, TimedReasoner(), TimedSynthesizer(10.0))
    async with vl.Session(model, pool=pool) as session:

        async def listen() -> None:
            nonlocal heard
            async for event in session:
                heard += isinstance(event, vl.Transcript) and event.final

        listening = asyncio.create_task(listen())
        due, at = loop.time() + offset, 0
        while due < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            await session.send_audio(frames[at % len(frames)])
            due, at = due + FRAME_S, at + 1
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return heard


if __name__ == "__main__":
    main("recognizer", measure)
