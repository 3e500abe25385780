"""``voiceloop emulator``: its script, and the record of the calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import boto3
from botocore.exceptions import ClientError
bedrock = boto3.client("bedrock-runtime")
asked = [{"role": "user", "content": [{"text": "a table for two"}]}]
for model in ("us.amazon.nova-2-lite-v1:0", "no-such-model"):
    try:
        answer = bedrock.converse(modelId=model, messages=asked)
        print(answer["output"]["message"]["content"][0]["text"])
    except ClientError as error:
        print(error.response["Error"]["Message"])
"""


def emulator(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voiceloop.cli", "emulator", *arguments, "--", sys.executable, "-c", PROGRAM]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_script_answers_and_the_calls_are_written(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    ran = emulator("--heard", "a table for two", "--reply", "For when?", "--calls", str(file))
    said, refused = ran.stdout.splitlines()
    assert said == "For when?"
    good, bad = map(json.loads, file.read_text().splitlines())
    assert (good["service"], good["operation"], good["status"], good["error"]) == (
        "bedrock-runtime",
        "Converse",
        200,
        None,
    )
    assert ["bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/amazon.nova-2-lite-v1:0"] in good["actions"]
    assert (bad["status"], bad["error"], bad["message"]) == (400, "ValidationException", refused)
    assert f"ValidationException: {refused}" in ran.stderr


@pytest.mark.parametrize("key", ["", "ABSK-of-whoever-runs-it"])
def test_an_api_key_in_the_environment_does_not_stand_in_the_way(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
    ran = emulator("--reply", "For when?")
    assert ran.stdout.splitlines()[0] == "For when?"
    assert "bedrock:CallWithBearerToken" in ran.stderr
    assert key not in ran.stderr or not key


def test_calls_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    ran = emulator("--reply", "Yes.", "--calls", str(tmp_path / "none" / "file"))
    assert ran.returncode == 2
    assert "--calls" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_goes_on_to_the_program_and_both_end(number: signal.Signals) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(50)"
    command = [sys.executable, "-m", "voiceloop.cli", "emulator", "--quiet", "--reply", "Yes.", "--"]
    with subprocess.Popen(
        [*command, sys.executable, "-c", child],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as ran:
        assert ran.stdout is not None
        program = int(ran.stdout.readline())
        ran.send_signal(number)
        code = ran.wait(20)
    assert code == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)


def test_a_signal_ends_it_without_a_program_too_and_removes_the_file_of_variables(tmp_path: Path) -> None:
    file = tmp_path / "aws.env"
    command = [sys.executable, "-m", "voiceloop.cli", "emulator", "--reply", "Yes.", "--env", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as ran:
        assert ran.stdout is not None
        assert "Ctrl-C ends them" in ran.stdout.readline()
        assert file.exists()
        ran.terminate()
        assert ran.wait(20) == 0
    assert not file.exists()
