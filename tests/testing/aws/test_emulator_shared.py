"""What tests may share, and change while an emulator runs: scripts and denied actions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import voiceloop as vl
from voiceloop.aws import Bedrock, Polly, Transcribe
from voiceloop.errors import BadInput, UnknownName
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer, ScriptedSynthesizer

SCRIPT = Backing.scripted(heard=["a table for two"], replies=["one", "two", "three"])


async def ask(aws: Emulator, questions: Sequence[str] = ("hi",)) -> list[str]:
    """What is answered to typed questions."""
    account = aws.account(memory=True)
    model = vl.Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))
    said: list[str] = []
    for question in questions:
        async with vl.Session(model, lead=None) as session:
            await session.send_text(question)
            await session.end_input()
            said += [event.said async for event in session if isinstance(event, vl.TurnEnded)]
    return said


@pytest.mark.virtual_time
@pytest.mark.parametrize("time", ["first", "second"])
@pytest.mark.aws_emulator(SCRIPT)
async def test_a_script_begins_anew_with_each_fixture(aws_emulator: Emulator, time: str) -> None:
    assert await ask(aws_emulator) == ["one"], time


@pytest.mark.virtual_time
async def test_a_script_goes_on_within_an_emulator_and_not_in_the_next() -> None:
    for _ in range(2):
        async with Emulator(SCRIPT) as aws:
            assert await ask(aws, ("a", "b")) == ["one", "two"]


@pytest.mark.virtual_time
async def test_engines_of_ones_own_go_on_and_are_the_ones_that_were_given() -> None:
    reasoner = ScriptedReasoner(["one", "two"])
    backing = Backing(ScriptedRecognizer(), reasoner, ScriptedSynthesizer())
    said = []
    for _ in range(2):
        async with Emulator(backing) as aws:
            said += await ask(aws)
    assert said == ["one", "two"]
    assert len(reasoner.requests) == 2


@pytest.mark.virtual_time
async def test_what_is_denied_can_be_set() -> None:
    async with Emulator(SCRIPT) as aws:
        aws.denied = ["bedrock:*"]
        with pytest.raises(vl.ProviderRefused, match="bedrock:InvokeModelWithResponseStream"):
            await ask(aws)
        with pytest.raises(UnknownName, match="poly"):
            aws.denied = {"poly:*"}
        with pytest.raises(UnknownName, match="poly"):
            aws.denied.add("poly:*")
        with pytest.raises(UnknownName, match="transcibe"):
            aws.denied |= {"polly:*", "transcibe:*"}
        aws.denied.discard("polly:*")
        with pytest.raises(BadInput, match="denied=str"):
            aws.denied = "polly:*"
        assert aws.denied == {"bedrock:*"}
        aws.denied = set()
        assert await ask(aws) == ["one"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("key", ["", "ABSK-of-whoever-runs-the-tests"])
@pytest.mark.aws_emulator(SCRIPT)
async def test_an_api_key_in_the_environment_is_not_for_the_emulator(
    aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
    assert await ask(aws_emulator) == ["one"]
    assert ("bedrock:CallWithBearerToken", "*") not in aws_emulator.actions
