"""The models and their voices, told apart by what they can do."""

from __future__ import annotations

from attrs import frozen

FIRST = "amazon.nova-sonic-v1:0"
"""The only model of the first generation; every other id is taken for a later one."""

SECOND = "amazon.nova-2-sonic-v1:0"


@frozen
class Family:
    """What a generation of the model takes.

    ``text_input``: typed text in the middle of a conversation. ``endpointing``: a sensitivity of the turn detection.
    ``tool_choice``: the choice of a tool. ``history_bytes``, ``message_bytes``, ``text_bytes``: the most of an
    earlier conversation that it takes, in all, in one message and in one ``textInput``; ``messages``: how many
    messages (None: any number).
    """

    text_input: bool = True
    endpointing: bool = True
    tool_choice: bool = True
    history_bytes: int = 204_800
    message_bytes: int = 51_200
    text_bytes: int = 51_200
    messages: int | None = None


_LATER = Family()
_FIRST = Family(
    text_input=False,
    endpointing=False,
    tool_choice=False,
    history_bytes=40_000,
    message_bytes=40_000,
    text_bytes=1_000,
    messages=40,
)


def family_of(model: str) -> Family:
    """What ``model`` takes (Amazon Nova user guides, "Speech-to-speech" and "Amazon Nova 2 Sonic")."""
    return _FIRST if model == FIRST else _LATER


@frozen
class Voice:
    """A voice: its ``name``, its language as a BCP 47 tag, and whether it speaks all the model's languages."""

    name: str
    language: str
    polyglot: bool = False


def _table(text: str, polyglot: str = "") -> dict[str, Voice]:
    voices: dict[str, Voice] = {}
    for line in text.split(";"):
        language, *names = line.split()
        for name in names:
            voices.setdefault(name, Voice(name, language, name in polyglot.split()))
    return voices


_FIRST_VOICES = _table(
    "en-US tiffany matthew; en-GB amy; fr-FR ambre florian; it-IT beatrice lorenzo; de-DE greta lennart;"
    "es-US lupe carlos"
)
_LATER_VOICES = _table(
    "en-US tiffany matthew; en-GB amy; en-AU olivia; en-IN kiara arjun; fr-FR ambre florian; it-IT beatrice lorenzo;"
    "de-DE tina lennart; es-US lupe carlos; pt-BR carolina leo",
    polyglot="tiffany matthew",
)
_ALSO = {"kiara": ("hi-IN",), "arjun": ("hi-IN",)}


def voices_of(model: str) -> dict[str, Voice]:
    """The voices of ``model``, by name (Amazon Nova user guides, "Available voices", "Language support").

    No list of the voices of Nova 2.5 Sonic has been published; those of Nova 2 Sonic are taken for it.
    """
    return dict(_FIRST_VOICES if model == FIRST else _LATER_VOICES)


def languages_of(model: str) -> set[str]:
    """The languages of ``model``, as BCP 47 tags."""
    return {tag for voice in voices_of(model).values() for tag in (voice.language, *_ALSO.get(voice.name, ()))}


def speaks(voice: Voice, language: str) -> bool:
    """Whether ``language``, a BCP 47 tag or the first part of one, is the voice's own."""
    wanted = language.lower()
    own = (voice.language, *_ALSO.get(voice.name, ()))
    return any(tag.lower() == wanted or tag.lower().split("-")[0] == wanted for tag in own)
