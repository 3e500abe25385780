"""One map from every way in which AWS fails to voiceloop's errors.

The error says whether a retry helps and what to do about it; its ``__cause__`` is an :class:`AwsFault` with the
service's own words. No key, token or user's text gets into either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define

from voiceloop.aws.fault_causes import CREDENTIAL_ERRORS, PROXY_ROW, TRANSPORT_ERRORS, UNKNOWN, UNNAMED
from voiceloop.aws.fault_clock import advice, skew
from voiceloop.aws.fault_hints import ACTIONS, NOVA, PROVIDERS, QUOTAS, SIGNING_NAMES
from voiceloop.aws.fault_table import ROWS, Remedy, Row, plain
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import ProviderError, ProviderRefused, VoiceloopError

__all__ = ("AwsFault", "Remedy", "expired", "fault_of", "from_boto", "from_message", "from_response", "translated")

_LONGEST = 300
# Members of an error's body, beside its message, that say more of it.
_DETAILS = ("reason", "quotaCode", "originalMessage", "originalStatusCode", "throttlingReasons", "resourceName")


@define(eq=False, str=False)
class AwsFault(Exception):
    """A failure in the service's own words.

    ``service`` is an endpoint's name (``polly``), ``code`` the error's (``ThrottlingException``, or a class name for
    a failure on this side), ``status`` the HTTP status if there was one. ``remedy`` says what to do about it.
    """

    service: str
    operation: str
    status: int | None
    code: str
    message: str
    request_id: str | None = None
    remedy: Remedy = "do not retry"

    def __str__(self) -> str:
        return f"{self.code or 'no error code'}: {self.message}"


def fault_of(error: BaseException) -> AwsFault | None:
    """The service's own words behind a voiceloop error, if AWS is what failed."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, AwsFault):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__
    return None


def from_response(
    service: str,
    operation: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    provider: str | None = None,
) -> ProviderError:
    """The error of an HTTP answer of 300 or more. ``headers`` in any case."""
    known = {name.lower(): value for name, value in headers.items()}
    members = _members(body)
    code = known.get("x-amzn-errortype") or _text(members, "__type", "code", "Code")
    request = next((known[name] for name in _REQUEST_IDS if name in known), None)
    text, date = _text(members, "message", "Message"), known.get("date", "")
    answer = _Answer(service, operation, status, code, text, request, _details(members), date)
    if not code and request is None:
        return answer.error(PROXY_ROW if status < 500 else None, provider)
    return answer.error(None, provider)


_REQUEST_IDS = ("x-amzn-requestid", "x-amzn-request-id", "x-amz-request-id")


def from_message(service: str, operation: str, message: Message, *, provider: str | None = None) -> ProviderError:
    """The error of an exception or error that came within an event stream."""
    members = _members(message.payload)
    text = _text(members, "message", "Message") or str(message.headers.get(":error-message", ""))
    return _Answer(service, operation, None, message.name, text, None, _details(members)).error(None, provider)


def from_boto(service: str, operation: str, error: BaseException, *, provider: str | None = None) -> ProviderError:
    """The error of what botocore, aiobotocore, aiohttp or a socket raised."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        return _of_client_error(service, operation, response, provider)
    names = [kind.__name__ for kind in type(error).__mro__]
    own = next((_WORDS[name] for name in names if name in _WORDS), None)
    words = own or str(error) or _WORDLESS.get(names[0], names[0])
    answer = _Answer(service, operation, None, type(error).__name__, words, None, "")
    row = next((CREDENTIAL_ERRORS[name] for name in names if name in CREDENTIAL_ERRORS), None)
    if row is not None:
        return answer.error(row, provider)
    row = next((TRANSPORT_ERRORS[name] for name in names if name in TRANSPORT_ERRORS), None)
    # Only these are kept whole: the others may hold what was said, or headers with a token.
    return answer.error(row or UNKNOWN, provider, keep=error if row else None)


def expired(when: datetime) -> ProviderError:
    """The error of keys that the account was given and that ended at ``when``: no request can be made with them."""
    words = f"the account's keys expired at {when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    hint = "Fetch new ones, and give a new Account(keys=...); without keys, boto's chain renews them by itself."
    error = ProviderRefused(words, provider="AWS", doing="signing", hint=hint)
    error.__cause__ = AwsFault("", "", None, "ExpiredKeys", words)
    return error


class translated:
    """A context in which what botocore, aiobotocore, aiohttp or a socket raises leaves as a ProviderError.

    Other errors pass: they are no failure of the service.
    """

    def __init__(self, service: str, operation: str, *, provider: str | None = None) -> None:
        self._service = service
        self._operation = operation
        self._provider = provider

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        if not isinstance(failure, Exception) or isinstance(failure, VoiceloopError):
            return
        names = {parent.__name__ for parent in type(failure).__mro__}
        if names & (_FAILURES | CREDENTIAL_ERRORS.keys() | TRANSPORT_ERRORS.keys()):
            raise from_boto(self._service, self._operation, failure, provider=self._provider)


_FAILURES = {"BotoCoreError", "ClientError"}
# In place of words that hold what was said, or that mislead: aiohttp's of half an answer have a status 400.
_HALF = "the connection broke in the middle of the answer"
_WORDS = {
    "ParamValidationError": "the request does not fit the service's model",
    "ClientPayloadError": _HALF,
    "IncompleteReadError": _HALF,
    "ResponseStreamingError": _HALF,
}
_WORDLESS = {"TimeoutError": "no answer in time"}


def _of_client_error(
    service: str, operation: str, response: Mapping[str, Any], provider: str | None
) -> ProviderError:
    about = response.get("ResponseMetadata") or {}
    code = str(response["Error"].get("Code") or "")
    text = str(response["Error"].get("Message") or "")
    status = about.get("HTTPStatusCode")
    details = _details({**response, **response["Error"]})
    date = str((about.get("HTTPHeaders") or {}).get("date") or "")
    answer = _Answer(service, operation, status, code, text, about.get("RequestId"), details, date)
    if not code and not text:
        return answer.error(UNNAMED, provider)
    # An answer without AWS's error members gets its status for a code.
    return answer.error(
        PROXY_ROW if code.isdigit() and int(code) < 500 and not about.get("RequestId") else None, provider
    )


@define(eq=False)
class _Answer:
    """What came back, before it is known what it means."""

    service: str
    operation: str
    status: int | None
    code: str
    text: str
    request: str | None
    details: str
    date: str = ""

    def error(self, row: Row | None, provider: str | None, keep: BaseException | None = None) -> ProviderError:
        self._take_request_id()
        row = row or self._row()
        words = _shortened(self.text)
        fault = AwsFault(self.service, self.operation, self.status, self._code, words, self.request, row.remedy)
        fault.__cause__ = keep
        name = provider or ("Amazon Nova Sonic" if self.operation == NOVA else PROVIDERS.get(self.service, "AWS"))
        where = [
            self._code,
            f"HTTP {self.status}" if self.status else "",
            f"request {self.request}" if self.request else "",
        ]
        stated = ", ".join(filter(None, where))
        told = words.rstrip(".") or "it failed without a message"
        error = row.error(
            f"{told} ({stated})" if stated else told,
            provider=name,
            doing=f"calling {self.operation}" if self.operation else "",
            retryable=row.retryable,
            hint=self._hint(row.hint),
        )
        error.__cause__ = fault
        return error

    @property
    def _code(self) -> str:
        return self.code.rsplit("#", 1)[-1].split(":", 1)[0]

    def _take_request_id(self) -> None:
        """Nova Sonic puts it before its messages: ``RequestId=<uuid> : <text>``."""
        found = re.match(r"\s*RequestId=([0-9A-Za-z-]+)\s*:\s*", self.text)
        if found:
            self.request = self.request or found[1]
            self.text = self.text[found.end() :]

    def _row(self) -> Row:
        text = f"{self.text} {self.details}".lower()
        code = plain(self.code)
        for row in ROWS:
            if row.fits(self.service, self.operation, self.status, code, text):
                return row
        return UNKNOWN

    def _hint(self, template: str) -> str:
        action, resource = ACTIONS.get(
            self.operation, (f"{SIGNING_NAMES.get(self.service, self.service)}:{self.operation}", "*")
        )
        denied = re.search(r"not authorized to perform: (\S+)(?: on resource: (\S+))?", self.text)
        if denied:
            action = denied[1].rstrip(".,")
            resource = (denied[2] or resource).rstrip(".,")
        who = re.search(r"\b(arn:aws[\w-]*:(?:iam|sts)::\d+:\S+) is not authorized", self.text)
        return template.format(
            action=action,
            resource=resource,
            identity=who[1] if who else "the identity that is used",
            quota=QUOTAS.get(self.operation, "requests per second of the operation"),
            service=PROVIDERS.get(self.service, self.service),
            clock=advice(skew(self.date, self.text)),
            clock_or_key=advice(skew(self.date, self.text), "AWS_SECRET_ACCESS_KEY"),
        ).rstrip()


# "1 validation error detected: Value '<what was said>' at 'text' failed to satisfy constraint: ..."
_QUOTED = re.compile(r"Value '.*' at '([\w.]*(?:text|content|message|system|prompt|input)[\w.]*)'", re.I | re.S)


def _shortened(text: str) -> str:
    """A service's message on one line, of a few hundred characters at most, without what AWS quotes of signatures and
    of what was said."""
    text = re.split(r"The Canonical String|The String-to-Sign", text)[0]
    text = re.sub(
        r"(?i)\b(credential|signature|x-amz-security-token|x-amz-credential|authorization|aws_\w*(?:key|token)\w*)"
        r"(\"?\s*[=:]\s*)\S+",
        r"\1\2...",
        text,
    )
    text = _QUOTED.sub(r"Value '...' at '\1'", text)
    text = " ".join(re.sub(r"\b(?:AKIA|ASIA)[A-Z0-9]{8,}\b", "...", text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _members(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(members: Mapping[str, Any], *names: str) -> str:
    return next((str(members[name]) for name in names if members.get(name)), "")


def _details(members: Mapping[str, Any]) -> str:
    return " ".join(str(members[name]) for name in _DETAILS if members.get(name))
