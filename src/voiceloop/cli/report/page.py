"""The page itself: templates of this package filled with one conversation."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from voiceloop.cli.report.recording import Recording, read_sound
from voiceloop.cli.report.story import tell

_SCRIPTS = ("face.js", "player.js", "transcript.js", "figures.js", "page.js")
_POLICY = "default-src 'none'; media-src blob:; img-src data:;"


def write_report(folder: Path, recording: Recording, *, title: str, notes: Sequence[str] = ()) -> Path:
    """Write ``report.html`` into ``folder`` (made if needed) and return its path.

    The page is one file that loads nothing: styles, scripts and the sound are inside. ``notes`` are short sentences
    for its head, such as who is simulated. Raises AudioFormatError when the recording's file is not 16 bit stereo.
    """
    sound = read_sound(recording.wav)
    data = {
        "title": title,
        "notes": list(notes),
        "duration": sound.duration,
        "peaks": {"user": sound.user, "assistant": sound.assistant},
        **tell(recording),
    }
    style = _part("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_part, _SCRIPTS)) + "})();\n"
    page = _fill(
        _part("page.html"),
        {
            "TITLE": html.escape(title),
            "POLICY": f"{_POLICY} style-src {_hash(style)}; script-src {_hash(script)}",
            "STYLE": style,
            "SCRIPT": script,
            "DATA": _json(data),
            "SOUND": base64.b64encode(sound.data).decode("ascii"),
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, values: dict[str, str]) -> str:
    # One pass, so that nothing inside a value is taken for a place to fill.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: values[found[1]], template)


def _hash(text: str) -> str:
    """The policy's name for an inline text, so that the browser runs ours and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """JSON that no HTML parser can take for markup, wherever it stands."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
