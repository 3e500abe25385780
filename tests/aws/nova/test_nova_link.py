"""The link against the emulated service: turns, text, tools, barge-in, as the session sees them."""

from __future__ import annotations

import pytest

from voiceloop.interfaces import (
    Final,
    ModelSpeechStarted,
    ModelUsage,
    ReplyAudio,
    ReplyEnded,
    ReplySpan,
    ReplyStarted,
    Settled,
)

from .nova_link_kit import talk

pytestmark = pytest.mark.virtual_time(seed=0)


async def test_a_spoken_turn() -> None:
    async with talk() as running:
        await running.says()
        await running.ends(ReplyEnded)
        await running.ends(Settled, 2)
    assert running.heard == ["a table for two"]
    assert running.said() == ["For when? I can look now."]
    assert running.of(ReplyStarted) == [ReplyStarted(1, None)]
    audio = sum(len(event.pcm) for event in running.of(ReplyAudio)) / 2 / 24
    spans = {event.start: event for event in running.of(ReplySpan)}
    assert [(span.start, span.end) for span in spans.values()] == [(0, 9), (10, 25)]
    assert spans[10].end_ms == pytest.approx(audio)
    assert running.of(Settled)[-1].text == "For when? I can look now."
    assert running.of(ModelSpeechStarted)
    assert running.of(ModelUsage)
    (first,) = running.of(Final)
    assert running.events.index(first) < running.events.index(running.of(ReplyStarted)[0])
    (connection,) = running.nova.connections
    assert connection.ended == "closed"
    assert connection.system[0].text == "Be brief."
