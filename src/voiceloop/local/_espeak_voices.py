"""Which of espeak's voices a name means. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import define, field

from voiceloop.errors import UnknownName
from voiceloop.local._espeak_library import VoiceFile

_SUBTAG = re.compile(r"-([a-z]{2}|[a-z]{4}|[0-9]{3})$")  # a region or a script, as in BCP 47


@define(eq=False)
class Catalogue:
    """espeak's voices by name: file ("gmw/en-US"), its last part, title ("English (America)"), or language tag."""

    _voices: Iterable[VoiceFile]
    _variants: frozenset[str]
    _files: dict[str, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        best: dict[str, tuple[int, str]] = {}
        for voice in self._voices:
            for priority, tag in voice.tags:
                best[tag] = min(best.get(tag, (99, "")), (priority, voice.identifier))
        self._files.update((tag, identifier) for tag, (_, identifier) in best.items())
        for voice in self._voices:
            for name in (voice.identifier, voice.title):
                self._files[name.lower()] = voice.identifier
            self._files.setdefault(voice.identifier.rpartition("/")[2].lower(), voice.identifier)

    def find(self, name: str) -> str:
        """The voice file of ``name``, with its variant if it has one ("en-us+f3"). Raises UnknownName.

        A language tag whose region is not there means the language: "de-AT" is "de".
        """
        base, plus, variant = name.strip().partition("+")
        if plus and variant not in self._variants:
            raise UnknownName(
                "voice variant of espeak", variant, self._variants, hint=f"It was asked for by {name!r}."
            )
        wanted: str | None = base.strip().lower()
        if wanted not in self._files:
            wanted = str(wanted).replace("_", "-")
        while wanted is not None and wanted not in self._files:
            wanted = _SUBTAG.sub("", wanted) if _SUBTAG.search(wanted) else None
        if wanted is None:
            raise UnknownName(
                "voice of espeak", name, (tag for tag in self._files if "/" not in tag and " " not in tag)
            )
        return self._files[wanted] + plus + variant
