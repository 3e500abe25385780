"""The command: serves, tells its address, and lets go in order."""

from __future__ import annotations

import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from voiceloop.audio import PCM16_16K, converter, read_wav
from voiceloop.cli import main
from voiceloop.cli.certificates import make_certificate
from voiceloop.cli.serve import stacks
from voiceloop.errors import BadInput


@contextmanager
def serving(*arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The running command, its address, and what else it printed first."""
    command = [sys.executable, "-m", "voiceloop.cli", "serve", "--no-open", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environ
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline(), process.stdout.readline()]
            yield process, lines[0].split()[2], lines
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def get(url: str, context: ssl.SSLContext | None = None, **headers: str) -> Any:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return json.loads(answer.read())


def test_it_serves_until_it_is_told_to_stop() -> None:
    with serving("--drain", "1") as (process, url, lines):
        assert "no language model" in lines[1]
        assert get(url + "health") == {"status": "ok"}
        offered = get(url + "api/settings")
        assert [(stack["id"], stack["keys"]) for stack in offered["stacks"]] == [
            ("local", "none"), ("aws", "required"), ("nova", "required")
        ]  # fmt: skip
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b"voiceloop" in answer.read()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


def test_a_client_of_the_plain_shape(clips: Path) -> None:
    """It knows no more than: binary is sound, 4096 samples at a time at 16 kHz; JSON is what was said."""
    kind, pcm = read_wav(clips / "go_brooklyn.wav")
    change = converter(kind, PCM16_16K)
    sound = change.push(pcm) + change.finish()
    said: list[tuple[str, str]] = []
    heard = bytearray()
    with serving() as (_, url, _lines), connect(url.replace("http", "ws", 1) + "sonic", max_queue=None) as socket:

        def listen(role: str, words: str) -> None:
            """Until ``role`` has said ``words``, in what comes from now on."""
            while True:
                data = socket.recv(timeout=30)
                if isinstance(data, bytes):
                    heard.extend(data)
                    continue
                message = json.loads(data)
                if message["type"] == "transcript" and message["final"]:
                    said.append((message["role"], message["text"].lower()))
                    if said[-1][0] == role and words in said[-1][1]:
                        return

        assert json.loads(socket.recv(timeout=30)) == {"type": "ready"}
        for start in range(0, len(sound), 8192):
            socket.send(sound[start : start + 8192].ljust(8192, b"\0"))
            time.sleep(0.25)
        listen("user", "how old is the brooklyn bridge")  # recording is stopped: nothing is sent
        listen("assistant", "143 years")
        spoken = len(heard)
        assert spoken > 48_000
        socket.send(json.dumps({"type": "text", "text": "What is two plus two?"}))
        listen("assistant", "4")
    assert len(heard) > spoken
    assert len(heard) % 2 == 0


def test_nova_sonic_by_a_switch_and_the_usual_region(tmp_path: Path) -> None:
    nothing = {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with serving(USE_NOVA_SONIC="true", **nothing) as (process, url, lines):
        assert "Amazon Nova Sonic" in lines[1]
        assert get(url + "api/settings")["stacks"][0]["id"] == "nova"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert err == "No AWS region is set: us-east-1 is used. Set AWS_REGION for another.\n"


def test_the_emulator_is_what_comes_first_when_it_is_asked_for() -> None:
    with serving("--emulator") as (_, url, lines):
        assert "emulator" in lines[1]
        assert [stack["id"] for stack in get(url + "api/settings")["stacks"]] == ["aws", "local", "nova"]


def test_a_secret_from_the_environment() -> None:
    with serving(VOICELOOP_SECRET="open sesame") as (_, url, _lines):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(url + "status")
        assert get(url + "status", Authorization="Bearer open sesame")["sessions"] == 0


def test_a_certificate_is_made_once_and_used(tmp_path: Path) -> None:
    with serving("--make-cert", str(tmp_path)) as (_, url, _lines):
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert get(url + "health", context) == {"status": "ok"}
    before = (tmp_path / "cert.pem").read_bytes()
    assert make_certificate(tmp_path) == (tmp_path / "cert.pem", tmp_path / "key.pem")
    assert (tmp_path / "cert.pem").read_bytes() == before
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="--make-cert"):
        make_certificate(tmp_path / "file")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cert", "a.pem"], "go together"),
        (["--cert", "a.pem", "--key", "b.pem", "--make-cert", "c"], "give one"),
        (["--cert", "none.pem", "--key", "none.pem"], "cert="),
        (["--port", "70000"], "port=70000"),
        (["--host", "203.0.113.9"], "cannot be bound"),
        (["--origin", "example.com"], "origins"),
        (["--sessions", "0"], "sessions=0"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--no-open", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


async def test_what_is_asked_for_comes_first() -> None:
    async with stacks("nova") as offered:
        assert [(stack.name, stack.keys) for stack in offered] == [
            ("nova", "optional"), ("aws", "optional"), ("local", "none")
        ]  # fmt: skip
    async with stacks("aws", emulator=True) as offered:
        assert [(stack.name, stack.free) for stack in offered] == [("aws", True), ("local", True), ("nova", True)]
