"""TLS: the contexts that all connections of an account share, and TLS over bytes that somebody else carries."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from voiceloop import clock
from voiceloop.errors import BadInput
from voiceloop.interfaces import Resources

ALPN = "h2"


async def shared_context(resources: Resources, ca_bundle: str | None, *protocols: str) -> ssl.SSLContext:
    """The context that all in a pool share who trust the same certificates and offer the same ``protocols`` (ALPN).

    Takes some 50 ms in a thread, once. ``ca_bundle``: a PEM file; by default the system's store, and where there is
    none, the one that comes with botocore. Raises BadInput for a bundle that cannot be read.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[ssl.SSLContext]:
        with clock.outside_work():
            made = await anyio.to_thread.run_sync(_context, ca_bundle, protocols)
        yield made

    return await resources.get(("voiceloop.aws.tls", ca_bundle, protocols), opened)


def _context(ca_bundle: str | None, protocols: tuple[str, ...]) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=ca_bundle or _fallback())
    except OSError as error:  # SSLError is one
        raise BadInput(
            f"the file of certificates {ca_bundle!r} cannot be read ({error.strerror or error})",
            hint="It must be in PEM format; see Account(ca_bundle=...) and AWS_CA_BUNDLE.",
        ) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        made.set_alpn_protocols(list(protocols))
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
                part = self._object.read(max(len(data), 1024))  # a buffer of that size is made
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
