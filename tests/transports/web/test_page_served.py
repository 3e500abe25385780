"""The page as voiceloop's own server serves it, with its content security policy."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from voiceloop import presets
from voiceloop.transports.web import create_app, serve

from .conftest import Page


@contextmanager
def served(**options: Any) -> Iterator[str]:
    """The address of voiceloop's own server, which runs in a thread."""
    told: queue.Queue[str] = queue.Queue()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(create_app([presets.local()], **options), port=0, on_ready=told.put))

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield told.get(timeout=20)
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(20)


@pytest.fixture
def address() -> Iterator[str]:
    with served() as url:
        yield url


def test_the_offline_assistant_greets_answers_and_is_told_apart_from_a_language_model(
    quiet_browser: webdriver.Chrome, address: str
) -> None:
    page = Page(quiet_browser, address)
    assert "rules" in page.text("#stacks [aria-pressed=true]")
    personas = page.run("return [...document.querySelectorAll('#persona option')].map((option) => option.label)")
    assert {"Coding Assistant", "Pirate", "French Tutor", "My own"} <= set(personas)
    page.connect()
    page.wait(lambda: page.log("playing"), "the greeting")
    page.type("what is twelve times seven")
    page.wait(
        lambda: any("84" in entry["text"] or "eighty" in entry["text"] for entry in page.entries()), "the answer"
    )
    page.click("#open-settings")
    page.click("#settings form[method=dialog] button")
    assert page.run("return document.getElementById('settings').open") is False
    page.click("#connect")
    page.wait(lambda: page.text("#status") == "Not connected", "the end")
    assert page.run("return voiceloop.sound") is None
    assert [line["message"] for line in page.browser.get_log("browser")] == []


def test_a_server_with_a_secret_asks_for_it(quiet_browser: webdriver.Chrome) -> None:
    with served(secret="open sesame, please") as url:
        page = Page(quiet_browser, url)
        page.click("#connect")
        asked = "return document.activeElement.id === 'server-secret' && !document.activeElement.value"
        page.wait(lambda: page.run(asked), "the question")
        assert page.text("#password-needed") == "This server asks for a password."
        webdriver.ActionChains(page.browser).send_keys("not this one", Keys.ENTER).perform()
        page.wait(lambda: "does not take this password" in page.text("#password-needed"), "the message")
        page.wait(lambda: page.run(asked), "the question")
        webdriver.ActionChains(page.browser).send_keys("open sesame, please", Keys.ENTER).perform()
        page.wait(lambda: page.text("#status") == "Connected", "the connection")
        assert "sesame" not in page.run(
            "return JSON.stringify([localStorage, sessionStorage, voiceloop.log.entries])"
        )
