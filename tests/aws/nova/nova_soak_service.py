"""The emulated Nova Sonic of a soak, in a process of its own, so that it takes no time from its caller's event loop.

Started as ``python -m tests.aws.nova.nova_soak_service SCALE``. Its first line of output is a pickle, in base64, of
the environment that points at it. ``profile NAME`` on a line of its input lets FINAL texts come so in new ones;
``report`` has it write what it saw since the last report: its connections, the clauses that it spoke, and the errors
of requests.
"""

from __future__ import annotations

import base64
import copyreg
import hashlib
import pickle
import sys
from typing import Any

import anyio
import anyio.to_thread

from voiceloop.testing.aws import Emulator

from .nova_marked import MarkedVoice, marked, quick

copyreg.pickle(type(hashlib.sha256()), lambda digest: (hashlib.sha256, ()))  # of no use elsewhere


def tell(what: Any) -> None:
    """One line of output."""
    print(base64.b64encode(pickle.dumps(what)).decode(), flush=True)


async def serve(scale: float) -> None:
    """Serve until the input ends."""
    voice = MarkedVoice(ms_per_char=15.0)
    async with Emulator(marked(voice), timers=scale) as aws:
        aws.nova.keep_audio = True
        tell(aws.environ())
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            match line.split():
                case ["profile", finals]:
                    aws.nova.profile = quick(finals=finals)
                case ["report"]:
                    clauses = [(clause.first, clause.text) for clause in voice.clauses]
                    tell((aws.nova.connections, clauses, {str(call.error) for call in aws.calls if call.error}))
                    aws.nova.connections.clear()
                    aws.calls.clear()
                    voice.clauses[:-1] = []


if __name__ == "__main__":
    anyio.run(serve, float(sys.argv[1]))
