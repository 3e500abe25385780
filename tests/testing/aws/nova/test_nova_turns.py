"""The order of events: plain turns, several sentences, several turns."""

from __future__ import annotations

import pytest
from .nova_kit import calling, service

from voiceloop.testing.aws.backing import Backing


@pytest.mark.virtual_time
async def test_a_spoken_turn_from_the_first_event_to_the_last() -> None:
    async with service(Backing.scripted(["book a room"], ["For when? Tell me."])) as nova, calling(nova) as client:
        await client.open()
        await client.turn(replies=2)
        await client.close()
    assert client.outline() == [
        "userSpeechStart",
        "completionStart",
        "userSpeechEnd",
        "TEXT USER FINAL 'book a room' PARTIAL_TURN",
        "TEXT ASSISTANT SPECULATIVE 'For when?' PARTIAL_TURN",
        "AUDIO ASSISTANT PARTIAL_TURN",
        "TEXT ASSISTANT SPECULATIVE 'Tell me.' PARTIAL_TURN",
        "AUDIO ASSISTANT END_TURN",
        "TEXT ASSISTANT FINAL 'For when?' PARTIAL_TURN",
        "TEXT ASSISTANT FINAL 'Tell me.' END_TURN",
        "completionEnd",
    ]
    (record,) = nova.connections
    assert record.ended == "closed"
    assert client.exchange.finished
