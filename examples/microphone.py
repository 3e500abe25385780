"""Talk to the offline assistant by microphone and loudspeaker; interrupt it when you like. Ctrl-C ends it.

pip install 'voiceloop[soundcard]'
python examples/microphone.py
"""

from __future__ import annotations

import asyncio

import voiceloop as vl
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.transports.soundcard import SoundCard


def show(event: vl.Event) -> None:
    match event:
        case vl.Transcript(final=True):
            print(f"you:       {event.text}")
        case vl.TurnEnded():
            print(f"assistant: {event.heard.text}")
        case _:
            pass


async def main() -> None:
    rules = Rules.demo()
    model = vl.Cascade(PocketSphinx(), rules, EspeakSynthesizer())
    async with vl.Session(model, tools=rules.tools) as session:
        await session.say("Hello. Ask me what you can say.")
        await SoundCard().run(session, on_event=show)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except vl.VoiceloopError as error:
        raise SystemExit(str(error)) from error  # such as: no microphone, and what to do
    except KeyboardInterrupt:
        pass
