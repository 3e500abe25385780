"""What the page tells people: of keys, of what is not answered, and of a conversation that goes on."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from voiceloop import Cascade
from voiceloop.memory import InProcessMemory
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

from .conftest import Page, Serve, answering
from .page_server import PageServer

LONG = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen."


def _focused(page: Page) -> str:
    return str(page.run("return document.activeElement.id"))


def _texts(page: Page, role: str) -> list[str]:
    return [entry["text"] for entry in page.entries() if role in entry["role"].split()]


def test_keys_that_were_left_out_are_asked_for(page: Page) -> None:
    page.click("#open-settings")
    page.click("#keys button[type=submit]")
    assert page.text("#keys-state") == "Both keys are needed."
    page.browser.find_element(By.ID, "access-key").send_keys("AKIDEXAMPLE\n")
    assert page.text("#keys-state") == "Both keys are needed."
    assert page.run("return document.getElementById('settings').open")


def test_keys_begin_the_conversation_that_needed_them(page: Page, server: PageServer) -> None:
    page.click("#stacks div:nth-child(4) button")
    assert _focused(page) == "access-key"
    webdriver.ActionChains(page.browser).send_keys("AKIDEXAMPLE", Keys.TAB, "secret", Keys.ENTER).perform()
    page.wait(lambda: page.text("#status") == "Connected", "the connection")
    assert [start.stack for start in server.starts] == ["keyed"]
    assert page.run("return document.getElementById('settings').open") is False


def test_fixed_rules_offer_no_persona_and_what_else_is_told_of_them_is_behind_more(page: Page) -> None:
    assert page.run("return document.getElementById('persona').disabled") is False
    page.choose("stack", "rules")
    page.click("#open-settings")
    assert page.run("return document.getElementById('persona').disabled")
    assert "personas need a language model" in page.text("#persona-help")
    assert page.text("#stack-about").split() == ["It", "has", "rules.", "More"]


# Events as the server sends them, without words.
TOLD = "voiceloop.take({ type: arguments[0], code: arguments[1], text: 'None.', ms: 0 }); return voiceloop.doing"


def test_speech_without_words_is_not_thought_about(page: Page) -> None:
    page.run("document.getElementById('greet').click()")
    page.connect()
    assert page.run(TOLD, "UserSpeechStarted") == "listening"
    assert page.run(TOLD, "UserSpeechEnded") == "thinking"
    assert page.run(TOLD, "Notice", "not-recognized") == "idle"
    page.run(TOLD, "UserSpeechEnded")
    page.wait(lambda: page.run("return voiceloop.doing") == "idle", "the end of thinking", 6)
    page.run(TOLD, "UserSpeechEnded")
    page.run(TOLD, "TurnStarted")
    assert page.run("return voiceloop.thinksUntil - performance.now()") > 10_000


def test_a_reply_that_the_connection_took_with_it_is_marked_and_the_wait_counts_down(
    quiet_browser: webdriver.Chrome, serve: Serve
) -> None:
    server = serve(answering(LONG))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.type("Count, please")
    page.wait(lambda: page.run("return (voiceloop.player.head.at()?.ms ?? 0) > 500"), "some of it")
    server.stop()
    page.wait(lambda: page.text("#transcript .outcome") == "interrupted", "the mark")
    page.wait(lambda: "Trying again in 2 s" in page.text("#banner"), "a longer wait")
    assert page.text("#banner").startswith("The connection is lost.")
    page.wait(lambda: "Trying again in 1 s" in page.text("#banner"), "the last second")
    server.start()
    page.wait(lambda: page.text("#status") == "Connected", "the connection")
    assert page.run("return document.querySelectorAll('#transcript .outcome').length") == 1


def test_a_reload_offers_to_go_on_with_the_conversation(page: Page, server: PageServer) -> None:
    page.connect()
    page.wait(lambda: page.log("TurnEnded"), "the greeting")
    page.browser.refresh()
    page.loaded()
    assert (page.text("#connect"), page.text("#welcome-title")) == ("Go on", "Welcome back")
    assert "the conversation goes on where it was" in page.text("#welcome-how")
    page.connect()
    assert _texts(page, "assistant") == ["This is answer 1."]
    assert page.run("return document.querySelectorAll('#transcript time').length") == 0

    server.memory = InProcessMemory()
    page.browser.refresh()
    page.loaded()
    page.connect()
    assert _texts(page, "part") == ["The server no longer has this conversation. A new one begins."]


def test_enter_pressed_twice_does_not_hang_up(page: Page, server: PageServer) -> None:
    page.run("document.getElementById('connect').focus()")
    webdriver.ActionChains(page.browser).send_keys(Keys.ENTER, Keys.ENTER).perform()
    page.wait(lambda: page.text("#status") == "Connected", "the connection")
    page.run("document.getElementById('connect').click()")
    assert page.text("#status") == "Connected"
    page.wait(
        lambda: (
            page.run(
                "document.getElementById('connect').click(); return document.getElementById('status').textContent"
            )
            == "Not connected"
        ),
        "the end",
    )


@pytest.mark.parametrize(("width", "height"), [(1280, 657), (390, 844)])
def test_words_and_the_field_for_them_are_in_sight(page: Page, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.connect()
        page.wait(lambda: page.log("TurnEnded"), "the greeting")
        where = "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        where += "return [box.height, box.bottom]"
        for selector in ("#words", "#modes", "#transcript"):
            assert page.run(where, selector)[1] <= height
        assert page.run(where, "#transcript")[0] >= 240
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_pictures_are_in_the_transcript_and_it_is_told_where_nobody_sees_them(
    quiet_browser: webdriver.Chrome, serve: Serve
) -> None:
    server = serve(lambda: Cascade(ScriptedRecognizer(), ScriptedReasoner(["I see."]), ScriptedSynthesizer()))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.run("voiceloop.trouble('The camera did not start.', { id: 'camera' })")
    page.click("#camera")
    page.wait(lambda: page.run("return document.getElementById('camera-view').videoWidth > 0"), "the camera")
    page.wait(lambda: page.run("return document.getElementById('banner').hidden"), "the message to go")
    page.click("#look")
    page.click("#look")
    assert _texts(page, "picture") == ["You showed 2 pictures"]
    page.run(TOLD, "Notice", "images-ignored")
    assert _texts(page, "picture") == ["You showed 2 pictures (not seen)"]
    assert "cannot see pictures" in page.text("#banner")


def test_a_failure_is_one_sentence(page: Page) -> None:
    page.connect()
    failure = "bedrock: it cannot be reached (while asking it (us-east-1)). Check HTTPS_PROXY, and a VPC endpoint."
    page.run("voiceloop.take({ type: 'SessionEnded', reason: 'failed', error: arguments[0] })", failure)
    assert page.text("#banner p") == "bedrock: it cannot be reached. The debug log has more."
    assert page.log("SessionEnded")[0]["error"] == failure
