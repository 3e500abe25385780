"""The page's controls: names for screen readers, the keyboard, sound devices, and the debug log."""

from __future__ import annotations

import json
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from .conftest import Page
from .page_server import PageServer

CONTROLS = {"button", "textbox", "combobox", "slider", "radio", "checkbox", "DisclosureTriangle", "list"}

# What would be saved, instead of a file.
EXPORT = """
const done = arguments[0], made = URL.createObjectURL;
URL.createObjectURL = (blob) => { blob.text().then(done); return made.call(URL, blob); };
HTMLAnchorElement.prototype.click = () => {};
document.getElementById('log-export').click();
"""


def _accessible(page: Page) -> list[tuple[str, str]]:
    """The role and name of every control, as assistive technology has them."""
    nodes: list[dict[str, Any]] = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    shown = [node for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    return [(node["role"]["value"], node["name"]["value"]) for node in shown if node["name"]["value"] or _own(node)]


def _own(node: dict[str, Any]) -> bool:
    return node["role"]["value"] != "list"  # those that only lay things out need no name


def test_every_control_has_a_name(page: Page) -> None:
    closed = _accessible(page)
    assert {("button", "Connect"), ("radio", "Push to talk"), ("button", "Settings")} <= set(closed)
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.type("Hello")
    page.wait(lambda: page.log("TurnEnded"), "an answer")
    connected = _accessible(page)
    assert {("textbox", "Your message"), ("list", "Transcript"), ("button", "Disconnect")} <= set(connected)
    page.click("#open-settings")
    settings = _accessible(page)
    assert {role for role, _ in settings} >= {"combobox", "slider", "checkbox", "textbox"}
    assert [role for role, name in closed + connected + settings if not name.strip()] == []


def test_all_of_it_goes_by_keyboard(page: Page) -> None:
    def press(*keys: str) -> None:
        webdriver.ActionChains(page.browser).send_keys(*keys).perform()

    def focused() -> str:
        return str(page.run("return document.activeElement.id || document.activeElement.value"))

    visited = []
    for _ in range(9):
        press(Keys.TAB)
        visited.append(focused())
    assert visited[1:5] == ["theme", "open-settings", "connect", "chat+voice"]
    page.run("document.getElementById('connect').focus()")
    press(Keys.ENTER)
    page.wait(lambda: page.run("return voiceloop.recording"), "the connection")
    press(Keys.TAB)
    assert focused() == "record"
    page.run("document.getElementById('open-settings').focus()")
    press(Keys.ENTER)
    assert page.run("return document.getElementById('settings').open")
    press(Keys.ESCAPE)
    assert not page.run("return document.getElementById('settings').open")
    assert focused() == "open-settings"
    page.wait(lambda: page.log("playing"), "the greeting")
    press(Keys.ESCAPE)
    page.wait(lambda: page.log("Interrupted"), "the end of the greeting")


def test_what_is_said_and_what_happens_is_announced(page: Page) -> None:
    page.connect()
    page.type("Hello there")
    page.wait(lambda: "Assistant: This is answer 2." in page.text("#said"), "the reply, once it is over")
    assert "You: Hello there" in page.text("#said")
    assert page.run("return ['said', 'status'].map((id) => document.getElementById(id).role)") == ["log", "status"]


def test_another_speaker_comes_with_a_warning_of_echo(page: Page) -> None:
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.click("#open-settings")
    page.wait(lambda: page.run("return document.getElementById('speaker').options.length > 1"), "the devices")
    assert page.run("return document.getElementById('speaker-help').hidden")
    chosen = page.run("return document.getElementById('speaker').options[1].value")
    page.choose("speaker", chosen)
    page.wait(lambda: page.run("return voiceloop.sound.context.sinkId") == chosen, "the speaker")
    assert "takes the echo" in page.text("#speaker-help")


def test_a_browser_that_does_not_start_the_sound_is_told_of(page: Page) -> None:
    page.run("voiceloop.connect()")  # no click: browsers then keep quiet
    page.wait(lambda: "not started the sound" in page.text("#banner"), "the message")
    page.click("#banner .actions button")
    page.wait(lambda: page.run("return voiceloop.sound.context.state") == "running", "the sound")


def test_the_debug_log_is_exported_without_secrets(page: Page, server: PageServer) -> None:
    page.run("document.querySelector('#log summary').click()")
    page.run("document.getElementById('access-key').value = 'AKIDEXAMPLE'")
    page.run("document.getElementById('secret-key').value = 'wJalrSECRET'")
    page.run("document.getElementById('keys').requestSubmit()")
    page.connect()
    page.wait(lambda: page.log("TurnEnded"), "the greeting")
    assert server.starts[-1].keys is not None
    assert "TurnEnded" in page.text("#log-lines")
    saved = page.browser.execute_async_script(EXPORT)
    assert "SECRET" not in saved
    assert "AKID" not in saved
    log = json.loads(saved)
    assert {"browser", "made", "entries"} <= set(log)
    clocks = [entry["clock"] for entry in log["entries"]]
    assert clocks == sorted(clocks)
    assert {entry["from"] for entry in log["entries"]} == {"page", "in", "out", "audio"}
