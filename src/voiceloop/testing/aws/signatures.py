"""Whether requests and events are signed as AWS wants it, recomputed with botocore and amazon-transcribe.

Sources: AWS general reference, "Signature Version 4"; Amazon Transcribe developer guide, "Setting up a streaming
transcription" (event signing); texts of errors as AWS's services give them.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote

from amazon_transcribe.auth import Credentials as SigningCredentials
from amazon_transcribe.eventstream import EventSigner
from attrs import define, field, frozen
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HTTPHeaders
from botocore.credentials import Credentials

from voiceloop import clock
from voiceloop.aws.account import Keys
from voiceloop.aws.wire.stream import Message
from voiceloop.testing.aws.exchange import Caller, Refusal

_FORMAT = "%Y%m%dT%H%M%SZ"
_SKEW = timedelta(minutes=5)
_LONGEST_PRESIGNED = 300
_EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
_EMPTY = sha256(b"").hexdigest()
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+)[,\s]+SignedHeaders=(?P<headers>[^,\s]+)[,\s]+"
    r"Signature=(?P<signature>[0-9a-f]{64})\s*"
)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
EXPIRED = Refusal(403, "ExpiredTokenException", "The security token included in the request is expired")
UNKNOWN = Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
MISSING = Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


UNKNOWN_API_KEY = Refusal(
    403,
    "AccessDeniedException",
    "Authentication failed: Please make sure your API Key is valid. (The emulator takes those of Emulator.api_key(); "
    "unset AWS_BEARER_TOKEN_BEDROCK to have requests signed.)",
)
_NO_API_KEYS = Refusal(
    403, "AccessDeniedException", "InvokeModelWithBidirectionalStream cannot be called with an API key."
)
BEARER = ("bedrock:CallWithBearerToken", "*")
"""What a call with an API key is authorised by, besides its own action."""


@frozen
class Head:
    """The head of a request: ``target`` is the raw path and query, header names are in lower case."""

    method: str
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.raw_path)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The query, decoded."""
        query = self.target.partition("?")[2]
        split = (pair.partition("=") for pair in query.split("&") if pair)
        return tuple((unquote(name), unquote(value)) for name, _, value in split)

    @property
    def fields(self) -> dict[str, str]:
        """The headers, several of one name joined by commas."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return joined


@frozen
class Seal:
    """A request's checked signature: who signed what with which key, and where a chain of events begins.

    ``bearer``: there is none, but an API key.
    """

    caller: Caller
    keys: Keys = field(repr=False)
    signing_name: str = ""
    signature: str = field(default="", repr=False)
    bearer: bool = False


@define(eq=False)
class Keyring:
    """The credentials that the emulator takes, by access key."""

    _held: dict[str, Keys] = field(factory=dict, repr=False)
    _api_keys: dict[str, tuple[Keys, str]] = field(factory=dict, repr=False)

    def add(self, keys: Keys) -> Keys:
        """Take requests signed with ``keys``."""
        self._held[keys.access_key] = keys
        return keys

    def issue(self, *, temporary: bool = True, expires: datetime | None = None) -> Keys:
        """New keys, which are taken from now on. ``temporary``: with a session token."""
        first, token = ("ASIA", clock.new_id() * 4) if temporary else ("AKIA", None)
        return self.add(Keys(f"{first}{clock.new_id()[:16].upper()}", f"emulated{clock.new_id()}", token, expires))

    def issue_api_key(self, keys: Keys, region: str) -> str:
        """A new API key of Bedrock for who has ``keys``, in ``region``: a bearer token."""
        key = f"bedrock-api-key-{clock.new_id()}"
        self._api_keys[key] = keys, region
        return key

    def bearer(self, key: str, connection: int) -> Seal:
        """Who an API key is of. Raises Refusal for one that is not taken."""
        if key not in self._api_keys:
            raise UNKNOWN_API_KEY
        keys, region = self._api_keys[key]
        return Seal(Caller(keys.access_key, region, connection), keys, bearer=True)

    def find(self, access_key: str, token: str | None) -> Keys:
        """The keys that were used. Raises Refusal for unknown or expired ones."""
        keys = self._held.get(access_key)
        if keys is None or keys.session_token != (token or None):  # some SDKs send a blank variable as a blank token
            raise UNKNOWN
        check_expiry(keys)
        return keys


def check_expiry(keys: Keys) -> None:
    """Raise Refusal when ``keys`` have expired."""
    if keys.expires is not None and clock.utcnow() >= keys.expires:
        raise EXPIRED


def verify(
    head: Head, body: bytes | None, signing_name: str, ring: Keyring, connection: int, *, fresh: bool = True
) -> Seal:
    """Check a request's signature, in its header or its query. ``body`` None: a stream of events. ``fresh``: one of a
    header must be of the last five minutes; not so where the caller signs by another clock than ``voiceloop.clock``.

    Raises the Refusal that AWS gives.
    """
    if any(name == "X-Amz-Signature" for name, _ in head.pairs):
        return _verify_presigned(head, signing_name, ring, connection)
    fields = head.fields
    if "authorization" not in fields:
        raise MISSING
    scheme, _, key = fields["authorization"].partition(" ")
    if scheme.lower() == "bearer" and signing_name == "bedrock":
        if body is None:
            raise _NO_API_KEYS
        return ring.bearer(key.strip(), connection)
    match = _AUTHORIZATION.fullmatch(fields["authorization"])
    stamp = fields.get("x-amz-date", "")
    if match is None or _moment(stamp) is None:
        raise Refusal(
            400,
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires "
            "existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    keys, region = _scope(match["credential"], stamp, signing_name, ring, fields.get("x-amz-security-token"))
    if fresh:
        check_age(stamp)
    signed = match["headers"].split(";")
    _check_signed(fields, signed)
    wanted = _Recomputed(keys, signing_name, region, signed, _payload_hash(fields, body)).of(head, stamp, head.target)
    if not hmac.compare_digest(wanted, match["signature"]):
        raise Refusal(403, "InvalidSignatureException", MISMATCH)
    return Seal(Caller(keys.access_key, region, connection), keys, signing_name, match["signature"])


def _verify_presigned(head: Head, signing_name: str, ring: Keyring, connection: int) -> Seal:
    query = dict(head.pairs)
    stamp = query.get("X-Amz-Date", "")
    date = _moment(stamp)
    expires = query.get("X-Amz-Expires", "")
    if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or date is None or not expires.isdecimal():
        raise Refusal(
            400, "IncompleteSignatureException", "The presigned URL lacks a parameter, or one is malformed."
        )
    if int(expires) > _LONGEST_PRESIGNED:
        raise Refusal(
            400,
            "BadRequestException",
            f"X-Amz-Expires must be less than or equal to {_LONGEST_PRESIGNED} seconds.",
        )
    credential, token = query.get("X-Amz-Credential", ""), query.get("X-Amz-Security-Token")
    keys, region = _scope(credential, stamp, signing_name, ring, token)
    if clock.utcnow() > date + timedelta(seconds=int(expires)):
        now = clock.utcnow()
        raise Refusal(403, "InvalidSignatureException", _expired(date, now - timedelta(seconds=int(expires)), now))
    check_age(stamp, past=False)
    signed = query.get("X-Amz-SignedHeaders", "").split(";")
    kept = sorted((n, v) for n, v in ((_quoted(n), _quoted(v)) for n, v in head.pairs) if n != "X-Amz-Signature")
    target = f"{head.raw_path}?{'&'.join(f'{name}={value}' for name, value in kept)}"
    wanted = _Recomputed(keys, signing_name, region, signed, _EMPTY).of(head, stamp, target)
    if not hmac.compare_digest(wanted, query["X-Amz-Signature"]):
        raise Refusal(403, "InvalidSignatureException", MISMATCH)
    return Seal(Caller(keys.access_key, region, connection), keys, signing_name, query["X-Amz-Signature"])


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _scope(credential: str, stamp: str, signing_name: str, ring: Keyring, token: str | None) -> tuple[Keys, str]:
    """The keys and the region of ``AKIA.../20260102/us-east-1/transcribe/aws4_request``."""
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise Refusal(400, "IncompleteSignatureException", "The credential scope is malformed.")
    access_key, date, region, service, _ = parts
    keys = ring.find(access_key, token)
    if date != stamp[:8]:
        raise Refusal(
            403,
            "InvalidSignatureException",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601: {stamp}",
        )
    if not _REGION.fullmatch(region):
        raise Refusal(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")
    if service != signing_name:
        raise Refusal(
            403, "InvalidSignatureException", f"Credential should be scoped to correct service: '{signing_name}'."
        )
    return keys, region


def _check_signed(fields: Mapping[str, str], signed: list[str]) -> None:
    """``host`` and every ``x-amz-`` header must be signed, and what is signed must be there."""
    needed = {"host"} | {name for name in fields if name.startswith("x-amz-")}
    if not needed <= set(signed) or not set(signed) <= set(fields):
        raise Refusal(403, "InvalidSignatureException", MISMATCH)


def _payload_hash(fields: Mapping[str, str], body: bytes | None) -> str:
    """The hash that the signature was made with: said in a header and true, or of the body itself."""
    said = fields.get("x-amz-content-sha256")
    if body is None:
        if said not in (None, _EVENTS, _EMPTY):
            raise Refusal(403, "InvalidSignatureException", MISMATCH)
        return said or _EMPTY
    actual = sha256(body).hexdigest()
    if said not in (None, actual, "UNSIGNED-PAYLOAD"):
        raise Refusal(403, "InvalidSignatureException", MISMATCH)
    return said or actual


class _Recomputed(SigV4Auth):  # type: ignore[misc]
    """botocore's signer, made to sign exactly what the caller says that it signed."""

    def __init__(self, keys: Keys, service: str, region: str, signed: list[str], payload_hash: str) -> None:
        super().__init__(Credentials(keys.access_key, keys.secret_key), service, region)
        self._signed = frozenset(signed)
        self._payload = payload_hash

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name, value in request.headers.items():
            if name.lower() in self._signed:
                chosen[name.lower()] = value
        return chosen

    def payload(self, request: Any) -> str:
        return self._payload

    def of(self, head: Head, stamp: str, target: str) -> str:
        """The signature, in hexadecimal digits."""
        request = AWSRequest(head.method, f"https://{head.fields.get('host', 'localhost')}{target}")
        for name, value in head.headers:
            if name != "x-amz-content-sha256" or name in self._signed:
                request.headers[name] = value
        request.context["timestamp"] = stamp
        signature: str = self.signature(self.string_to_sign(request, self.canonical_request(request)), request)
        return signature


def _moment(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def check_age(stamp: str, *, past: bool = True, code: str = "InvalidSignatureException", status: int = 403) -> None:
    """Raise Refusal when a signature of ``stamp`` is older than five minutes, or that far in the future."""
    date, now = _moment(stamp), clock.utcnow().replace(microsecond=0)
    assert date is not None
    if past and date < now - _SKEW:
        raise Refusal(status, code, _expired(date, now - _SKEW, now) + " (" + now.strftime(_FORMAT) + " - 5 min.)")
    if date > now + _SKEW:
        later = f"Signature not yet current: {stamp} is still later than {(now + _SKEW).strftime(_FORMAT)}"
        raise Refusal(status, code, f"{later} ({now.strftime(_FORMAT)} + 5 min.)")


def _expired(date: datetime, limit: datetime, now: datetime) -> str:
    return f"Signature expired: {date.strftime(_FORMAT)} is now earlier than {limit.strftime(_FORMAT)}"


@define(eq=False)
class Chain:
    """The chain of event signatures of one stream: each frame is signed over the one before."""

    seal: Seal
    wrong: str
    _prior: bytes
    ended: bool = False

    @classmethod
    def of(cls, seal: Seal, wrong: str) -> Chain:
        """The chain that begins with the request's signature; ``wrong`` is the code for frames that break it."""
        return cls(seal, wrong, bytes.fromhex(seal.signature))

    def open(self, frame: Message) -> bytes:
        """The payload of a signed frame, empty at the end. Raises Refusal."""
        check_expiry(self.seal.keys)
        date, signature = frame.headers.get(":date"), frame.headers.get(":chunk-signature")
        if not isinstance(signature, bytes) or not isinstance(date, int) or len(frame.headers) != 2 or self.ended:
            raise Refusal(400, self.wrong, "The frame is not signed, or comes after the end frame.")
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=date)
        except OverflowError:
            raise Refusal(400, self.wrong, MISMATCH) from None
        check_age(moment.strftime(_FORMAT), code=self.wrong, status=400)
        keys = self.seal.keys
        signer = EventSigner(self.seal.signing_name, self.seal.caller.region, utc_now=lambda: moment)
        credentials = SigningCredentials(keys.access_key, keys.secret_key, keys.session_token)
        wanted: Any = signer.sign(frame.payload, self._prior, credentials)[":chunk-signature"]
        if not hmac.compare_digest(wanted, signature):
            raise Refusal(400, self.wrong, MISMATCH)
        self._prior = signature
        self.ended = not frame.payload
        return frame.payload
