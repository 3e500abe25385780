"""``.env`` and ``.env.local``: variables of a project, for the command line alone."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

from voiceloop.errors import BadInput

FILES = (".env.local", ".env")
"""The files that are read, the first one first; what is set already stays."""

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def load(folder: Path, environ: MutableMapping[str, str]) -> None:
    """Set in ``environ`` what the files of ``folder`` say, and nothing that is set there already.

    A line is ``NAME=value``, with quotes around the value or without; blank lines and those that begin with # are
    skipped. Raises BadInput, which names the line and does not show it.
    """
    for name in FILES:
        path = folder / name
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path}: it cannot be read ({type(error).__name__})") from None
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                _set(line, f"{path}, line {number}", environ)


def _set(line: str, where: str, environ: MutableMapping[str, str]) -> None:
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadInput(f"{where}: it is not NAME=value")
    name, value = match.groups()
    if value[:1] in ("'", '"'):
        quote = value[0]
        if len(value) < 2 or not value.endswith(quote):
            raise BadInput(f"{where}: a quote is not closed")
        value = value[1:-1]
    else:
        value = value.partition(" #")[0].rstrip()
    environ.setdefault(name, value)


def settle_region(environ: MutableMapping[str, str] = os.environ) -> str | None:
    """The region that is set in ``environ`` for want of one; None where the environment or the profile names one.

    Raises BadInput for a profile that is not there, or shared AWS files that cannot be read.
    """
    from voiceloop.aws.chain import Chain
    from voiceloop.presets import REGION

    chain = Chain.load(None, None)
    try:
        chain.region(None)
    except BadInput:
        environ["AWS_REGION"] = REGION
        return REGION
    return None
