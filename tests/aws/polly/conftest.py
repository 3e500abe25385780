"""What the tests of Polly share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.scripted import ScriptedSynthesizer


def backing() -> Backing:
    """A voice that speaks at once, 60 ms for a character, in chunks of 100 ms."""
    return attrs.evolve(Backing.scripted(), synthesizer=ScriptedSynthesizer(0.0, 1000))


@pytest.fixture
async def aws() -> AsyncIterator[Emulator]:
    """An emulator that speaks."""
    async with Emulator(backing()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def aws_aside() -> Iterator[Emulator]:
    """One in a thread of its own, so that its tasks are not counted among a test's, and it may be blocked for."""
    with start_blocking_portal() as portal:
        emulator = portal.call(lambda: Emulator(backing()))
        with portal.wrap_async_context_manager(emulator):
            yield emulator
