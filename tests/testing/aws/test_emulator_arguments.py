"""Wrong arguments of the emulator and of scripts are refused where they are given, and say what is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voiceloop.errors import BadInput, UnknownName
from voiceloop.interfaces import Stop, TextDelta
from voiceloop.local import Rules
from voiceloop.testing.aws import Backing, Emulator, Fault, Settings
from voiceloop.testing.aws.words import ACTIONS, OPERATIONS, OPERATIONS_OF
from voiceloop.testing.scripted import (
    Delay,
    Fail,
    Hang,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSpeechModel,
    ScriptedSynthesizer,
    Spoken,
)

ANY: Any = None
PARTS: dict[str, Any] = {
    "recognizer": ScriptedRecognizer(),
    "reasoner": ScriptedReasoner(),
    "synthesizer": ScriptedSynthesizer(),
}


def emulator(**options: Any) -> Emulator:
    return Emulator(Backing.scripted(), **options)


WRONG: dict[str, tuple[Callable[..., object], dict[str, Any], str]] = {
    "a reasoner as backing": (Emulator, {"backing": Rules.demo()}, "backing=Rules: a Backing is needed. Backing."),
    "a class as backing": (Emulator, {"backing": Backing}, "backing=type"),
    "timers in words": (emulator, {"timers": "fast"}, "timers='fast'"),
    "timers as a switch": (emulator, {"timers": True}, "timers=True"),
    "one fault": (emulator, {"faults": Fault("drop")}, "faults=Fault: a list of Fault is needed"),
    "a fault in words": (emulator, {"faults": ["drop"]}, "faults[0]=str"),
    "one action": (emulator, {"denied": "polly:*"}, "denied=str: a list of IAM actions"),
    "actions that are none": (emulator, {"denied": [3]}, "denied[0]=3"),
    "settings as a dict": (emulator, {"settings": {"send": 1}}, "settings=dict: a Settings is needed"),
    "services as a list": (emulator, {"services": []}, "services=list"),
    "port in words": (emulator, {"port": "8443"}, "port='8443'"),
    "port in parts": (emulator, {"port": 8443.5}, "port=8443.5"),
    "port below": (emulator, {"port": -1}, "port=-1: 0 to 65535"),
    "heard as text": (Backing.scripted, {"heard": "hello"}, "heard=str: a list of texts"),
    "heard as bytes": (Backing.scripted, {"heard": [b"hello"]}, "heard[0]=bytes"),
    "replies as text": (Backing.scripted, {"replies": "hello"}, "replies=str"),
    "a reply that is none": (Backing.scripted, {"replies": ["a", 3]}, "replies[1]=3"),
    "a piece that is none": (Backing.scripted, {"replies": [["a", None]]}, "replies[0][1]=None"),
    "first_token in words": (Backing.scripted, {"first_token": "0.3"}, "first_token='0.3'"),
    "polly_delay without end": (Backing.scripted, {"polly_delay": float("nan")}, "polly_delay=nan"),
    "a part": (Backing, PARTS | {"recognizer": ScriptedSynthesizer()}, "recognizer=ScriptedSynthesizer: a"),
    "turns": (Backing, PARTS | {"turns": "energy"}, "turns=str: a TurnDetector is needed"),
    "utterances as text": (ScriptedRecognizer, {"utterances": "hello"}, "utterances=str"),
    "a reasoner's replies": (ScriptedReasoner, {"replies": "hello"}, "replies=str"),
    "a model's replies": (ScriptedSpeechModel, {"replies": "hello"}, "replies=str"),
    "at in words": (Fault, {"kind": "drop", "at": "1"}, "at='1'"),
    "after nothing": (Fault, {"kind": "drop", "after": 0}, "after=0: 1 or more"),
    "times in parts": (Fault, {"kind": "drop", "times": 1.5}, "times=1.5: a whole number"),
    "seconds in words": (Fault, {"kind": "stall", "seconds": "1"}, "seconds='1'"),
    "status of success": (Fault, {"kind": "error", "code": "X", "status": 200}, "status=200: 300 to 599"),
    "operations as a list": (Fault, {"kind": "drop", "operation": ["Converse"]}, "operation=list"),
    "streams": (Settings, {"transcribe_streams": 2.5}, "transcribe_streams=2.5"),
    "partials": (Settings, {"transcribe_partials": 0}, "transcribe_partials=0"),
    "window": (Settings, {"window": 0}, "window=0"),
    "quotas": (Settings, {"polly_quotas": {"neural": 8}}, "polly_quotas['neural']=8: a Quota is needed"),
    "lexicons": (Settings, {"polly_lexicons": "mine"}, "polly_lexicons=str"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_makes_no_sense_is_told(case: str) -> None:
    make, options, told = WRONG[case]
    with pytest.raises(BadInput) as caught:
        make(**options)
    assert told in str(caught.value)
    assert "hello" not in str(caught.value)


NEAR: dict[str, tuple[Callable[..., object], dict[str, Any], str]] = {
    "kind": (Fault, {"kind": "throtle"}, "throttle"),
    "profile": (Fault, {"kind": "nova:late_finals"}, "nova:late_final"),
    "service of a profile": (Fault, {"kind": "nva:barge_in_b"}, "nova:barge_in_b"),
    "operation": (Fault, {"kind": "drop", "operation": "StartStreamTranscripton"}, "StartStreamTranscription"),
    "operation as in Python": (Fault, {"kind": "drop", "operation": "converse_stream"}, "ConverseStream"),
    "action": (emulator, {"denied": ["polly:SynthesiseSpeech"]}, "polly:SynthesizeSpeech"),
    "service of an action": (emulator, {"denied": ["translate:StartStreamTranscription"]}, ACTIONS[0]),
    "all of a service": (emulator, {"denied": ["poly:*"]}, "polly:*"),
    "engine": (Settings, {"polly_quotas": {"nueral": 8}}, "neural"),
    "part": (Backing.offline, {"recogniser": None}, "recognizer"),
}  # fmt: skip


@pytest.mark.parametrize("case", NEAR)
def test_a_misspelt_name_gets_the_one_that_was_meant(case: str) -> None:
    make, options, meant = NEAR[case]
    with pytest.raises(UnknownName) as caught:
        make(**options)
    assert meant in caught.value.matches


def test_what_makes_sense_is_taken() -> None:
    heard: list[Any] = ["a", Spoken("b"), Fail(), Hang()]
    replies: list[Any] = ["a", ["b", TextDelta("c"), Stop("end"), Delay(1)], Hang(), lambda request: "d"]
    Emulator(
        Backing.scripted(tuple(heard), tuple(replies), first_token=1),
        timers=2,
        faults=(Fault("drop", operation) for operation in OPERATIONS),
        denied={*ACTIONS, "*", "POLLY:*", "bedrock:Invoke*"},
        settings=Settings(polly_lexicons={"mine"}),  # type: ignore[arg-type]
    )
    ScriptedReasoner(lambda request: "x")


def test_faults_are_checked_when_they_are_added_too() -> None:
    with pytest.raises(BadInput, match=r"faults\[0\]=str: the list is of Fault"):
        emulator().faults.add("drop")  # type: ignore[arg-type]


def test_quotas_of_one_engine_leave_the_others() -> None:
    assert set(Settings(polly_quotas={}).polly_quotas) == {"standard", "neural", "long-form", "generative"}


async def test_every_operation_and_action_that_is_known_is_one_of_a_service() -> None:
    from voiceloop.testing.aws.exchange import QueryService, RestService, StreamService
    from voiceloop.testing.aws.faults import Faults
    from voiceloop.testing.aws.settings import Timers
    from voiceloop.testing.aws.stage import Stage, services

    made = services(Stage(Backing.scripted(), ANY, Timers(), Settings(), Faults()))
    streams = {service.operation for service in made if isinstance(service, StreamService)}
    paths = [
        ("POST", "/v1/speech"),
        ("GET", "/v1/voices"),
        *(("POST", f"/model/m/{call}") for call in ("converse", "converse-stream", "count-tokens")),
    ]
    rest = [service for service in made if isinstance(service, RestService)]
    plain = {name for path in paths for service in rest if (name := service.operation(*path)) is not None}
    queries = {name for service in rest if isinstance(service, QueryService) for name in service.operations}
    assert streams | plain | queries == set(OPERATIONS)
    assert {service.service for service in made} == set(OPERATIONS_OF)


@pytest.mark.parametrize("package", ["amazon_transcribe", "trustme"])
def test_a_missing_package_is_told_with_the_command_that_mends_it(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('it is not here')\n")
    run = subprocess.run(
        [sys.executable, "-m", "voiceloop.cli", "emulator", "--heard", "hello", "--", "true"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    assert "pip install 'voiceloop[emulator]'" in run.stderr
    assert "Traceback" not in run.stderr
