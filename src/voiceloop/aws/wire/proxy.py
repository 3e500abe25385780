"""A tunnel through an HTTP proxy."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote, urlsplit

from voiceloop.errors import BadInput

_MOST_ANSWER = 16 * 1024


class TunnelRefused(Exception):
    """The proxy did not open the tunnel; ``status`` is its HTTP status, 0 if it speaks no HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status} {words}".strip() if status else words)
        self.status = status


class ProxyUnreachable(OSError):
    """The proxy itself cannot be reached; ``where`` is its host and port."""

    def __init__(self, tunnel: Tunnel, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self.where = f"{tunnel.host}:{tunnel.port}"


class Tunnel:
    """A tunnel to ``host`` and ``port`` through an HTTP proxy (CONNECT), without I/O.

    ``proxy`` is a URL such as ``http://user:password@proxy:3128``. Raises BadInput for any other kind.
    """

    def __init__(self, proxy: str, host: str, port: int) -> None:
        where = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if where.scheme != "http" or not where.hostname:
            raise BadInput(
                f"the proxy's URL begins with {where.scheme!r} or has no host; it has to be http://HOST:PORT",
                hint="HTTPS_PROXY or the account's proxy holds it",
            )
        self.host, self.port = where.hostname, where.port or 80
        self.open = False
        self._user = None
        if where.username is not None:
            self._user = f"{unquote(where.username)}:{unquote(where.password or '')}"
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._answer = b""

    def request(self) -> bytes:
        """What the proxy is asked."""
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._user is not None:
            lines.append(f"Proxy-Authorization: Basic {b64encode(self._user.encode()).decode()}")
        return "\r\n".join([*lines, "", ""]).encode()

    def receive(self, data: bytes) -> None:
        """Take a part of the proxy's answer; ``open`` is set at its end. Raises TunnelRefused."""
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not end:
            if len(self._answer) > _MOST_ANSWER or not _is_http(self._answer):
                raise TunnelRefused(0, "it does not answer as an HTTP proxy does")
            return
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        if not _is_http(head) or len(words) < 2 or not words[1].isdigit():
            raise TunnelRefused(0, "it does not answer as an HTTP proxy does")
        if not 200 <= int(words[1]) < 300:
            raise TunnelRefused(int(words[1]), words[2] if len(words) > 2 else "")
        if rest:  # the client speaks first in TLS
            raise TunnelRefused(0, "it sent more than its answer")
        self.open = True


def _is_http(answer: bytes) -> bool:
    return answer[:5] == b"HTTP/"[: len(answer)]
