"""Every example runs, by its own command, and does what its page says."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from voiceloop import visemes
from voiceloop.audio import read_wav

_ROOT = Path(__file__).resolve().parents[1]
_EXAMPLES = _ROOT / "examples"

EXAMPLES = {
    "hello.py": ["1883", "years old", "lips: p", "wrote answer.wav"],
    "file_to_file.py": ["heard: how old is the brooklyn bridge", "years old"],
    "own_intents/lights.py": ["lights: {'hall': 'on'}"],
    "own_provider.py": ["keeps the contract", "You said: the weather is nice today. Tell me more!"],
    "tools.py": [
        'calls find_order({\'number\': 12})\n           gets: {"place": "in Denver"}',
        "assistant: Order 12 is express now.",
        "failed: The tool failed: LookupError: there is no order 13.",
        "assistant: I am sorry, I know of no order 13.",
        "calls hang_up({})",
        "assistant: Goodbye.",
    ],
    "anywhere.py": ["heard: how old is the brooklyn bridge", "years old", "mouth shapes"],
    "anywhere.py aws --emulator": ["polly:DescribeVoices"],  # more of it on a machine that is not too busy to hear
    "anywhere.py nova --emulator": ["bedrock:InvokeModel"],
    "polly_file.py --emulator": ["24 characters are billed"],
    "-m pytest own_service/test_hotline.py": ["4 passed"],
    "-m pytest fastapi_app/test_app.py": ["3 passed"],
}
"""What each command prints, more or less. The others have tests of their own, below."""
SERVERS = {"aiohttp_app.py": "talk", "django_app.py": "talk", "fastapi_app/app.py": "talk"}
ALSO_TRIED = {
    "avatar/avatar.py",
    "chat.py",
    "interrupt.py",
    "microphone.py",
    "own_service/hotline.py",
    "talking_page/cafe.py",  # in transports/web/test_own_page.py
    "websocket_client.py",
    *SERVERS,
}


def command(text: str) -> list[str]:
    words = [str(_EXAMPLES / word) if word.endswith(".py") else word for word in text.split()]
    return [sys.executable, "-W", "error", *words]


def environment(**more: object) -> dict[str, str]:
    ours = {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **ours, **{name: str(value) for name, value in more.items()}}


def run(text: str, folder: Path, *more: Path, input: str = "") -> str:
    """What an example prints; it ends well, and complains of nothing."""
    done = subprocess.run(
        [*command(text), *map(str, more)],
        cwd=folder,
        env=environment(),
        input=input,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(text: str, folder: Path, **more: object) -> Iterator[subprocess.Popen[str]]:
    """An example that runs until Ctrl-C, which it obeys soon and without a word."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command(text), cwd=folder, env=environment(**more), stdout=pipe, stderr=pipe, text=True
    )
    watchdog = threading.Timer(90, process.kill)
    watchdog.start()
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        assert complaints == ""
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def seconds_of_sound(path: Path) -> float:
    kind, pcm = read_wav(path)
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(int))
    frames = samples[: len(samples) // 240 * 240].reshape(-1, 240).max(axis=1)
    return int(np.count_nonzero(frames > 300)) * 240 / kind.rate


@pytest.mark.parametrize(("text", "tells"), EXAMPLES.items(), ids=EXAMPLES)
def test_the_example_runs(text: str, tells: list[str], tmp_path: Path) -> None:
    printed = run(text, tmp_path)
    assert [words for words in tells if words not in printed] == [], printed
    for name in re.findall(r"wrote (\S+\.wav)", printed):
        assert seconds_of_sound(tmp_path / name) > 1


def test_a_recording_is_answered(clips: Path, tmp_path: Path) -> None:
    printed = run("file_to_file.py", tmp_path, clips / "go_brooklyn.wav", tmp_path / "said.wav")
    assert "heard: how old is the brooklyn bridge" in printed
    assert seconds_of_sound(tmp_path / "said.wav") > 3


def test_a_chat_is_answered_in_writing_and_aloud(tmp_path: Path) -> None:
    lines = "what is twelve times seven\n/mute\nhow old is the eiffel tower\n\n/aloud\nwhat time is it\n"
    printed = run("chat.py", tmp_path, input=lines).splitlines()
    assert printed[1:3] == ["> what is twelve times seven", "12 times 7 is 84."]
    assert printed[3:5] == ["(mute)", "> how old is the eiffel tower"]
    assert "years old" in printed[5]
    assert printed[6:8] == ["(aloud)", "> what time is it"]
    assert 1.5 < seconds_of_sound(tmp_path / "chat.wav") < 5  # two answers, not three


@pytest.mark.parametrize(("lines", "answers"), [("what is six times seven\n", 1), (None, 0)])
def test_a_chat_reads_a_file_and_ends_with_it(tmp_path: Path, lines: str | None, answers: int) -> None:
    file = Path(os.devnull) if lines is None else tmp_path / "questions.txt"
    if lines is not None:
        file.write_text(lines)
    with file.open() as asked:
        done = subprocess.run(
            command("chat.py"),
            cwd=tmp_path,
            env=environment(),
            stdin=asked,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stdout.count("6 times 7 is 42.") == answers
    assert (tmp_path / "chat.wav").exists()


def test_a_chat_is_heard_on_the_loudspeaker(clips: Path, tmp_path: Path) -> None:
    card = {"PYTHONPATH": _ROOT / "tests" / "sound_card", "SOUND_CARD_PLAYS": tmp_path / "played.wav"}
    done = subprocess.run(
        command("chat.py --loudspeaker"),
        cwd=tmp_path,
        env=environment(**card),
        input="what is twelve times seven\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "12 times 7 is 84." in done.stdout
    assert seconds_of_sound(tmp_path / "played.wav") > 1


def test_an_interruption_leaves_in_memory_what_was_heard(tmp_path: Path) -> None:
    printed = run("interrupt.py", tmp_path)
    first, _, rest = printed.partition("The assistant remembers:")
    assert first.index("the player pauses") < first.index("the player drops the rest")
    story, question, answer = re.findall(r"^  (?:assistant|user): +(.+)$", rest, re.MULTILINE)
    assert re.match(r"Once upon a time there was( a( king( who( had.*)?)?)?)?$", story)
    assert "three daughters. One was wise, one was" not in story
    assert question == "what time is it"
    assert answer.startswith("It is ")


def test_the_microphone_is_heard_and_the_loudspeaker_answers(clips: Path, tmp_path: Path) -> None:
    card = {
        "PYTHONPATH": _ROOT / "tests" / "sound_card",
        "SOUND_CARD_HEARS": clips / "go_brooklyn.wav",
        "SOUND_CARD_PLAYS": tmp_path / "played.wav",
    }
    with running("microphone.py", tmp_path, **card) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
    assert lines[0] == "assistant: Hello. Ask me what you can say.\n"
    assert lines[1] == "you:       how old is the brooklyn bridge\n"
    assert "years old" in lines[2]
    assert seconds_of_sound(tmp_path / "played.wav") > 5


# ---------------------------------------------------------------- servers


@pytest.mark.parametrize(("server", "path"), SERVERS.items(), ids=SERVERS)
def test_a_server_hears_and_answers(server: str, path: str, clips: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"ws://127.0.0.1:{port}/{path}"
    with running(f"{server} --port {port}", tmp_path) as process:
        assert process.stdout is not None
        assert url in process.stdout.readline()
        wait_for(port)
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, origin="https://elsewhere.example")  # type: ignore[arg-type]
        printed = run(f"websocket_client.py {url}", tmp_path, clips / "df_book_a_room.wav")
        heard, said, wrote = printed.splitlines()
        assert heard == "heard: book a room"
        assert said.endswith("?")
        assert int(re.findall(r"with (\d+) mouth shapes", wrote)[0]) > 5
        assert seconds_of_sound(tmp_path / "answer.wav") > 0.5
        leave_in_the_middle(url)
        leave_in_the_middle(url)  # the first did no harm


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the server does not listen")


def leave_in_the_middle(url: str) -> None:
    """A client of the server's own page that vanishes while the assistant speaks."""
    with connect(url, origin=f"http://{url.split('/')[2]}") as client:  # type: ignore[arg-type]
        client.send('{"type": "start", "version": 1}')
        client.send('{"type": "text", "text": "how old is the Eiffel Tower"}')
        while isinstance(client.recv(timeout=60), str):
            pass
        client.socket.shutdown(socket.SHUT_RDWR)


# ---------------------------------------------------------------- the avatar


def test_the_lips_of_the_avatar_follow_the_clock_of_its_audio(tmp_path: Path) -> None:
    assert "mouth shapes" in run("avatar/avatar.py", tmp_path)
    page = tmp_path / "avatar.html"
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    data = json.loads(text)
    assert {mouth["code"] for mouth in data["mouths"]} <= visemes.CODES == set(data["shapes"])
    options = webdriver.ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "autoplay-policy=no-user-gesture-required"):
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options=options, service=Service()) as browser:
        browser.set_script_timeout(30)
        browser.get(page.as_uri())
        seen: list[Any] = browser.execute_async_script(_WATCH)
        assert browser.find_element("id", "words").text.startswith("The Brooklyn Bridge opened in 1883")
    assert len(seen) > 20
    assert seen[-1]["ms"] > 1000
    wrong = [one for one in seen if one["mouth"] not in _due(data["mouths"], one["before"], one["ms"])]
    assert wrong == []
    opened = {one["mouth"]: one["lips"] for one in seen}
    assert len(opened) == len(set(opened.values())) > 5  # each has a shape of its own


_WATCH = """
const done = arguments[0], seen = [], voice = document.getElementById("voice");
await voice.play();
let before = voice.currentTime * 1000;
function look() {
  const ms = voice.currentTime * 1000, mouth = document.documentElement.dataset.mouth;
  seen.push({ before, ms, mouth, lips: document.getElementById("lips").getAttribute("d") });
  before = ms;
  if (ms < 2000) requestAnimationFrame(look); else done(seen);
}
requestAnimationFrame(look);
"""


def _due(mouths: list[dict[str, Any]], start: float, end: float) -> set[str]:
    """The shapes that are due at some time from ``start`` to ``end``, in ms."""
    begun = [mouth for mouth in mouths if mouth["ms"] <= start]
    return {mouth["code"] for mouth in mouths if start <= mouth["ms"] <= end} | {
        begun[-1]["code"] if begun else "sil"
    }


# ---------------------------------------------------------------- the index, and the pages


def test_every_example_is_listed_and_tried() -> None:
    index = (_EXAMPLES / "README.md").read_text(encoding="utf-8")
    found = {path.relative_to(_EXAMPLES).as_posix() for path in _EXAMPLES.rglob("*.py")}
    tried = {word for text in EXAMPLES for word in text.split() if word.endswith(".py")}
    assert found == tried | ALSO_TRIED
    assert [name for name in found if f"({name})" not in index] == []


def test_every_example_says_what_it_shows_and_how_it_is_run() -> None:
    for name in {path.relative_to(_EXAMPLES).as_posix() for path in _EXAMPLES.rglob("*.py")}:
        told = ast.get_docstring(ast.parse((_EXAMPLES / name).read_text(encoding="utf-8"))) or ""
        assert f"python examples/{name}" in told or f"pytest examples/{Path(name).parent}" in told, name


def definitions(text: str) -> dict[str, str]:
    """The functions and classes of a program, by name, without their docstrings."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for part in ast.walk(node):
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
                    part
                ):
                    del part.body[0]
            found[node.name] = ast.dump(node)
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_the_page_on_embedding_shows_what_the_examples_do(server: str) -> None:
    page = (_ROOT / "docs" / "how-to" / "embed.md").read_text(encoding="utf-8")
    [shown] = re.findall(rf"`examples/{server}`:\n\n```python\n(.*?)```", page, re.DOTALL)
    done = definitions((_EXAMPLES / server).read_text(encoding="utf-8"))
    assert definitions(shown).items() <= done.items()
    assert "talk" in definitions(shown) or "Talk" in definitions(shown)
