"""What the assistant remembers after it was interrupted: only what the listener heard.

    python examples/interrupt.py

The user types over the spoken reply after two seconds. A player that reports its position (``session.played``) makes
it exact; here the session estimates it from the time since delivery.
"""

from __future__ import annotations

import asyncio

import voiceloop as vl
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules

STORY = "Once upon a time there was a king who had three daughters. One was wise, one was brave, and one was kind."


async def main() -> None:
    rules = Rules.demo()
    async with vl.Session(vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer()), tools=rules.tools) as session:
        story = await session.say(STORY)
        async for event in session:
            match event:
                case vl.AudioChunk(turn=story.turn) if event.ms + event.duration_ms > 2000:
                    await session.send_text("what time is it")
                case vl.Interrupted():
                    print(f"interrupted, flush the player; heard so far: {event.heard.text!r}")
                case vl.TurnEnded():
                    print(f"turn {event.turn} {event.reason}\n  said:  {event.said!r}\n  heard: {event.heard.text!r}")
                    if event.turn != story.turn:
                        await session.end()


if __name__ == "__main__":
    asyncio.run(main())
