"""voiceloop itself, installed from the checkout: Transcribe and Nova Sonic in one environment.

Run by ``make interop``, on each Python that there is. amazon-transcribe and aws-sdk-bedrock-runtime, which want
different releases of awscrt, cannot be installed together.
"""

from __future__ import annotations

from kit import Microphone, Turns, main

import voiceloop as vl
from voiceloop.aws import Bedrock, NovaSonic, Polly, Transcribe


async def talk(model: vl.Cascade | NovaSonic, pcm: bytes) -> tuple[str, str, int]:
    """One turn of a session. Keys, endpoint, region and certificates come from the environment."""
    heard, said, size = "", "", 0
    audio = Microphone(pcm).each(lambda: bool(said))
    async with vl.Session(model, audio=audio, input=vl.PCM16_16K, lead=None) as session:
        async for event in session:
            match event:
                case vl.Transcript(final=True):
                    heard = event.text
                case vl.AudioChunk():
                    size += len(event.pcm)
                case vl.TurnEnded():
                    said = event.said
    return heard, said, size


async def work(turns: Turns, pcm: bytes) -> None:
    await turns.hold("Transcribe, Bedrock, Polly", talk(vl.Cascade(Transcribe(), Bedrock(), Polly()), pcm))
    await turns.hold("Nova Sonic", talk(NovaSonic(), pcm))


main(work)
