"""What failures on this side mean: errors of botocore, aiobotocore, aiohttp and Python, by class name."""

from __future__ import annotations

from voiceloop.aws.fault_hints import CERTIFICATE, PROXY, REACH, SIGN_IN, SSO, WAIT
from voiceloop.aws.fault_table import Row
from voiceloop.errors import ProviderMisbehaved, ProviderRefused, ProviderTimeout, ProviderUnavailable

PROXY_ROW = Row(ProviderUnavailable, "do not retry", PROXY)
UNKNOWN = Row(ProviderRefused, "do not retry")
# botocore keeps neither name nor message of an exception within a stream that its model of the service lacks.
UNNAMED = Row(ProviderUnavailable, "retry", "This release of botocore does not know which error it is. " + WAIT)

_DROPPED = Row(ProviderUnavailable, "retry", REACH)
_NO_KEYS = Row(ProviderRefused, "do not retry", SIGN_IN)
_NO_SSO = Row(ProviderRefused, "renew credentials", SSO)
_BROKEN = Row(ProviderMisbehaved, "retry", "The answer did not arrive whole, or something on the way changed it.")

# The nearest ancestor with a row counts.
CREDENTIAL_ERRORS = {
    "NoCredentialsError": _NO_KEYS,
    "PartialCredentialsError": _NO_KEYS,
    "CredentialRetrievalError": Row(
        ProviderRefused,
        "do not retry",
        "Run the profile's credential_process or role by hand to see why. " + SIGN_IN,
    ),
    "MetadataRetrievalError": Row(
        ProviderUnavailable,
        "retry",
        "The instance's or container's credential service did not answer (AWS_CONTAINER_CREDENTIALS_FULL_URI, "
        "AWS_EC2_METADATA_SERVICE_ENDPOINT). " + SIGN_IN,
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
    "ReadTimeoutError": Row(ProviderTimeout, "retry", WAIT),
    "ConnectTimeoutError": Row(ProviderTimeout, "retry", REACH),
    "TimeoutError": Row(ProviderTimeout, "retry", REACH),
    "ServerTimeoutError": Row(ProviderTimeout, "retry", REACH),
    "ProxyConnectionError": Row(
        ProviderUnavailable,
        "do not retry",
        "Check HTTPS_PROXY, NO_PROXY or Account(proxy=...), and the proxy itself.",
    ),
    "ClientHttpProxyError": Row(
        ProviderUnavailable,
        "do not retry",
        "Check HTTPS_PROXY, NO_PROXY or Account(proxy=...), and the proxy itself.",
    ),
    "ClientProxyConnectionError": Row(
        ProviderUnavailable,
        "do not retry",
        "Check HTTPS_PROXY, NO_PROXY or Account(proxy=...), and the proxy itself.",
    ),
    "SSLCertVerificationError": Row(ProviderUnavailable, "do not retry", CERTIFICATE),
    "ClientConnectorCertificateError": Row(ProviderUnavailable, "do not retry", CERTIFICATE),
    "ClientConnectorSSLError": Row(ProviderUnavailable, "do not retry", CERTIFICATE),
    "SSLEOFError": _DROPPED,
    "SSLZeroReturnError": _DROPPED,
    "SSLError": Row(ProviderUnavailable, "do not retry", CERTIFICATE),
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
