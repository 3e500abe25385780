"""A service of your own, on AWS: a spoken question comes in, a spoken answer goes out.

    python examples/own_service/hotline.py question.wav answer.wav

It runs in your AWS account, or without one: ``voiceloop emulator -- python examples/own_service/hotline.py ...``.
``test_hotline.py`` tests it without one, too. Nothing in here is made for that.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from attrs import frozen

import voiceloop as vl
from voiceloop.audio import read_wav, write_wav
from voiceloop.aws import Bedrock, Polly, Transcribe

INSTRUCTIONS = "You are the hotline of a bicycle shop. Answer in one short sentence."


@frozen
class Answer:
    """What was understood, what was answered, and the answer's sound: 24 kHz, 16 bit, mono."""

    heard: str
    said: str
    pcm: bytes


class NotNow(Exception):
    """The hotline cannot answer. The message is for the caller, the cause for the operator."""


async def answer(question: AsyncIterable[bytes], format: vl.AudioFormat = vl.PCM16_16K) -> Answer:
    """Answer a question as it is spoken; it ends where ``question`` ends. Raises NotNow."""
    heard, said, pcm = "", "", bytearray()
    model = vl.Cascade(Transcribe("en-US"), Bedrock(), Polly("Joanna"))
    session = vl.Session(model, instructions=INSTRUCTIONS, audio=question, input=format, turns="manual", lead=None)
    try:
        async with session:
            async for event in session:
                match event:
                    case vl.Transcript(final=True):
                        heard = event.text
                    case vl.AudioChunk():
                        pcm += event.pcm
                    case vl.TurnEnded():
                        said = event.said
    except vl.ProviderError as error:
        when = "in a minute" if error.retryable else "tomorrow"
        raise NotNow(f"Please call again {when}.") from error
    return Answer(heard, said, bytes(pcm))


async def live(pcm: bytes, format: vl.AudioFormat = vl.PCM16_16K) -> AsyncIterator[bytes]:
    """A recording as a telephone would give it: 20 ms at a time, and half a second of silence in the end."""
    pcm += format.silence(format.samples_in(500))
    size = format.bytes_of(format.samples_in(20))
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
        await asyncio.sleep(0.02)


async def main(source: Path, target: Path) -> None:
    rate, pcm = read_wav(source)
    answered = await answer(live(pcm, rate), rate)
    write_wav(target, vl.PCM16_24K, answered.pcm)
    print(f"heard: {answered.heard}\nsaid:  {answered.said}\nwrote {target}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", type=Path, help="a WAV file")
    parser.add_argument("answer", type=Path, help="a WAV file to be written")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.question, arguments.answer))
