"""Stacks by name: what the environment says of them, and whose keys they use."""

from __future__ import annotations

from typing import Any

import pytest

import voiceloop as vl
from voiceloop import presets
from voiceloop.aws import Account, Bedrock, NovaSonic
from voiceloop.errors import BadInput
from voiceloop.testing import virtual_time
from voiceloop.transports.websocket import Keys


def test_the_local_stack_says_that_it_is_a_set_of_rules() -> None:
    stack = presets.local()
    assert "no language model" in stack.about
    assert stack.free
    assert stack.keys == "none"
    assert {tool.name for tool in stack.tools} >= {"book_room"}
    assert stack.voice in {voice.name for voice in stack.voices}


def test_bedrock_from_the_environment() -> None:
    stack = presets.aws(
        environ={
            "AWS_BEDROCK_REGION": "eu-west-1",
            "AWS_BEDROCK_MODEL_ID": "eu.anthropic.claude-haiku-5-5",
            "AWS_BEDROCK_MAX_TOKENS": "500",
            "AWS_BEDROCK_TEMPERATURE": "0.3",
            "AWS_BEDROCK_TOP_P": "",
            "AWS_BEDROCK_MAX_RETRIES": "3",
        },
        account=Account(region="us-west-2"),
    )
    assert isinstance(stack.model, vl.Cascade)
    reasoner = stack.model.reasoner
    assert isinstance(reasoner, Bedrock)
    assert (reasoner.account.region, reasoner.model) == ("eu-west-1", "eu.anthropic.claude-haiku-5-5")
    assert (reasoner.max_tokens, reasoner.temperature, reasoner.backoff.attempts) == (500, 0.3, 4)
    assert stack.model.recognizer.account.region == "us-west-2"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["NOVA_SONIC_VOICE_ID", "NOVA_VOICE_ID"])
def test_nova_from_the_environment(name: str) -> None:
    environ = {
        name: "tiffany",
        "NOVA_SONIC_SAMPLE_RATE": "16000",
        "NOVA_SONIC_SESSION_TIMEOUT": "60000",
        "NOVA_AWS_ACCESS_KEY_ID": "AK",
        "NOVA_AWS_SECRET_ACCESS_KEY": "sk",
        "NOVA_AWS_REGION": "eu-north-1",
    }
    model = presets.nova(environ=environ).model
    assert isinstance(model, NovaSonic)
    assert (model.voice, model.output_rate, model.deadline, model.renew_after) == ("tiffany", 16_000, 60, 48)
    assert model.account.region == "eu-north-1"
    assert model.account.keys is not None


def test_the_longest_timeout_stays_within_the_services_own() -> None:
    model = presets.nova(environ={"NOVA_SONIC_SESSION_TIMEOUT": "480000"}).model
    assert isinstance(model, NovaSonic)
    assert model.deadline == 440


@pytest.mark.parametrize(
    ("value", "name"),
    [("true", "nova"), (" TRUE ", "nova"), ("1", "nova"), ("false", "local"), ("0", "local"), ("", "local")],
)
def test_the_switch_to_nova_sonic(value: str, name: str) -> None:
    assert presets.usual({"USE_NOVA_SONIC": value}) == name
    assert presets.usual({}) == "local"


def test_a_switch_that_is_neither_on_nor_off() -> None:
    with pytest.raises(BadInput, match="USE_NOVA_SONIC='maybe': true or false"):
        presets.usual({"USE_NOVA_SONIC": "maybe"})


@pytest.mark.parametrize(
    ("make", "environ", "told"),
    [
        (presets.aws, {"AWS_BEDROCK_MAX_TOKENS": "many"}, "AWS_BEDROCK_MAX_TOKENS='many'"),
        (presets.aws, {"AWS_BEDROCK_TEMPERATURE": "warm"}, "AWS_BEDROCK_TEMPERATURE='warm'"),
        (presets.nova, {"NOVA_SONIC_SESSION_TIMEOUT": "-1"}, "NOVA_SONIC_SESSION_TIMEOUT"),
        (presets.nova, {"NOVA_SONIC_VOICE_ID": "tifany"}, "tiffany"),
        (presets.nova, {"NOVA_AWS_ACCESS_KEY_ID": "AKHIDDEN"}, "go together"),
    ],
)
def test_what_cannot_be_is_named(make: Any, environ: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        make(environ=environ)
    assert "HIDDEN" not in str(refused.value)


def test_users_bring_keys_of_their_own() -> None:
    stacks = presets.with_keys_only((presets.local(), presets.aws(environ={}), presets.nova(environ={})))
    assert [(stack.name, stack.keys) for stack in stacks] == [("aws", "required"), ("nova", "required")]
    with pytest.raises(BadInput, match="needs your AWS keys"):
        stacks[1].model_for(None)
    model = stacks[1].model_for(Keys("AK", "sk", region="us-west-2"))
    assert isinstance(model, NovaSonic)
    assert (model.account.region, model.account.keys.access_key) == ("us-west-2", "AK")  # type: ignore[union-attr]
    assert "sk" not in repr(model.account.keys)


async def test_both_on_one_emulator() -> None:
    async with presets.emulated("aws", "nova") as (aws, nova):
        assert (aws.name, nova.name) == ("aws", "nova")
        assert aws.keys == nova.keys == "none"
        assert "no language model" in nova.about
        assert (aws.hello is None, nova.hello is None) == (False, True)


def test_they_are_in_memory_on_simulated_time() -> None:
    async def enter() -> None:
        async with presets.emulated("aws", "nova") as stacks:
            assert all(stack.model is not None for stack in stacks)

    virtual_time.run(enter)
