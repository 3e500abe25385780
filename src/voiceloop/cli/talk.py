"""``voiceloop talk``: talk to the offline assistant by microphone and loudspeaker, or by keyboard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from voiceloop.errors import BadInput, MissingExtra

EXAMPLES = """examples:
  voiceloop talk                              the system's microphone and loudspeaker
  voiceloop talk --list-devices               what else there is
  voiceloop talk --input usb --output 3       a device by a part of its name, or by its number
  voiceloop talk --no-aec                     with headphones: interrupt it at any time
  voiceloop talk --text                       type instead of speaking
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Talk to the offline assistant: it books meeting rooms, tells the time, adds and converts. No account is\n"
        "needed, and nothing leaves this machine. Needs: pip install 'voiceloop[soundcard]'. Ctrl-C ends it."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("--list-devices", action="store_true", help="show microphones and loudspeakers, and stop")
    parser.add_argument("--input", metavar="DEVICE", help="microphone: number, name or a part of it")
    parser.add_argument("--output", metavar="DEVICE", help="loudspeaker: number, name or a part of it")
    echo = parser.add_mutually_exclusive_group()
    echo.add_argument("--no-aec", action="store_true", help="do not cancel echo: for headphones")
    echo.add_argument(
        "--half-duplex", action="store_true", help="mute the microphone while the assistant speaks: no interruptions"
    )
    parser.add_argument("--record", type=Path, metavar="DIR", help="write sound, events and a report into a folder")
    parser.add_argument("--text", action="store_true", help="type instead of speaking; end with Ctrl-D")
    parser.add_argument("--quiet", action="store_true", help="show nothing but errors")


def run(args: argparse.Namespace) -> int:
    """Do what the arguments ask for; the exit code. Raises VoiceloopError, and KeyboardInterrupt before it began."""
    from voiceloop.transports.devices import describe_devices, sound_system

    if args.list_devices:
        lines = describe_devices(sound_system())
        print("\n".join(lines) if lines else "No sound devices were found.")
        return 0
    from voiceloop.cli.talking import Talk
    from voiceloop.cli.view import NoView, make_view
    from voiceloop.cli.view.plain import PlainView
    from voiceloop.transports.echo import EchoMode
    from voiceloop.transports.soundcard import SoundCard

    echo: EchoMode = "off" if args.no_aec else "half-duplex" if args.half_duplex else "cancel"
    sound = SoundCard(input=args.input, output=args.output, microphone=not args.text, echo=echo)
    card: SoundCard | None = sound
    try:
        used = sound.devices()
    except (BadInput, MissingExtra) as error:
        if not args.text or args.output is not None:
            raise
        _say(args, f"Without sound: {error}")
        card, used = None, ()
    if args.record is not None:
        _make(args.record)
    for device in used:
        _say(args, f"{device.kind}: {device.name}")
    if echo == "cancel" and not args.text and sound.echo_state == "half-duplex":
        _say(args, "No echo canceller: it does not hear you while it speaks. Run: pip install 'voiceloop[soundcard]'")
    view = NoView() if args.quiet else PlainView(sys.stdout) if args.text else make_view(sys.stdout)
    talk = Talk(view, card, lines=sys.stdin if args.text else None, record=args.record is not None)
    _say(args, f"{talk.hello} Ctrl-C ends it.")
    try:
        talk.run()
    except KeyboardInterrupt:
        _say(args, "Stopped.")
    finally:
        if args.record is not None and talk.save(args.record):
            _say(args, f"Written: {args.record}/conversation.wav, events.jsonl and report.html")
    return 0


def _say(args: argparse.Namespace, line: str) -> None:
    if not args.quiet:
        print(line, flush=True)


def _make(folder: Path) -> None:
    """Make the folder, and see that files can be written there, before anybody speaks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").touch()
    except OSError as error:
        raise BadInput(
            f"--record {folder}: cannot be written ({error.strerror or error})", hint="Choose another folder."
        ) from error
