"""What boto3 finds where one endpoint stands for all of AWS: STS, API keys, and operations that are not emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import pytest
from anyio.from_thread import start_blocking_portal
from botocore.config import Config
from botocore.exceptions import ClientError

from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.aws.words import OPERATIONS_OF

HAIKU = "us.anthropic.claude-haiku-5-5"
EU_HAIKU = "eu.anthropic.claude-haiku-5-5"
ASKED = [{"role": "user", "content": [{"text": "Book a table"}]}]
API_KEY = "AWS_BEARER_TOKEN_BEDROCK"
ROLE = {"RoleArn": "arn:aws:iam::210987654321:role/desk/caller", "RoleSessionName": "evening"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator in a thread of its own: boto3 blocks."""
    with start_blocking_portal() as portal:
        emulator = portal.call(lambda: Emulator(Backing.scripted(replies=["For when?"])))
        with portal.wrap_async_context_manager(emulator):
            yield emulator


@pytest.fixture
def aws(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.delenv(API_KEY, raising=False)
    variables = emulator.environ()
    assert API_KEY not in variables  # there is none to take the place of
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    emulator.calls.clear()
    emulator.faults.clear()
    emulator.denied = set()
    return emulator


@pytest.fixture
def client(aws: Emulator) -> Iterator[Callable[..., Any]]:
    """Makes a client of a service, pointed here by the environment alone, which tries once."""
    session, made = boto3.Session(), []

    def make(service: str, **options: Any) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        made.append(session.client(service, config=config, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def refused(call: Callable[..., Any], **options: Any) -> tuple[str, str, int]:
    """The code, words and status of an error."""
    with pytest.raises(ClientError) as caught:
        call(**options)
    told = caught.value.response
    return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]


UNKNOWN = {
    "InvokeModel": ("bedrock-runtime", {"modelId": HAIKU, "body": b"{}"}, "UnknownOperationException", 404),
    "ApplyGuardrail": (
        "bedrock-runtime",
        {
            "guardrailIdentifier": "a",
            "guardrailVersion": "1",
            "source": "INPUT",
            "content": [{"text": {"text": "x"}}],
        },
        "UnknownOperationException",
        404,
    ),
    "ListFoundationModels": ("bedrock", {}, "UnknownOperationException", 404),
    "ListLexicons": ("polly", {}, "UnknownOperationException", 404),
    "PutLexicon": ("polly", {"Name": "mine", "Content": "<lexicon/>"}, "UnknownOperationException", 404),
    "ListTables": ("dynamodb", {}, "UnknownOperationException", 400),
    "ListTranscriptionJobs": ("transcribe", {}, "UnknownOperationException", 400),
    "GetSessionToken": ("sts", {}, "InvalidAction", 400),
    "ListBuckets": ("s3", {}, "NotImplemented", 501),
    "DescribeRegions": ("ec2", {}, "InvalidAction", 400),
}


@pytest.mark.parametrize("operation", UNKNOWN)
def test_an_operation_that_is_not_emulated_is_recorded_and_named(
    aws: Emulator, client: Callable[..., Any], operation: str
) -> None:
    service, options, code, status = UNKNOWN[operation]
    method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).strip("_")
    told, words, answered = refused(getattr(client(service), method), **options)
    assert (told, answered) == (code, status)
    assert words.startswith(f"The emulator does not know {operation} of {service}; it knows ")
    known = OPERATIONS_OF.get(service) or ("bedrock-runtime", "polly", "sts", "transcribestreaming")
    assert words.endswith(f"it knows {', '.join(known)}.")
    (call,) = aws.calls
    assert (call.service, call.operation, call.error, call.status) == (service, operation, code, status)
    assert (call.message, call.over, call.actions) == (words, True, ())


def test_a_stream_of_transcribe_that_is_not_emulated_is_named() -> None:
    from voiceloop.testing.aws.asked import Asked, identify
    from voiceloop.testing.aws.signatures import Head

    named = [identify(Head("POST", f"/{path}", ()), b"") for path in ("medical-scribe-stream", "else?key=secret")]
    assert named == [Asked("transcribestreaming", "StartMedicalScribeStream"), Asked("", "POST /else")]


def test_who_calls(aws: Emulator, client: Callable[..., Any]) -> None:
    told = client("sts").get_caller_identity()
    assert told["Account"] == "123456789012"
    assert told["Arn"] == "arn:aws:iam::123456789012:user/voiceloop"
    assert told["ResponseMetadata"]["RequestId"] == told["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert aws.actions == set()


def test_the_keys_of_a_role_are_taken_by_the_services(aws: Emulator, client: Callable[..., Any]) -> None:
    told = client("sts").assume_role(**ROLE, DurationSeconds=900)
    keys = told["Credentials"]
    assert 800 < (keys["Expiration"] - datetime.now(UTC)).total_seconds() <= 900
    options = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    assumed = "arn:aws:sts::210987654321:assumed-role/caller/evening"
    assert client("sts", **options).get_caller_identity()["Arn"] == assumed == told["AssumedRoleUser"]["Arn"]
    assert client("bedrock-runtime", **options).converse(modelId=HAIKU, messages=ASKED)["stopReason"] == "end_turn"
    assert ("sts:AssumeRole", ROLE["RoleArn"]) in aws.actions


def test_sts_refuses_in_its_own_words(aws: Emulator, client: Callable[..., Any]) -> None:
    wrong = {"aws_access_key_id": aws.keys.access_key, "aws_secret_access_key": "x" * 40}
    assert refused(client("sts", **wrong).get_caller_identity)[::2] == ("SignatureDoesNotMatch", 403)
    unknown = {"aws_access_key_id": "AKIA0000000000000000", "aws_secret_access_key": "x" * 40}
    assert refused(client("sts", **unknown).get_caller_identity)[::2] == ("InvalidClientTokenId", 403)
    code, words, status = refused(client("sts").assume_role, **ROLE, DurationSeconds=901 * 60)
    assert (code, status) == ("ValidationError", 400)
    assert "'durationSeconds'" in words
    code, words, _ = refused(client("sts").assume_role, RoleArn="arn:aws:iam::1:role/<x>", RoleSessionName="me")
    assert (code, "'arn:aws:iam::1:role/<x>' at 'roleArn'" in words) == ("ValidationError", True)
    aws.denied = {"sts:*"}
    code, words, status = refused(client("sts").assume_role, **ROLE)
    assert (code, status) == ("AccessDenied", 403)
    assert "sts:AssumeRole" in words
    aws.faults.add(Fault("throttle", "GetCallerIdentity"))
    assert refused(client("sts").get_caller_identity)[::2] == ("Throttling", 400)
    assert [call.error for call in aws.calls][-2:] == ["AccessDenied", "Throttling"]


@pytest.mark.parametrize("there", ["", "ABSK-of-whoever-runs-the-tests"])
def test_an_api_key_in_the_environment_is_replaced(
    aws: Emulator, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    monkeypatch.setenv(API_KEY, there)
    code, words, status = refused(client("bedrock-runtime").converse, modelId=HAIKU, messages=ASKED)
    assert (code, status) == ("AccessDeniedException", 403)
    assert f"unset {API_KEY}" in words
    monkeypatch.setenv(API_KEY, aws.environ()[API_KEY])
    assert client("bedrock-runtime").converse(modelId=HAIKU, messages=ASKED)["stopReason"] == "end_turn"
    assert ("bedrock:CallWithBearerToken", "*") in aws.actions
    assert client("polly").describe_voices()["Voices"]


def test_an_api_key_is_of_a_region_and_may_be_denied(
    aws: Emulator, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY, aws.api_key("eu-north-1"))
    bedrock = client("bedrock-runtime", region_name="eu-north-1")
    assert bedrock.converse(modelId=EU_HAIKU, messages=ASKED)["stopReason"] == "end_turn"
    assert refused(bedrock.converse, modelId=HAIKU, messages=ASKED)[0] == "ValidationException"
    aws.denied = {"bedrock:CallWithBearerToken"}
    code, words, _ = refused(bedrock.converse, modelId=EU_HAIKU, messages=ASKED)
    assert code == "AccessDeniedException"
    assert "bedrock:CallWithBearerToken" in words


def test_every_answer_has_a_date_and_the_number_of_the_request(client: Callable[..., Any]) -> None:
    polly, bedrock = client("polly"), client("bedrock-runtime")
    answers = [polly.describe_voices(), bedrock.converse_stream(modelId=HAIKU, messages=ASKED)]
    with pytest.raises(ClientError) as caught:
        client("polly").list_lexicons()
    for answer in (*answers, caught.value.response):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert abs((parsedate_to_datetime(headers["date"]) - datetime.now(UTC)).total_seconds()) < 60
        assert headers["x-amzn-requestid"] == answer["ResponseMetadata"]["RequestId"]
    list(answers[1]["stream"])
