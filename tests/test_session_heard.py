"""What was heard: position reports in every order, and what is stored."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

import voiceloop as vl
from voiceloop.conversation import AssistantEntry
from voiceloop.memory import InProcessMemory
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import Delay

from .session_kit import LONG, cascade, collect, of, session, the

pytestmark = pytest.mark.virtual_time


class Player:
    """A session that says ``LONG``; its application reports as it likes."""

    def __init__(self, **options: object) -> None:
        self.log: list[vl.Event] = []
        self.memory = InProcessMemory()
        self.session = session(cascade(), memory=self.memory, **options)

    async def run(self, play) -> vl.TurnEnded:  # type: ignore[no-untyped-def]
        async with self.session as running, anyio.create_task_group() as group:
            group.start_soon(collect, running, self.log)
            self.handle = await running.say(LONG)
            await play(running)
            await self.handle.done()
            with suppress(vl.SessionClosed):
                await running.end_input()
        assert_log(self.log)
        ended = of(self.log, vl.TurnEnded)[0]
        [entry] = await self.memory.load(running.conversation_id)
        assert isinstance(entry, AssistantEntry)
        assert entry.heard == ended.heard == await self.handle.done()
        return ended


async def test_no_reports_at_all() -> None:
    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)  # 100 ms until the first audio
        await running.interrupt()

    ended = await Player().run(play)
    assert (ended.heard.ms, ended.heard.basis, ended.heard.uncertainty_ms) == (1500, "estimated", 300)
    assert ended.heard.text == "One two three four five"


async def test_without_reports_the_turn_settles_after_a_second() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await running.interrupt()

    ended = await player.run(play)
    assert ended.at == pytest.approx(the(player.log, vl.Interrupted).at + 1.0)


async def test_the_last_word_is_the_players() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await running.interrupt()
        running.played(1, 700, stopped=True)

    ended = await player.run(play)
    assert (ended.heard.ms, ended.heard.basis, ended.heard.uncertainty_ms) == (700, "measured", 0)
    assert ended.heard.text == "One two"
    assert the(player.log, vl.Interrupted).heard.text == "One two three four five"
    assert ended.at == the(player.log, vl.Interrupted).at


async def test_the_last_word_may_come_late() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await running.interrupt()
        await anyio.sleep(0.9)
        running.played(1, 700, stopped=True)

    assert (await player.run(play)).heard.ms == 700


async def test_the_last_word_may_come_too_late() -> None:
    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await running.interrupt()
        await anyio.sleep(1.1)
        running.played(1, 700, stopped=True)

    assert (await Player().run(play)).heard.ms == 1500


async def test_more_than_was_delivered_cannot_be_heard() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await running.interrupt()
        running.played(1, 1e9, stopped=True)

    ended = await player.run(play)
    assert ended.heard.ms == 1500  # the time since the first audio left
    assert ended.heard.ms <= sum(chunk.duration_ms for chunk in of(player.log, vl.AudioChunk))


async def test_a_slow_player_delays_the_rest() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        for step in range(200):
            await anyio.sleep(0.1)
            running.played(1, step * 50)  # at half speed
            if of(player.log, vl.TurnEnded):
                break

    ended = await player.run(play)
    assert ended.heard.text == LONG
    assert ended.at > 9.0
    for chunk in of(player.log, vl.AudioChunk):
        assert chunk.ms + chunk.duration_ms <= max(0.0, (chunk.at * 1000 - 100)) / 2 + 600 + 160


async def test_reports_out_of_order_do_no_harm() -> None:
    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.1)
        running.played(1, 900)
        running.played(1, 800)
        await anyio.sleep(0.5)
        await running.interrupt()

    heard = (await Player().run(play)).heard
    assert heard.basis == "estimated"
    assert heard.ms == 1400  # the later report overtook the earlier one, which says nothing new
    assert heard.uncertainty_ms >= 500


@pytest.mark.parametrize("turn", [0, 2, 99, -1])
async def test_reports_about_other_turns_are_ignored(turn: int) -> None:
    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        running.played(turn, 10, stopped=True)
        await running.interrupt()

    assert (await Player().run(play)).heard.ms == 1500


async def test_reports_before_and_after_everything_are_ignored() -> None:
    async def play(running: vl.Session) -> None:
        running.played(1, 500)
        running.played(1, 500, stopped=True)
        await anyio.sleep(1.6)
        await running.interrupt()

    player = Player()
    ended = await player.run(play)
    assert (ended.heard.ms, ended.heard.basis) == (1500, "estimated")
    player.session.played(1, 20)
    player.session.played(1, 20, stopped=True)


async def test_a_player_that_stops_by_itself_ends_the_turn() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        running.played(1, 1200, stopped=True)

    ended = await player.run(play)
    assert (ended.heard.ms, ended.heard.basis, ended.reason) == (1200, "measured", "interrupted")
    assert ended.at == pytest.approx(1.6)


async def test_a_player_that_stops_after_the_last_audio_completes_the_turn() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(4.9)
        running.played(1, 4860, stopped=True)

    ended = await player.run(play)
    assert (ended.reason, ended.heard.text) == ("completed", LONG)


@pytest.mark.parametrize("last", [1140, 1139.6])
async def test_the_last_report_may_come_after_the_estimated_end(last: float) -> None:
    log: list[vl.Event] = []
    # All audio is out long before the model says that this was all: at 1.63 s, when it should have been played.
    model = cascade(replies=[["One two three four.", Delay(1.4)]])
    async with session(model) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        await running.send_text("Count")
        await anyio.sleep(1.3)
        running.played(1, 900)
        await anyio.sleep(0.4)
        running.played(1, last)
        await running.end_input()
    ended = the(log, vl.TurnEnded)
    assert (ended.heard.ms, ended.heard.basis, ended.heard.text) == (1140, "measured", "One two three four.")
    assert ended.at == pytest.approx(1.7)


async def report(running: vl.Session, ms: float, times: int, *, every: float = 0.1) -> None:
    """The player says again and again that it is there."""
    for _ in range(times):
        running.played(1, ms)
        await anyio.sleep(every)


@pytest.mark.parametrize("lead", [0.6, 60.0])
async def test_a_player_that_stands_still_ends_the_turn_where_it_stands(lead: float) -> None:
    """With all audio delivered, or not."""
    player = Player(lead=lead, limits=vl.Limits(session=8))

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await report(running, 700, 102)

    ended = await player.run(play)
    assert (ended.reason, ended.heard.text) == ("interrupted", "One two")
    assert (ended.heard.ms, ended.heard.basis, ended.heard.uncertainty_ms) == (700, "measured", 0)
    assert ended.at == pytest.approx(11.6)
    assert [notice.code for notice in of(player.log, vl.Notice)] == ["player-stalled"]
    assert the(player.log, vl.SessionEnded).reason == "limit"


async def test_a_player_that_waits_for_audio_does_not_stand_still() -> None:
    log: list[vl.Event] = []
    text = "One two three four."
    async with session(cascade(replies=[[text, Delay(14), " Five."]])) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        await running.send_text("Count")
        await anyio.sleep(1.5)
        await report(running, 1140, 130)
        await running.end_input()
    assert (the(log, vl.TurnEnded).reason, the(log, vl.TurnEnded).heard.text) == ("completed", text + " Five.")


async def test_a_player_that_goes_on_after_a_while_is_waited_for() -> None:
    player = Player()

    async def play(running: vl.Session) -> None:
        await anyio.sleep(1.6)
        await report(running, 700, 95)
        for ms in range(800, 5000, 100):
            await report(running, ms, 1)

    ended = await player.run(play)
    assert (ended.reason, ended.heard.text, ended.heard.basis) == ("completed", LONG, "measured")


async def test_to_a_file_what_left_was_heard() -> None:
    player = Player(lead=None)

    async def play(running: vl.Session) -> None:
        await anyio.sleep(0.3)
        await running.interrupt()

    ended = await player.run(play)
    assert ended.heard.ms == pytest.approx(sum(chunk.duration_ms for chunk in of(player.log, vl.AudioChunk)))
    assert ended.at == pytest.approx(0.3)


async def test_without_word_times_the_text_is_an_estimate() -> None:
    log: list[vl.Event] = []
    async with session(cascade(speaks={"marks": False})) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log)
        handle = await running.say(LONG)
        await anyio.sleep(2.6)
        await running.interrupt()
        running.played(1, 2500, stopped=True)
        heard = await handle.done()
        await running.end_input()
    assert heard.basis == "estimated"
    assert heard.uncertainty_ms > 0
    assert LONG.startswith(heard.text)
    assert 20 <= len(heard.text) <= 55


@pytest.mark.parametrize("ms", [float("nan"), float("inf"), "12", None])
async def test_a_position_must_be_a_number(ms: object) -> None:
    async with session(cascade()) as running:
        with pytest.raises(vl.BadInput, match="ms="):
            running.played(1, ms)  # type: ignore[arg-type]


async def test_text_that_did_not_leave_was_not_read() -> None:
    log: list[vl.Event] = []
    model = cascade([], ["One two three four five six seven."], thinks={"token": 0.0})
    async with session(model, speak=False) as running, anyio.create_task_group() as group:
        group.start_soon(collect, running, log, 1.0)
        await running.send_text("Hi")
        await anyio.sleep(6.5)
        await running.interrupt()
        await running.end_input()
    assert_log(log)
    ended = the(log, vl.TurnEnded)
    shown = "".join(event.text for event in of(log, vl.ReplyText))
    assert ended.heard.text == shown
    assert ended.said.startswith(shown)
    assert 0 < len(shown) < len(ended.said)


async def test_a_turn_that_was_dropped_was_not_heard() -> None:
    log: list[vl.Event] = []
    async with (
        session(cascade([], ["One."], thinks={"first_token": 0.0}), speak=False) as running,
        anyio.create_task_group() as group,
    ):
        await running.send_text("Hi")
        await anyio.sleep(1)
        await running.interrupt()
        await running.end_input()
        group.start_soon(collect, running, log)
    assert of(log, vl.ReplyText) == []
    assert of(log, vl.TurnEnded) == []
