"""Signatures: of the request that opens an event stream, and of each event after it.

An event is signed as an envelope around its frame, with the signature before it in what is signed, so that they form
a chain from the request's signature on. Source: Amazon Transcribe developer guide, "Signing event streams"; AWS
General Reference, Signature Version 4.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from voiceloop import clock
from voiceloop.aws.wire.frames import milliseconds, pack
from voiceloop.aws.wire.stream import StreamRequest

if TYPE_CHECKING:
    from voiceloop.aws.account import Credentials

CONTENT_TYPE = "application/vnd.amazon.eventstream"
CONTENT_HASH = "STREAMING-AWS4-HMAC-SHA256-EVENTS"

_NOT_ON_HTTP2 = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding", "upgrade"}
)
_SIGNATURE_HEADER = b"\x10:chunk-signature\x06\x00\x20"
_NO_PAYLOAD = sha256(b"").hexdigest()


@frozen
class SignedRequest:
    """A request's headers as they go on the wire, pseudo-headers first, and its signature, the chain's first link."""

    headers: list[tuple[str, str]] = field(repr=False)
    signature: bytes = field(repr=False)


def sign_request(
    request: StreamRequest, endpoint: str, region: str, credentials: Credentials, *, agent: str = ""
) -> SignedRequest:
    """Sign the request for ``endpoint``, a URL, at the present time.

    ``:authority`` is signed as ``host``, with its port unless that is 443. The path, percent-encoded already, is
    encoded once more in what is signed.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    url = urlsplit(endpoint)
    path = url.path.rstrip("/") + request.path
    stamp = clock.utcnow().strftime("%Y%m%dT%H%M%SZ")
    headers = _headers(request.headers, credentials.token, stamp)
    signed = AWSRequest("POST", f"{url.scheme}://{url.netloc}{path}", headers=headers)
    signed.context["timestamp"] = stamp
    auth = SigV4Auth(credentials, request.signs_as, region)
    canonical = auth.canonical_request(signed)
    signature = auth.signature(auth.string_to_sign(signed, canonical), signed)
    names = auth.signed_headers(auth.headers_to_sign(signed))
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(signed)}, SignedHeaders={names}, Signature={signature}"
    )
    if agent:
        headers["user-agent"] = agent
    pseudo = {":method": "POST", ":scheme": url.scheme, ":authority": authority(endpoint), ":path": path}
    return SignedRequest([*pseudo.items(), *headers.items()], bytes.fromhex(signature))


def authority(endpoint: str) -> str:
    """The host of a URL, with its port unless that is the scheme's own."""
    url = urlsplit(endpoint)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    return host if url.port in (None, 443) else f"{host}:{url.port}"


def _headers(given: Mapping[str, str], token: str | None, stamp: str) -> dict[str, str]:
    headers = {"content-type": CONTENT_TYPE, "accept": CONTENT_TYPE}
    headers |= {name.lower(): value for name, value in given.items() if name.lower() not in _NOT_ON_HTTP2}
    headers |= {"x-amz-content-sha256": CONTENT_HASH, "x-amz-date": stamp}
    if token:
        headers["x-amz-security-token"] = token
    return headers


class EventSigner:
    """Signs the events of one stream, in the order in which they are sent.

    The keys are those that signed the request, for the stream's whole life. ``prior``: the request's signature.
    """

    def __init__(
        self,
        secret_key: str,
        region: str,
        signs_as: str,
        prior: bytes,
        now: Callable[[], datetime] = clock.utcnow,
    ) -> None:
        self._first_key = f"AWS4{secret_key}".encode()
        self._region, self._signs_as = region, signs_as
        self._prior = prior
        self._now = now
        self._key = b""
        self._day = self._head = ""
        self._second = -1

    def sign(self, frame: bytes) -> bytes:
        """The envelope around one frame."""
        return self._envelope(frame, sha256(frame).hexdigest())

    def end(self) -> bytes:
        """The empty envelope that ends a stream properly."""
        return self._envelope(b"", _NO_PAYLOAD)

    def _envelope(self, payload: bytes, digest: str) -> bytes:
        when = milliseconds(self._now())
        if when // 1000 != self._second:
            self._tick(when // 1000)
        date = b"\x05:date\x08" + when.to_bytes(8, "big", signed=True)
        text = f"{self._head}{self._prior.hex()}\n{sha256(date).hexdigest()}\n{digest}"
        signature = hmac.digest(self._key, text.encode(), "sha256")
        frame = pack(b"".join((date, _SIGNATURE_HEADER, signature)), payload)
        self._prior = signature
        return frame

    def _tick(self, second: int) -> None:
        """Another second: the time as text, and another key when the UTC date changed."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        scope = (day, self._region, self._signs_as, "aws4_request")
        if day != self._day:
            self._key = self._first_key
            for part in scope:
                self._key = hmac.digest(self._key, part.encode(), "sha256")
        self._second, self._day = second, day
        self._head = f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{'/'.join(scope)}\n"
