"""The page as a user has it: typed text, modes, settings, and connections that break."""

from __future__ import annotations

import json

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from voiceloop import Cascade
from voiceloop.events import SettingApplied
from voiceloop.memory import InProcessMemory
from voiceloop.testing.scripted import Fail, ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

from .conftest import Page, Serve, answering, permit
from .page_server import PageServer


def _texts(page: Page, role: str) -> list[str]:
    return [entry["text"] for entry in page.entries() if entry["role"] == role]


def _answered(page: Page, number: int) -> None:
    page.wait(lambda: f"This is answer {number}." in _texts(page, "assistant"), f"answer {number}")
    page.wait(lambda: page.log("TurnEnded"), "the end of the turn")


def test_typed_text_is_answered_by_voice_and_everything_heard_is_reported(page: Page) -> None:
    page.connect()
    page.wait(lambda: _texts(page, "assistant"), "the greeting")
    page.wait(lambda: len(page.log("TurnEnded")) == 1, "the end of the greeting")
    page.type("Hello there")
    _answered(page, 2)
    page.wait(lambda: len(page.log("TurnEnded")) == 2, "the end of the answer")

    assert _texts(page, "user") == ["Hello there"]
    ended = page.log("TurnEnded")[1]
    assert (ended["reason"], ended["heard"]["text"]) == ("completed", "This is answer 2.")
    assert ended["heard"]["basis"] == "measured"
    assert page.segments(ended["turn"])[0]["why"] == "playing"
    assert page.text("#total-turns") in {"1", "2"}
    assert not [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"]


def test_chat_only_releases_the_microphone_and_answers_in_writing(page: Page) -> None:
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.click("#modes [value=chat] + span")
    page.wait(lambda: page.log("answer"), "the mode")
    assert page.run("return voiceloop.recording") is False
    page.type("Only in writing, please")
    _answered(page, 1)
    assert page.log("playing") == []

    page.click("#modes [value='chat+voice'] + span")
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.type("And now aloud")
    page.wait(lambda: page.log("playing"), "sound")


def test_voice_only_takes_no_text(page: Page) -> None:
    page.connect()
    page.click("#modes [value=voice] + span")
    page.wait(lambda: page.log("answer"), "the mode")
    assert page.browser.find_element(By.ID, "words").get_property("disabled")


def test_recording_stops_and_starts_apart_from_the_connection(page: Page) -> None:
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.click("#record")
    page.wait(lambda: page.run("return !voiceloop.recording"), "the microphone to close")
    assert page.text("#status") == "Connected"
    page.type("Still there?")
    page.wait(lambda: len(_texts(page, "assistant")) == 2, "an answer")
    page.click("#record")
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")


def test_push_to_talk_sends_audio_only_while_held(page: Page, server: PageServer) -> None:
    page.click("#modes [value=push] + span")
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    assert server.starts[-1].turns == "manual"
    assert page.run("return voiceloop.link.samples") == 0

    body = page.browser.find_element(By.TAG_NAME, "body")
    actions = webdriver.ActionChains(page.browser)
    actions.click(page.browser.find_element(By.CSS_SELECTOR, ".brand")).key_down(Keys.SPACE).perform()
    page.wait(lambda: page.run("return voiceloop.link.samples > 3200"), "audio")
    assert body.get_attribute("data-state") in {"listening", "speaking"}
    webdriver.ActionChains(page.browser).key_up(Keys.SPACE).perform()
    page.wait(lambda: page.log("end_turn"), "the end of the turn")


def test_a_cut_connection_goes_on_with_the_conversation(page: Page, server: PageServer) -> None:
    page.connect()
    page.type("Before the cut")
    _answered(page, 2)
    server.cut()
    page.wait(lambda: len(server.starts) == 2 and page.text("#status") == "Connected", "another connection")
    first, second = page.log("ready")
    assert (second["conversation"], second["resumed"]) == (first["conversation"], True)
    assert server.starts[1].greet is False
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")
    page.type("After the cut")
    _answered(page, 3)
    assert _texts(page, "user") == ["Before the cut", "After the cut"]


def test_a_reply_that_the_cut_struck_is_shown_as_far_as_it_was_heard(
    quiet_browser: webdriver.Chrome, serve: Serve
) -> None:
    long = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, fifteen."
    server = serve(answering(long))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.type("Count, please")
    page.wait(lambda: page.run("return (voiceloop.player.head.at()?.ms ?? 0) > 1500"), "some of it")
    server.cut()
    page.wait(lambda: len(server.starts) == 2 and page.text("#status") == "Connected", "another connection")
    page.wait(lambda: page.entries()[-1]["struck"], "what was not heard")
    replies = [entry for entry in page.entries() if entry["role"] == "assistant"]
    assert [reply["text"] for reply in replies] == [long]
    assert long.endswith(replies[0]["struck"])
    assert _texts(page, "user") == ["Count, please"]


def test_a_conversation_that_the_server_forgot_stays_on_the_page(page: Page, server: PageServer) -> None:
    page.connect()
    page.type("Remember me")
    _answered(page, 2)
    server.memory = InProcessMemory()
    server.cut()
    page.wait(lambda: len(server.starts) == 2 and page.text("#status") == "Connected", "another connection")
    assert page.wait(lambda: [entry for entry in page.entries() if entry["role"] == "part"], "the parting line")
    assert _texts(page, "user") == ["Remember me"]


def test_persona_and_voice_change_in_a_running_session(page: Page, server: PageServer) -> None:
    page.connect()
    page.choose("voice", "en-us")  # it is the usual one, so there is nothing to change
    page.choose("persona", "pirate")
    assert page.shown("voice") == "The persona's: British"
    page.choose("voice", "en-us")
    page.choose("persona", "assistant")
    assert page.shown("voice") == "American"
    page.wait(lambda: len(page.log("answer")) == 3, "the answers")
    assert [answer["outcome"] for answer in page.log("answer")] == ["applied"] * 3
    applied = [set(event.settings) for event in server.events if isinstance(event, SettingApplied)]
    assert applied == [{"instructions", "voice"}, {"voice"}, {"instructions"}]
    told = [{key: one.get(key) for key in ("instructions", "voice")} for one in page.log("update")]
    assert told == [
        {"instructions": "You are a pirate.", "voice": "en-gb"},
        {"instructions": None, "voice": "en-us"},
        {"instructions": "You help.", "voice": None},
    ]
    assert len(server.starts) == 1


def test_a_voice_that_is_refused_leaves_the_one_before(quiet_browser: webdriver.Chrome, serve: Serve) -> None:
    speaks = ScriptedSynthesizer(faults={0: Fail()})  # a new voice is tried first
    server = serve(lambda: Cascade(ScriptedRecognizer(), ScriptedReasoner(), speaks))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.choose("voice", "en-gb")
    page.wait(lambda: "It stays as it was" in page.text("#banner"), "the reason")
    assert page.shown("voice") == "The usual one: American"
    page.browser.refresh()
    page.loaded()
    assert page.shown("voice") == "The usual one: American"


def test_where_another_provider_cannot_be_had_the_conversation_goes_on(page: Page, server: PageServer) -> None:
    page.connect()
    page.type("Before")
    _answered(page, 2)
    page.choose("stack", "far")
    page.wait(lambda: len(server.starts) == 3 and page.text("#status") == "Connected", "the one before")
    assert [start.stack for start in server.starts] == ["local", "far", "local"]
    assert page.text("#banner p") == "It is too far away. The conversation goes on with: This machine."
    assert (page.shown("stack"), page.text("#runs-on")) == ("This machine", "This machine")
    page.type("After")
    _answered(page, 3)
    assert _texts(page, "user") == ["Before", "After"]


def test_a_server_that_is_gone_is_told_of_and_the_words_are_kept(page: Page, server: PageServer) -> None:
    page.connect()
    page.type("Stay with me")
    _answered(page, 2)
    server.stop()
    page.wait(lambda: "The server stops. Trying again in" in page.text("#banner"), "the message")
    assert page.text("#status") in {"Connection lost", "Connecting…"}
    assert _texts(page, "user") == ["Stay with me"]
    server.start()
    page.wait(lambda: page.text("#status") == "Connected", "the connection")
    assert page.run("return document.getElementById('banner').hidden")


def test_keys_go_to_the_server_for_one_session_and_nowhere_else(page: Page, server: PageServer) -> None:
    page.connect()
    page.click("#open-settings")
    for name, value in (("access-key", "AKIDEXAMPLE"), ("secret-key", "wJalrSECRET"), ("region", "eu-west-1")):
        page.browser.find_element(By.ID, name).send_keys(value)
    page.click("#keys button[type=submit]")
    page.wait(lambda: len(server.starts) == 2, "the keys")
    keys = server.starts[1].keys
    assert keys is not None
    assert keys.region == "eu-west-1"
    kept = page.run("return JSON.stringify([localStorage, sessionStorage, voiceloop.log.entries])")
    shown = page.run("return [...document.querySelectorAll('input')].map((input) => input.value).join()")
    assert "SECRET" not in kept + shown
    assert "AKID" not in kept + shown


def test_a_provider_that_needs_keys_begins_when_they_are_given(page: Page, server: PageServer) -> None:
    page.connect()
    page.choose("stack", "keyed")
    assert page.shown("stack") == "This machine"
    assert page.text("#keys-needed") == "With keys needs your AWS keys. Give them here, and it begins."
    assert page.run("return document.activeElement.id") == "access-key"
    webdriver.ActionChains(page.browser).send_keys("AKIDEXAMPLE", Keys.TAB, "secret", Keys.ENTER).perform()
    page.wait(lambda: len(server.starts) == 2 and page.text("#status") == "Connected", "the other provider")
    assert (server.starts[1].stack, server.starts[1].conversation) == ("keyed", page.log("ready")[0]["conversation"])
    assert server.starts[1].keys is not None
    assert page.shown("stack") == "With keys"
    assert page.run("return document.getElementById('keys-needed').hidden")


def test_choices_that_are_not_offered_any_more_are_forgotten(page: Page, server: PageServer) -> None:
    page.run(
        "localStorage.setItem('voiceloop.settings', JSON.stringify("
        "{stack: 'gone', persona: 'gone', voices: {local: 'gone'}, mode: 'chat+voice'}))"
    )
    page.browser.refresh()
    page.loaded()
    page.connect()
    start = server.starts[-1]
    assert (start.stack, start.persona, start.voice) == ("local", "assistant", None)


def test_choices_are_kept_in_this_browser(page: Page, server: PageServer) -> None:
    page.choose("persona", "pirate")
    page.choose("latency", "180")
    page.browser.refresh()
    page.loaded()
    assert page.run("return document.getElementById('persona').value") == "pirate"
    assert page.run("return document.getElementById('latency').value") == "180"
    kept = json.loads(page.run("return localStorage.getItem('voiceloop.settings')"))
    assert (kept["persona"], kept["latencyMs"]) == ("pirate", 180)
    page.connect()
    assert server.starts[-1].persona == "pirate"


def test_a_refused_microphone_is_explained_and_writing_goes_on(page: Page) -> None:
    permit(page.browser, "denied")
    try:
        page.connect()
        page.wait(lambda: "The microphone was refused" in page.text("#banner"), "the message")
        assert page.browser.find_element(By.ID, "banner").get_attribute("role") == "alert"
        page.type("I write, then")
        _answered(page, 2)
    finally:
        permit(page.browser, "granted")
    page.click("#record")
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone, after all")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, width: int) -> None:
    size = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": width < 500}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_camera_shows_a_still_to_the_assistant(quiet_browser: webdriver.Chrome, serve: Serve) -> None:
    reasoner = ScriptedReasoner(["I see."], 0.05, cycle=True)
    server = serve(lambda: Cascade(ScriptedRecognizer(), reasoner, ScriptedSynthesizer()))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.click("#camera")
    page.wait(lambda: page.run("return document.getElementById('camera-view').videoWidth > 0"), "the camera")
    page.click("#look")
    page.type("What do you see?")
    page.wait(lambda: _texts(page, "assistant") == ["I see."], "the answer")
    pictures = [part for message in reasoner.requests[0].messages for part in message.parts if hasattr(part, "data")]
    assert [picture.media_type for picture in pictures] == ["image/jpeg"]
    assert pictures[0].data.startswith(b"\xff\xd8")
    page.click("#camera")
    assert page.run("return document.getElementById('camera-view').srcObject") is None
