"""Nova Sonic as a part of the emulator: found by its path, its permission, its record."""

from __future__ import annotations

import pytest

from voiceloop.testing.aws import Emulator
from voiceloop.testing.aws.backing import Backing

from .nova_kit import path_of


@pytest.mark.virtual_time
async def test_the_emulator_has_nova_sonic() -> None:
    async with Emulator(Backing.scripted()) as aws:
        assert aws.nova.matches("POST", path_of())
        assert not aws.nova.matches("POST", "/model/amazon.nova-2-sonic-v1:0/converse-stream")
        (pair,) = aws.nova.actions(path_of())
        assert pair == ("bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/amazon.nova-2-sonic-v1:0")
        assert aws.nova.connections == []
