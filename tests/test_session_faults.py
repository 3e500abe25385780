"""Providers fail in every place: one typed error that names them, after what was produced, and nothing left."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import attrs
import pytest

import voiceloop as vl
from voiceloop.testing.event_log import check_log
from voiceloop.testing.scripted import Delay, Fail, Hang, ScriptedCaller, ScriptedSpeechModel, Speak, Until

from .session_kit import LONG, cascade, collect, of, others, session, the

pytestmark = pytest.mark.virtual_time

TALK = [Speak(600), Until(vl.TurnEnded)]
BUG = RuntimeError("a bug in the provider")

FAULTS: dict[str, tuple[dict[str, Any], type[vl.VoiceloopError], str]] = {
    "the recognizer does not open": ({"hears": {"on_open": Fail()}}, vl.ProviderUnavailable, "scripted"),
    "the recognizer has a bug": ({"hears": {"on_open": Fail(BUG)}}, vl.ProviderMisbehaved, "scripted recognizer"),
    "the recognizer hangs on opening": ({"hears": {"on_open": Hang()}}, vl.ProviderTimeout, "scripted recognizer"),
    "the recognizer breaks on audio": (
        {"hears": {"on_send": Fail(), "send_ms": 300}},
        vl.ProviderUnavailable,
        "scripted",
    ),
    "the recognizer takes nothing": ({"hears": {"on_send": Hang(), "send_ms": 300}}, vl.InputStalled, "scripted"),
    "the recognizer breaks in speech": ({"said": [Fail(BUG)]}, vl.ProviderMisbehaved, "scripted recognizer"),
    "the reasoner refuses": ({"replies": [Fail()]}, vl.ProviderUnavailable, "scripted"),
    "the reasoner has a bug": ({"replies": [Fail(BUG)]}, vl.ProviderMisbehaved, "scripted reasoner"),
    "no first token": ({"replies": [Hang()]}, vl.ProviderTimeout, "scripted reasoner"),
    "no voice": ({"speaks": {"faults": {0: Fail()}}}, vl.ProviderUnavailable, "scripted"),
    "the voice has a bug": ({"speaks": {"faults": {0: Fail(BUG)}}}, vl.ProviderMisbehaved, "scripted synthesizer"),
    "the voice hangs": ({"speaks": {"faults": {0: Hang()}}}, vl.ProviderTimeout, "scripted synthesizer"),
}


def model_of(parts: dict[str, Any]) -> vl.Cascade:
    parts = {"said": ["yes please"], "replies": ["It is ten past five."], **parts}
    return cascade(parts.pop("said"), parts.pop("replies"), **parts)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failure_is_raised_once_bare_and_names_its_provider(fault: str) -> None:
    parts, kind, provider = FAULTS[fault]
    caller = ScriptedCaller(TALK)
    running = session(model_of(parts))
    with pytest.raises(kind) as failure:
        async with running:
            await caller.talk(running)
    assert provider in str(failure.value)
    assert failure.value.doing or "scripted" in str(failure.value)
    assert others() == set()
    assert check_log(caller.log, complete=False) == []
    if caller.log:
        assert the(caller.log, vl.SessionEnded).reason == "failed"
        assert type(caller.log[-1]) is vl.SessionEnded


@pytest.mark.parametrize("fault", [name for name in FAULTS if "open" not in name and "bug" not in name])
async def test_leaving_raises_what_no_iterator_told(fault: str) -> None:
    parts, kind, _ = FAULTS[fault]
    with pytest.raises(kind):
        async with session(model_of(parts)) as running:
            with suppress(vl.SessionClosed, vl.InputStalled):
                await ScriptedCaller(TALK)._act(running)
            await anyio.sleep(60)
    assert others() == set()


async def test_after_the_failure_calls_say_so() -> None:
    running = session(cascade([], [Fail()]))
    with pytest.raises(vl.ProviderUnavailable) as failure:
        async with running:
            await running.send_text("Hi")
            await anyio.sleep(1)
            with pytest.raises(vl.SessionFailed) as late:
                await running.send_audio(bytes(640))
            assert late.value.__cause__ is not None
            with pytest.raises(vl.SessionFailed):
                await running.say("Hello")
            await collect(running, [])
    assert late.value.__cause__ is failure.value


async def test_the_iterator_ends_after_it_has_raised() -> None:
    async with session(cascade([], [Fail()])) as running:
        await running.send_text("Hi")
        with pytest.raises(vl.ProviderUnavailable):
            await collect(running, [])
        with pytest.raises(StopAsyncIteration):
            await running.__anext__()


async def test_the_bodys_own_error_wins() -> None:
    with pytest.raises(ZeroDivisionError):
        async with session(cascade([], [Fail()])) as running:
            await running.send_text("Hi")
            await anyio.sleep(1)
            raise ZeroDivisionError
    assert others() == set()


async def test_what_was_made_before_the_failure_still_comes() -> None:
    log: list[vl.Event] = []
    running = session(cascade([], ["First sentence is fine. The second one is not."], speaks={"faults": {1: Fail()}}))
    with pytest.raises(vl.ProviderUnavailable):
        async with running:
            await running.send_text("Hi")
            await collect(running, log)
    ended = the(log, vl.TurnEnded)
    assert ended.reason == "failed"
    assert sum(chunk.duration_ms for chunk in of(log, vl.AudioChunk)) >= 23 * 60 - 1
    assert ended.heard.text.startswith("First sentence is fine.")


async def test_a_handle_resolves_when_the_session_fails() -> None:
    with pytest.raises(vl.ProviderUnavailable):
        async with session(cascade([], [], speaks={"faults": {0: Fail()}})) as running:
            first, second = await running.say(LONG), await running.say("Later.")
            with anyio.fail_after(5):
                assert (await first.done()).text == ""
                assert (await second.done()).dropped == "the session failed"


async def test_a_link_that_ends_is_unavailable() -> None:
    from voiceloop.interfaces import LinkNotice

    model = ScriptedSpeechModel(opening=[LinkNotice("a", "b"), Delay(1), Fail()])
    log: list[vl.Event] = []
    with pytest.raises(vl.ProviderUnavailable):
        async with vl.Session(model, turns="manual") as running:
            await collect(running, log)
    assert the(log, vl.Notice).code == "a"


async def test_connecting_has_a_deadline() -> None:
    model = ScriptedSpeechModel(on_connect=Hang())
    with pytest.raises(vl.ProviderTimeout, match="did not connect within 3 s"):
        async with vl.Session(model, limits=vl.Limits(connect=3)):
            raise AssertionError("connected")
    assert others() == set()


async def test_two_failures_at_once_are_one() -> None:
    parts = {"hears": {"on_send": Fail(), "send_ms": 300}, "replies": [Fail()]}
    with pytest.raises(vl.ProviderUnavailable) as failure:
        async with session(model_of(parts)) as running:
            await running.send_text("Hi")
            await ScriptedCaller(TALK).talk(running)
    assert not isinstance(failure.value, BaseExceptionGroup)


# ---------------------------------------------------------------- slow takers, stalled input


async def test_a_stalled_model_stops_taking_input() -> None:
    running = session(
        cascade(["yes"], [], hears={"on_send": Hang()}), limits=vl.Limits(input_stall=2, input_buffer=1)
    )
    with pytest.raises(vl.InputStalled):
        async with running:
            with pytest.raises(vl.SessionFailed):
                for _ in range(100):
                    await running.send_audio(bytes(640))
                    await anyio.sleep(0.02)


async def test_nobody_takes_events() -> None:
    with pytest.raises(vl.SlowConsumer):
        async with session(cascade([], ["Good."])) as running:
            await running.send_text("Hi")
            await anyio.sleep(100)
    assert others() == set()


async def test_too_many_signals() -> None:
    with pytest.raises(vl.SlowConsumer):
        async with session(cascade([], []), limits=vl.Limits(signals=10)) as running:
            for _ in range(20):
                await running.update(speak=False)
            await anyio.sleep(3)


async def test_a_taker_that_polls_is_not_slow() -> None:
    async with session(cascade([], [["A. ", Delay(14), "B. ", Delay(14), "C."]])) as running:
        await running.send_text("Hi")
        for _ in range(900):
            with anyio.move_on_after(0.05):
                await running.__anext__()
            await anyio.sleep(0.05)


async def test_a_paused_taker_loses_nothing() -> None:
    log: list[vl.Event] = []
    model = cascade([], [LONG * 4])
    async with session(model) as running:
        await running.send_text("Hi")
        await anyio.sleep(20)
        await running.end_input()
        await collect(running, log)
    assert the(log, vl.TurnEnded).heard.text == (LONG * 4)
    assert check_log(log) == []


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(vl.Limits)])
async def test_no_limit_is_a_limit_too(name: str) -> None:
    log: list[vl.Event] = []
    async with session(cascade([], ["Good."]), limits=vl.Limits(**{name: float("inf")})) as running:
        await running.send_audio(bytes(640))
        await running.send_text("Hi")
        await running.end_input()
        await collect(running, log)
    assert the(log, vl.TurnEnded).heard.text == "Good."
