"""A typed chat that answers aloud: type a line, read the answer and hear it. Ctrl-D ends it.

    python examples/chat.py                  the voice goes into chat.wav
    python examples/chat.py --loudspeaker    it is heard: pip install 'voiceloop[soundcard]'
    echo "what is twelve times seven" | python examples/chat.py
    python examples/chat.py < questions.txt

With the loudspeaker, a line typed while the assistant speaks interrupts it. "/mute" and "/aloud" turn the voice off
and on.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import voiceloop as vl
from voiceloop.audio.wav import WavWriter
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.transports.soundcard import SoundCard


async def typed() -> AsyncIterator[str]:
    """The lines of the keyboard, a pipe or a file. A thread reads them: a loop cannot wait for files."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered, suppress(RuntimeError):
            for line in chain(unbuffered, [b""]):
                loop.call_soon_threadsafe(lines.put_nowait, line)  # RuntimeError: the chat is over

    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        yield line.decode(errors="replace").strip()


async def type_to(session: vl.Session, answered: asyncio.Event) -> None:
    """Send each line of the keyboard; or of a pipe or a file, which waits for its answer before it goes on."""
    waits = not sys.stdin.isatty()
    async for line in typed():
        match line:
            case "":
                pass
            case "/mute" | "/aloud" as wish:
                await session.update(speak=wish == "/aloud")
                print(f"({wish[1:]})")
            case text:
                answered.clear()
                await session.send_text(text)
                if waits:
                    print(f"> {text}")
                    await answered.wait()
    await session.end_input()


async def main(out: Path, loudspeaker: bool) -> None:
    rules, answered = Rules.demo(), asyncio.Event()
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    session = vl.Session(model, tools=rules.tools, lead=0.6 if loudspeaker else None)

    def show(event: vl.Event) -> None:
        match event:
            case vl.ReplyText():
                print(event.text, end="", flush=True)
            case vl.TurnEnded():
                print(f" ... (heard: {event.heard.text})" if event.reason == "interrupted" else "")
                answered.set()
            case vl.AudioChunk():
                wav.write(event.pcm)
            case _:
                pass

    card = SoundCard(microphone=False)
    if loudspeaker:
        card.devices()  # is there one?
    print("Type something, such as: what can I say")
    with WavWriter(out, vl.PCM16_24K) as wav:
        async with session, asyncio.TaskGroup() as tasks:
            typing = tasks.create_task(type_to(session, answered))
            if loudspeaker:
                await card.run(session, on_event=show)
            else:
                async for event in session:
                    show(event)
            typing.cancel()
    print(f"wrote {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("chat.wav"))
    parser.add_argument("--loudspeaker", action="store_true")
    arguments = parser.parse_args()
    try:
        asyncio.run(main(arguments.out, arguments.loudspeaker))
    except vl.VoiceloopError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        pass
