"""Bounded: what waits in a session stays within its limits, and nothing of it grows with its length."""

from __future__ import annotations

import gc
from collections import Counter

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voiceloop as vl
from voiceloop.cascade.reply import Reply
from voiceloop.engine.lanes import Lanes
from voiceloop.engine.turn import Turn
from voiceloop.rules.timeline import Track
from voiceloop.testing import virtual_time
from voiceloop.testing.scripted import silence, tone

from ..session_kit import cascade, session
from .conftest import PROFILE

_AHEAD = 2.0
_CLAUSE_MS = 40 * 60 + 400  # what one clause of 40 characters adds at most, with its pause
_REPLY = "This sentence has about forty letters. " * 6


@settings(PROFILE, max_examples=25)
@given(
    busy=st.lists(st.floats(0, 1.5), min_size=1, max_size=8),
    questions=st.lists(st.floats(0.2, 6), min_size=1, max_size=5),
    speed=st.sampled_from([1.5, 10.0, 1000.0]),
)
def test_what_waits_is_bounded(busy: list[float], questions: list[float], speed: float) -> None:
    """A slow consumer holds synthesis back; audio that waits never exceeds the limit and one clause."""
    virtual_time.run(_slowly, busy, questions, speed)


async def _slowly(busy: list[float], questions: list[float], speed: float) -> None:
    model = cascade([], [_REPLY] * len(questions), speaks={"speed": speed})
    most = 0.0
    async with session(model, limits=vl.Limits(reply_ahead=_AHEAD)) as running, anyio.create_task_group() as group:
        lanes = running._running.conductor.lanes

        async def take() -> None:
            turn = 0
            async for _ in running:
                turn += 1
                await anyio.sleep(busy[turn % len(busy)] / 10)

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, lanes.waiting_ms)
                assert lanes.signals_waiting < 100
                await anyio.sleep(0.05)

        group.start_soon(take)
        group.start_soon(watch)
        for pause in questions:
            await running.send_text("Go on.")
            await anyio.sleep(pause)
        await running.end(after_speech=False)
        group.cancel_scope.cancel()
    assert most <= _AHEAD * 1000 + _CLAUSE_MS


@pytest.mark.parametrize("turns", [5, 40])
def test_turns_leave_nothing_behind(turns: int) -> None:
    alive = virtual_time.run(_after, turns)
    assert alive["Turn"] <= 8
    assert alive["Track"] <= 8
    assert alive["Reply"] <= 2


async def _after(turns: int) -> Counter[str]:
    before = _alive()  # what other tests hold
    model = cascade(["yes please"] * turns, ["Good. And you?"] * turns)
    async with session(model) as running, anyio.create_task_group() as group:
        ended = anyio.Event()

        async def take() -> None:
            async for event in running:
                if isinstance(event, vl.TurnEnded) and event.turn == turns:
                    ended.set()

        group.start_soon(take)
        for _ in range(turns):
            for pcm in (*[tone(100)] * 6, *[silence(100)] * 44):
                await running.send_audio(pcm)
                await anyio.sleep(0.1)
        with anyio.fail_after(10):
            await ended.wait()
        alive = _alive() - before
        group.cancel_scope.cancel()
    return alive


def _alive() -> Counter[str]:
    gc.collect()
    return Counter(type(o).__name__ for o in gc.get_objects() if type(o) in (Turn, Track, Reply))


def test_a_synthesis_that_is_never_held_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_wait(lanes: Lanes, ahead_ms: float) -> None:
        return

    monkeypatch.setattr(Lanes, "room", no_wait)
    with pytest.raises(AssertionError):
        test_what_waits_is_bounded()
