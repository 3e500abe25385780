"""A certificate for a server on the local network, since browsers give a microphone only to pages by https."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voiceloop.errors import BadInput, MissingExtra

_LASTS = timedelta(days=397)  # the most that browsers accept


def make_certificate(folder: Path, addresses: Iterable[str] = ()) -> tuple[Path, Path]:
    """The certificate and private key in ``folder``, made for this machine if they are not there yet.

    ``ca.pem`` beside them is what a device has to trust, to show no warning. Its private key is kept nowhere, so that
    nothing else can be signed with it. Raises BadInput for a folder that cannot be written, MissingExtra.
    """
    cert, key = folder / "cert.pem", folder / "key.pem"
    if cert.exists() and key.exists():
        return cert, key
    try:
        import trustme
    except ImportError as error:
        raise MissingExtra("making a certificate needs trustme", hint="pip install 'voiceloop[demo]'") from error
    authority = trustme.CA(organization_name="voiceloop on " + socket.gethostname().lower())
    made = authority.issue_cert(*_names(addresses), not_after=datetime.now(UTC) + _LASTS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(key, made.private_key_pem.bytes())
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    except OSError as error:
        raise BadInput(f"--make-cert {folder}: cannot be written ({error.strerror or error})") from error
    return cert, key


def shortcoming(cert: Path, addresses: Iterable[str] = ()) -> str:
    """What is wrong by now with a certificate made before, in words; "" if nothing is."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(cert.read_bytes())
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return "cannot be read as a certificate of names"
    if found.not_valid_after_utc <= datetime.now(UTC):
        return f"ended on {found.not_valid_after_utc:%Y-%m-%d}"
    known = {str(each.value).lower() for each in named}
    missing = [name for name in _names(addresses) if name not in known]
    return f"does not name {', '.join(missing)}" if missing else ""


def _names(addresses: Iterable[str]) -> list[str]:
    name = socket.gethostname().lower()
    usual = ("localhost", name, f"{name.partition('.')[0]}.local", "127.0.0.1", "::1")
    return list(dict.fromkeys((*usual, *(address.lower() for address in addresses))))


def _write_private(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
