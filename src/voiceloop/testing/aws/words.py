"""How each service words its errors: codes, and the shape of the answer.

Sources: the botocore service models, and the developer guides' pages on errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import frozen

from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.exchange import Refusal, Response


@frozen(kw_only=True)
class Words:
    """A service's way with errors. ``message``: the key of the text. ``camel``: exceptions in a stream begin with a
    small letter. ``busy`` and ``broken`` are its throttling and internal errors, ``wrong`` is what a request that
    makes no sense gets; ``unstable`` is its own text for passing trouble."""

    message: str = "message"
    camel: bool = False
    busy: Refusal
    broken: Refusal
    away: Refusal
    wrong: str
    unstable: str = "System instability detected. Please retry your request."

    def http(self, refusal: Refusal) -> Response:
        """The refusal as an HTTP response."""
        body = json.dumps({self.message: refusal.message, **refusal.extra}).encode()
        headers = {"content-type": "application/json", "x-amzn-errortype": refusal.code}
        return Response(refusal.status, headers, body)

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
_BY_SERVICE = {"transcribestreaming": _TRANSCRIBE, "bedrock-runtime": _BEDROCK, "polly": _POLLY}


def words_of(service: str) -> Words:
    """The words of ``service``; of one that is not known, those that most AWS services use."""
    return _BY_SERVICE.get(service, _BEDROCK)


SIGNING_NAMES: Mapping[str, str] = {
    "transcribestreaming": "transcribe",
    "bedrock-runtime": "bedrock",
    "polly": "polly",
}
"""What requests to a service are signed as."""

OPERATIONS = (
    *("StartStreamTranscription", "StartStreamTranscriptionWebSocket"),
    *("Converse", "ConverseStream", "CountTokens", "InvokeModelWithBidirectionalStream"),
    *("SynthesizeSpeech", "DescribeVoices", "StartSpeechSynthesisStream"),
)
"""Every operation that is emulated."""

ACTIONS = (
    *("transcribe:StartStreamTranscription", "transcribe:StartStreamTranscriptionWebSocket"),
    *(
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
        "bedrock:CountTokens",
        "bedrock:ApplyGuardrail",
    ),
    *("polly:SynthesizeSpeech", "polly:DescribeVoices", "polly:StartSpeechSynthesisStream"),
)
"""Every IAM action that authorises one."""
