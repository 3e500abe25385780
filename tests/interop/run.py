"""Clients that voiceloop did not write, against the emulator: ``make interop ARGS=livekit_plugins``, or without ARGS.
``llama_cpp`` is a server, against which voiceloop is the client.

Each client is a script beside this file, with its requirements in a ``.txt`` of its name. It runs in an environment
of its own, made on first use under ``.interop/``, as a child of ``voiceloop emulator``. What the clients get wrong is
put right in the scripts, not allowed by the emulator: every call must end well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from voiceloop.audio import PCM16_16K, write_wav
from voiceloop.testing.scripted import silence, tone

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_WORK = _ROOT / ".interop"
_SAID, _REPLY = "book a room", "Where do you need the room?"
_DEADLINE = 480.0
_CASCADE = {"ConverseStream", "SynthesizeSpeech"}
_NOVA = {"InvokeModelWithBidirectionalStream"}


@frozen
class Client:
    """One script. ``calls``: the operations that it must have called. ``each``: on every one of ``pythons``, not only
    on the first that there is. ``itself``: voiceloop is what is installed. ``server``: it needs no emulator, and is
    given the Python of voiceloop, to be its client."""

    name: str
    calls: set[str]
    pythons: tuple[str, ...] = ("3.12", "3.13")
    each: bool = False
    itself: bool = False
    server: bool = False


CLIENTS = (
    Client(
        "official_sdks", _CASCADE | _NOVA | {"StartStreamTranscription", "Converse", "StartSpeechSynthesisStream"}
    ),
    Client("pipecat_services", _CASCADE | _NOVA | {"StartStreamTranscriptionWebSocket"}),
    Client("livekit_plugins", _CASCADE | _NOVA | {"StartStreamTranscription"}),
    Client(
        "voiceloop_turns",
        _CASCADE | _NOVA | {"StartStreamTranscription"},
        ("3.11", "3.12", "3.13"),
        each=True,
        itself=True,
    ),
    Client("llama_cpp", set(), ("3.11", "3.12", "3.13"), server=True),
)


def find(version: str) -> str | None:
    """A Python of ``version``: the one that PYTHON312 names, in PATH, or of pyenv."""
    variable = "PYTHON" + version.replace(".", "")
    named = os.environ.get(variable)
    pyenv = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    places = [named] if named else [f"python{version}", *map(str, pyenv)]
    check = f"import venv, ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for place in filter(None, map(shutil.which, places)):
        # A shim of pyenv is in PATH, though it may not run.
        if subprocess.run([place, "-c", check], capture_output=True, check=False).returncode == 0:
            return place
    if named:
        raise SystemExit(f"{variable}={named} is no Python {version} that can make environments")
    return None


def environment(client: Client, version: str, base: str) -> Path:
    """The Python of the client's own environment, in which its requirements are installed."""
    folder = _WORK / f"{client.name}-{version}"
    python, stamp = folder / "bin" / "python", folder / "requirements"
    wanted = hashlib.sha256(requirements(client).read_bytes()).hexdigest()
    fresh = stamp.exists() and stamp.read_text() == wanted
    if not fresh:
        print(f"{client.name}: installing into {folder.relative_to(_ROOT)}, once", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
    if client.itself:  # again and again, since the checkout changes
        install(python, f"{_ROOT}[demo]")
    elif not fresh:
        install(python, "-r", str(requirements(client)))
    stamp.write_text(wanted)
    return python


def requirements(client: Client) -> Path:
    """What says whether the client's environment is still right."""
    return _ROOT / "pyproject.toml" if client.itself else _HERE / f"{client.name}.txt"


def install(python: Path, *what: str) -> None:
    """pip install; ends the run when it fails."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *what]
    if subprocess.run(pip, check=False).returncode:
        raise SystemExit(f"pip could not install {' '.join(what)}")


def speech() -> tuple[Path, list[str]]:
    """What the clients say, a WAV file, and how the emulator hears it: a human by the offline engines, or, where the
    clips of ``VOICELOOP_CLIPS`` are not there, a tone by a script."""
    clip = Path(os.environ.get("VOICELOOP_CLIPS", _ROOT.parent / "shared" / "audio")) / "df_book_a_room.wav"
    if clip.exists():
        return clip, []
    file = _WORK / "tone.wav"
    write_wav(file, PCM16_16K, tone(800) + silence(200))
    return file, [word for _ in range(3) for word in ("--heard", _SAID, "--reply", _REPLY)]


def run(command: list[str], log: Path) -> int:
    """Run ``command`` to its end, its errors into ``log``; its exit code, or 124 after the deadline."""
    settings = os.environ | {"INTEROP_SAID": _SAID, "LOGURU_LEVEL": "WARNING", "PYTHONUNBUFFERED": "1"}
    settings |= {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=settings, stderr=errors, start_new_session=True)
        try:
            return process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            return 124
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wrong(client: Client, calls: list[Mapping[str, object]]) -> Iterator[str]:
    """What is wrong with the calls that the emulator saw. A caller may hang up on Transcribe."""
    for call in calls:
        if call["error"] not in (None, "connection lost"):
            yield f"{call['operation']} was refused: {call['error']}: {call['message']}"
    for operation in sorted(client.calls - {str(call["operation"]) for call in calls}):
        yield f"{operation} was never called"


def hold(client: Client, version: str, base: str) -> bool:
    """Run one client; whether all was well."""
    python = environment(client, version, base)
    began, (file, script) = time.monotonic(), speech()
    calls, log = _WORK / "calls.jsonl", _WORK / f"{client.name}-{version}.log"
    calls.unlink(missing_ok=True)
    emulator = [str(Path(sys.executable).with_name("voiceloop")), "emulator", "--quiet", "--calls", str(calls)]
    print(f"{client.name}, Python {version}", flush=True)
    command = [str(python), str(_HERE / f"{client.name}.py")]
    under = [*command, sys.executable] if client.server else [*emulator, *script, "--", *command, str(file)]
    code = run(under, log)
    seen = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    problems = [f"ended with {code}; see {log.relative_to(_ROOT)}"] if code else []
    problems += wrong(client, seen)
    for problem in problems:
        print(f"  {problem}", flush=True)
    print(f"  {'FAILED' if problems else 'good'}: {len(seen)} calls, {time.monotonic() - began:.0f} s", flush=True)
    return not problems


def main() -> int:
    """Run the clients that are named, or all; 1 if something was wrong."""
    names = [client.name for client in CLIENTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CLIENT", help=f"{', '.join(names)} (all)")
    wanted = parser.parse_args().names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}: {', '.join(names)}")
    _WORK.mkdir(exist_ok=True)
    good = True
    for client in CLIENTS:
        if client.name not in wanted:
            continue
        found = [(version, base) for version in client.pythons if (base := find(version))]
        if not found:
            raise SystemExit(
                f"{client.name} needs Python {' or '.join(client.pythons)}, and none was found. "
                "Install one, or say where it is: make interop PYTHON312=/path/to/python3.12"
            )
        for version, base in found if client.each else found[:1]:
            good = hold(client, version, base) and good
    print("interop: all good" if good else "interop: FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
