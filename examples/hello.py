"""Type to the assistant and hear it: the reply's audio in a WAV file, its words and mouth shapes on the screen.

python examples/hello.py "what is twelve times seven" --out answer.wav
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import voiceloop as vl
from voiceloop.audio.wav import WavWriter
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules


async def main(text: str, out: Path) -> None:
    rules = Rules.demo()
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer(voice="en-gb"))
    with WavWriter(out, vl.PCM16_24K) as wav:
        async with vl.Session(model, tools=rules.tools, lead=None) as session:  # lead=None: as fast as it is made
            await session.send_text(text)
            await session.end_input()
            async for event in session:
                match event:
                    case vl.AudioChunk():
                        wav.write(event.pcm)
                    case vl.ToolCalled():
                        print(f"  calls {event.name}({', '.join(f'{k}={v!r}' for k, v in event.arguments.items())})")
                    case vl.Word():
                        print(f"  {event.ms:6.0f} ms  {event.text}")
                    case vl.Viseme():
                        print(f"  {event.ms:6.0f} ms      lips: {event.code}")
                    case vl.TurnEnded():
                        print(f"said: {event.said}")
    print(f"wrote {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="how old is the brooklyn bridge")
    parser.add_argument("--out", type=Path, default=Path("answer.wav"))
    arguments = parser.parse_args()
    asyncio.run(main(arguments.text, arguments.out))
