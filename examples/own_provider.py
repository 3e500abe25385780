"""A provider of your own is one short file: here a reasoner that repeats what it hears, in other words.

    python examples/own_provider.py "the weather is nice"

The same interface takes a client of any language model. ``voiceloop.testing.conformance`` checks it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import voiceloop as vl
from voiceloop.interfaces import Reasoner, ReasonerItem, ReasonerRequest, Stop, TextDelta
from voiceloop.local import EspeakSynthesizer, PocketSphinx
from voiceloop.testing.conformance import check_reasoner


class Parrot(Reasoner):
    """Says back what the user said."""

    name = "parrot"

    @asynccontextmanager
    async def reply(self, request: ReasonerRequest) -> AsyncIterator[AsyncIterator[ReasonerItem]]:
        """Stream a reply, word by word."""
        yield self._words(f"You said: {request.messages[-1].text.strip('.')}. Tell me more!")

    async def _words(self, text: str) -> AsyncIterator[ReasonerItem]:
        for word in text.split(" "):
            yield TextDelta(word + " ")
        yield Stop("end")


async def main(text: str) -> None:
    await check_reasoner(Parrot())
    print("Parrot keeps the contract of its interface.")
    model = vl.Cascade(PocketSphinx(mode="dictation"), Parrot(), EspeakSynthesizer())
    async with vl.Session(model, lead=None) as session:
        await session.send_text(text)
        await session.end_input()
        audio_ms = 0.0
        async for event in session:
            match event:
                case vl.AudioChunk():
                    audio_ms += event.duration_ms
                case vl.TurnEnded():
                    print(f"{event.said}\n({audio_ms / 1000:.1f} s of speech)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="the weather is nice today")
    asyncio.run(main(parser.parse_args().text))
