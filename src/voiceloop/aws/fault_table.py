"""What each failure of an AWS service means: one row a failure, read from top to bottom, the first that fits wins.

Sources: Amazon Transcribe, Bedrock, Polly and Nova developer guides and API references (errors, quotas), the IAM
service authorization reference, and botocore's service models.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from voiceloop.aws.fault_hints import (
    BEDROCK,
    CATALOG,
    CLOCK,
    CLOCK_OR_KEY,
    DENIED,
    EXPIRED,
    MORE,
    NOVA,
    POLLY,
    POLLY_STREAM,
    PROFILES,
    PROVIDERS,
    SIGN_IN,
    SILENCE,
    TRANSCRIBE,
    USE_CASE,
    WAIT,
)
from voiceloop.errors import (
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

__all__ = ("NOVA", "PROVIDERS", "ROWS", "Remedy", "Row", "plain")

Remedy: TypeAlias = Literal["retry", "reopen", "reopen with half the history", "renew credentials", "do not retry"]


def plain(code: str) -> str:
    """An error code as the table spells it: lower case, without namespace, suffix or "Exception"."""
    code = code.rsplit("#", 1)[-1].split(":", 1)[0].strip().lower()
    return code.removesuffix("exception")


@frozen
class Row:
    """A failure and what to do about it.

    It fits when the plain code is among ``codes`` (any, if there are none), the service among ``services``, the
    operation among ``operations``, the status is at least ``status``, and one of ``says`` (lower case) is in the
    message. ``hint`` may use ``{action}``, ``{resource}``, ``{quota}``, ``{service}`` and ``{identity}``,
    and ``{clock}`` and ``{clock_or_key}`` for what to do about the time.
    """

    error: type[ProviderError]
    remedy: Remedy
    hint: str = ""
    codes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    status: int = 0

    @property
    def retryable(self) -> bool:
        """Whether the same request, or a new stream, can go better."""
        return self.remedy in ("retry", "reopen", "reopen with half the history")

    def fits(self, service: str, operation: str, status: int | None, code: str, text: str) -> bool:
        """Whether this row is about such a failure. ``code`` is :func:`plain`, ``text`` lower case."""
        return (
            (not self.codes or code in self.codes)
            and (not self.services or service in self.services)
            and (not self.operations or operation in self.operations)
            and (not self.status or (status or 0) >= self.status)
            and (not self.says or any(part in text for part in self.says))
        )


def _nova(error: type[ProviderError], remedy: Remedy, hint: str, *says: str) -> Row:
    """A row of Nova Sonic's ValidationException, which is told apart by its text."""
    return Row(error, remedy, hint, codes=("validation",), operations=(NOVA,), says=says)


def _polly(code: str, hint: str) -> Row:
    """A request that Polly does not take."""
    return Row(ProviderRefused, "do not retry", hint, codes=(code,), services=(POLLY,))


ROWS: tuple[Row, ...] = (
    # Who asks: the same for all services. Transcribe says a stale event signature as BadRequestException, below.
    Row(
        ProviderRefused,
        "do not retry",
        CLOCK_OR_KEY,
        codes=(
            "invalidsignature",
            "signaturedoesnotmatch",
            "requesttimetooskewed",
            "requestexpired",
            "incompletesignature",
        ),
    ),
    Row(ProviderRefused, "renew credentials", EXPIRED, codes=("expiredtoken", "expiredtokenexception")),
    Row(
        ProviderRefused,
        "do not retry",
        "The access key or session token is unknown to AWS. " + SIGN_IN,
        codes=("unrecognizedclient", "invalidclienttokenid", "missingauthenticationtoken", "invalidaccesskeyid"),
    ),
    # Who may.
    Row(
        ProviderRefused,
        "do not retry",
        CATALOG,
        codes=("accessdenied",),
        services=(BEDROCK,),
        says=("access to the model", "model access is denied"),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "An organization's policy denies it: the deny must be lifted in AWS Organizations > Policies. " + DENIED,
        codes=("accessdenied",),
        says=("service control policy",),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        DENIED + " HTTP/2 and WebSocket streams are two different actions.",
        codes=("accessdenied",),
        services=(TRANSCRIBE,),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        DENIED
        + " If it is allowed, open the Amazon Bedrock console > Model catalog (Model access in older accounts).",
        codes=("accessdenied",),
        services=(BEDROCK,),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        DENIED,
        codes=("accessdenied", "unauthorized", "notauthorized", "optinrequired"),
    ),
    # Which model.
    Row(
        ProviderRefused,
        "do not retry",
        USE_CASE,
        services=(BEDROCK,),
        says=("use case details have not been submitted", "ftuformnotfilled", "use case form"),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Choose an inference profile instead of the bare model id. " + PROFILES,
        codes=("validation",),
        services=(BEDROCK,),
        says=("on-demand throughput",),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Check the model id and its region. " + PROFILES,
        codes=("validation", "resourcenotfound"),
        services=(BEDROCK,),
        says=(
            "model identifier is invalid",
            "end of its life",
            "could not resolve the foundation model",
            "model not found",
        ),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Check the model, inference profile or guardrail id and its region. " + PROFILES,
        codes=("resourcenotfound",),
        services=(BEDROCK,),
    ),
    # Nova Sonic's ValidationException, told apart by its text.
    _nova(ProviderTimeout, "reopen", SILENCE, "timed out waiting for audio bytes", "timed out waiting for input"),
    _nova(
        ProviderRefused,
        "reopen with half the history",
        "The conversation is too long to be replayed whole; replay half of it.",
        "chat history is over max limit",
    ),
    _nova(ProviderRefused, "reopen", "Audio was sent inside a text block.", "chat history should be sent completely"),
    _nova(ProviderRefused, "reopen", "A tool's result must be one JSON object.", "tool response parsing error"),
    _nova(ProviderUnavailable, "reopen", WAIT, "system instability detected"),
    _nova(
        ProviderUnavailable,
        "reopen",
        "The connection was dropped, as happens after minutes without speech.",
        "internalerrorcode=531",
        "rst_stream closed stream",
    ),
    _nova(
        ProviderRefused,
        "do not retry",
        "Change the wording of the instructions, the history or the text that was sent.",
        "blocked by our content filters",
    ),
    _nova(
        ProviderRefused,
        "do not retry",
        "A content block needs at least one data event before its end.",
        "no content data was received",
    ),
    _nova(
        ProviderRefused,
        "do not retry",
        "The audio block must be closed before the prompt.",
        "all contents must be closed before ending prompt",
    ),
    _nova(
        ProviderRefused, "do not retry", "Check the voice, the rates, the tools' schemas and the results of tools."
    ),
    Row(
        ProviderUnavailable,
        "retry",
        WAIT,
        codes=("validation",),
        services=(BEDROCK,),
        says=("system instability detected",),
    ),
    # Transcribe.
    Row(
        ProviderTimeout,
        "reopen",
        SILENCE,
        codes=("badrequest",),
        services=(TRANSCRIBE,),
        says=("no new audio was received", "your request timed out"),
    ),
    Row(
        ProviderRefused,
        "reopen",
        "Audio was sent faster than it plays, and its signatures grew old; send it at its own pace. " + CLOCK,
        codes=("badrequest",),
        services=(TRANSCRIBE,),
        says=("signature expired",),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Check the language, sample rate, vocabulary names and the options that exclude each other.",
        codes=("badrequest", "serialization", "validation"),
        services=(TRANSCRIBE,),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "A stream with the same session id began elsewhere; give each its own.",
        codes=("conflict",),
        services=(TRANSCRIBE,),
    ),
    Row(
        ProviderRefused,
        "reopen",
        "A stream may last 4 hours and chunks 1 second. " + MORE,
        codes=("limitexceeded",),
        services=(TRANSCRIBE,),
    ),
    # Polly.
    Row(
        ProviderTimeout,
        "reopen",
        "The stream got no text for 5 seconds; an empty text keeps it open.",
        codes=("servicequotaexceeded",),
        services=(POLLY,),
        says=("input-stream-inbound-event-timeout",),
    ),
    Row(
        ProviderTimeout,
        "reopen",
        "A stream lasts 10 minutes at most.",
        codes=("servicequotaexceeded",),
        services=(POLLY,),
        says=("input-stream-timeout",),
    ),
    _polly("textlengthexceeded", "A request takes 3000 billed characters, 6000 with SSML tags; split the text."),
    _polly("invalidsamplerate", "PCM takes 8000 and 16000 Hz; MP3 and Ogg Vorbis 8000 to 48000 Hz."),
    _polly("invalidssml", "Check that the SSML is well-formed and that the engine knows its tags."),
    _polly("languagenotsupported", "Choose a language that the voice speaks; DescribeVoices lists them."),
    _polly("enginenotsupported", "Choose one of the voice's engines (DescribeVoices), or another region."),
    _polly("marksnotsupportedforformat", "Speech marks need the output format json."),
    _polly("ssmlmarksnotsupportedfortexttype", "SSML marks need the text type ssml."),
    _polly("lexiconnotfound", "Check the lexicon's name and region: Amazon Polly console > Lexicons."),
    _polly("invalidnexttoken", "A list's next page was asked for too late; ask for the list anew."),
    _polly("validation", "Check the voice, engine, format and text."),
    # Quotas and throttles of all services: Polly says ThrottlingException with status 400, Bedrock with 429.
    Row(
        ProviderUnavailable,
        "retry",
        "The model is being loaded. " + WAIT,
        codes=("modelnotready",),
    ),
    Row(
        ProviderRefused,
        "reopen",
        MORE,
        codes=("throttling", "toomanyrequests", "servicequotaexceeded"),
        operations=(NOVA, POLLY_STREAM),
    ),
    Row(
        ProviderRefused,
        "retry",
        MORE,
        codes=(
            *(
                "throttling",
                "throttled",
                "throttlingerror",
                "toomanyrequests",
                "requestlimitexceeded",
                "limitexceeded",
            ),
            *("slowdown", "provisionedthroughputexceeded", "requestthrottled"),
        ),
    ),
    Row(ProviderRefused, "do not retry", MORE, codes=("servicequotaexceeded",)),
    # What a new stream can mend.
    Row(ProviderTimeout, "reopen", WAIT, codes=("modeltimeout",), operations=(NOVA,)),
    Row(
        ProviderUnavailable,
        "reopen",
        WAIT,
        codes=("modelstreamerror", "modelerror", "internalserver", "serviceunavailable", "internalfailure"),
        operations=(NOVA, "StartStreamTranscription", "StartStreamTranscriptionWebSocket"),
    ),
    Row(ProviderUnavailable, "reopen", WAIT, codes=("servicefailure",), operations=(POLLY_STREAM,)),
    # What the same request can mend.
    Row(ProviderTimeout, "retry", WAIT, codes=("modeltimeout", "requesttimeout")),
    Row(
        ProviderUnavailable,
        "retry",
        WAIT,
        codes=(
            *("modelerror", "modelstreamerror", "internalserver", "internalservererror", "internalfailure"),
            *("serviceunavailable", "servicefailure", "internalerror"),
        ),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "This model refuses sampling parameters; leave temperature, top_p and top_k out.",
        codes=("validation",),
        services=(BEDROCK,),
        says=("is deprecated for this model", "cannot both be specified"),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "The service does not take the request; its message says what.",
        codes=("validation", "badrequest", "serialization", "conflict", "resourcenotfound", "unknownoperation"),
    ),
    # Nothing known but the status.
    Row(ProviderUnavailable, "retry", WAIT, status=500),
)
