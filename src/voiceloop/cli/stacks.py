"""What the demo's assistant is made of: engines on this machine, or AWS's services, emulated or real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from attrs import frozen

from voiceloop import presets
from voiceloop.errors import BadInput
from voiceloop.interfaces import SpeechModel
from voiceloop.local.rules_reasoner import Rules

On: TypeAlias = Literal["local", "aws", "nova"]

INSTRUCTIONS = (
    "You book meeting rooms by telephone. Ask for what is missing (city, people, day, time, length), one thing at a "
    "time, in one short sentence. When all is known, say it back and ask: Shall I book it? Then call book_room."
)


@frozen
class Stack:
    """A speech model to talk to, and who that is, for the report."""

    model: SpeechModel
    about: str


@asynccontextmanager
async def open_stack(on: On, rules: Rules, *, account: bool = False) -> AsyncIterator[Stack]:
    """The assistant ``on`` this machine or on AWS: emulated here, unless ``account`` says the caller's own.

    Raises MissingExtra.
    """
    if on == "local":
        yield _stack(presets.local(rules=rules))
    elif account:
        yield _stack(presets.aws() if on == "aws" else presets.nova())
    else:
        async with presets.emulated(on, rules=rules) as (stack,):
            yield _stack(stack)


def _stack(stack: presets.Stack) -> Stack:
    if stack.model is None:
        raise BadInput(f"{stack.title} needs an account")
    return Stack(stack.model, stack.about)
