"""A whole booking by voice on the page, each clip spoken when the assistant has asked for it."""

from __future__ import annotations

from pathlib import Path

from selenium import webdriver

from voiceloop import Cascade
from voiceloop.events import ToolReturned, TurnEnded
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.rules.endpointing import Endpointing

from .conftest import Page, Serve

ANSWERS = {
    "where do you": "df_mountain_view",
    "how many people": "df_two_people",
    "which day": "df_today",
    "what time": "df_230pm",
    "how long": "df_half_an_hour",
}


def test_a_room_is_booked_by_voice(quiet_browser: webdriver.Chrome, serve: Serve, clips: Path) -> None:
    rules = Rules.demo()
    server = serve(
        lambda: Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer("en-us")),
        tools=rules.tools,
        endpointing=Endpointing(),
    )
    page = Page(quiet_browser, server.url)
    page.speaks_into_microphone()
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.wait(lambda: page.run("return voiceloop.recording"), "the microphone")

    def replies() -> list[TurnEnded]:
        return [event for event in server.events if isinstance(event, TurnEnded) and event.heard.text]

    clip = "df_book_a_room"
    for _ in range(16):
        before = len(replies())
        page.speak(clips / f"{clip}.wav")
        page.wait(lambda count=before: len(replies()) > count, f"an answer to {clip}")
        said = replies()[-1].said.lower()
        if "shall i book" in said:
            break
        clip = next((answer for words, answer in ANSWERS.items() if words in said), clip)
    page.type("yes please")
    page.wait(lambda: any(isinstance(event, ToolReturned) for event in server.events), "the booking")
    booked = next(event for event in server.events if isinstance(event, ToolReturned))
    assert (booked.name, booked.error) == ("book_room", False)
    tools = [entry for entry in page.entries() if entry["role"] == "tool"]
    assert len(tools) == 1
    assert "Mountain View" in tools[0]["text"]
