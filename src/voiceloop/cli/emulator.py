"""``voiceloop emulator``: AWS's speech services on this machine, for any program that calls AWS."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from voiceloop.cli.emulator_program import run_program
from voiceloop.engine.supervisor import bare
from voiceloop.errors import BadInput
from voiceloop.presets.installed import EMULATOR, ENGINES, need

if TYPE_CHECKING:
    from voiceloop.testing.aws import Emulator
    from voiceloop.testing.aws.record import Call

EXAMPLES = """examples:
  voiceloop emulator -- python my_app.py      run a program against it; both end together
  voiceloop emulator --port 8443              serve until Ctrl-C, and print the variables to set
  voiceloop emulator --env aws.env            ... and write them to a file, for: set -a; . ./aws.env
  voiceloop emulator --first-token 0.35 --polly 0.15   answer as slowly as the services do
  voiceloop emulator --timers 0.1             time-outs and limits ten times as early
  voiceloop emulator --deny 'polly:*'         refuse what a policy would refuse
  voiceloop emulator --heard 'a table for two' --reply 'For when?'   a script instead of the offline engines
  voiceloop emulator --calls calls.jsonl -- python my_app.py         write down each call, with its error
"""
_LOOK = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Amazon Transcribe, Bedrock (Converse), Polly and Nova Sonic on this machine, behind one TLS port on\n"
        "127.0.0.1 that speaks their real protocols. It checks signatures, enforces the services' rules and limits,\n"
        "hears and speaks with the offline engines, or by a script, and shows each call. No account is needed; keys\n"
        "are made up."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("program", nargs="*", metavar="-- PROGRAM ...", help="run it with the variables set")
    parser.add_argument("--port", type=int, default=0, help="the port (default: a free one)")
    parser.add_argument("--env", type=Path, metavar="FILE", help="write the environment variables to a file")
    parser.add_argument("--region", default="us-east-1", help="the region it is in (us-east-1)")
    parser.add_argument("--first-token", type=float, default=0.0, metavar="S", help="seconds to the first token")
    parser.add_argument("--polly", type=float, default=0.0, metavar="S", help="seconds to Polly's first byte")
    parser.add_argument("--timers", type=float, default=1.0, metavar="X", help="scale of the services' timers (1.0)")
    parser.add_argument("--deny", action="append", default=[], metavar="ACTION", help="IAM action to refuse; again")
    parser.add_argument(
        "--heard", action="append", default=[], metavar="TEXT", help="hear this, whatever is said; again"
    )
    parser.add_argument("--reply", action="append", default=[], metavar="TEXT", help="reply this; again")
    parser.add_argument("--calls", type=Path, metavar="FILE", help="write the calls to a file, a JSON object a line")
    parser.add_argument("--quiet", action="store_true", help="do not show the calls")


def run(args: argparse.Namespace) -> int:
    """Serve until the program ends or Ctrl-C; the program's exit code, or 0. Raises VoiceloopError."""
    try:
        return asyncio.run(_serve(args))
    except KeyboardInterrupt:
        return 0


async def _serve(args: argparse.Namespace) -> int:
    scripted = args.heard or args.reply
    need("it", *EMULATOR, *(() if scripted else ENGINES), extra="emulator" if scripted else "emulator,local")
    from voiceloop.testing.aws import Backing, Emulator

    delays = {"first_token": args.first_token, "polly_delay": args.polly}
    backing = Backing.scripted(args.heard, args.reply, **delays) if scripted else Backing.offline(**delays)
    emulator = Emulator(backing=backing, port=args.port, timers=args.timers, denied=args.deny)
    try:
        await emulator.__aenter__()
    except OSError as error:
        raise BadInput(f"--port {args.port}: {error.strerror or error}", hint="Choose another port.") from error
    try:
        variables = emulator.environ(args.region)
        with _written(args.env, variables):
            code = 0
            async with anyio.create_task_group() as group:
                if not args.quiet:
                    group.start_soon(_show, emulator)
                code = await (
                    run_program(args.program, variables) if args.program else _wait(emulator, variables, args)
                )
                group.cancel_scope.cancel()
        return code
    except BaseException as failure:  # noqa: BLE001 - raised again, out of its group
        raise bare(failure) from None
    finally:
        await emulator.__aexit__(None, None, None)
        _write_calls(args.calls, emulator.calls)


async def _wait(emulator: Emulator, variables: dict[str, str], args: argparse.Namespace) -> int:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as ends:
        print(f"AWS's speech services are at {emulator.url}. Ctrl-C ends them.", flush=True)
        if args.env is None:
            print("\n".join(f"export {name}='{value}'" for name, value in variables.items()), flush=True)
        await anext(ends)
    return 0


async def _show(emulator: Emulator) -> None:
    """Print each call once, when its answer has begun."""
    shown = 0
    try:
        while True:
            await anyio.sleep(_LOOK)
            while shown < len(emulator.calls) and _answered(emulator.calls[shown]):
                print(_line(emulator.calls[shown]), file=sys.stderr, flush=True)
                shown += 1
    finally:
        for call in emulator.calls[shown:]:
            print(_line(call), file=sys.stderr, flush=True)


def _answered(call: Call) -> bool:
    return call.over or call.status is not None or call.error is not None


def _line(call: Call) -> str:
    actions = ", ".join(sorted({action for action, _ in call.actions}))
    result = f"{call.error}: {call.message}" if call.message else call.error or call.status
    return f"{call.service}  {call.operation}  {result}  ({actions})"


def _write_calls(path: Path | None, calls: list[Call]) -> None:
    if path is None:
        return
    kept = ("service", "operation", "status", "error", "message", "region", "actions")
    try:
        path.write_text("".join(json.dumps({name: getattr(call, name) for name in kept}) + "\n" for call in calls))
    except OSError as error:
        raise BadInput(f"--calls {path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _written(path: Path | None, variables: dict[str, str]) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    except OSError as error:
        raise BadInput(f"--env {path}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
