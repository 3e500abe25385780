"""A certificate authority of the emulator's own, and its server certificate. Nothing of the system is touched."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from voiceloop.errors import MissingExtra


@frozen
class Certificates:
    """``context`` for the server, with HTTP/2 and HTTP/1.1 on offer; ``file``: the authority, for callers."""

    context: ssl.SSLContext
    file: Path


@contextmanager
def certified() -> Iterator[Certificates]:
    """Make an authority and a certificate for 127.0.0.1, ::1 and localhost; the files are gone afterwards.

    Raises MissingExtra without the extra ``emulator``.
    """
    try:
        import trustme
    except ImportError as error:
        raise MissingExtra(
            "the emulator's packages are not installed", hint="pip install 'voiceloop[emulator]'"
        ) from error
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    with TemporaryDirectory(prefix="voiceloop-emulator-") as folder:
        file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        yield Certificates(context, file)
