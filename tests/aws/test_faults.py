"""Every documented failure of the services, as it comes over the wire, and what becomes of it."""

# ruff: noqa: E501  (one failure a line, to be read beside the services' documents)

from __future__ import annotations

import json

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.faults import AwsFault, fault_of, from_message, from_response, translated
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import (
    BadInput,
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

TRANSCRIBE = ("transcribestreaming", "StartStreamTranscription")
SOCKET = ("transcribestreaming", "StartStreamTranscriptionWebSocket")
CONVERSE = ("bedrock-runtime", "Converse")
STREAM = ("bedrock-runtime", "ConverseStream")
NOVA = ("bedrock-runtime", "InvokeModelWithBidirectionalStream")
POLLY = ("polly", "SynthesizeSpeech")
POLLY_STREAM = ("polly", "StartSpeechSynthesisStream")
NAMES = {
    TRANSCRIBE: "Amazon Transcribe",
    SOCKET: "Amazon Transcribe",
    CONVERSE: "Amazon Bedrock",
    STREAM: "Amazon Bedrock",
    NOVA: "Amazon Nova Sonic",
    POLLY: "Amazon Polly",
    POLLY_STREAM: "Amazon Polly",
}
LOST, HALF, NO = "reopen", "reopen with half the history", "do not retry"


@frozen
class Case:
    """A failure: by whom, status (None: within a stream), code, message; the class, remedy and words of the hint."""

    call: tuple[str, str]
    status: int | None
    code: str
    message: str
    kind: type[ProviderError]
    remedy: str
    hint: str = ""

    def error(self) -> ProviderError:
        body = json.dumps({"message": self.message}).encode()
        if self.status is None:
            headers = {":message-type": "exception", ":exception-type": self.code}
            return from_message(*self.call, Message(headers, body))
        headers = {"x-amzn-ErrorType": f"{self.code}:http://internal", "x-amzn-RequestId": "r-1"}
        return from_response(*self.call, self.status, headers, body)


REFUSED, DOWN, LATE = ProviderRefused, ProviderUnavailable, ProviderTimeout
EVERY_CALL = (TRANSCRIBE, SOCKET, CONVERSE, STREAM, NOVA, POLLY, POLLY_STREAM)

CREDENTIALS = [
    case
    for call in EVERY_CALL
    for case in (
        Case(
            call,
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            REFUSED,
            NO,
            "AWS_ACCESS_KEY_ID",
        ),
        Case(
            call,
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match",
            REFUSED,
            NO,
            "AWS_SECRET_ACCESS_KEY",
        ),
        Case(
            call,
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            REFUSED,
            "renew credentials",
            "AWS_SESSION_TOKEN",
        ),
        Case(
            call,
            400,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            REFUSED,
            "renew credentials",
            "aws sso login",
        ),
        Case(call, 403, "InvalidClientTokenId", "", REFUSED, NO, "AWS_PROFILE"),
        Case(call, 403, "RequestTimeTooSkewed", "", REFUSED, NO, "clock"),
        Case(
            call,
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
            REFUSED,
            NO,
            "AWS_ACCESS_KEY_ID",
        ),
    )
]

OF_TRANSCRIBE = [
    Case(TRANSCRIBE, 400, "BadRequestException", "A request parameter is wrong", REFUSED, NO, "language"),
    Case(TRANSCRIBE, None, "BadRequestException", "Your request timed out because no new audio was received for 15 seconds.", LATE, LOST, "silence"),
    Case(TRANSCRIBE, None, "BadRequestException", "Signature expired: 2026 is now earlier than 2027 (2027 - 5 min.)", REFUSED, LOST, "pace"),
    Case(TRANSCRIBE, 400, "SerializationException", "malformed", REFUSED, NO),
    Case(TRANSCRIBE, 403, "AccessDeniedException", "", REFUSED, NO, "transcribe:StartStreamTranscription on *"),
    Case(SOCKET, 403, "AccessDeniedException", "", REFUSED, NO, "transcribe:StartStreamTranscriptionWebSocket on *"),
    Case(TRANSCRIBE, 403, "AccessDeniedException", "", REFUSED, NO, "two different actions"),
    Case(TRANSCRIBE, 409, "ConflictException", "same session id", REFUSED, NO, "session id"),
    Case(TRANSCRIBE, None, "ConflictException", "same session id", REFUSED, NO, "session id"),
    Case(TRANSCRIBE, 429, "LimitExceededException", "too many", REFUSED, LOST, "25 by default"),
    Case(TRANSCRIBE, None, "LimitExceededException", "too long", REFUSED, LOST, "4 hours"),
    Case(SOCKET, 429, "LimitExceededException", "too many", REFUSED, LOST, "concurrent WebSocket streams"),
    Case(TRANSCRIBE, 500, "InternalFailureException", "", DOWN, LOST),
    Case(TRANSCRIBE, None, "InternalFailureException", "", DOWN, LOST),
    Case(TRANSCRIBE, 503, "ServiceUnavailableException", "", DOWN, LOST),
    Case(TRANSCRIBE, None, "ServiceUnavailableException", "", DOWN, LOST),
]  # fmt: skip

MODEL_ACCESS = "You don't have access to the model with the specified model ID."
NOT_SUBMITTED = "Model use case details have not been submitted for this account."
ON_DEMAND = "Invocation of model ID x with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."
WRONG_MODEL = "The provided model identifier is invalid."
DENIED = "User: arn:aws:sts::111122223333:assumed-role/web/i-1 is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:eu-west-1::foundation-model/m because no identity-based policy allows it"

OF_BEDROCK = [
    case
    for call in (CONVERSE, STREAM)
    for case in (
        Case(call, 403, "AccessDeniedException", MODEL_ACCESS, REFUSED, NO, "Model catalog"),
        Case(call, 403, "AccessDeniedException", DENIED, REFUSED, NO, "bedrock:InvokeModelWithResponseStream on arn:aws:bedrock:eu-west-1::foundation-model/m for arn:aws:sts::111122223333:assumed-role/web/i-1"),
        Case(call, 404, "ResourceNotFoundException", NOT_SUBMITTED, REFUSED, NO, "use case form"),
        Case(call, 404, "FTUFormNotFilled", NOT_SUBMITTED, REFUSED, NO, "use case form"),
        Case(call, 404, "ResourceNotFoundException", "no such thing", REFUSED, NO, "Inference profiles"),
        Case(call, 400, "ValidationException", WRONG_MODEL, REFUSED, NO, "Inference profiles"),
        Case(call, 400, "ValidationException", ON_DEMAND, REFUSED, NO, "`us.`"),
        Case(call, 400, "ValidationException", "temperature is deprecated for this model.", REFUSED, NO, "temperature"),
        Case(call, 400, "ValidationException", "A conversation must start with a user message.", REFUSED, NO),
        Case(call, 408, "ModelTimeoutException", "", LATE, "retry"),
        Case(call, 424, "ModelErrorException", "", DOWN, "retry"),
        Case(call, 429, "ThrottlingException", "Too many tokens", REFUSED, "retry", "tokens per minute"),
        Case(call, 429, "ModelNotReadyException", "", DOWN, "retry"),
        Case(call, 500, "InternalServerException", "", DOWN, "retry"),
        Case(call, 503, "ServiceUnavailableException", "", DOWN, "retry"),
        Case(call, 400, "ServiceQuotaExceededException", "", REFUSED, NO, "Service Quotas"),
        Case(call, None, "internalServerException", "", DOWN, "retry"),
        Case(call, None, "modelStreamErrorException", "", DOWN, "retry"),
        Case(call, None, "validationException", "blank text", REFUSED, NO),
        Case(call, None, "throttlingException", "", REFUSED, "retry", "Amazon Bedrock"),
        Case(call, None, "serviceUnavailableException", "", DOWN, "retry"),
    )
]  # fmt: skip

AUDIO_GAP = "Timed out waiting for audio bytes or interactive content. Send them at intervals less than {} seconds."
NOVA_TEXTS = [
    (AUDIO_GAP.format(55), LATE, LOST),
    (AUDIO_GAP.format(295), LATE, LOST),
    ("Timed out waiting for input events", LATE, LOST),
    ("Chat history is over max limit. Trim chat history and try again.", REFUSED, HALF),
    ("Chat history should be sent completely before streaming audio.", REFUSED, LOST),
    ("Tool Response parsing error", REFUSED, LOST),
    ("Invalid input request, please fix your input and try again", REFUSED, NO),
    ("Cannot end content [c-1] as no content data was received", REFUSED, NO),
    ("All contents must be closed before ending prompt", REFUSED, NO),
    ("System instability detected. Please retry your request.", DOWN, LOST),
    ("InternalErrorCode=531::RST_STREAM closed stream. HTTP/2 error code: NO_ERROR", DOWN, LOST),
    ("This request has been blocked by our content filters.", REFUSED, NO),
]
OF_NOVA = [
    *(Case(NOVA, status, code, text, kind, remedy) for text, kind, remedy in NOVA_TEXTS for status, code in ((400, "ValidationException"), (None, "validationException"))),
    *(Case(NOVA, None, "validationException", f"RequestId=0aa1-2b : Error(s):\nError 1 : {text}", kind, remedy) for text, kind, remedy in NOVA_TEXTS),
    Case(NOVA, 403, "AccessDeniedException", "", REFUSED, NO, "bedrock:InvokeModel on arn:aws:bedrock:*::foundation-model/"),
    Case(NOVA, 403, "AccessDeniedException", MODEL_ACCESS, REFUSED, NO, "Model catalog"),
    Case(NOVA, 404, "ResourceNotFoundException", "", REFUSED, NO),
    Case(NOVA, 429, "ThrottlingException", "", REFUSED, LOST, "20 by default"),
    Case(NOVA, None, "throttlingException", "", REFUSED, LOST),
    Case(NOVA, 408, "ModelTimeoutException", "Model has timed out in processing the request", LATE, LOST),
    Case(NOVA, None, "modelTimeoutException", "Model has timed out in processing the request", LATE, LOST),
    Case(NOVA, 500, "InternalServerException", "", DOWN, LOST),
    Case(NOVA, None, "internalServerException", "", DOWN, LOST),
    Case(NOVA, 503, "ServiceUnavailableException", "", DOWN, LOST),
    Case(NOVA, None, "serviceUnavailableException", "", DOWN, LOST),
    Case(NOVA, 424, "ModelStreamErrorException", "", DOWN, LOST),
    Case(NOVA, None, "modelStreamErrorException", "The system encountered an unexpected error during processing. Try your request again.", DOWN, LOST),
    Case(NOVA, 400, "ServiceQuotaExceededException", "", REFUSED, LOST, "concurrent"),
    Case(NOVA, 429, "ModelNotReadyException", "", DOWN, "retry"),
    Case(NOVA, 424, "ModelErrorException", "", DOWN, LOST),
]  # fmt: skip

OF_POLLY = [
    Case(POLLY, 400, "TextLengthExceededException", "", REFUSED, NO, "3000"),
    Case(POLLY, 400, "InvalidSampleRateException", "", REFUSED, NO, "16000"),
    Case(POLLY, 400, "InvalidSsmlException", "", REFUSED, NO, "SSML"),
    Case(POLLY, 400, "LanguageNotSupportedException", "", REFUSED, NO, "DescribeVoices"),
    Case(POLLY, 400, "EngineNotSupportedException", "", REFUSED, NO, "engine"),
    Case(POLLY, 400, "MarksNotSupportedForFormatException", "", REFUSED, NO, "json"),
    Case(POLLY, 400, "SsmlMarksNotSupportedForTextTypeException", "", REFUSED, NO, "ssml"),
    Case(POLLY, 404, "LexiconNotFoundException", "", REFUSED, NO, "Lexicons"),
    Case(POLLY, 500, "ServiceFailureException", "", DOWN, "retry"),
    Case(POLLY, 400, "ThrottlingException", "Rate exceeded", REFUSED, "retry", "Service Quotas"),
    Case(POLLY, 400, "ValidationException", "", REFUSED, NO),
    Case(POLLY, 402, "ServiceQuotaExceededException", "", REFUSED, NO, "Service Quotas"),
    Case(POLLY, 403, "AccessDeniedException", "", REFUSED, NO, "polly:SynthesizeSpeech on *"),
    Case(POLLY_STREAM, 403, "AccessDeniedException", "", REFUSED, NO, "polly:StartSpeechSynthesisStream on *"),
    Case(POLLY_STREAM, None, "ValidationException", "", REFUSED, NO),
    Case(POLLY_STREAM, None, "ServiceFailureException", "", DOWN, LOST),
    Case(POLLY_STREAM, None, "ThrottlingException", "", REFUSED, LOST),
    Case(POLLY_STREAM, None, "ServiceQuotaExceededException", "", REFUSED, LOST, "concurrent"),
]  # fmt: skip

CASES = [*CREDENTIALS, *OF_TRANSCRIBE, *OF_BEDROCK, *OF_NOVA, *OF_POLLY]


def _id(case: Case) -> str:
    return f"{case.call[1]}-{case.status or 'stream'}-{case.code}-{case.message[:24]}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_a_documented_failure_says_what_it_is_and_what_to_do(case: Case) -> None:
    error = case.error()
    fault = fault_of(error)
    assert fault is not None
    assert fault is error.__cause__
    assert type(error) is case.kind
    assert fault.remedy == case.remedy
    assert error.retryable is (case.remedy in ("retry", LOST, HALF))
    assert case.hint in error.hint
    assert "{" not in error.hint, "nothing was left to fill in"
    assert (fault.service, fault.operation, fault.status, fault.code) == (*case.call, case.status, case.code)
    assert error.provider == NAMES[case.call]
    assert not isinstance(error, BadInput), "a running session never raises BadInput"
    if case.message and not case.message.startswith("RequestId"):
        assert case.message.rstrip(".") in str(error).replace(".", "") or case.message.rstrip(".") in str(error)


def test_the_message_of_the_service_and_where_it_was_said_are_kept() -> None:
    error = Case(POLLY, 400, "ThrottlingException", "Rate exceeded", REFUSED, "retry").error()
    assert str(error).startswith("Amazon Polly: Rate exceeded (ThrottlingException, HTTP 400, request r-1)")
    assert "while calling SynthesizeSpeech" in str(error)


def test_nova_sonics_request_id_is_taken_out_of_its_message() -> None:
    body = b'{"message":"RequestId=0aa1-2b : System instability detected. Please retry your request."}'
    error = from_message(
        *NOVA, Message({":message-type": "exception", ":exception-type": "validationException"}, body)
    )
    fault = fault_of(error)
    assert fault is not None
    assert fault.request_id == "0aa1-2b"
    assert fault.message == "System instability detected. Please retry your request."


@pytest.mark.parametrize(
    ("quota", "hint"),
    [("input-stream-inbound-event-timeout", "5 seconds"), ("input-stream-timeout", "10 minutes")],
)
def test_pollys_stream_timeouts_are_told_apart_by_their_quota_code(quota: str, hint: str) -> None:
    body = json.dumps({"message": "quota", "quotaCode": quota, "serviceCode": "polly"}).encode()
    headers = {":message-type": "exception", ":exception-type": "ServiceQuotaExceededException"}
    error = from_message(*POLLY_STREAM, Message(headers, body))
    assert isinstance(error, ProviderTimeout)
    assert error.retryable
    assert hint in error.hint


def test_an_error_frame_that_no_model_knows() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "it broke"}
    error = from_message(*TRANSCRIBE, Message(headers))
    assert isinstance(error, ProviderUnavailable)
    assert "it broke" in str(error)


@pytest.mark.parametrize("key", ["__type", "code"])
def test_the_code_may_be_in_the_body(key: str) -> None:
    body = json.dumps({key: "com.amazon.coral.service#ThrottlingException", "Message": "slow down"}).encode()
    fault = fault_of(from_response(*POLLY, 400, {"X-Amzn-RequestId": "r"}, body))
    assert fault is not None
    assert (fault.code, fault.message, fault.request_id) == ("ThrottlingException", "slow down", "r")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("BadRequestException", REFUSED), ("LimitExceededException", REFUSED), ("ConflictException", REFUSED),
     ("InternalFailureException", DOWN), ("ServiceUnavailableException", DOWN)],
)  # fmt: skip
def test_amazon_transcribes_upper_case_message_member(code: str, kind: type[ProviderError]) -> None:
    headers = {":message-type": "exception", ":exception-type": code}
    error = from_message(*TRANSCRIBE, Message(headers, b'{"Message":"said with a capital"}'))
    assert type(error) is kind
    assert "said with a capital" in str(error)


@pytest.mark.parametrize(("status", "body"), [(404, b""), (403, b"<html>Blocked by policy</html>"), (407, b"")])
def test_an_answer_that_is_not_awss_names_the_proxy(status: int, body: bytes) -> None:
    error = from_response(*CONVERSE, status, {"content-type": "text/html"}, body)
    assert isinstance(error, ProviderUnavailable)
    assert "HTTPS_PROXY" in error.hint
    assert "NO_PROXY" in error.hint


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_unknown_answer_of_a_server_is_tried_again(status: int) -> None:
    error = from_response(*CONVERSE, status, {}, b"upstream connect error")
    assert isinstance(error, ProviderUnavailable)
    assert error.retryable


def test_an_unknown_refusal_is_not_tried_again() -> None:
    error = from_response(*POLLY, 418, {"x-amzn-errortype": "TeapotException", "x-amzn-requestid": "r"}, b"{}")
    assert isinstance(error, ProviderRefused)
    assert not error.retryable


def test_an_organizations_deny_is_said() -> None:
    words = "not authorized to perform: polly:SynthesizeSpeech with an explicit deny in a service control policy"
    error = Case(POLLY, 403, "AccessDeniedException", words, REFUSED, NO).error()
    assert "AWS Organizations" in error.hint
    assert "polly:SynthesizeSpeech" in error.hint


@given(st.text(), st.text(max_size=40), st.integers(300, 599), st.sampled_from(EVERY_CALL))
def test_whatever_comes_becomes_a_provider_error_of_bounded_length(
    message: str, code: str, status: int, call: tuple[str, str]
) -> None:
    error = from_response(*call, status, {"x-amzn-errortype": code}, json.dumps({"message": message * 50}).encode())
    assert isinstance(error, ProviderError)
    assert len(str(error.args[0])) < 500
    assert isinstance(error.__cause__, AwsFault)
    assert len(error.__cause__.message) <= 300


@given(st.binary())
def test_a_body_of_any_bytes_is_no_failure_of_ours(body: bytes) -> None:
    assert isinstance(from_response(*POLLY, 400, {}, body), ProviderError)
    assert isinstance(from_message(*NOVA, Message({":message-type": "exception"}, body)), ProviderError)


KEYS = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="+/"), min_size=16, max_size=40)


@given(KEYS, KEYS.map("s/".__add__), KEYS.map("t/".__add__))
def test_no_part_of_a_signature_that_a_service_quotes_is_kept(key: str, secret: str, token: str) -> None:
    quoted = (
        "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for "
        f"this request should have been\n'POST\n/v1/speech\n\nx-amz-security-token:{token}\n\nhost'\n\n"
        f"The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n{secret}'"
    )
    header = (
        f"'Host' or ':authority' must be a 'SignedHeader'. Authorization=AWS4-HMAC-SHA256 Credential={key}/2026/x"
    )
    for code, words in (("InvalidSignatureException", quoted), ("IncompleteSignatureException", header)):
        error = Case(POLLY, 403, code, words, REFUSED, NO).error()
        shown = f"{error} {error!r} {error.__cause__} {error.__cause__!r}"
        assert token not in shown
        assert secret not in shown
        assert f"Credential={key}" not in shown


def raised_by(error: Exception) -> ProviderError:
    with pytest.raises(ProviderError) as caught, translated(*POLLY):
        raise error
    return caught.value


@pytest.mark.parametrize("member", ["text", "messages.1.member.content.1.member.text", "system", "Text"])
def test_what_was_said_is_not_kept_where_a_service_quotes_it(member: str) -> None:
    said = f"1 validation error detected: Value 'it's a\nsecret' at '{member}' failed to satisfy constraint: length"
    headers = {"x-amzn-errortype": "ValidationException"}
    error = from_response(*POLLY, 400, headers, json.dumps({"message": said}).encode())
    fault = fault_of(error)
    assert fault is not None
    assert "secret" not in f"{error} {fault.message}"
    assert f"Value '...' at '{member}' failed to satisfy" in fault.message
    other = json.dumps({"message": said.replace(member, "voiceId")}).encode()
    assert "secret" in str(from_response(*POLLY, 400, headers, other)), "a voice's name is no speech"


def test_what_is_no_failure_of_a_service_passes_a_translation() -> None:
    for error in (KeyError("x"), BadInput("x"), TypeError("x")):
        with pytest.raises(type(error)) as caught, translated(*POLLY):
            raise error
        assert caught.value is error


def test_errors_of_botocore_and_of_sockets() -> None:
    import ssl

    import aiohttp
    import urllib3.exceptions
    from botocore import eventstream, exceptions

    where = {"endpoint_url": "https://polly.us-east-1.amazonaws.com", "error": "why"}
    cases: list[tuple[Exception, type[ProviderError], bool, str]] = [
        (exceptions.NoCredentialsError(), REFUSED, False, "AWS_ACCESS_KEY_ID"),
        (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), REFUSED, False, "AWS_SESSION_TOKEN"),
        (exceptions.ProfileNotFound(profile="x"), REFUSED, False, "AWS_PROFILE"),
        (exceptions.NoRegionError(), REFUSED, False, "AWS_REGION"),
        (exceptions.UnauthorizedSSOTokenError(), REFUSED, False, "aws sso login"),
        (exceptions.SSOTokenLoadError(error_msg="x"), REFUSED, False, "aws sso login"),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), REFUSED, False, "aws sso login"),
        (exceptions.CredentialRetrievalError(provider="custom-process", error_msg="x"), REFUSED, False, "credential_process"),
        (exceptions.MetadataRetrievalError(error_msg="x"), DOWN, True, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        (exceptions.ReadTimeoutError(**where), LATE, True, ""),
        (exceptions.ConnectTimeoutError(**where), LATE, True, "AWS_ENDPOINT_URL"),
        (exceptions.EndpointConnectionError(**where), DOWN, True, "region may lack"),
        (exceptions.ConnectionClosedError(**where), DOWN, True, ""),
        (exceptions.SSLError(**where), DOWN, False, "AWS_CA_BUNDLE"),
        (exceptions.ProxyConnectionError(proxy_url="x", error="y"), DOWN, False, "HTTPS_PROXY"),
        (exceptions.HTTPClientError(error="x"), DOWN, True, ""),
        (exceptions.ResponseStreamingError(error="x"), DOWN, True, ""),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), DOWN, True, ""),
        (eventstream.ChecksumMismatch(1, 2), ProviderMisbehaved, True, "whole"),
        (urllib3.exceptions.ProtocolError("truncated"), DOWN, True, ""),
        (aiohttp.ClientPayloadError("truncated"), DOWN, True, ""),
        (aiohttp.ServerDisconnectedError(), DOWN, True, ""),
        (ssl.SSLCertVerificationError(1, "self-signed"), DOWN, False, "AWS_CA_BUNDLE"),
        (TimeoutError(), LATE, True, ""),
        (ConnectionResetError(104, "reset"), DOWN, True, ""),
    ]  # fmt: skip
    for given_, kind, retryable, hint in cases:
        error = raised_by(given_)
        assert (type(error), error.retryable) == (kind, retryable), repr(given_)
        assert hint in error.hint, repr(given_)
        assert error.hint, repr(given_)
        fault = fault_of(error)
        assert fault is not None
        assert fault.code == type(given_).__name__


def test_a_client_error_of_botocore_is_read_by_its_members_not_its_text() -> None:
    from botocore.exceptions import ClientError, EventStreamError

    response = {
        "Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"},
        "ResponseMetadata": {
            "HTTPStatusCode": 400,
            "RequestId": "r-2",
            "RetryAttempts": 0,
            "MaxAttemptsReached": True,
        },
    }
    error = raised_by(ClientError(response, "SynthesizeSpeech"))
    fault = fault_of(error)
    assert fault is not None
    assert (fault.code, fault.status, fault.request_id) == ("ThrottlingException", 400, "r-2")
    assert "reached max retries" not in str(error)
    stream = EventStreamError({"Error": {"Code": "modelStreamErrorException", "Message": "x"}}, "ConverseStream")
    assert isinstance(raised_by(stream), ProviderUnavailable)
    proxy = ClientError(
        {"Error": {"Code": "404", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "Converse"
    )
    assert "HTTPS_PROXY" in raised_by(proxy).hint


def test_a_timeout_without_words_is_put_into_words() -> None:
    assert "no answer in time" in str(raised_by(TimeoutError()))


def test_what_asks_to_be_retried_is_retried() -> None:
    body = b'{"message": "System instability detected. Please retry your request."}'
    headers = {"x-amzn-errortype": "ValidationException"}
    assert from_response("bedrock-runtime", "ConverseStream", 400, headers, body).retryable
