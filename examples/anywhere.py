"""One conversation on this machine, on Transcribe, Bedrock and Polly, or on Nova Sonic: one line is another.

    python examples/anywhere.py                      on this machine
    python examples/anywhere.py aws --emulator       on AWS's protocols, without an account
    python examples/anywhere.py nova --emulator
    python examples/anywhere.py nova                 in your AWS account

A caller asks a question by voice; the answer, with its mouth shapes, is shown as it comes and kept in a WAV file.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from file_to_file import paced, spoken

import voiceloop as vl
from voiceloop.audio import write_wav
from voiceloop.aws import Account, Bedrock, NovaSonic, Polly, Transcribe
from voiceloop.interfaces import SpeechModel
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.testing.aws import Emulator

QUESTION = "How old is the Brooklyn Bridge?"
INSTRUCTIONS = "Answer in one short sentence. Ask the tools for what they know."


def model(on: str, account: Account) -> SpeechModel:
    """The line that is another; everything below is the same."""
    match on:
        case "aws":
            return vl.Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))
        case "nova":
            return NovaSonic(account=account)
        case _:
            return vl.Cascade(PocketSphinx(), Rules.demo(), EspeakSynthesizer())


async def main(on: str, emulator: bool, out: Path) -> None:
    source, pcm = await spoken(QUESTION)
    tools, answer, lips = Rules.demo().tools, bytearray(), 0
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(Emulator()) if emulator else None
        account = aws.account() if aws else Account()
        session = vl.Session(
            model(on, account),
            instructions=INSTRUCTIONS,
            tools=tools,
            audio=paced(pcm, source),
            input=source,
            lead=None,
        )
        async for event in await stack.enter_async_context(session):
            match event:
                case vl.Transcript(final=True):
                    print(f"heard: {event.text}")
                case vl.ToolReturned():
                    print(f"tool:  {event.name} -> {event.result}")
                case vl.TurnEnded():
                    print(f"said:  {event.said}")
                case vl.AudioChunk():
                    answer += event.pcm
                case vl.Viseme():
                    lips += 1
        if aws:
            print(f"the policy that this needs: {', '.join(sorted({action for action, _ in aws.actions}))}")
    write_wav(out, vl.PCM16_24K, bytes(answer))
    print(f"wrote {out}, with {lips} mouth shapes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("on", nargs="?", choices=("local", "aws", "nova"), default="local")
    parser.add_argument("--emulator", action="store_true", help="AWS on this machine: no account")
    parser.add_argument("--out", type=Path, default=Path("answer.wav"))
    arguments = parser.parse_args()
    asyncio.run(main(arguments.on, arguments.emulator, arguments.out))
