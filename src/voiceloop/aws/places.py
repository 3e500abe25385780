"""Names of regions and URLs of endpoints and proxies, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from voiceloop.aws.fault_hints import PROVIDERS
from voiceloop.errors import BadInput, UnknownName

__all__ = ("check_region", "check_url", "endpoint_urls", "is_region")

# As botocore's partitions have it; regions that it does not know yet are taken too.
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}")


def is_region(name: str) -> bool:
    """Whether ``name`` is formed as those of regions are."""
    return _REGION.fullmatch(name) is not None


def check_region(region: str, *, hint: str = "") -> None:
    """Raise UnknownName, with near matches, unless ``region`` is formed as the names of regions are."""
    if not is_region(region):
        raise UnknownName("region", region, _regions(), hint=hint)


def _regions() -> set[str]:
    from botocore.loaders import create_loader

    partitions = create_loader().load_data("partitions")["partitions"]
    return {name for partition in partitions for name in partition["regions"] if is_region(name)}


def check_url(what: str, url: str, *, proxy: bool = False) -> None:
    """Raise BadInput unless ``url`` is a scheme, host and port and nothing else; one with a password is not shown.

    A proxy's may have a user and password, and is reached without TLS: the tunnel through it has its own.
    """
    named = what if proxy or "@" in url else f"{what}={url!r}"
    schemes = ("http",) if proxy else ("https", "http")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        begin = " or ".join(f"{scheme}://" for scheme in schemes)
        raise BadInput(f"{named} must begin with {begin} and name a host, and a port if it is not the usual one")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadInput(f"{named} must end with its host or port; a path is not used")
    if not proxy and parts.username is not None:
        raise BadInput(f"{named} must not hold a user name or password")


def endpoint_urls(given: Mapping[str, str]) -> dict[str, str]:
    """URLs by the names of services. Raises BadInput, UnknownName for a service that is not called."""
    if not isinstance(given, Mapping) or not all(isinstance(part, str) for pair in given.items() for part in pair):
        raise BadInput(
            "endpoints must be URLs by the names of services",
            hint='Such as {"polly": "https://..."}, or {"": "https://..."} for all.',
        )
    for service, url in given.items():
        if service and service not in PROVIDERS:
            raise UnknownName("service in endpoints", service, PROVIDERS, hint='"" stands for all of them.')
        check_url(f"endpoints[{service!r}]", url)
    return dict(given)
