"""TLS: the context that all event streams of an account share, and TLS over bytes that somebody else carries."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from voiceloop import clock
from voiceloop.errors import BadInput

if TYPE_CHECKING:
    from voiceloop.aws.account import Access

ALPN = "h2"
_RECORD = 16 * 1024  # bytes: a TLS record's most


async def shared_context(access: Access) -> ssl.SSLContext:
    """The context for the event streams of all accounts in a pool that trust the same certificates."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ssl.SSLContext]:
        yield await context(access.ca_bundle)

    return await access.resources.get(("voiceloop.aws.wire.tls", access.ca_bundle), opened)


async def context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context for event streams: it checks certificates and offers HTTP/2 only, so it is not for boto's clients.

    Takes some 50 ms in a thread; make it once. ``ca_bundle``: a PEM file; by default
    the system's store, and where there is none, the one that comes with botocore. Raises BadInput for a
    bundle that cannot be read.
    """
    with clock.outside_work():
        return await anyio.to_thread.run_sync(_context, ca_bundle)


def _context(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=ca_bundle or _fallback())
    except OSError as error:  # SSLError is one
        raise BadInput(
            f"the CA bundle {str(ca_bundle)!r} cannot be read: {error.strerror or error}",
            hint="AWS_CA_BUNDLE or ca_bundle names a PEM file of certificates",
        ) from error
    made.set_alpn_protocols([ALPN])
    return made


def _fallback() -> str | None:
    """botocore's certificates, on a system without any (such as a minimal container image)."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(os.scandir(paths.capath))):
        return None
    from botocore.httpsession import get_cert_path

    return str(get_cert_path(True))


class Tls:
    """The client's side of TLS on one connection, without I/O: encrypted bytes in and out, plain bytes in and out.

    ``receive`` raises SSLError when the peer breaks the protocol or its certificate does not do.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.established = False
        self.ended = False
        self._handshake()

    @property
    def protocol(self) -> str | None:
        """What ALPN chose."""
        return self._object.selected_alpn_protocol()

    def receive(self, data: bytes) -> bytes:
        """Take encrypted bytes; the plain bytes in them. ``ended`` is set once the peer closed its side."""
        self._incoming.write(data)
        if not self.established:
            self._handshake()
        parts: list[bytes] = []
        while self.established and not self.ended and (self._incoming.pending or self._object.pending()):
            try:
                part = self._object.read(_RECORD)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                part = b""
            self.ended = not part
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, data: bytes) -> None:
        """Encrypt plain bytes."""
        self._object.write(data)

    def output(self) -> bytes:
        """The encrypted bytes that are to be carried to the peer."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLError):  # the peer's own goodbye is not waited for
            self._object.unwrap()

    def _handshake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.established = True
