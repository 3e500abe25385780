"""Speech in a file by Amazon Polly: an MP3, and beside it, line by line, when each word and mouth shape is due.

    python examples/polly_file.py --emulator
    python examples/polly_file.py "Good morning." --voice Ruth --out morning.mp3

The second asks Polly itself, in your AWS account. ``--out`` may also end with .ogg (Vorbis).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from voiceloop.aws import Account, Polly
from voiceloop.aws.polly import Recording
from voiceloop.testing.aws import Emulator

FORMATS: dict[str, Literal["mp3", "ogg_vorbis"]] = {".mp3": "mp3", ".ogg": "ogg_vorbis"}


async def speak(text: str, voice: str, format: Literal["mp3", "ogg_vorbis"], emulator: bool) -> Recording:
    async with AsyncExitStack() as stack:
        account = (await stack.enter_async_context(Emulator())).account() if emulator else Account()
        return await Polly(voice, account=account).synthesize(text, format=format, marks=["word", "viseme"])


def main(text: str, voice: str, out: Path, emulator: bool) -> None:
    recording = asyncio.run(speak(text, voice, FORMATS[out.suffix], emulator))
    out.write_bytes(recording.audio)
    lines = [json.dumps({"ms": mark.ms, "type": mark.type, "value": mark.value}) for mark in recording.marks]
    out.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    for mark in recording.marks:
        print(f"{mark.ms:6.0f} ms  {mark.value if mark.type == 'word' else f'    lips: {mark.value}'}")
    print(
        f"wrote {out} and {out.with_suffix('.jsonl')}; {recording.characters} characters are billed, marks included"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="Hello there.")
    parser.add_argument("--voice", default="Joanna", help="a neural voice")
    parser.add_argument("--out", type=Path, default=Path("speech.mp3"))
    parser.add_argument("--emulator", action="store_true", help="AWS on this machine: no account")
    arguments = parser.parse_args()
    if arguments.out.suffix not in FORMATS:
        parser.error(f"--out {arguments.out} has to end with {' or '.join(FORMATS)}")
    main(arguments.text, arguments.voice, arguments.out, arguments.emulator)
