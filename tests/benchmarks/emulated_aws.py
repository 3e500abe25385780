"""AWS's emulated services in a process of their own.

Prints the variables that lead to them, as JSON, and serves until its input ends. Then prints what they saw: ``sent``,
when Nova Sonic sent the first audio of each reply, on the monotonic clock, and ``requests``, how many replies Bedrock
was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys

from human_clips import TimedRecognizer, clips

from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedSynthesizer

FIRST_TOKEN_S, POLLY_S, TOKEN_S = 0.35, 0.15, 0.01
REPLY = "Gladly, for which day? I can look it up for you now."


async def serve(options: argparse.Namespace) -> None:
    backing = Backing.offline(
        recognizer=TimedRecognizer(clips(), lag=options.lag, punctuates=not options.bare),
        reasoner=ScriptedReasoner([REPLY], 0.0, TOKEN_S, cycle=True),
        synthesizer=ScriptedSynthesizer(0.0),
        first_token=FIRST_TOKEN_S,
        polly_delay=POLLY_S,
        attune=False,
    )
    async with Emulator(backing) as aws:
        print(json.dumps(aws.environ()), flush=True)
        gc.collect()
        gc.freeze()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        sent = [reply.at for connection in aws.nova.connections for reply in connection.replies]
        requests = sum(call.operation == "ConverseStream" for call in aws.calls)
    print(json.dumps({"sent": sorted(at for at in sent if at is not None), "requests": requests}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lag", type=float, default=0.1, help="seconds until the recognizer knows a word")
    parser.add_argument("--bare", action="store_true", help="no punctuation in partial results")
    asyncio.run(serve(parser.parse_args()))
