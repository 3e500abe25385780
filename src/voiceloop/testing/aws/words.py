"""How each service words its errors: codes, and the shape of the answer.

Sources: the botocore service models, the developer guides' pages on errors, and for the protocols' shapes Smithy's
specifications of AWS's protocols ("Operation error serialization").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from attrs import evolve, field, frozen

from voiceloop import clock
from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.exchange import Refusal, Response

Protocol: TypeAlias = Literal["rest-json", "json", "query", "rest-xml", "ec2"]
"""The protocols of AWS's services, by their names in botocore's models."""

_XML: Mapping[str, str] = {
    "query": (
        '<ErrorResponse xmlns="{namespace}"><Error><Type>{type}</Type><Code>{code}</Code><Message>{message}</Message>'
        "</Error><RequestId>{request}</RequestId></ErrorResponse>"
    ),
    "rest-xml": (
        '<?xml version="1.0" encoding="UTF-8"?>'
        "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request}</RequestId></Error>"
    ),
    "ec2": (
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>{request}</RequestID></Response>"
    ),
}


@frozen(kw_only=True)
class Words:
    """A service's way with errors. ``message``: the key of the text. ``camel``: exceptions in a stream begin with a
    small letter. ``busy`` and ``broken`` are its throttling and internal errors, ``wrong`` is what a request that
    makes no sense gets; ``unstable`` is its own text for passing trouble. ``codes``: its own names for errors that
    most services share. ``protocol`` shapes the answer; ``namespace``: that of its XML."""

    protocol: Protocol = "rest-json"
    namespace: str = ""
    codes: Mapping[str, str] = field(factory=dict)
    message: str = "message"
    camel: bool = False
    busy: Refusal
    broken: Refusal
    away: Refusal
    wrong: str
    unstable: str = "System instability detected. Please retry your request."

    def own(self, refusal: Refusal) -> Refusal:
        """The refusal by the service's own name for it."""
        return evolve(refusal, code=self.codes.get(refusal.code, refusal.code))

    def http(self, refusal: Refusal) -> Response:
        """The refusal as an HTTP response."""
        if self.protocol in _XML:
            return self._xml(refusal)
        told = {self.message: refusal.message, **refusal.extra}
        headers = {"content-type": "application/json", "x-amzn-errortype": refusal.code}
        if self.protocol == "json":
            told, headers = {"__type": refusal.code, **told}, {"content-type": "application/x-amz-json-1.1"}
        return Response(refusal.status, headers, json.dumps(told).encode())

    def _xml(self, refusal: Refusal) -> Response:
        request = clock.new_id()
        body = _XML[self.protocol].format(
            namespace=self.namespace,
            type="Sender" if refusal.status < 500 else "Receiver",
            code=escape(refusal.code),
            message=escape(refusal.message),
            request=request,
        )
        return Response(refusal.status, {"content-type": "text/xml", "x-amzn-requestid": request}, body.encode())

    def event(self, refusal: Refusal) -> Message:
        """The refusal as the exception that ends a stream."""
        name = refusal.code[:1].lower() + refusal.code[1:] if self.camel else refusal.code
        headers: Mapping[str, str] = {
            ":message-type": "exception",
            ":exception-type": name,
            ":content-type": "application/json",
        }
        return Message(headers, json.dumps({self.message: refusal.message, **refusal.extra}).encode())


_TRANSCRIBE = Words(
    message="Message",
    busy=Refusal(
        429,
        "LimitExceededException",
        "You have reached your limit of concurrent streams. Reduce the number of concurrent streams and try your "
        "request again.",
    ),
    broken=Refusal(
        500,
        "InternalFailureException",
        "A problem occurred while processing the audio. Amazon Transcribe terminated processing.",
    ),
    away=Refusal(503, "ServiceUnavailableException", "The service is currently unavailable. Try your request later."),
    wrong="BadRequestException",
    unstable="A problem occurred while processing the audio. Amazon Transcribe terminated processing.",
)
_BEDROCK = Words(
    camel=True,
    busy=Refusal(429, "ThrottlingException", "Too many requests, please wait before trying again."),
    broken=Refusal(
        500,
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    away=Refusal(
        503, "ServiceUnavailableException", "The service is temporarily unavailable. Try your request later."
    ),
    wrong="ValidationException",
)
_POLLY = Words(
    busy=Refusal(400, "ThrottlingException", "Rate exceeded"),
    broken=Refusal(500, "ServiceFailureException", "An unknown condition has caused a service failure."),
    away=Refusal(503, "ServiceUnavailableException", "Service is unable to handle request."),
    wrong="ValidationException",
    unstable="An unknown condition has caused a service failure.",
)
_STS = Words(
    protocol="query",
    namespace="https://sts.amazonaws.com/doc/2011-06-15/",
    codes={
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "ExpiredTokenException": "ExpiredToken",
        "AccessDeniedException": "AccessDenied",
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "IncompleteSignatureException": "IncompleteSignature",
    },
    busy=Refusal(400, "Throttling", "Rate exceeded"),
    broken=Refusal(500, "InternalFailure", "The request processing has failed because of an unknown error."),
    away=Refusal(503, "ServiceUnavailable", "Service is unavailable. Please retry."),
    wrong="ValidationError",
)
_BY_SERVICE = {"transcribestreaming": _TRANSCRIBE, "bedrock-runtime": _BEDROCK, "polly": _POLLY, "sts": _STS}


def words_of(service: str, protocol: Protocol | None = None) -> Words:
    """The words of ``service``; of one that is not known, those that most AWS services use, in ``protocol``."""
    return _BY_SERVICE.get(service) or evolve(_BEDROCK, protocol=protocol or "rest-json", namespace="")


SIGNING_NAMES: Mapping[str, str] = {
    "transcribestreaming": "transcribe",
    "bedrock-runtime": "bedrock",
    "polly": "polly",
    "sts": "sts",
}
"""What requests to a service are signed as."""

OPERATIONS_OF: Mapping[str, tuple[str, ...]] = {
    "transcribestreaming": ("StartStreamTranscription", "StartStreamTranscriptionWebSocket"),
    "bedrock-runtime": ("Converse", "ConverseStream", "CountTokens", "InvokeModelWithBidirectionalStream"),
    "polly": ("SynthesizeSpeech", "DescribeVoices", "StartSpeechSynthesisStream"),
    "sts": ("GetCallerIdentity", "AssumeRole"),
}
OPERATIONS = tuple(name for names in OPERATIONS_OF.values() for name in names)
"""Every operation that is emulated."""

ACTIONS = (
    *("transcribe:StartStreamTranscription", "transcribe:StartStreamTranscriptionWebSocket"),
    *(
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
        "bedrock:CountTokens",
        "bedrock:ApplyGuardrail",
        "bedrock:CallWithBearerToken",
    ),
    *("polly:SynthesizeSpeech", "polly:DescribeVoices", "polly:StartSpeechSynthesisStream"),
    "sts:AssumeRole",
)
"""Every IAM action that authorises one."""
