"""The emulated Security Token Service: who calls, and the keys of another role.

Programs ask it at their start, and SDKs that are pointed here for everything send it here. Source: AWS STS API
reference, "GetCallerIdentity" and "AssumeRole".
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar
from xml.sax.saxutils import escape

from voiceloop import clock
from voiceloop.testing.aws.exchange import QueryService, Refusal, Request, Response, form

if TYPE_CHECKING:
    from voiceloop.testing.aws.stage import Stage

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROLE = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>\d{12}):role/(?:[\w+=,.@/-]*/)?(?P<name>[\w+=,.@-]{1,64})"
)
_SESSION = re.compile(r"[\w+=,.@-]{2,64}")
_LEAST, _USUAL, _MOST = 900, 3600, 43_200


class Sts(QueryService):
    """GetCallerIdentity and AssumeRole; a role that is assumed gets keys that every service here takes."""

    service: ClassVar[str] = "sts"
    version = "2011-06-15"
    operations = ("GetCallerIdentity", "AssumeRole")

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._roles: dict[str, tuple[str, str]] = {}

    def actions(self, request: Request) -> tuple[tuple[str, str], ...]:
        """AssumeRole's; GetCallerIdentity needs none."""
        asked = form(request.query, request.body)
        if asked["Action"] == "GetCallerIdentity":
            return ()
        return (("sts:AssumeRole", asked.get("RoleArn") or "*"),)

    async def answer(self, request: Request) -> Response:
        """See :meth:`RestService.answer`."""
        asked = form(request.query, request.body)
        if asked["Action"] == "AssumeRole":
            return _answer("AssumeRole", self._assumed(asked))
        account = self._stage.account
        user = ("AIDAEMULATED0000USER", f"arn:aws:iam::{account}:user/voiceloop")
        name, arn = self._roles.get(request.caller.access_key, user)
        return _answer(
            "GetCallerIdentity", _element("Arn", arn) + _element("UserId", name) + _element("Account", account)
        )

    def _assumed(self, asked: dict[str, str]) -> str:
        """New keys for a role. Raises Refusal."""
        role, session = _checked(asked, "RoleArn", _ROLE), _checked(asked, "RoleSessionName", _SESSION)[0]
        seconds = asked.get("DurationSeconds", str(_USUAL))
        if not seconds.isdecimal() or not _LEAST <= int(seconds) <= _MOST:
            raise _invalid("durationSeconds", seconds, f"Member must have value between {_LEAST} and {_MOST}")
        expires = clock.utcnow() + timedelta(seconds=int(seconds))
        keys = self._stage.ring.issue(expires=expires)
        name = f"AROAEMULATED0000ROLE:{session}"
        arn = f"arn:{role['partition']}:sts::{role['account']}:assumed-role/{role['name']}/{session}"
        self._roles[keys.access_key] = name, arn
        credentials = (
            _element("AccessKeyId", keys.access_key)
            + _element("SecretAccessKey", keys.secret_key)
            + _element("SessionToken", keys.session_token or "")
            + _element("Expiration", expires.strftime("%Y-%m-%dT%H:%M:%SZ"))
        )
        user = _element("AssumedRoleId", name) + _element("Arn", arn)
        return f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"


def _checked(asked: dict[str, str], field: str, pattern: re.Pattern[str]) -> re.Match[str]:
    value = asked.get(field, "")
    found = pattern.fullmatch(value)
    if found is None:
        name = field[:1].lower() + field[1:]
        raise _invalid(name, value, f"Member must satisfy regular expression pattern: {pattern.pattern}")
    return found


def _invalid(name: str, value: str, constraint: str) -> Refusal:
    return Refusal(
        400,
        "ValidationError",
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}",
    )


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _answer(operation: str, result: str) -> Response:
    request = clock.new_id()
    body = (
        f'<{operation}Response xmlns="{_NAMESPACE}"><{operation}Result>{result}</{operation}Result>'
        f"<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(headers={"content-type": "text/xml", "x-amzn-requestid": request}, body=body.encode())
