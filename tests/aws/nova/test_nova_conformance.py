"""Nova Sonic keeps the contract of every speech model."""

from __future__ import annotations

import pytest

from voiceloop.aws.nova import NovaSonic
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.conformance import check_speech_model
from voiceloop.testing.scripted import tone

pytestmark = pytest.mark.virtual_time(seed=0)


@pytest.mark.parametrize("model", ["amazon.nova-sonic-v1:0", "amazon.nova-2-sonic-v1:0", "amazon.nova-2-5-sonic"])
async def test_it_conforms(model: str) -> None:
    async with Emulator(Backing.scripted(["a table"], ["For when? I will look."])) as aws:
        sonic = NovaSonic(account=aws.account(memory=True), model=model)
        await check_speech_model(sonic, tone(800), realtime=True)
