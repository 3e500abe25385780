"""The command: serves, tells its address, and lets go in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from voiceloop.audio import PCM16_16K, converter, read_wav
from voiceloop.cli import main
from voiceloop.cli.certificates import make_certificate, shortcoming
from voiceloop.cli.serve import stacks
from voiceloop.errors import BadInput, MissingExtra


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
                said = message["type"] == "transcript" and message["text"].lower()
                if said and message["role"] == role and words in said:
                    return

        assert json.loads(socket.recv(timeout=30)) == {"type": "ready"}
        for start in range(0, len(sound), 8192):
            socket.send(sound[start : start + 8192].ljust(8192, b"\0"))
            time.sleep(0.25)
        listen("user", "how old is the brooklyn bridge")  # recording is stopped: nothing is sent
        listen("assistant", "143 years")
        spoken = len(heard)
        socket.send(json.dumps({"type": "text", "text": "What is two plus two?"}))
        listen("assistant", "is 4")
        listen("assistant", "is 4")  # once more when it has been said
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


def test_a_certificate_that_does_not_do_any_more_is_told(tmp_path: Path) -> None:
    cert, _ = make_certificate(tmp_path, ["192.0.2.7", "Box.lan"])
    assert shortcoming(cert, ["192.0.2.7", "box.LAN"]) == ""
    assert shortcoming(cert, ["192.0.2.8", "192.0.2.7"]) == "does not name 192.0.2.8"
    old = trustme.CA().issue_cert("localhost", not_after=datetime(2020, 1, 2, tzinfo=UTC))
    old.cert_chain_pems[0].write_to_path(str(cert))
    assert shortcoming(cert) == "ended on 2020-01-02"
    cert.write_text("no certificate")
    assert "cannot be read" in shortcoming(cert)


def test_another_name_is_in_the_certificate_and_answered(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    with serving("--make-cert", str(tmp_path), "--name", "box.lan") as (process, url, _lines):
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        assert get(url + "health", context, Host="box.lan") == {"status": "ok"}
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert "does not name box.lan: browsers will warn" in err


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6 sockets that take IPv4")
def test_all_addresses_are_those_of_both_kinds() -> None:
    with serving("--host", "::") as (_, url, lines):
        port = url.rstrip("/").rpartition(":")[2]
        assert "no language model" in lines[1]
        for host in ("[::1]", "127.0.0.1"):
            assert get(f"http://{host}:{port}/health") == {"status": "ok"}


# ---------------------------------------------------------------- stopping


@contextmanager
def talking(url: str) -> Iterator[ClientConnection]:
    """A session that has begun."""
    with connect(url.replace("http", "ws", 1) + "ws", max_queue=None) as socket:
        socket.send('{"type": "start", "version": 1}')
        assert json.loads(socket.recv(timeout=20))["type"] == "ready"
        yield socket


def ended(socket: ClientConnection) -> tuple[int, str, list[str]]:
    """How the server closed, once it has, and the messages before that."""
    names: list[str] = []
    try:
        while True:
            data = socket.recv(timeout=20)
            names.append("audio" if isinstance(data, bytes) else json.loads(data)["type"])
    except ConnectionClosed:
        return socket.protocol.close_code or 0, socket.protocol.close_reason or "", names


def test_who_is_talking_when_it_is_told_to_stop_is_answered_and_nobody_else_comes_in() -> None:
    with serving("--drain", "1") as (process, url, _lines), talking(url) as socket:
        socket.send('{"type": "text", "text": "What is two plus two?"}')
        process.send_signal(signal.SIGTERM)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            while True:
                get(url + "health")
        with connect(url.replace("http", "ws", 1) + "ws") as late:
            assert ended(late) == (1001, "draining", ["error"])
        code, reason, names = ended(socket)
        assert (code, reason) == (1001, "draining")
        assert {"audio", "TurnEnded"} <= set(names)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


def test_told_twice_it_stops_at_once_and_says_nothing() -> None:
    with serving("--drain", "600") as (process, url, _lines), talking(url) as socket:
        process.send_signal(signal.SIGINT)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            while True:
                get(url + "health")
        process.send_signal(signal.SIGINT)
        code, _, _ = ended(socket)
        assert code == 1012
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


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


@pytest.mark.parametrize(
    ("arguments", "without", "told"),
    [
        (["serve"], ["starlette", "pocketsphinx"], "it needs starlette, pocketsphinx. pip install 'voiceloop[demo]'"),
        (["serve"], ["espeakng_loader"], "it needs espeakng_loader. pip install 'voiceloop[demo]'"),
        (["serve", "--on", "nova"], ["starlette"], "it needs starlette. pip install 'voiceloop[web]'"),
        (["serve", "--emulator"], ["trustme"], "it needs trustme. pip install 'voiceloop[demo]'"),
        (
            ["emulator"],
            ["h11", "pocketsphinx"],
            "it needs h11, pocketsphinx. pip install 'voiceloop[emulator,local]'",
        ),
        (["emulator", "--reply", "Yes."], ["h11", "pocketsphinx"], "it needs h11. pip install 'voiceloop[emulator]'"),
    ],
)
def test_all_that_is_not_installed_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    without: list[str],
    told: str,
) -> None:
    for name in without:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"voiceloop {arguments[0]}: {told}\n"


async def test_the_offline_stack_is_not_offered_where_it_is_neither_installed_nor_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    async with stacks("nova") as offered:
        assert [stack.name for stack in offered] == ["nova", "aws"]
    with pytest.raises(MissingExtra, match="pocketsphinx"):
        async with stacks("local"):
            pass
