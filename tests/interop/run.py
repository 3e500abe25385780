"""Clients that voiceloop did not write, against the emulator: ``python tests/interop/run.py [NAME...]``.

Each ``client_NAME.py`` beside this file is a script with its requirements in its head (PEP 723). It runs in an
environment of its own, made on first use under ``--environments`` (by default ``.venv/interop`` in the repository),
by a Python that fits: of ``PATH``, or of pyenv. It gets the emulator's address, keys and certificates in the usual
variables of the AWS SDKs, and a file of speech (raw PCM, 16 kHz, mono) as its argument, and ends with 0 if its turn
was good.
``[tool.interop] operations`` names what it must have called; every call that the emulator saw must have ended
well, but for errors whose text has one of ``tolerates`` in it: what the client is known to do wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voiceloop.audio import PCM16_16K, convert, read_wav
from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.backing import Backing
from voiceloop.testing.scripted import silence, tone

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_HEAD = re.compile(r"^# /// script$\n(?P<toml>(?:^#.*$\n)+?)^# ///$", re.MULTILINE)
_DEADLINE = 120.0


def head_of(script: Path) -> dict[str, Any]:
    """The metadata in the head of a script."""
    found = _HEAD.search(script.read_text())
    if found is None:
        raise SystemExit(f"{script.name} has no PEP 723 head")
    lines = (line.removeprefix("#").removeprefix(" ") for line in found["toml"].splitlines())
    return tomllib.loads("\n".join(lines))


def pythons() -> Iterator[Path]:
    """Interpreters of this machine that may do: 3.12 first."""
    for version in ("3.12", "3.13"):
        found = shutil.which(f"python{version}")
        if found:
            yield Path(found)
        yield from sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))


def works(python: Path) -> bool:
    """Whether it runs at all (a shim of pyenv may not) and can make environments."""
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def environment(script: Path, head: dict[str, Any], folder: Path) -> Path:
    """The Python of the script's own environment."""
    wanted = hashlib.sha256(repr(sorted(head["dependencies"])).encode()).hexdigest()
    stamp, python = folder / "requirements", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        base = next(filter(works, pythons()), None)
        if base is None:
            raise SystemExit("no Python 3.12 or 3.13 was found in PATH or in ~/.pyenv")
        print(f"{script.stem}: making {folder} by {base}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([base, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *head["dependencies"]]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted)
    return python


def speech() -> tuple[bytes, Backing]:
    """What the clients say, and what hears it: a human and the offline engines, or a tone and a script."""
    clips = Path(os.environ.get("VOICELOOP_CLIPS", _ROOT.parent / "shared" / "audio"))
    clip = clips / "df_book_a_room.wav"
    if not clip.exists():
        return tone(800) + silence(200), Backing.scripted(["book a room"], ["Where do you need the room?"])
    source, pcm = read_wav(clip)
    return convert(pcm, source, PCM16_16K), Backing.offline()


async def run(command: list[str], backing: Backing, wanted: dict[str, Any]) -> list[str]:
    """Run one client; what was wrong."""
    async with Emulator(backing) as aws:
        settings = {**os.environ, **aws.environ(), "PYTHONUNBUFFERED": "1"}
        process = await asyncio.create_subprocess_exec(*command, env=settings)
        try:
            code = await asyncio.wait_for(process.wait(), _DEADLINE)
        except TimeoutError:
            process.kill()
            await process.wait()
            return [f"did not end within {_DEADLINE:g} s"]
        problems = [f"ended with {code}"] if code else []
        refused = [record for record in aws.nova.connections if record.message]
        tolerated = [record for record in refused if record.message in wanted.get("tolerates", ())]
        problems += [f"{record.model}: {record.message}" for record in refused if record not in tolerated]
        problems += [f"{call.operation}: {call.error}" for call in aws.calls if call.error][len(refused) :]
        missing = set(wanted["operations"]) - {call.operation for call in aws.calls}
        return problems + [f"{operation} was never called" for operation in sorted(missing)]


def main() -> int:
    scripts = {path.stem.removeprefix("client_"): path for path in sorted(_HERE.glob("client_*.py"))}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*scripts, []], help=f"of {', '.join(scripts)}; by default all")
    parser.add_argument("--environments", type=Path, default=_ROOT / ".venv" / "interop")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.names or scripts:
        script = scripts[name]
        head = head_of(script)
        python = environment(script, head, arguments.environments / name)
        pcm, backing = speech()
        with tempfile.NamedTemporaryFile(suffix=".pcm") as file:
            file.write(pcm)
            file.flush()
            command = [str(python), str(script), file.name]
            problems = asyncio.run(run(command, backing, head["tool"]["interop"]))
        print(f"{name}: {'; '.join(problems) or 'good'}", flush=True)
        failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
