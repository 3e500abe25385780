"""Signatures, against botocore, amazon-transcribe and vectors computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from amazon_transcribe.auth import Credentials as OracleCredentials
from amazon_transcribe.eventstream import EventSigner as OracleSigner
from amazon_transcribe.eventstream import EventStreamMessageSerializer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.chain import Credentials
from voiceloop.aws.wire.frames import encode
from voiceloop.aws.wire.signing import EventSigner, authority, sign_request
from voiceloop.aws.wire.stream import Message, StreamRequest

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PRIOR = bytes([0xAB]) * 32
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
AUDIO = Message(
    {":message-type": "event", ":event-type": "AudioEvent", ":content-type": "application/octet-stream"},
    bytes([0, 1, 2, 3]),
)
INNER = bytes.fromhex(
    "0000006c000000585c509ce30d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479706507000a417564696f"
    "4576656e740d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d0001020371e2c8d0"
)
SIGNATURES = (
    "a129dc76686dbe21df4c9503f4be40b00ce415f6af9f0b3c3af7e95a33f9b2a5",
    "657193761b17cbc4e1950de779dca6c7495158805904b8850f11e33b68f2f552",
)
BEDROCK = StreamRequest(
    "bedrock-runtime",
    "bedrock",
    "InvokeModelWithBidirectionalStream",
    "/model/amazon.nova-2-sonic-v1%3A0/invoke-with-bidirectional-stream",
    {"X-Custom": " two  blanks ", "Host": "elsewhere", "Content-Length": "0", "Connection": "close"},
)


def test_the_vectors() -> None:
    signer = EventSigner(SECRET, "us-east-1", "transcribe", PRIOR, lambda: WHEN)
    date = "053a64617465080000019b7ca98f2e103a6368756e6b2d7369676e6174757265060020"
    assert encode(AUDIO) == INNER
    assert signer.sign(INNER).hex() == (f"000000bf0000004318605086{date}{SIGNATURES[0]}{INNER.hex()}34f2d2e6")
    assert signer.end().hex() == f"0000005300000043f5447a58{date}{SIGNATURES[1]}7fb97187"


@st.composite
def moments(draw: st.DrawFn) -> list[datetime]:
    """Times, each later than the one before, some across midnight; whole seconds, which the oracle reads exactly."""
    steps = draw(st.lists(st.sampled_from((0, 1, 59, 40_000, 86_400)), min_size=1, max_size=6))
    first = datetime(2026, 2, 28, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 86_399)))
    return [first + timedelta(seconds=sum(steps[: n + 1])) for n in range(len(steps))]


@given(
    moments(),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=40),
    st.sampled_from(("transcribe", "bedrock", "polly")),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=300),
)
def test_events_are_signed_as_amazon_transcribe_does(
    times: list[datetime], secret: str, service: str, prior: bytes, payload: bytes
) -> None:
    ours, theirs = iter(times), iter(times)
    signer = EventSigner(secret, "eu-west-1", service, prior, lambda: next(ours))
    oracle = OracleSigner(service, "eu-west-1", lambda: next(theirs))
    for number in range(len(times)):
        inner = payload if number < len(times) - 1 else b""
        headers = oracle.sign(inner, prior, OracleCredentials("AKID", secret))
        prior = headers[":chunk-signature"]
        expected = EventStreamMessageSerializer().serialize(headers, inner)
        assert (signer.sign(inner) if inner else signer.end()) == expected


@pytest.mark.virtual_time(seed=0)
@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("https://localhost:8443", "localhost:8443"),
        ("https://[::1]:8443", "[::1]:8443"),
        ("https://127.0.0.1:443/", "127.0.0.1"),
    ],
)
async def test_a_request_is_signed_as_botocore_does(endpoint: str, host: str, token: str | None) -> None:
    credentials = Credentials("AKID", SECRET, token)
    signed = sign_request(BEDROCK, endpoint, "us-east-1", credentials, agent="voiceloop")
    headers = dict(signed.headers)
    assert len(headers) == len(signed.headers)
    assert headers[":authority"] == host == authority(endpoint)
    assert headers["x-amz-content-sha256"] == "STREAMING-AWS4-HMAC-SHA256-EVENTS"
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert headers.get("x-amz-security-token") == token
    assert headers["x-amz-date"] == "20260101T000000Z"
    assert signed.signature.hex() == headers["authorization"].rpartition("Signature=")[2]
    assert signed.signature.hex() == signature_by_botocore(headers, credentials)


def signature_by_botocore(headers: dict[str, str], credentials: Credentials) -> str:
    """What a server computes that sees these headers."""
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    seen = {"host": headers[":authority"], **headers}
    request = AWSRequest("POST", f"https://{seen['host']}{headers[':path']}", headers={n: seen[n] for n in names})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(credentials, "bedrock", "us-east-1")
    canonical = auth.canonical_request(request)
    assert "/model/amazon.nova-2-sonic-v1%253A0/invoke" in canonical
    assert f"host:{seen['host']}\n" in canonical
    return str(auth.signature(auth.string_to_sign(request, canonical), request))


@pytest.mark.virtual_time(seed=0)
async def test_headers_are_lower_case_and_fit_http2() -> None:
    signed = sign_request(BEDROCK, "https://localhost", "us-east-1", Credentials("AKID", SECRET))
    names = [name for name, _ in signed.headers]
    assert names == [name.lower() for name in names]
    assert names[:4] == [":method", ":scheme", ":authority", ":path"]
    assert not {"host", "content-length", "connection", "expect", "transfer-encoding"} & set(names)
    assert dict(signed.headers)["x-custom"] == " two  blanks "
