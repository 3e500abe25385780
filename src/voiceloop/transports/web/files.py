"""The page's files, from the package, with headers that let nothing else in."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

_FOLDER = Path(__file__).parent / "page"
_HOST = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")


def policy(host: str) -> str:
    """The content security policy of a page that is served by ``host``: only what this server serves, no inline code.

    Its own WebSockets are named, as not every browser takes 'self' for them.
    """
    own = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "media-src 'self' blob: mediastream:",
            f"connect-src 'self'{own}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        ]
    )


class Page:
    """An ASGI app with the files of the page. Browsers ask each time whether a file is still the same."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=_FOLDER, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        host = Headers(scope=scope).get("host", "")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = policy(host)
                headers["Cache-Control"] = "no-cache"
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "microphone=(self), camera=(self), speaker-selection=(self)"
            await send(message)

        await self._files(scope, receive, guarded)


__all__ = ("Page", "policy")
