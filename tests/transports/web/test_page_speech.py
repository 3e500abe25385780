"""The page with a voice at the microphone: a spoken turn, an interruption, and lips that keep to the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver

from voiceloop import Cascade
from voiceloop.events import AudioChunk, Interrupted, Transcript, TurnEnded, Viseme
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer

from .conftest import MakeMicrophone, OpenBrowser, Page, Serve

LONG = (
    "The museum opens at nine in the morning, and closes at six. On Mondays it is closed, but the garden is open. "
    "Tickets can be bought at the door, or by telephone. Children come in for free, and so do their teachers. "
    "There is a tour every hour, which begins at the fountain. It takes about forty minutes, and ends in the library."
)

# Notes, at every frame that is drawn: where the page takes the sound to be, the shape that it drew for that, and
# where the sound is by the samples that the device has taken, less its latency.
WATCH_LIPS = """
window.drawn = [];
const { lips, player } = voiceloop, { context, head } = player, shapeAt = lips.shapeAt.bind(lips);
lips.shapeAt = (turn, ms) => {
  const segment = head.segments.at(-1), frame = (context.currentTime - context.outputLatency) * context.sampleRate;
  const sample = segment.sample + (frame - segment.frame) * segment.step;
  const sounding = segment.step > 0 ? (sample / player.rate) * 1000 : null;
  queueMicrotask(() => window.drawn.push([ms, document.querySelector('.avatar').dataset.viseme, sounding]));
  return shapeAt(turn, ms);
};
"""


def test_a_spoken_turn_is_heard_answered_and_played_to_the_last_sample(
    open_browser: OpenBrowser, serve: Serve, microphone: MakeMicrophone
) -> None:
    rules = Rules.demo()
    server = serve(lambda: Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer("en-us")), tools=rules.tools)
    with open_browser(microphone(1.0, "df_book_a_room")) as browser:
        page = Page(browser, server.url)
        page.run("document.getElementById('greet').click()")
        page.connect()
        ended = page.wait(lambda: page.log("TurnEnded"), "the reply")[0]

        heard = [event.text for event in server.events if isinstance(event, Transcript) and event.final]
        shown = {entry["role"]: entry for entry in page.entries()}
        assert "room" in heard[0]
        assert shown["user"]["text"] == heard[0]
        assert (shown["assistant"]["text"], shown["assistant"]["struck"]) == (ended["said"], "")
        samples = sum(chunk.samples for chunk in server.events if isinstance(chunk, AudioChunk) and chunk.turn == 1)
        played = page.wait(lambda: [s for s in page.segments(1) if s["why"] == "ended"], "the end of the sound")
        assert played[0]["sample"] == samples > 0
        assert (ended["heard"]["basis"], ended["heard"]["text"]) == ("measured", ended["said"])
        assert page.text("#voice-to-voice").endswith(" ms")


def test_a_barge_in_flushes_the_player_and_cuts_what_is_kept_at_the_last_word_heard(
    quiet_browser: webdriver.Chrome, serve: Serve, clips: Path
) -> None:
    reasoner = ScriptedReasoner([LONG, "As you wish."], 0.05)
    server = serve(lambda: Cascade(ScriptedRecognizer(["stop it please"]), reasoner, EspeakSynthesizer("en-us")))
    page = Page(quiet_browser, server.url)
    page.speaks_into_microphone()
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.type("When does it open?")
    page.wait(lambda: page.run("return (voiceloop.player.head.at()?.ms ?? 0) > 1500"), "some of the reply")
    page.speak(clips / "ps_goforward.wav")
    page.wait(lambda: any(s["turn"] == 2 for s in page.log("playing")), "the second reply")

    flushed = page.segments(1)[-1]
    assert flushed["why"] == "flushed"
    assert page.log("Interrupted")[0]["turn"] == 1
    # Nothing of the dead turn is played after the flush, though more of it was here.
    later = page.run("return voiceloop.player.head.segments.filter((s) => s.frame > arguments[0])", flushed["frame"])
    assert {segment["turn"] for segment in later} == {2}
    assert page.run("return voiceloop.player.head.reached(1)") * 24 == pytest.approx(flushed["sample"], abs=1)
    # The session keeps what the player says was heard, to the word.
    ended = next(event for event in server.events if isinstance(event, TurnEnded) and event.turn == 1)
    assert (ended.reason, ended.heard.basis) == ("interrupted", "measured")
    assert ended.heard.ms == pytest.approx(flushed["sample"] / 24, abs=0.1)
    assert LONG.startswith(ended.heard.text)
    assert 0 < len(ended.heard.text) < len(LONG)
    entry = next(entry for entry in page.entries() if entry["role"] == "assistant")
    assert entry["text"] == LONG
    assert entry["struck"] == LONG[len(ended.heard.text) :]
    assert any(isinstance(event, Interrupted) for event in server.events)


def test_lips_keep_to_the_sound(quiet_browser: webdriver.Chrome, serve: Serve) -> None:
    reasoner = ScriptedReasoner([LONG[:108]], 0.05)
    server = serve(lambda: Cascade(ScriptedRecognizer(), reasoner, EspeakSynthesizer("en-us")))
    page = Page(quiet_browser, server.url)
    page.run("document.getElementById('greet').click()")
    page.connect()
    page.run(WATCH_LIPS)
    page.type("When does it open?")
    page.wait(lambda: page.log("TurnEnded"), "the reply")

    visemes = [event for event in server.events if isinstance(event, Viseme)]
    assert not any(viseme.late for viseme in visemes)
    drawn = page.run("return window.drawn")
    starts = np.array([viseme.ms for viseme in visemes])
    shapes = [visemes[max(0, int(np.searchsorted(starts, ms, "right")) - 1)].code for ms, _, _ in drawn]
    assert len(set(shapes)) > 8
    assert [shown for ms, shown, _ in drawn if ms >= starts[0]] == [
        shape for shape, (ms, _, _) in zip(shapes, drawn, strict=True) if ms >= starts[0]
    ]
    skews = [abs(ms - sounding) for ms, _, sounding in drawn if sounding is not None]
    assert len(skews) > 30
    assert float(np.percentile(skews, 95)) <= 45


# Audio whose every sample tells its own number: what is played can be read off the output.
TRACE = """
const done = arguments[0];
(async () => {
  const { PlayQueue } = await import('/audio/play-queue.js');
  const segments = [], queue = new PlayQueue(24000, 48000, (s) => segments.push(s));
  const ramp = (from, count) => Int16Array.from({ length: count }, (_, i) => from + i + 1);
  const out = [];
  let frame = 0;
  const run = (blocks) => {
    for (let i = 0; i < blocks; i++, frame += 128) {
      const block = new Float32Array(128);
      queue.render(block, frame);
      out.push(...block);
    }
  };
  queue.push(1, 0, ramp(0, 4800)); run(10);
  queue.push(1, 4800, ramp(4800, 4800)); run(20);
  queue.pause(1); run(10); queue.resume(1); run(130);
  queue.push(1, 9600, ramp(9600, 6000)); run(40);
  queue.flush(1); run(10); queue.push(1, 15600, ramp(15600, 3000)); run(20);
  queue.push(2, 0, ramp(20000, 2400)); queue.end(2); run(60);
  done({ segments, out });
})();
"""


def test_the_player_says_to_the_sample_what_it_plays(quiet_browser: webdriver.Chrome, serve: Serve) -> None:
    server = serve(lambda: Cascade(ScriptedRecognizer(), ScriptedReasoner(), EspeakSynthesizer("en-us")))
    page = Page(quiet_browser, server.url)
    traced = page.browser.execute_async_script(TRACE)
    out = np.array(traced["out"]) * 32768
    segments = traced["segments"]
    whys = [(segment["turn"], segment["why"]) for segment in segments]
    assert whys == [
        (1, "playing"), (1, "paused"), (1, "playing"), (1, "dry"), (1, "playing"), (1, "flushed"),
        (2, "playing"), (2, "ended"),
    ]  # fmt: skip
    first = {1: 1, 2: 20001}
    for segment, after in zip(segments, [*segments[1:], None], strict=True):
        end = after["frame"] if after else len(out)
        frames = np.arange(segment["frame"], end)
        if segment["step"] == 0:
            assert not out[frames].any()
            continue
        # Fades at both ends, and the interpolation's reach, are left out.
        inner = frames[400:-400]
        expected = first[segment["turn"]] + segment["sample"] + (inner - segment["frame"]) * segment["step"]
        assert inner.size > 100
        assert np.abs(out[inner] - expected).max() < 2
        assert after is not None
        assert after["sample"] == pytest.approx(segment["sample"] + frames.size * segment["step"], abs=0.6)
