"""What each failure of an AWS service means: one row a failure, read from top to bottom, the first that fits wins.

Sources: Amazon Transcribe, Bedrock, Polly and Nova developer guides and API references (errors, quotas), the IAM
service authorization reference, and botocore's service models.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from voiceloop.errors import (
    ProviderError,
    ProviderMisbehaved,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

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
    message. ``hint`` may use ``{action}``, ``{resource}``, ``{quota}``, ``{service}`` and ``{identity}``.
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


TRANSCRIBE, BEDROCK, POLLY = "transcribestreaming", "bedrock-runtime", "polly"
NOVA = "InvokeModelWithBidirectionalStream"
POLLY_STREAM = "StartSpeechSynthesisStream"

PROVIDERS = {TRANSCRIBE: "Amazon Transcribe", BEDROCK: "Amazon Bedrock", POLLY: "Amazon Polly"}
SIGNING_NAMES = {TRANSCRIBE: "transcribe", BEDROCK: "bedrock", POLLY: "polly"}

_MODEL_RESOURCE = (
    "arn:aws:bedrock:*::foundation-model/<model>, and for an inference profile also "
    "arn:aws:bedrock:<region>:<account>:inference-profile/<profile>"
)
# The IAM action and resource of an operation, where the action is not "<signing name>:<operation>" on "*".
ACTIONS = {
    "Converse": ("bedrock:InvokeModel", _MODEL_RESOURCE),
    "ConverseStream": ("bedrock:InvokeModelWithResponseStream", _MODEL_RESOURCE),
    NOVA: ("bedrock:InvokeModel", _MODEL_RESOURCE),
    "CountTokens": ("bedrock:CountTokens", "arn:aws:bedrock:*::foundation-model/<model>"),
    "ApplyGuardrail": ("bedrock:ApplyGuardrail", "arn:aws:bedrock:<region>:<account>:guardrail/<id>"),
}
QUOTAS = {
    "StartStreamTranscription": "concurrent HTTP/2 streams (25 by default), and StartStreamTranscription per second",
    "StartStreamTranscriptionWebSocket": "concurrent WebSocket streams (25 by default)",
    "Converse": "on-demand requests and tokens per minute of the model",
    "ConverseStream": "on-demand requests and tokens per minute of the model",
    NOVA: "concurrent speech-to-speech streams (20 by default)",
    "SynthesizeSpeech": (
        "SynthesizeSpeech transactions per second and concurrent requests of the voice's engine (neural: 8 a second, "
        "18 at once)"
    ),
    POLLY_STREAM: "StartSpeechSynthesisStream transactions per second and concurrent streams",
    "DescribeVoices": "DescribeVoices transactions per second (80 by default)",
}

_SIGN_IN = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary keys) or AWS_PROFILE, run "
    "`aws configure` or `aws sso login`, give Account(keys=...), or attach a role to the instance, task or function."
)
_EXPIRED = (
    "Fetch new temporary credentials (`aws sso login`, `aws login` or STS) and set AWS_SESSION_TOKEN with its keys; "
    "check the clock of this machine."
)
_CLOCK = "Check the clock of this machine, and AWS_SECRET_ACCESS_KEY."
_SSO = "Run `aws sso login` (or `aws login`), with --profile or AWS_PROFILE if it is not the default profile."
_DENIED = "Allow {action} on {resource} for {identity}: IAM console > Roles or Users > Add permissions."
_CATALOG = (
    "Open the Amazon Bedrock console > Model catalog (Model access in older accounts) and enable the model in this "
    "region; allow {action} on {resource}."
)
_USE_CASE = "Submit the Anthropic use case form: Amazon Bedrock console > Model catalog > the model."
_PROFILES = (
    "Amazon Bedrock console > Inference profiles lists the ids of this region; they begin with `us.`, `eu.`, "
    "`apac.`, `jp.`, `au.` or `global.`."
)
_MORE = "It is a quota: {quota}. Raise it in the Service Quotas console > AWS services > {service}."
_REACH = (
    "Check the network, HTTPS_PROXY and NO_PROXY, AWS_ENDPOINT_URL, and a VPC endpoint if there is no way out; the "
    "region may lack the service."
)
_PROXY = "The answer is not AWS's: check HTTPS_PROXY and NO_PROXY, or the proxy itself."
_CERTIFICATE = "Set AWS_CA_BUNDLE, or Account(ca_bundle=...), to the PEM file of the authority that signed it."
_WAIT = "Try again a little later."
_SILENCE = "Audio must reach the service all the time: is the microphone muted? Send silence while it is."


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
        _CLOCK,
        codes=(
            "invalidsignature",
            "signaturedoesnotmatch",
            "requesttimetooskewed",
            "requestexpired",
            "incompletesignature",
        ),
    ),
    Row(ProviderRefused, "renew credentials", _EXPIRED, codes=("expiredtoken", "expiredtokenexception")),
    Row(
        ProviderRefused,
        "do not retry",
        "The access key or session token is unknown to AWS. " + _SIGN_IN,
        codes=("unrecognizedclient", "invalidclienttokenid", "missingauthenticationtoken", "invalidaccesskeyid"),
    ),
    # Who may.
    Row(
        ProviderRefused,
        "do not retry",
        _CATALOG,
        codes=("accessdenied",),
        services=(BEDROCK,),
        says=("access to the model", "model access is denied"),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "An organization's policy denies it: the deny must be lifted in AWS Organizations > Policies. " + _DENIED,
        codes=("accessdenied",),
        says=("service control policy",),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        _DENIED + " HTTP/2 and WebSocket streams are two different actions.",
        codes=("accessdenied",),
        services=(TRANSCRIBE,),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        _DENIED
        + " If it is allowed, open the Amazon Bedrock console > Model catalog (Model access in older accounts).",
        codes=("accessdenied",),
        services=(BEDROCK,),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        _DENIED,
        codes=("accessdenied", "unauthorized", "notauthorized", "optinrequired"),
    ),
    # Which model.
    Row(
        ProviderRefused,
        "do not retry",
        _USE_CASE,
        services=(BEDROCK,),
        says=("use case details have not been submitted", "ftuformnotfilled", "use case form"),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Choose an inference profile instead of the bare model id. " + _PROFILES,
        codes=("validation",),
        services=(BEDROCK,),
        says=("on-demand throughput",),
    ),
    Row(
        ProviderRefused,
        "do not retry",
        "Check the model id and its region. " + _PROFILES,
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
        "Check the model, inference profile or guardrail id and its region. " + _PROFILES,
        codes=("resourcenotfound",),
        services=(BEDROCK,),
    ),
    # Nova Sonic's ValidationException, told apart by its text.
    _nova(ProviderTimeout, "reopen", _SILENCE, "timed out waiting for audio bytes", "timed out waiting for input"),
    _nova(
        ProviderRefused,
        "reopen with half the history",
        "The conversation is too long to be replayed whole; replay half of it.",
        "chat history is over max limit",
    ),
    _nova(ProviderRefused, "reopen", "Audio was sent inside a text block.", "chat history should be sent completely"),
    _nova(ProviderRefused, "reopen", "A tool's result must be one JSON object.", "tool response parsing error"),
    _nova(ProviderUnavailable, "reopen", _WAIT, "system instability detected"),
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
    # Transcribe.
    Row(
        ProviderTimeout,
        "reopen",
        _SILENCE,
        codes=("badrequest",),
        services=(TRANSCRIBE,),
        says=("no new audio was received", "your request timed out"),
    ),
    Row(
        ProviderRefused,
        "reopen",
        "Audio was sent faster than it plays, and its signatures grew old; send it at its own pace. " + _CLOCK,
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
        "A stream may last 4 hours and chunks 1 second. " + _MORE,
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
    _polly("validation", "Check the voice, engine, format and text."),
    # Quotas and throttles of all services: Polly says ThrottlingException with status 400, Bedrock with 429.
    Row(
        ProviderUnavailable,
        "retry",
        "The model is being loaded. " + _WAIT,
        codes=("modelnotready",),
    ),
    Row(
        ProviderRefused,
        "reopen",
        _MORE,
        codes=("throttling", "toomanyrequests", "servicequotaexceeded"),
        operations=(NOVA, POLLY_STREAM),
    ),
    Row(
        ProviderRefused,
        "retry",
        _MORE,
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
    Row(ProviderRefused, "do not retry", _MORE, codes=("servicequotaexceeded",)),
    # What a new stream can mend.
    Row(ProviderTimeout, "reopen", _WAIT, codes=("modeltimeout",), operations=(NOVA,)),
    Row(
        ProviderUnavailable,
        "reopen",
        _WAIT,
        codes=("modelstreamerror", "modelerror", "internalserver", "serviceunavailable", "internalfailure"),
        operations=(NOVA, "StartStreamTranscription", "StartStreamTranscriptionWebSocket"),
    ),
    Row(ProviderUnavailable, "reopen", _WAIT, codes=("servicefailure",), operations=(POLLY_STREAM,)),
    # What the same request can mend.
    Row(ProviderTimeout, "retry", _WAIT, codes=("modeltimeout", "requesttimeout")),
    Row(
        ProviderUnavailable,
        "retry",
        _WAIT,
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
    Row(ProviderUnavailable, "retry", _WAIT, status=500),
)

PROXY_ROW = Row(ProviderUnavailable, "do not retry", _PROXY)
UNKNOWN = Row(ProviderRefused, "do not retry")

_DROPPED = Row(ProviderUnavailable, "retry", _REACH)
_NO_KEYS = Row(ProviderRefused, "do not retry", _SIGN_IN)
_NO_SSO = Row(ProviderRefused, "renew credentials", _SSO)
_BROKEN = Row(ProviderMisbehaved, "retry", "The answer did not arrive whole, or something on the way changed it.")

# Errors of botocore, aiobotocore, aiohttp and Python, by class name; the nearest ancestor with a row counts.
CREDENTIAL_ERRORS = {
    "NoCredentialsError": _NO_KEYS,
    "PartialCredentialsError": _NO_KEYS,
    "CredentialRetrievalError": Row(
        ProviderRefused,
        "do not retry",
        "Run the profile's credential_process or role by hand to see why. " + _SIGN_IN,
    ),
    "MetadataRetrievalError": Row(
        ProviderUnavailable,
        "retry",
        "The instance's or container's credential service did not answer (AWS_CONTAINER_CREDENTIALS_FULL_URI, "
        "AWS_EC2_METADATA_SERVICE_ENDPOINT). " + _SIGN_IN,
    ),
    "InvalidIMDSEndpointError": _NO_KEYS,
    "RefreshWithMFAUnsupportedError": Row(
        ProviderRefused, "renew credentials", "A role with MFA cannot be refreshed; give temporary keys."
    ),
    "InvalidConfigError": Row(
        ProviderRefused, "do not retry", "Mend the profile in ~/.aws/config (AWS_CONFIG_FILE) or choose AWS_PROFILE."
    ),
    "InfiniteLoopConfigError": Row(ProviderRefused, "do not retry", "Mend source_profile in ~/.aws/config."),
    "UnknownCredentialError": Row(ProviderRefused, "do not retry", "Mend credential_source in ~/.aws/config."),
    "ConfigParseError": Row(ProviderRefused, "do not retry", "Mend ~/.aws/config or ~/.aws/credentials."),
    "ConfigNotFound": Row(ProviderRefused, "do not retry", "Check AWS_CONFIG_FILE."),
    "ProfileNotFound": Row(ProviderRefused, "do not retry", "Check AWS_PROFILE and ~/.aws/config."),
    "NoRegionError": Row(ProviderRefused, "do not retry", "Set AWS_REGION, or give Account(region=...)."),
    "NoAuthTokenError": _NO_KEYS,
    "SSOError": _NO_SSO,
    "UnauthorizedSSOTokenError": _NO_SSO,
    "SSOTokenLoadError": _NO_SSO,
    "PendingAuthorizationExpiredError": _NO_SSO,
    "TokenRetrievalError": _NO_SSO,
    "LoginRefreshRequired": _NO_SSO,
    "LoginTokenLoadError": _NO_SSO,
}
TRANSPORT_ERRORS = {
    "ReadTimeoutError": Row(ProviderTimeout, "retry", _WAIT),
    "ConnectTimeoutError": Row(ProviderTimeout, "retry", _REACH),
    "TimeoutError": Row(ProviderTimeout, "retry", _REACH),
    "ServerTimeoutError": Row(ProviderTimeout, "retry", _REACH),
    "ProxyConnectionError": Row(
        ProviderUnavailable, "do not retry", "Check HTTPS_PROXY, NO_PROXY and the proxy itself."
    ),
    "ClientHttpProxyError": Row(
        ProviderUnavailable, "do not retry", "Check HTTPS_PROXY, NO_PROXY and the proxy itself."
    ),
    "ClientProxyConnectionError": Row(
        ProviderUnavailable, "do not retry", "Check HTTPS_PROXY, NO_PROXY and the proxy itself."
    ),
    "SSLCertVerificationError": Row(ProviderUnavailable, "do not retry", _CERTIFICATE),
    "ClientConnectorCertificateError": Row(ProviderUnavailable, "do not retry", _CERTIFICATE),
    "ClientConnectorSSLError": Row(ProviderUnavailable, "do not retry", _CERTIFICATE),
    "SSLEOFError": _DROPPED,
    "SSLZeroReturnError": _DROPPED,
    "SSLError": Row(ProviderUnavailable, "do not retry", _CERTIFICATE),
    "ChecksumMismatch": _BROKEN,
    "ParserError": _BROKEN,
    "ResponseParserError": _BROKEN,
    "InvalidHeadersLength": _BROKEN,
    "InvalidPayloadLength": _BROKEN,
    "DuplicateHeader": _BROKEN,
    "IncompleteReadError": _DROPPED,
    "ResponseStreamingError": _DROPPED,
    "ProtocolError": _DROPPED,
    "ClientPayloadError": _DROPPED,
    "ServerDisconnectedError": _DROPPED,
    "ConnectionClosedError": _DROPPED,
    "ConnectionError": _DROPPED,
    "EndpointConnectionError": _DROPPED,
    "ClientError": _DROPPED,  # aiohttp's; botocore's is a service's own answer and never looked up here
    "HTTPClientError": _DROPPED,
    "OSError": _DROPPED,
    "EndOfStream": _DROPPED,
    "BrokenResourceError": _DROPPED,
    "ClosedResourceError": _DROPPED,
}
