"""What an assistant runs on, and what of it a user may choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from voiceloop.errors import BadInput
from voiceloop.interfaces import SpeechModel
from voiceloop.tools import Tool

if TYPE_CHECKING:
    from voiceloop.aws import Account
    from voiceloop.transports.websocket import Keys

REGION = "us-east-1"
"""The region of an account given by keys alone."""

HELLO = "Hello. I can book a meeting room, tell the time, add numbers and convert units."
"""What an assistant that follows the demo's rules says first."""

_INSTRUCTIONS = (
    "You are a friendly assistant in a spoken conversation. Answer in one or two short sentences, as one speaks. "
    "No lists, no markup."
)


@frozen
class Voice:
    """A voice to choose: the ``name`` that the session takes, and what to show."""

    name: str
    title: str


@frozen
class Stack:
    """What an assistant runs on.

    ``model``: None where it needs the user's own keys. ``voices``: some of those it has, ``voice``: the usual one.
    ``tools`` and ``instructions``: what the session gets, where nothing else is said. ``hello``: what to say first,
    word for word; None: in the model's own words. ``free``: using it costs nothing. ``made``: the model on another
    account. ``personas``: whether it follows instructions, as fixed rules do not.
    """

    name: str
    title: str
    about: str
    model: SpeechModel | None
    voices: tuple[Voice, ...] = ()
    voice: str | None = None
    tools: tuple[Tool, ...] = ()
    instructions: str = _INSTRUCTIONS
    hello: str | None = None
    free: bool = False
    made: Callable[[Account], SpeechModel] | None = None
    personas: bool = True

    @property
    def keys(self) -> Literal["none", "optional", "required"]:
        """Whether a user may, or must, bring AWS keys of their own."""
        if self.made is None:
            return "none"
        return "optional" if self.model is not None else "required"

    def model_for(self, keys: Keys | None) -> SpeechModel:
        """The model for a session, on the user's own ``keys`` if there are any.

        Raises BadInput when they are needed, or cannot be keys.
        """
        if keys is not None and self.made is not None:
            from voiceloop.aws import Account
            from voiceloop.aws import Keys as AwsKeys

            given = AwsKeys(keys.access_key, keys.secret_key, keys.session_token)
            return self.made(Account(region=keys.region or REGION, keys=given))
        if self.model is None:
            raise BadInput(f"{self.title} needs your AWS keys", hint="Give them in the settings.")
        return self.model


def with_keys_only(stacks: Iterable[Stack]) -> tuple[Stack, ...]:
    """The same for users who bring keys of their own: nobody else's account is used."""
    return tuple(evolve(stack, model=None) for stack in stacks if stack.made is not None)
