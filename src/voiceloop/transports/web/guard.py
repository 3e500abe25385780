"""Who may open a connection: by the page they come from, the name they call the server, and a secret or its token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Iterable
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from voiceloop import clock
from voiceloop.errors import BadInput

_STAMP = struct.Struct(">d16s")
_SHORTEST = 8


def _secret(guard: Guard, attribute: Attribute[str | None], secret: str | None) -> None:
    if secret is not None and len(secret) < _SHORTEST:
        raise BadInput(f"secret: at least {_SHORTEST} characters are needed", hint="It is not shown here.")


def _origin(guard: Guard, attribute: Attribute[frozenset[str]], origins: frozenset[str]) -> None:
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise BadInput(f"origins: {origin!r} is none; it looks like 'https://www.example.com'")


def _names(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(name.lower() for name in names)


@frozen
class Guard:
    """Decides who may connect.

    ``secret``: what callers must know; None: nothing. ``origins``: pages of other servers that may connect, such as
    "https://www.example.com"; the server's own always may, and so may what is no browser. ``hosts``: the names by
    which the server may be called, besides addresses in digits, against rebinding of names; None: any.
    ``token_seconds``: how long a token is good for. Raises BadInput.
    """

    secret: str | None = field(default=None, repr=False, validator=_secret)
    origins: frozenset[str] = field(default=frozenset(), validator=_origin)
    hosts: frozenset[str] | None = field(default=None, converter=_names)
    token_seconds: float = 60.0

    def allows_host(self, host: str | None) -> bool:
        """Whether the server may be called by ``host``, the header of that name."""
        if self.hosts is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or _is_address(name)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of ``origin`` may connect to the server that is called ``host``."""
        if origin is None or origin in self.origins:
            return True
        try:
            return bool(host) and urlsplit(origin).netloc.lower() == str(host).lower()
        except ValueError:
            return False

    def knows(self, authorization: str | None) -> bool:
        """Whether the header says the secret, or none is needed."""
        if self.secret is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.secret.encode())

    def token(self) -> str:
        """A new token, good for ``token_seconds``. Raises BadInput without a secret."""
        if self.secret is None:
            raise BadInput("there is no secret to sign a token with")
        stamp = _STAMP.pack(clock.utcnow().timestamp() + self.token_seconds, bytes.fromhex(clock.new_id()))
        return base64.urlsafe_b64encode(stamp + self._signed(stamp)).decode().rstrip("=")

    def accepts(self, token: str | None) -> bool:
        """Whether ``token`` was made with the same secret, and is still good; or none is needed."""
        if self.secret is None:
            return True
        try:
            data = base64.urlsafe_b64decode(f"{token or ''}==".encode("ascii"))
        except ValueError:
            return False
        stamp, signature = data[: _STAMP.size], data[_STAMP.size :]
        if len(stamp) < _STAMP.size or not hmac.compare_digest(signature, self._signed(stamp)):
            return False
        until: float = _STAMP.unpack(stamp)[0]
        return clock.utcnow().timestamp() < until

    def _signed(self, stamp: bytes) -> bytes:
        return hmac.digest((self.secret or "").encode(), b"voiceloop token 1" + stamp, hashlib.sha256)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


__all__ = ("Guard",)
