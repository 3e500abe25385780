"""Where a server is, and the way to it."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for ``url``; none for this machine."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    found = getproxies().get(parts.scheme)
    return f"http://{found}" if found and "://" not in found else found


def host_of(url: str) -> str:
    """The host that ``url`` names; empty for what is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
