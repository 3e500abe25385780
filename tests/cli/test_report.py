"""The report page: the story it tells, what is in the file, and how it plays in a real browser."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from voiceloop.audio import PCM16_16K, PCM16_24K
from voiceloop.cli.report import Played, Recording, write_report
from voiceloop.cli.report.story import PARTS, tell
from voiceloop.errors import AudioFormatError
from voiceloop.events import (
    AudioChunk,
    Event,
    Heard,
    Interrupted,
    Paused,
    ReplyText,
    SessionEnded,
    SessionStarted,
    SpokenWord,
    ToolCalled,
    ToolReturned,
    Transcript,
    TurnEnded,
    TurnMetrics,
    TurnStarted,
    UserSpeechEnded,
    UserSpeechStarted,
    Viseme,
    Word,
)

RATE = 16_000
ASKED = ("Could you book a room for half past two?", 0.6)
FIRST = (
    "The Maple room is free at half past two. It seats eight people and has a big screen. Shall I book it for you?"
)
BARGED = ("No, make it three o'clock.", 6.35)
SECOND = "Done. The Maple room is yours at three o'clock, until four."
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><!--"
SOUNDS = dict(zip("abcdefghijklmnopqrstuvwxyz", "aptSEfTkaSkttpOpkrstufuksit", strict=False))


def _timed(text: str) -> list[tuple[int, int, float, float]]:
    """(start, end, ms, end ms) of each word, at an even pace with a breath after each sentence."""
    words, ms = [], 40.0
    for found in re.finditer(r"[\w']+", text):
        end = ms + 90 + 48 * len(found[0])
        words.append((*found.span(), ms, end))
        ms = end + (320 if text[found.end() : found.end() + 1] in {".", "?"} else 25)
    return words


def _reply(turn: int, at: float, text: str) -> list[Event]:
    """Text, words, visemes and audio of a reply, as a session sends them."""
    events: list[Event] = [TurnStarted(turn, utterance=turn, at=at), ReplyText(turn, text, 0, at=at)]
    for start, end, ms, end_ms in _timed(text):
        word = text[start:end]
        events.append(Word(turn, word, ms, start, end, end_ms, at=at))
        step = (end_ms - ms) / len(word)
        events += [Viseme(turn, SOUNDS.get(c, "@"), ms + i * step, at=at) for i, c in enumerate(word.lower())]
        events.append(Viseme(turn, "sil", end_ms, at=at))
    samples = PCM16_24K.samples_in(_timed(text)[-1][3] + 120)
    return [*events, AudioChunk(turn, bytes(2 * samples), PCM16_24K, 0, at=at)]


def _speech(utterance: int, text: str, start: float) -> tuple[list[Event], float]:
    words = tuple(SpokenWord(text[a:b], start * 1000 + ms, start * 1000 + end) for a, b, ms, end in _timed(text))
    end = words[-1].end_ms / 1000
    return [
        UserSpeechStarted(words[0].start_ms, at=start + 0.1),
        Transcript(utterance, text[:9], at=start + 0.6),
        UserSpeechEnded(words[-1].end_ms, at=end + 0.45),
        Transcript(utterance, text, final=True, words=words, at=end + 0.46),
    ], end


def _metrics(turn: int, parts: tuple[float, ...], at: float) -> TurnMetrics:
    return TurnMetrics(turn, turn, sum(parts), *parts, at=at)


def conversation() -> tuple[list[Event], dict[int, list[Played]], float]:
    """Two turns: a tool and a barge-in in the first, the second is heard to its end. With what was played."""
    asked, asked_end = _speech(1, *ASKED)
    barged, barged_end = _speech(2, *BARGED)
    first, pause = asked_end + 0.905, 6.45
    second = barged_end + 0.79
    length = _timed(SECOND)[-1][3] + 120
    heard_ms = (pause - first) * 1000
    heard = FIRST[: max(end for start, end, ms, _ in _timed(FIRST) if ms < heard_ms)]
    last = second + length / 1000
    events: list[Event] = [
        SessionStarted("c1", "cascade", PCM16_16K, PCM16_24K),
        *asked,
        ToolCalled(1, "t1", "find_room", {"time": "14:30", "seats": 8, "near": "lift"}, at=asked_end + 0.6),
        ToolReturned(1, "t1", "find_room", '{"room": "Maple", "free": true}', ms=18.4, at=asked_end + 0.62),
        *_reply(1, first, FIRST),
        _metrics(1, (450, 262, 58, 96, 39), first),
        Paused(1, at=pause),
        Interrupted(1, Heard(heard, heard_ms), at=pause + 0.2),
        TurnEnded(1, FIRST, Heard(heard, heard_ms), "interrupted", at=pause + 0.21),
        *barged,
        *_reply(2, second, SECOND),
        _metrics(2, (448, 201, 31, 79, 31), second),
        TurnEnded(2, SECOND, Heard(SECOND, length), at=last),
        SessionEnded("ended", at=last + 0.3),
    ]
    played = {1: [Played(first, 0, heard_ms)], 2: [Played(second, 0, length)]}
    return sorted(events, key=lambda event: event.at), played, last + 0.4


def _voice(length: float, spans: list[tuple[float, float]], pitch: float) -> np.ndarray:
    time = np.arange(int(length * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * time + np.sin(9 * time)) / k for k in (1, 2, 3, 5))
    syllables = 0.25 + 0.75 * np.abs(np.sin(2 * np.pi * 2.1 * time) * np.sin(2 * np.pi * 0.73 * time + pitch))
    gate = np.zeros_like(time)
    for start, end in spans:
        gate[(time >= start) & (time < end)] = 1
    return tone * syllables * gate * 6000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    events, played, length = conversation()
    user = [
        (e.words[0].start_ms / 1000, e.words[-1].end_ms / 1000)
        for e in events
        if isinstance(e, Transcript) and e.final
    ]
    assistant = [(s.start, s.end) for stretches in played.values() for s in stretches]
    path = tmp_path_factory.mktemp("sound") / "conversation.wav"
    both = np.stack([_voice(length, user, 190), _voice(length, assistant, 130)], axis=1).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(both.tobytes())
    return Recording(events, played, path)


# ---------------------------------------------------------------- the story


@pytest.fixture(scope="module")
def story(recording: Recording) -> dict[str, Any]:
    return json.loads(json.dumps(tell(recording)))


def _words(line: dict[str, Any], *, heard: bool = True) -> str:
    return " ".join(word["text"] for word in line["words"] if word["heard"] is heard)


def test_lines_are_in_the_order_in_which_they_were_spoken(story: dict[str, Any]) -> None:
    assert [line["who"] for line in story["lines"]] == ["user", "tool", "assistant", "user", "assistant"]


def test_what_a_barge_in_cut_off_is_told_apart_and_nothing_is_lost(story: dict[str, Any]) -> None:
    cut, whole = (line for line in story["lines"] if line["who"] == "assistant")
    assert FIRST.startswith(_words(cut))
    assert f"{_words(cut)} {_words(cut, heard=False)}" == FIRST
    assert (cut["outcome"], whole["outcome"]) == ("interrupted", "completed")
    assert _words(whole) == SECOND
    assert all(word["start"] is None for word in cut["words"] if not word["heard"])


def test_words_of_a_reply_are_at_the_time_at_which_they_were_played(
    recording: Recording, story: dict[str, Any]
) -> None:
    line = story["lines"][-1]
    (played,) = recording.played[2]
    expected = [played.start + ms / 1000 for _, _, ms, _ in _timed(SECOND)]
    assert [word["start"] for word in line["words"]] == pytest.approx(expected)


def test_a_pause_moves_what_comes_after_it(recording: Recording) -> None:
    whole = recording.played[2][0]
    half = [Played(whole.start, 0, 700), Played(whole.start + 1.7, 700, whole.duration_ms - 700)]
    moved = tell(evolve(recording, played={**recording.played, 2: half}))
    for (_, _, ms, _), word in zip(_timed(SECOND), moved["lines"][-1]["words"], strict=True):
        assert word["start"] == pytest.approx(whole.start + ms / 1000 + (1.0 if ms >= 700 else 0.0))
    assert any(code == "sil" and at == pytest.approx(whole.start + 0.7) for at, code in moved["visemes"])


def test_the_mouth_is_shut_wherever_nothing_is_played(recording: Recording, story: dict[str, Any]) -> None:
    times = [at for at, _ in story["visemes"]]
    assert times == sorted(times)
    for stretches in recording.played.values():
        for stretch in stretches:
            shapes = [code for at, code in story["visemes"] if at <= stretch.end + 1e-9]
            assert shapes[-1] == "sil"
            assert len({code for at, code in story["visemes"] if stretch.start <= at < stretch.end}) > 5


def test_a_reply_without_word_times_spreads_its_words_over_its_audio(recording: Recording) -> None:
    events = [event for event in recording.events if not isinstance(event, Word)]
    line = tell(evolve(recording, events=events))["lines"][-1]
    starts = [word["start"] for word in line["words"]]
    assert _words(line) == SECOND
    assert starts == sorted(starts)
    assert recording.played[2][0].start <= starts[0] < starts[-1] < recording.played[2][0].end


def test_the_figures(story: dict[str, Any]) -> None:
    totals = story["totals"]
    assert (totals["turns"], totals["interruptions"], totals["tools"], totals["late"]) == (2, 1, 1, 0)
    assert totals["voice_to_voice"] == pytest.approx((905 + 790) / 2)
    assert totals["work"] == pytest.approx((455 + 342) / 2)
    for row in story["waterfall"]:
        assert tuple(row["parts"]) == PARTS
        assert sum(row["parts"].values()) == pytest.approx(row["total"])


def test_a_model_that_owns_its_turns_does_not_tell_its_parts_apart(recording: Recording) -> None:
    told = tell(evolve(recording, owns_turns=True))
    assert [row["parts"] for row in told["waterfall"]] == [
        {"model": 866, "delivery": 39},
        {"model": 759, "delivery": 31},
    ]
    assert told["totals"]["voice_to_voice"] == pytest.approx((905 + 790) / 2)
    assert told["totals"]["work"] is None


def test_simulated_time_is_never_shown_as_measured(recording: Recording) -> None:
    events = [evolve(e, measured=False) if isinstance(e, TurnMetrics) else e for e in recording.events]
    told = tell(evolve(recording, events=events))
    assert told["totals"]["voice_to_voice"] is told["totals"]["work"] is None
    assert not any(row["measured"] for row in told["waterfall"])


def test_a_conversation_in_which_nothing_was_said_has_a_page(recording: Recording, tmp_path: Path) -> None:
    quiet = evolve(recording, events=[recording.events[0], recording.events[-1]], played={})
    assert tell(quiet)["lines"] == []
    assert write_report(tmp_path / "new" / "folder", quiet, title="Silence").is_file()


@pytest.mark.parametrize("channels", [1, 3])
def test_sound_that_is_not_stereo_is_refused(recording: Recording, tmp_path: Path, channels: int) -> None:
    path = tmp_path / "other.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(60 * channels))
    with pytest.raises(AudioFormatError, match=rf"other\.wav.*{channels} channels"):
        write_report(tmp_path, evolve(recording, wav=path), title="Wrong")


def test_a_file_that_is_no_sound_is_refused(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "other.wav"
    path.write_bytes(b"no sound at all")
    with pytest.raises(AudioFormatError, match="not a readable WAV file"):
        write_report(tmp_path, evolve(recording, wav=path), title="Wrong")


def test_the_file_names_no_other_place_and_holds_no_foreign_markup(recording: Recording, tmp_path: Path) -> None:
    text = write_report(tmp_path, recording, title=HOSTILE, notes=[HOSTILE]).read_text()
    head = text[: text.index('<script type="text/plain"')]
    assert "<img" not in head
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:|//)|@import|url\(["']?http""", text)
    assert len(re.findall("</script", text)) == 3


# ---------------------------------------------------------------- in a browser

SECONDS = 20  # the deadline of every wait for the browser


@pytest.fixture
def page(browser: webdriver.Chrome, recording: Recording, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """The report, open. Afterwards: it has complained of nothing and asked for nothing outside itself."""
    _show(browser, write_report(tmp_path, recording, title="Booking a room", notes=["The user is simulated."]))
    yield browser
    assert browser.get_log("browser") == []
    assert not [url for url in _requests(browser) if not url.startswith(("file:", "blob:", "data:"))]


def _show(browser: webdriver.Chrome, path: Path) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    _until(browser, "return document.documentElement.dataset.ready === '1' && audio.readyState === 4")


def _requests(browser: webdriver.Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # The browser's own first page asks for its parts too.
    return [request["request"]["url"] for request in sent if request["documentURL"].startswith("file:")]


def _until(browser: webdriver.Chrome, script: str, *values: object) -> Any:
    return WebDriverWait(browser, SECONDS, poll_frequency=0.02).until(lambda b: b.execute_script(script, *values))


def _seek(browser: webdriver.Chrome, at: float) -> None:
    browser.execute_script("audio.currentTime = arguments[0]", at)
    _until(browser, "return !audio.seeking && Math.abs(audio.currentTime - arguments[0]) < 0.01", at)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def _mouth(browser: webdriver.Chrome) -> tuple[str, str]:
    return tuple(browser.execute_script("return [face.dataset.viseme, lips.getAttribute('d')]"))


NOW = "return document.querySelector('.word[data-state=now]')?.textContent"


def test_playing_moves_the_clock_the_mouth_and_the_transcript(page: webdriver.Chrome) -> None:
    play = page.find_element(By.ID, "play")
    assert play.accessible_name == "Play"
    _seek(page, 4.1)
    play.click()
    seen = _until(
        page,
        """window.seen ??= {words: new Set(), visemes: new Set(), mouths: new Set(), from: audio.currentTime};
        const word = document.querySelector('.word[data-state=now]'), {words, visemes, mouths, from} = window.seen;
        if (word) words.add(word.textContent);
        visemes.add(face.dataset.viseme); mouths.add(lips.getAttribute('d'));
        return audio.currentTime > from + 1 && words.size > 2 && [[...words], [...visemes], [...mouths]]""",
    )
    words, visemes, mouths = seen
    assert set(words) < set(FIRST.split())
    assert len(visemes) > 3
    assert len(mouths) > 3
    assert play.accessible_name == "Pause"
    page.find_element(By.TAG_NAME, "body").send_keys(" ")
    assert _until(page, "return audio.paused")


def test_each_viseme_has_a_mouth_of_its_own_and_silence_shuts_it(
    page: webdriver.Chrome, story: dict[str, Any]
) -> None:
    shapes = {}
    for (at, code), (after, _) in zip(story["visemes"], story["visemes"][1:], strict=False):
        if after - at > 0.04 and code not in shapes:
            _seek(page, (at + after) / 2)
            shapes[code] = _mouth(page)
    assert len(shapes) > 10
    assert all(shown == code for code, (shown, _) in shapes.items())
    assert len({path for _, path in shapes.values()}) == len(shapes)
    _seek(page, 0.2)
    assert _mouth(page)[0] == "sil"


def test_the_highlight_is_on_the_word_being_spoken(page: webdriver.Chrome, story: dict[str, Any]) -> None:
    for line in story["lines"]:
        for word in [word for word in line.get("words", ()) if word["start"] is not None][::4]:
            _seek(page, (word["start"] + word["end"]) / 2)
            assert page.execute_script(NOW) == word["text"]


def test_the_unheard_is_struck_out_and_tools_are_shown(page: webdriver.Chrome) -> None:
    struck = page.find_element(By.CSS_SELECTOR, "#transcript del").text
    assert FIRST.endswith(struck)
    card = page.find_element(By.CSS_SELECTOR, ".call-card").text
    assert "find_room(time = 14:30, seats = 8, near = lift)" in card
    assert '{"room": "Maple", "free": true}' in card
    assert page.find_element(By.ID, "notes").text == "The user is simulated."


def test_seeking_by_click_word_and_key(page: webdriver.Chrome, story: dict[str, Any]) -> None:
    wave_box = page.find_element(By.ID, "wave")
    webdriver.ActionChains(page).move_to_element(wave_box).click().perform()
    length = page.execute_script("return audio.duration")
    assert _until(page, "return !audio.seeking && Math.abs(audio.currentTime - arguments[0]) < 0.1", length / 2)
    word = next(word for word in story["lines"][-1]["words"] if word["text"] == "Maple")
    page.find_element(By.XPATH, "(//span[text()='Maple'])[last()]").click()
    assert _until(page, "return !audio.seeking && Math.abs(audio.currentTime - arguments[0]) < 0.01", word["start"])
    wave_box.send_keys(Keys.ARROW_LEFT)
    assert _until(
        page, "return !audio.seeking && Math.abs(audio.currentTime - arguments[0]) < 0.01", word["start"] - 2
    )
    wave_box.send_keys(Keys.HOME)
    assert _until(page, "return !audio.seeking && audio.currentTime === 0")


def test_the_waterfall_adds_up(page: webdriver.Chrome, story: dict[str, Any]) -> None:
    rows = page.execute_script(
        "return [...document.querySelectorAll('.bar')].map(bar => [...bar.children].map(part => +part.dataset.ms))"
    )
    assert [sum(row) for row in rows] == pytest.approx([row["total"] for row in story["waterfall"]])
    assert [len(row) for row in rows] == [5, 5]
    assert page.find_element(By.CSS_SELECTOR, ".bar").accessible_name.startswith("Turn 1: 905 ms. Silence 450 ms,")


def test_a_model_that_tells_no_mouth_shapes_and_no_parts(
    browser: webdriver.Chrome, recording: Recording, tmp_path: Path
) -> None:
    events = [event for event in recording.events if not isinstance(event, Viseme)]
    events.append(_metrics(2, (1000, 100, 50, 30, 11), 9.0))
    _show(browser, write_report(tmp_path, evolve(recording, events=events, owns_turns=True), title="A call"))
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    figures = browser.execute_script("return document.getElementById('totals').innerText")
    assert "Mouth shapes\nnone\nthis voice tells none" in figures
    assert "The model's own\nall of it\nend of the turn, thinking and voice" in figures
    named = browser.execute_script("return [...document.querySelectorAll('#legend b')].map(part => part.textContent)")
    assert named == ["The model's own", "Delivery"]
    sums = browser.execute_script("return [...document.querySelectorAll('.sum')].map(sum => sum.innerText)")
    assert sums[-1] == "1,191 ms"
    heights = browser.execute_script(
        "return [...document.querySelectorAll('.sum')].map(sum => sum.getClientRects()[0].height)"
    )
    assert len(set(heights)) == 1
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_both_schemes(page: webdriver.Chrome, width: int, scheme: str) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    ink = page.execute_script("return getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")
    assert (sum(ink) > 380) == (scheme == "dark")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_hostile_words_stay_words(browser: webdriver.Chrome, recording: Recording, tmp_path: Path) -> None:
    events = [
        *recording.events,
        Transcript(3, HOSTILE, final=True, at=11.0),
        TurnEnded(3, HOSTILE, Heard(HOSTILE), at=11.1),
        ToolCalled(3, "t3", HOSTILE, {HOSTILE: HOSTILE}, at=11.2),
        ToolReturned(3, "t3", HOSTILE, HOSTILE, error=True, at=11.3),
        _metrics(3, (1, 2, 3, 4, 5), 11.4),
    ]
    _show(browser, write_report(tmp_path, evolve(recording, events=events), title=HOSTILE, notes=[HOSTILE]))
    assert browser.title == HOSTILE
    assert browser.execute_script("return document.images.length") == 0
    assert browser.execute_script("return document.scripts.length") == 3
    assert browser.execute_script("return transcript.textContent").count("<img") == 6
    assert browser.get_log("browser") == []
