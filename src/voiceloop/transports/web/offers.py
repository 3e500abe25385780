"""What a user can choose on the page: what the assistant runs on, and who it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import Attribute, field, frozen

from voiceloop.errors import BadInput, UnknownName
from voiceloop.interfaces import SpeechModel
from voiceloop.tools import Tool
from voiceloop.transports.websocket import Keys, Start
from voiceloop.transports.websocket.messages import MODES


class Voice(Protocol):
    """A voice to choose."""

    @property
    def name(self) -> str:
        """What the session takes."""

    @property
    def title(self) -> str:
        """What people see."""


class Stack(Protocol):
    """What an assistant runs on; see :class:`voiceloop.presets.Stack`."""

    @property
    def name(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """What people see."""

    @property
    def about(self) -> str:
        """A sentence or two about it."""

    @property
    def voices(self) -> Sequence[Voice]:
        """The voices to choose from; empty: any name is passed on."""

    @property
    def voice(self) -> str | None:
        """The usual one."""

    @property
    def tools(self) -> Sequence[Tool]:
        """What its sessions may call."""

    @property
    def instructions(self) -> str:
        """For sessions without a persona."""

    @property
    def hello(self) -> str | None:
        """What to say first, word for word."""

    @property
    def personas(self) -> bool:
        """Whether it follows instructions, as fixed rules do not."""

    @property
    def free(self) -> bool:
        """Whether using it costs nothing."""

    @property
    def keys(self) -> Literal["none", "optional", "required"]:
        """Whether users may, or must, bring AWS keys."""

    def model_for(self, keys: Keys | None) -> SpeechModel:
        """The model for one session. Raises BadInput."""


@frozen
class Persona:
    """Who the assistant is: ``instructions`` for the model, and by stack a voice that fits (``voices``)."""

    name: str
    title: str
    instructions: str
    voices: Mapping[str, str] = field(factory=dict, hash=False)


_SPOKEN = "This is a spoken conversation: one or two short sentences at a time, no lists, no markup."

PERSONAS = (
    Persona("assistant", "Assistant", f"You are a friendly, helpful assistant. {_SPOKEN}"),
    Persona(
        "coding",
        "Coding Assistant",
        "You are a patient senior programmer who thinks aloud with the user. Ask what they try to do before you "
        f"propose code, describe code in words, and spell out symbols only when that matters. {_SPOKEN}",
    ),
    Persona(
        "pirate",
        "Pirate",
        "You are a cheerful pirate captain. You talk like one, about the sea, rum and treasure, and you are helpful "
        f"all the same. {_SPOKEN}",
        {"aws": "Matthew", "nova": "matthew"},
    ),
    Persona(
        "french",
        "French Tutor",
        "You are a kind tutor of French for people who speak English. Speak easy French, slowly; when the user is "
        f"stuck, explain in English. Correct at most one mistake at a time, and praise what was right. {_SPOKEN}",
        {"aws": "Lea", "nova": "tiffany"},
    ),
)
"""The personas that the page offers by itself."""


@frozen
class Wanted:
    """What the client's ``start`` comes to: all that a session is made of."""

    stack: Stack
    model: SpeechModel = field(repr=False)
    instructions: str = field(repr=False)
    voice: str | None


def _named(offers: Offers, attribute: Attribute[tuple[Any, ...]], value: tuple[Any, ...]) -> None:
    names = [each.name for each in value]
    if len(set(names)) != len(names):
        raise BadInput(f"{attribute.name}: each needs a name of its own, and these are {', '.join(names)}")
    if not value and attribute.name == "stacks":
        raise BadInput("stacks: at least one is needed")


@frozen
class Offers:
    """All that can be chosen; the first stack is the usual one. Raises BadInput for names that come twice."""

    stacks: tuple[Stack, ...] = field(validator=_named)
    personas: tuple[Persona, ...] = field(default=PERSONAS, validator=_named)

    def wanted(self, start: Start) -> Wanted:
        """What ``start`` asks for. Raises UnknownName, or BadInput where keys are missing or wrong."""
        stack = _find("stack", start.stack, self.stacks) or self.stacks[0]
        persona = _find("persona", start.persona, self.personas)
        if start.voice is not None and stack.voices:
            known = [each.name for each in stack.voices]
            if start.voice not in known:
                raise UnknownName("voice", start.voice, known)
        instructions = stack.instructions if persona is None else persona.instructions
        voice = start.voice or (persona.voices.get(stack.name) if persona else None) or stack.voice
        return Wanted(
            stack,
            stack.model_for(start.keys if stack.keys != "none" else None),
            instructions if start.instructions is None else start.instructions,
            voice,
        )

    def told(self) -> dict[str, Any]:
        """The offer as JSON values, for a page."""
        return {
            "version": 1,
            "stacks": [_told(stack) for stack in self.stacks],
            "personas": [
                {
                    "id": each.name,
                    "label": each.title,
                    "instructions": each.instructions,
                    "voices": dict(each.voices),
                }
                for each in self.personas
            ],
            "modes": list(MODES),
        }


def _told(stack: Stack) -> dict[str, Any]:
    return {
        "id": stack.name,
        "label": stack.title,
        "about": stack.about,
        "keys": stack.keys,
        "free": stack.free,
        "personas": stack.personas,
        "voice": stack.voice,
        "voices": [{"id": voice.name, "label": voice.title} for voice in stack.voices],
    }


def _find(kind: str, name: str | None, known: Iterable[Any]) -> Any:
    if name is None:
        return None
    by_name = {each.name: each for each in known}
    if name not in by_name:
        raise UnknownName(kind, name, by_name)
    return by_name[name]


__all__ = ("PERSONAS", "Offers", "Persona", "Stack", "Voice", "Wanted")
