"""The hotline, tested against AWS's protocols on this machine: ``pytest examples/own_service``."""

from __future__ import annotations

import pytest
from hotline import NotNow, answer, live

import voiceloop as vl
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.scripted import tone

QUESTION = tone(600)  # the script says what is heard in it
SCRIPT = Backing.scripted(heard=["Are you open?"], replies=["Until six."])


@pytest.fixture(autouse=True)
def without_an_account(aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that speaks to AWS, voiceloop or any SDK, speaks to the emulator."""
    for name, value in aws_emulator.environ().items():
        monkeypatch.setenv(name, value)


@pytest.mark.aws_emulator(SCRIPT)
async def test_a_question_is_answered() -> None:
    answered = await answer(live(QUESTION))
    assert (answered.heard, answered.said) == ("Are you open?", "Until six.")
    assert len(answered.pcm) > 0


@pytest.mark.aws_emulator(SCRIPT)
async def test_it_needs_no_more_than_its_policy_allows(aws_emulator: Emulator) -> None:
    await answer(live(QUESTION))
    assert {action for action, _ in aws_emulator.actions} == {
        "transcribe:StartStreamTranscription",
        "bedrock:InvokeModelWithResponseStream",
        "polly:SynthesizeSpeech",
        "polly:DescribeVoices",
    }


@pytest.mark.aws_emulator(SCRIPT, faults=[Fault("throttle", "ConverseStream"), Fault("drop", "SynthesizeSpeech")])
async def test_the_caller_does_not_notice_what_passes(aws_emulator: Emulator) -> None:
    assert (await answer(live(QUESTION))).said == "Until six."
    assert aws_emulator.faults.left == ()


@pytest.mark.aws_emulator(SCRIPT, denied=["bedrock:*"])
async def test_the_operator_is_told_what_is_not_allowed() -> None:
    with pytest.raises(NotNow, match="call again tomorrow") as caught:
        await answer(live(QUESTION))
    cause = caught.value.__cause__
    assert isinstance(cause, vl.ProviderRefused)
    assert "bedrock:InvokeModelWithResponseStream" in cause.hint
