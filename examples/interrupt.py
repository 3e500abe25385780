"""Speak while the assistant speaks: it pauses, it stops, and it remembers only what you heard.

    python examples/interrupt.py

A story is told to a simulated listener, who says "what time is it" in the middle of it. ``heard.wav`` has what came
out of their loudspeaker. What the loudspeaker reports (``session.played``) makes the memory exact to the word.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from file_to_file import spoken

import voiceloop as vl
from voiceloop.audio import PlaybackBuffer
from voiceloop.audio.wav import WavWriter
from voiceloop.conversation import AssistantEntry, UserEntry
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.memory import InProcessMemory

STORY = "Once upon a time there was a king who had three daughters. One was wise, one was brave, and one was kind."


async def microphone(pcm: bytes, format: vl.AudioFormat, now: asyncio.Event) -> AsyncIterator[bytes]:
    """20 ms at a time, in real time: silence, ``pcm`` once ``now`` is set, and silence again."""
    size = format.bytes_of(format.samples_in(20))
    while True:
        piece, pcm = (pcm[:size], pcm[size:]) if now.is_set() else (b"", pcm)
        yield piece.ljust(size, b"\0")
        await asyncio.sleep(0.02)


async def loudspeaker(session: vl.Session, player: PlaybackBuffer, wav: WavWriter, now: asyncio.Event) -> None:
    """Plays 20 ms at a time, in real time, and tells the session how far it is. Sets ``now`` at 2 s of the story."""
    while True:
        wav.write(player.pull(player.format.samples_in(20)))
        if player.position:
            session.played(player.position.turn, player.position.ms)
            if player.position.ms > 2000:
                now.set()
        await asyncio.sleep(0.02)


async def main(out: Path) -> None:
    source, question = await spoken("What time is it?")
    rules, memory, now, player = Rules.demo(), InProcessMemory(), asyncio.Event(), PlaybackBuffer(vl.PCM16_24K)
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    mouth = microphone(question, source, now)
    session = vl.Session(model, tools=rules.tools, audio=mouth, input=source, memory=memory)
    with WavWriter(out, player.format) as wav:
        async with session, asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(loudspeaker(session, player, wav, now))
            await session.say(STORY)
            async for event in session:
                match event:
                    case vl.AudioChunk():
                        player.push(event.pcm, event.turn)
                    case vl.Paused():
                        print("somebody speaks: the player pauses")
                        player.pause()
                    case vl.Resumed():
                        print("it was nothing: the player goes on")
                        player.resume()
                    case vl.Interrupted():
                        print("it is an interruption: the player drops the rest")
                        player.flush(event.turn)
                        player.resume()
                        session.played(event.turn, player.played(event.turn).ms, stopped=True)
                    case vl.TurnEnded(reason="completed"):
                        await session.end()
            playing.cancel()
    print("\nThe assistant remembers:")
    for entry in await memory.load(session.conversation_id):
        match entry:
            case UserEntry():
                print(f"  user:      {entry.text}")
            case AssistantEntry(heard=vl.Heard(text=text)) if text:
                print(f"  assistant: {text}")
    print(f"wrote {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("heard.wav"))
    asyncio.run(main(parser.parse_args().out))
