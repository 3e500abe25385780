"""Speech of which no words come: waited for, told once, or failed with what the recognizer says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import voiceloop as vl
from voiceloop.interfaces import LinkChanged, ListenConfig, Listening, RecognizerItem
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    Speak,
    Spoken,
    Until,
)

from .session_kit import cascade, finals, of, talk, the

pytestmark = pytest.mark.virtual_time


def codes(log: Sequence[vl.Event]) -> list[str]:
    return [notice.code for notice in of(log, vl.Notice)]


async def test_speech_without_a_word_is_told_once_and_again_after_words() -> None:
    said = [Hang(), Hang(), "yes", Hang()]
    acts = [Speak(900), Delay(8), Speak(900), Delay(8), Speak(900), Until(vl.TurnEnded), Speak(900), Delay(2.5)]
    log = await talk(acts, cascade(said, ["Good."]))
    assert finals(log) == ["yes"]
    assert codes(log) == ["not-recognized"] * 2
    first = of(log, vl.Notice)[0]
    assert first.at == pytest.approx(0.9 + 2.0 + 4.0, abs=0.2)  # nothing may come for so long


@pytest.mark.parametrize("voiced", [140, 300])
async def test_a_noise_is_not_told(voiced: float) -> None:
    assert codes(await talk([Speak(voiced), Delay(9)], cascade([Hang()]))) == []


@pytest.mark.parametrize("can_flush", [True, False])
async def test_speech_of_which_the_recognizer_says_that_it_holds_no_words_is_not_told(can_flush: bool) -> None:
    log = await talk([Speak(900), Delay(9)], cascade([""], hears={"can_flush": can_flush, "final_after": 0.3}))
    assert codes(log) == []


async def test_words_that_come_late_are_answered_and_nothing_else_is_told() -> None:
    log = await talk(
        [Speak(900), Delay(0.2)],
        cascade([Spoken("book a room", final_after=5.0)], ["Good."], hears={"partials": False}),
    )
    assert finals(log) == ["book a room"]
    assert codes(log) == []


async def test_a_pause_between_two_stretches_hides_no_speech() -> None:
    """The first of them was surely speech, the second a noise."""
    hears = {"partials": False}
    model = cascade([Spoken("book a room", final_after=4.0), Hang()], ["Good."], hears=hears)
    log = await talk([Speak(900), Delay(0.4), Speak(120), Delay(0.2)], model)
    assert finals(log) == ["book a room"]


class Reconnecting(ScriptedRecognizer):
    """Loses its connection 0.5 s after it was opened, and connects anew until ``after`` s later, or fails."""

    @asynccontextmanager
    async def open(self, config: ListenConfig) -> AsyncIterator[Listening]:
        async with super().open(config) as listening:
            yield _Lost(listening, self.final_after)


class _Lost(Listening):
    def __init__(self, inner: Listening, after: float) -> None:
        self._inner = inner
        self._after = after

    async def send_audio(self, pcm: bytes) -> None:
        await self._inner.send_audio(pcm)

    async def flush(self, *, end_of_turn: bool) -> None:
        await self._inner.flush(end_of_turn=end_of_turn)

    async def __aiter__(self) -> AsyncIterator[RecognizerItem]:
        await anyio.sleep(0.5)
        yield LinkChanged("recovering", "it broke")  # type: ignore[misc]
        await anyio.sleep(self._after - 0.6)
        if self._after < 20:
            yield LinkChanged("ready")  # type: ignore[misc]
            async for item in self._inner:
                yield item
        Fail().exception.add_note("it could not")
        raise Fail().exception


def reconnecting(after: float) -> vl.Cascade:
    hears = Reconnecting(["book a room"], final_after=after, partials=False)
    return vl.Cascade(hears, ScriptedReasoner(["Good."]), ScriptedSynthesizer())


async def test_what_is_said_while_the_recognizer_connects_anew_is_waited_for_after_the_input() -> None:
    log = await talk([Speak(900), Delay(0.2)], reconnecting(15.0))
    assert finals(log) == ["book a room"]
    assert codes(log) == []
    assert the(log, vl.SessionEnded).at < 25


async def test_a_recognizer_that_cannot_connect_anew_fails_the_session() -> None:
    with pytest.raises(vl.ProviderUnavailable):
        await talk([Speak(900), Delay(0.2)], reconnecting(24.0))


async def test_waiting_for_a_recognizer_that_connects_anew_has_an_end() -> None:
    log = await talk([Speak(900), Delay(0.2)], reconnecting(9000.0))
    assert codes(log) == ["not-recognized"]
    assert the(log, vl.SessionEnded).at == pytest.approx(0.9 + 2.0 + 30.0, abs=1.5)


async def test_a_service_that_accepts_every_stream_and_breaks_it_is_not_silence() -> None:
    """Transcribe, in memory: it either fails the session, or the speech that brought no words is told."""
    from voiceloop.aws import Transcribe
    from voiceloop.testing.aws import Backing, Emulator, Fault

    fault = Fault("reset", "StartStreamTranscription", at=0, times=None)
    log: list[vl.Event] = []
    failed: Any = None
    async with Emulator(Backing.scripted(["book a room"]), faults=[fault]) as aws:
        model = vl.Cascade(
            Transcribe(account=aws.account(memory=True)), ScriptedReasoner(["Good."]), ScriptedSynthesizer()
        )
        try:
            log = await talk([Delay(1), Speak(2000), Delay(12)], model)
        except vl.VoiceloopError as error:
            failed = error
    assert failed is not None or "not-recognized" in codes(log)
