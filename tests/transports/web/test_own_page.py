"""The page of the tutorial, as somebody follows it: its files, its server, a browser and a spoken order."""

from __future__ import annotations

import importlib.util
import re
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from voiceloop import Pool
from voiceloop.cli.voices import speak

from .conftest import OpenBrowser

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "talking_page"
TUTORIAL = ROOT / "docs" / "tutorial" / "talking-page.md"
LINES = "return [...document.querySelectorAll('#words li')].map((line) => [line.className, line.textContent])"


@pytest.mark.parametrize(
    ("language", "name"), [("python", "cafe.py"), ("html", "index.html"), ("javascript", "page.js")]
)
def test_the_tutorial_shows_the_files_of_the_example(language: str, name: str) -> None:
    shown = re.search(rf"^```{language}\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert shown[1] == (EXAMPLE / name).read_text()


@pytest.fixture
def address() -> Iterator[str]:
    """Where the example's app is served."""
    spec = importlib.util.spec_from_file_location("talking_page", EXAMPLE / "cafe.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    server = uvicorn.Server(uvicorn.Config(example.app, port=0, ws="websockets-sansio", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
async def order(tmp_path: Path) -> Path:
    """What the browser's microphone hears: silence while the page greets, and an order."""
    async with Pool() as pool:
        said = await speak("i would like some coffee for two please", pool)
    path = tmp_path / "order.wav"
    silence = np.zeros(16_000 * 6, "<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(silence + said.pcm + 5 * silence)
    return path


def _until(browser: webdriver.Chrome, script: str) -> Any:
    return WebDriverWait(browser, 40, poll_frequency=0.02).until(lambda _: browser.execute_script(script))


def test_a_page_of_ones_own_takes_a_spoken_order(address: str, order: Path, open_browser: OpenBrowser) -> None:
    with open_browser(order) as browser:
        browser.get(address)
        _until(browser, "return document.querySelector('.avatar')")
        browser.find_element(By.ID, "talk").click()
        _until(browser, "return document.querySelector('.avatar').dataset.viseme !== 'sil'")
        _until(browser, "return document.querySelectorAll('#words li').length === 3")
        greeting, heard, answer = browser.execute_script(LINES)
        assert greeting == ["assistant", "Good morning. Would you like some coffee?"]
        assert (heard[0], answer[0]) == ("you", "assistant")
        assert "coffee for two" in heard[1]
        assert answer[1] in ("Your coffee is on its way, for 2.", f"Did you say: {heard[1]}?")
        assert browser.get_log("browser") == []
