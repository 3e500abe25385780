"""The program that ``voiceloop emulator`` runs: signals go on to it, and both end together."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import anyio
from anyio.abc import Process

from voiceloop.errors import BadInput

GRACE = 10.0
"""Seconds that a program has to end by itself after a signal; then it is killed."""


async def run_program(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run ``command`` with ``variables`` added to the environment, and pass SIGINT, SIGTERM and SIGHUP on to it.

    Its exit code; 128 plus the signal's number when a signal ended it, as shells have it. Raises BadInput when it
    cannot be started.
    """
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        try:
            process = await anyio.open_process(
                command, stdin=None, stdout=None, stderr=None, env={**os.environ, **variables}
            )
        except OSError as error:
            raise BadInput(f"{command[0]}: {error.strerror or error}", hint="Name a program after --.") from error
        async with process, anyio.create_task_group() as group:
            group.start_soon(_pass_on, signals, process)
            code = await process.wait()
            group.cancel_scope.cancel()
    return code if code >= 0 else 128 - code


async def _pass_on(signals: AsyncIterator[signal.Signals], process: Process) -> None:
    async with anyio.create_task_group() as group:
        async for number in signals:
            if number == signal.SIGINT and _in_foreground():
                continue  # Ctrl-C: the terminal has told the program as well, which may go on after it
            with suppress(ProcessLookupError):
                process.send_signal(number)
            group.start_soon(_kill, process)


async def _kill(process: Process) -> None:
    await anyio.sleep(GRACE)
    with suppress(ProcessLookupError):
        process.kill()


def _in_foreground() -> bool:
    """Whether this process is one of those that the terminal's Ctrl-C reaches."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
