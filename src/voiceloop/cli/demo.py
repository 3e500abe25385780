"""``voiceloop demo``: a whole spoken conversation on this machine, live or as fast as it goes."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from voiceloop.errors import BadInput

EXAMPLES = """examples:
  voiceloop demo                        a simulated caller books a room, live
  voiceloop demo --pace fast            the same in seconds, on simulated time
  voiceloop demo hello.wav more.wav     recorded speech, one file for each turn
  voiceloop demo --out talk --open      choose the folder, and open the report
  voiceloop demo --on aws               the same on Transcribe, Bedrock and Polly, emulated on this machine
  voiceloop demo --on nova --account    on Nova Sonic in your own AWS account; that costs a few cents
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Hold a spoken conversation with no account and no network: it hears, decides and speaks on this machine,\n"
        "with offline engines (--on local), or by AWS's protocols against an emulator (--on aws, --on nova).\n"
        "Without files a simulated caller books a meeting room, and interrupts the assistant once.\n"
        "Writes conversation.wav, events.jsonl and report.html."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP.wav", help="recorded speech, one file a turn")
    parser.add_argument(
        "--on", choices=("local", "aws", "nova"), default="local", help="what the assistant runs on (local)"
    )
    parser.add_argument(
        "--account", action="store_true", help="with --on aws or nova: AWS itself, by your credentials"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write (voiceloop-demo/<date>-<time>)")
    parser.add_argument(
        "--pace", choices=("real", "fast"), default="real", help="real time (default), or simulated time"
    )
    parser.add_argument("--quiet", action="store_true", help="show nothing but errors while it runs")
    parser.add_argument("--open", action="store_true", help="open the report in a browser at the end")


def run(args: argparse.Namespace) -> int:
    """Do what the arguments ask for; the exit code. Raises VoiceloopError, and KeyboardInterrupt before it began."""
    from voiceloop.cli.conversation import Demo
    from voiceloop.cli.view import make_view
    from voiceloop.cli.voices import read_clip

    if args.account and args.on == "local":
        raise BadInput("--account goes with --on aws or --on nova")
    clips = [read_clip(path) for path in args.clips]
    folder = args.out or Path("voiceloop-demo") / datetime.now().strftime("%Y%m%d-%H%M%S")
    view = make_view(sys.stdout, quiet=args.quiet, owns_turns=args.on == "nova")
    demo = Demo(view, clips, fast=args.pace == "fast", on=args.on, account=args.account)

    def begun() -> None:
        if not args.quiet:
            print(f"{demo.title}. Ctrl-C ends it.", flush=True)

    stopped = False
    with _made(folder):
        try:
            demo.run(begun)
        except KeyboardInterrupt:
            stopped = True
        finally:
            report = demo.save(folder)
    if stopped:
        print("Stopped.")
    for line in demo.summary():
        print(line)
    if report is not None:
        print(f"Written: {folder}/conversation.wav, events.jsonl and report.html")
        if args.open:
            webbrowser.open(report.resolve().as_uri())
    return 130 if stopped else demo.code


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder, and see that files can be written there, before anybody speaks; one left empty is removed."""
    probe = folder / "events.jsonl"
    new = [path for path in (probe, folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise BadInput(
            f"--out {folder}: cannot be written ({error.strerror or error})", hint="Choose another folder with --out."
        ) from error
    try:
        yield
    finally:
        if probe in new and not probe.stat().st_size:
            probe.unlink()
            with suppress(OSError):  # somebody else has put something there
                for made in new[1:]:
                    made.rmdir()
