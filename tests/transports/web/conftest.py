"""A real browser with a microphone that plays a file, and a server of the page."""

from __future__ import annotations

import base64
import os
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from voiceloop import Cascade
from voiceloop.interfaces import SpeechModel
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

from .page_server import PageServer

RATE = 16_000
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
    "--disable-component-update --window-size=1280,1000 --use-fake-device-for-media-stream"
)
MakeMicrophone: TypeAlias = Callable[..., Path]
OpenBrowser: TypeAlias = Callable[..., AbstractContextManager[webdriver.Chrome]]
Serve: TypeAlias = Callable[..., PageServer]


# A microphone that is silent until the test speaks into it.
STAND = """
let stand = null;
navigator.mediaDevices.getUserMedia = async () => {
  stand ??= voiceloop.sound.context.createMediaStreamDestination();
  return stand.stream;
};
window.speak = async (wav) => {
  const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
  const source = voiceloop.sound.context.createBufferSource();
  source.buffer = await voiceloop.sound.context.decodeAudioData(bytes.buffer);
  source.connect(stand);
  source.start();
};
"""


class Page:
    """The page in a browser, as a user and their browser's console see it."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)
        self.loaded()
        self.run("localStorage.clear(); sessionStorage.clear()")
        browser.get_log("browser")  # what earlier tests left
        browser.refresh()
        self.loaded()

    def loaded(self) -> None:
        self.wait(lambda: self.run("return document.documentElement.dataset.loaded"), "the page to load")

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, selector).click()

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def connect(self) -> None:
        self.click("#connect")
        self.wait(lambda: self.run("return voiceloop.player !== null"), "the connection")

    def choose(self, field: str, value: str) -> None:
        """Set a field of the settings, as a user does."""
        self.run(
            "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('change'));",
            field,
            value,
        )

    def shown(self, field: str) -> str:
        """What a list of choices shows as chosen."""
        return str(self.run("return document.getElementById(arguments[0]).selectedOptions[0].label", field))

    def type(self, text: str) -> None:
        self.browser.find_element(By.ID, "words").send_keys(text + "\n")

    def speaks_into_microphone(self) -> None:
        """Have a microphone that hears what :meth:`speak` says, and nothing else. To be called before connecting."""
        self.run(STAND)

    def speak(self, clip: Path) -> None:
        """Say a clip now."""
        self.run("speak(arguments[0])", base64.b64encode(clip.read_bytes()).decode())

    def entries(self) -> list[dict[str, Any]]:
        """The transcript: who, all the words, and those that are struck through."""
        return list(
            self.run(
                "return [...document.querySelectorAll('#transcript li')].map((li) => ({"
                "role: li.className, text: li.querySelector('.words')?.textContent ?? li.textContent,"
                "struck: li.querySelector('del')?.textContent ?? ''}))"
            )
        )

    def log(self, *types: str) -> list[dict[str, Any]]:
        """The debug log's entries of these types, in order."""
        return list(self.run("return voiceloop.log.entries.filter((e) => arguments[0].includes(e.type))", types))

    def segments(self, turn: int) -> list[dict[str, Any]]:
        """What the player did with a turn: the frame of the output, the sample of the turn, and why."""
        kinds = ("playing", "paused", "dry", "flushed", "ended")
        return [entry for entry in self.log(*kinds) if entry["from"] == "audio" and entry["turn"] == turn]

    def wait(self, check: Callable[[], Any], what: str, seconds: float = 40) -> Any:
        return WebDriverWait(self.browser, seconds, poll_frequency=0.05).until(
            lambda _: check(), f"waited for {what}"
        )


@pytest.fixture(scope="session")
def microphone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeMicrophone:
    """A sound file: clips by name, and pauses in seconds; then a minute of silence."""

    def make(*parts: str | float) -> Path:
        pieces = []
        for part in (*parts, 60.0):
            if isinstance(part, str):
                with wave.open(str(clips / f"{part}.wav")) as clip:
                    assert clip.getframerate() == RATE
                    pieces.append(np.frombuffer(clip.readframes(clip.getnframes()), "<i2"))
            else:
                pieces.append(np.zeros(int(part * RATE), "<i2"))
        path = tmp_path_factory.mktemp("microphone") / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
            file.writeframes(np.concatenate(pieces).tobytes())
        return path

    return make


@pytest.fixture(scope="session")
def open_browser(tmp_path_factory: pytest.TempPathFactory) -> OpenBrowser:
    """A browser whose microphone plays ``sound`` once."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        reason = "the page is tried in Chromium: install the packages chromium and chromium-driver"
        if os.environ.get("CI") or os.environ.get("VOICELOOP_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)

    @contextmanager
    def opened(sound: Path) -> Iterator[webdriver.Chrome]:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        flags = [f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
        flags += [f"--use-file-for-fake-audio-capture={sound}%noloop"]
        for flag in [*FLAGS.split(), *flags]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            permit(browser, "granted")
            yield browser
        finally:
            browser.quit()

    return opened


def permit(browser: webdriver.Chrome, setting: str) -> None:
    """Have the user's answer ready when a page asks for microphone or camera: granted or denied."""
    for name in ("microphone", "camera"):
        answer = {"permission": {"name": name}, "setting": setting}
        browser.execute_cdp_cmd("Browser.setPermission", answer)


@pytest.fixture(scope="session")
def quiet_browser(open_browser: OpenBrowser, microphone: MakeMicrophone) -> Iterator[webdriver.Chrome]:
    """A browser whose microphone hears nothing."""
    with open_browser(microphone()) as browser:
        yield browser


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server of the page; ``model`` makes the speech model of each session."""
    servers: list[PageServer] = []

    def start(model: Callable[[], SpeechModel], **settings: Any) -> PageServer:
        servers.append(PageServer(model, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve: Serve) -> PageServer:
    """A server whose assistant answers "This is answer 1." and so on."""
    return serve(answering("This is answer {}."))


@pytest.fixture
def page(quiet_browser: webdriver.Chrome, server: PageServer) -> Page:
    """Its page, in a browser that hears nothing."""
    return Page(quiet_browser, server.url)


def answering(reply: str) -> Callable[[], SpeechModel]:
    """Makes models that answer with ``reply``, in which {} is how many answers there were before."""
    reasoner = ScriptedReasoner(lambda _request: reply.format(len(reasoner.requests)), 0.05)
    return lambda: Cascade(ScriptedRecognizer(), reasoner, ScriptedSynthesizer(marks=True))


__all__ = ("Page", "answering", "permit")
