"""What the demo's assistant is made of: engines on this machine, or AWS's services, emulated or real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from attrs import frozen

from voiceloop import clock
from voiceloop.cascade import Cascade
from voiceloop.errors import BadInput, MissingExtra
from voiceloop.interfaces import SpeechModel
from voiceloop.local.espeak import EspeakSynthesizer
from voiceloop.local.recognizer import PocketSphinx
from voiceloop.local.rules_reasoner import Rules

if TYPE_CHECKING:
    from voiceloop.aws import Account

On: TypeAlias = Literal["local", "aws", "nova"]

ASSISTANT = "en-us"
"""The voice of espeak-ng that speaks for the assistant, and for the emulated services."""

FIRST_TOKEN, POLLY = 0.35, 0.15
"""Seconds that the emulated Bedrock takes to its first token, and Polly to its first byte: about what AWS's take."""

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

    Raises MissingExtra, BadInput for the AWS cascade on simulated time, which has no sockets.
    """
    if on == "local":
        model = Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer(ASSISTANT))
        yield Stack(
            model,
            "The assistant follows fixed rules, it is no language model; it hears with pocketsphinx and speaks with "
            f"espeak-ng ({ASSISTANT}), on this machine alone.",
        )
    elif account:
        yield _stack(on, None)
    else:
        async with _emulated(on, rules) as stack:
            yield stack


@asynccontextmanager
async def _emulated(on: On, rules: Rules) -> AsyncIterator[Stack]:
    if clock.simulated() and on == "aws":
        raise BadInput("--pace fast: the AWS cascade runs in real time only", hint="Leave --pace out, or use nova.")
    try:
        from voiceloop.testing.aws import Backing, Emulator
        from voiceloop.testing.aws.attuned import attuned
    except ImportError as error:
        raise MissingExtra(f"the emulator needs {error.name}", hint="pip install 'voiceloop[demo]'") from error
    recognizer, reasoner = attuned(PocketSphinx(workers=1), rules)
    backing = Backing(
        recognizer,
        reasoner,
        EspeakSynthesizer(ASSISTANT),
        first_token=FIRST_TOKEN,
        polly_delay=POLLY,
    )
    async with Emulator(backing) as aws:
        yield _stack(on, aws.account(memory=clock.simulated()))


def _stack(on: On, emulated: Account | None) -> Stack:
    from voiceloop.aws import Account, Bedrock, NovaSonic, Polly, Transcribe

    account = emulated or Account()
    if on == "nova":
        model: SpeechModel = NovaSonic(account=account)
        services = "Amazon Nova Sonic"
    else:
        model = Cascade(Transcribe(account=account), Bedrock(account=account), Polly(account=account))
        services = "Amazon Transcribe, Bedrock and Polly"
    if emulated is None:
        return Stack(model, f"The assistant runs on {services}, in your AWS account.")
    return Stack(
        model,
        f"The assistant runs on {services} as voiceloop's emulator speaks them, over their real protocols. Behind "
        "the emulator are fixed rules, no language model, pocketsphinx and espeak-ng. It takes "
        f"{FIRST_TOKEN * 1000:.0f} ms to the first word, and {POLLY * 1000:.0f} ms to the first sound of a clause.",
    )
