"""The command ``voiceloop``: its subcommands, its help, and how errors look."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import voiceloop
from voiceloop.cli.environment import load
from voiceloop.errors import BadInput, MissingExtra, VoiceloopError

_COMMANDS = {
    "demo": "hold a whole spoken conversation on this machine, and get its recording and report",
    "serve": "talk to it in your browser: a page with a face, and its server",
    "talk": "talk to it yourself, by microphone and loudspeaker",
    "emulator": "run AWS's speech services on this machine, for programs that call AWS",
}
_EXAMPLES = """examples:
  voiceloop demo                 listen to a simulated caller, live
  voiceloop demo --pace fast     the same, in seconds
  voiceloop serve                talk to it in your browser
  voiceloop demo hello.wav       let it answer recorded speech
  voiceloop demo --help          more about one command
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv``, by default the program's own arguments; returns the exit code.

    0: it worked; 1: it failed; 2: an argument, a file or an installation is wrong; 130: stopped by Ctrl-C.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 2
    try:
        load(Path.cwd(), os.environ)
        code: int = import_module(f"voiceloop.cli.{args.command}").run(args)
        sys.stdout.flush()
    except VoiceloopError as error:
        if args.debug:
            raise
        print(f"voiceloop {args.command}: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadInput | MissingExtra) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone; what the interpreter still flushes at its exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser = argparse.ArgumentParser(
        prog="voiceloop",
        description="Spoken conversations from Python: try them without writing any.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"voiceloop {voiceloop.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, about in _COMMANDS.items():
        if find_spec(f"voiceloop.cli.{name}"):
            command = commands.add_parser(name, help=about, parents=[shared])
            import_module(f"voiceloop.cli.{name}").add_arguments(command)
    return parser
