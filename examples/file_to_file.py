"""A question in one WAV file, the spoken answer in another.

    python examples/file_to_file.py question.wav answer.wav

Any WAV format goes in. Without a file, the question is spoken by a synthesizer first.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import voiceloop as vl
from voiceloop.audio import read_wav, write_wav
from voiceloop.interfaces import Clause, SpeakConfig, SpeechAudio
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules


async def paced(pcm: bytes, format: vl.AudioFormat) -> AsyncIterator[bytes]:
    """A recording as a microphone would give it: 20 ms at a time, in real time, and a little silence after it."""
    size = format.bytes_of(format.samples_in(20))
    pcm += format.silence(format.samples_in(500))
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
        await asyncio.sleep(0.02)


async def spoken(text: str) -> tuple[vl.AudioFormat, bytes]:
    """``text`` as a person might say it."""
    voice = EspeakSynthesizer(voice="en-us+f2")
    async with vl.Pool() as pool, voice.speak(Clause(text), SpeakConfig(pool)) as speech:
        pcm = b"".join([item.pcm async for item in speech if isinstance(item, SpeechAudio)])
    return voice.capabilities.output, pcm


async def main(question: Path | None, answer: Path) -> None:
    source, pcm = await spoken("How old is the Brooklyn Bridge?") if question is None else read_wav(question)
    rules, reply = Rules.demo(), bytearray()
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    async with vl.Session(model, tools=rules.tools, audio=paced(pcm, source), input=source, lead=None) as session:
        async for event in session:
            match event:
                case vl.Transcript(final=True):
                    print(f"heard: {event.text}")
                case vl.TurnEnded():
                    print(f"said:  {event.said}")
                case vl.AudioChunk():
                    reply += event.pcm
    write_wav(answer, vl.PCM16_24K, bytes(reply))
    print(f"wrote {answer}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", type=Path)
    parser.add_argument("answer", nargs="?", type=Path, default=Path("answer.wav"))
    arguments = parser.parse_args()
    asyncio.run(main(arguments.question, arguments.answer))
