"""Pictures of the browser page, for the documentation: python scripts/screenshots.py [FOLDER]

Holds a conversation with the offline assistant in Chromium, without a window, and writes page-first.png, page.png,
page-listening.png, page-dark.png, page-settings.png and page-phone.png into FOLDER (docs/assets). Needs chromium and
chromedriver.
"""

from __future__ import annotations

import asyncio
import queue
import shutil
import sys
import tempfile
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from voiceloop import Pool, presets
from voiceloop.cli.voices import speak
from voiceloop.transports.web import create_app, serve

ASSETS = Path(__file__).resolve().parents[1] / "docs" / "assets"
SPOKEN = "how old is the brooklyn bridge"
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1060 "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)
MIDST = """
const head = voiceloop.player?.head.at(), viseme = document.querySelector('.avatar').dataset.viseme;
const looking = document.getElementById('eye-left-shape').getBBox().height > 22;
return head?.playing && head.ms > 400 && looking && ['a', 'E', 'O', 'e', 'i'].includes(viseme);
"""


@contextmanager
def served() -> Iterator[str]:
    """The page's address, while the server runs in a thread."""
    told: queue.Queue[str] = queue.Queue()
    loop = asyncio.new_event_loop()
    stacks = [presets.local(), *presets.with_keys_only((presets.aws(), presets.nova()))]
    serving = loop.create_task(serve(create_app(stacks), port=0, on_ready=told.put))

    def run() -> None:
        try:
            loop.run_until_complete(serving)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield told.get(timeout=20)
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()


async def spoken() -> bytes:
    """The words of the picture's user, PCM16 at 16 kHz."""
    async with Pool() as pool:
        return (await speak(SPOKEN, pool)).pcm


def microphone(folder: Path) -> Path:
    """A file of speech, after a while of silence: what the browser's microphone hears."""
    path = folder / "speech.wav"
    silence = bytes(2 * 16_000 * 14)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(silence + asyncio.run(spoken()) + 3 * silence)
    return path


@contextmanager
def browser(speech: Path) -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in [*FLAGS.split(), f"--use-file-for-fake-audio-capture={speech}%noloop"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def main(folder: Path) -> None:
    """Hold the conversation and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, served() as address, browser(microphone(Path(scratch))) as page:

        def until(script: str, seconds: float = 40) -> None:
            WebDriverWait(page, seconds, 0.02).until(lambda driver: driver.execute_script(script))

        def picture(name: str) -> None:
            page.save_screenshot(str(folder / f"{name}.png"))
            print(folder / f"{name}.png")

        def write(text: str) -> None:
            page.find_element(By.ID, "words").send_keys(text + "\n")

        def speaking() -> None:
            until(MIDST)

        page.get(address)
        until("return document.documentElement.dataset.loaded")
        until("return performance.now() > 2500")
        picture("page-first")
        page.find_element(By.ID, "connect").click()
        speaking()
        write("What is twelve times seven?")
        until("return document.querySelectorAll('.transcript .assistant').length === 2")
        until("return document.body.dataset.state === 'listening'")
        until("return document.querySelectorAll('.transcript .user').length === 2")
        picture("page-listening")
        until("return document.querySelectorAll('.transcript .assistant').length === 3")
        speaking()
        picture("page")
        page.find_element(By.ID, "theme").click()
        write("Convert ten miles to kilometers.")
        speaking()
        picture("page-dark")
        page.find_element(By.ID, "open-settings").click()
        picture("page-settings")
        page.execute_script("document.getElementById('settings').close()")
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1.5, "mobile": True}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        write("What can you do?")
        page.execute_script("scrollTo(0, 0)")
        speaking()
        picture("page-phone")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS)
