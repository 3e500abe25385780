"""A dialogue and a tool of your own: ``lights.toml`` says what can be said, this file what happens then.

    python examples/own_intents/lights.py "turn on the lights" "in the hall"

The same file makes the recognizer's grammar, so it is understood by voice too.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import voiceloop as vl
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules

LIGHTS: dict[str, str] = {}


@vl.tool
def switch_light(room: str, state: str) -> str:
    """Switch a light.

    Args:
        room: where the light is
        state: "on" or "off"
    """
    LIGHTS[room] = state
    return "done"


async def main(sentences: list[str]) -> None:
    rules = Rules(Path(__file__).with_name("lights.toml"))
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    async with vl.Session(model, tools=[switch_light], lead=None) as session:
        waiting = iter(sentences)
        await session.send_text(next(waiting))
        async for event in session:
            match event:
                case vl.ToolReturned():
                    print(f"  tool {event.name}: {event.result}")
                case vl.TurnEnded():
                    print(f"assistant: {event.said}")
                    sentence = next(waiting, None)
                    if sentence is None:
                        await session.end()
                    else:
                        print(f"you: {sentence}")
                        await session.send_text(sentence)
    print(f"lights: {LIGHTS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="*", default=["turn on the lights", "in the hall"])
    asyncio.run(main(parser.parse_args().sentences))
