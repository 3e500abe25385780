"""The stacks of AWS, without AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from voiceloop import clock
from voiceloop.engine.pool import Pool
from voiceloop.interfaces import Link, LinkContext, ModelCapabilities, SpeechModel
from voiceloop.presets.amazon import SERVICES, aws, nova
from voiceloop.presets.installed import EMULATOR, ENGINES, need
from voiceloop.presets.offline import ASSISTANT
from voiceloop.presets.stack import HELLO, Stack

if TYPE_CHECKING:
    from voiceloop.aws import Account
    from voiceloop.local.rules_reasoner import Rules

FIRST_TOKEN, POLLY = 0.35, 0.15
"""Seconds that the emulated Bedrock takes to its first token, and Polly to its first byte: about what AWS's take."""

_PAUSE = " A pause of 1.75 s ends the caller's turn, as AWS documents it for this model."


@asynccontextmanager
async def emulated(*names: Literal["aws", "nova"], rules: Rules | None = None) -> AsyncIterator[tuple[Stack, ...]]:
    """The stacks of these ``names`` on voiceloop's emulator of AWS, which runs until the block is left.

    Behind it are the offline engines and ``rules``, by default the demo's. Each session has keys and connections of
    its own, so that the recognizer can be told what is expected next in its conversation. On simulated time it is all
    in memory. Raises MissingExtra.
    """
    need("the emulator", *EMULATOR, *ENGINES)
    from voiceloop.local.espeak import EspeakSynthesizer
    from voiceloop.local.recognizer import PocketSphinx
    from voiceloop.local.rules_reasoner import Rules
    from voiceloop.testing.aws import Backing, Emulator
    from voiceloop.testing.aws.attuned import attuned

    rules = rules or Rules.demo()
    hears = PocketSphinx(workers=1)
    recognizer, reasoner = attuned(hears, rules)
    backing = Backing(recognizer, reasoner, EspeakSynthesizer(ASSISTANT), first_token=FIRST_TOKEN, polly_delay=POLLY)
    async with Emulator(backing) as aws_here:

        def account() -> Account:
            return aws_here.account(memory=clock.simulated(), keys=aws_here.issue())

        yield tuple(_emulated(_MAKERS[name](account=account(), environ={}), rules, account) for name in names)


@frozen(eq=False)
class _Apart(SpeechModel):
    """Each of its sessions is on an account of its own, by connections that end with it."""

    _like: SpeechModel
    _made: Callable[[Account], SpeechModel]
    _account: Callable[[], Account]

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._like.name

    @property
    def listener(self) -> str:
        return self._like.listener

    @property
    def capabilities(self) -> ModelCapabilities:
        return self._like.capabilities

    @asynccontextmanager
    async def connect(self, context: LinkContext) -> AsyncIterator[Link]:
        model = self._made(self._account())
        async with Pool() as pool, model.connect(evolve(context, resources=pool)) as link:
            yield link


def _emulated(stack: Stack, rules: Rules, account: Callable[[], Account]) -> Stack:
    assert stack.model is not None
    assert stack.made is not None
    return evolve(
        stack,
        model=_Apart(stack.model, stack.made, account),
        title=f"{stack.title} (emulated)",
        about=(
            f"The assistant runs on {SERVICES[stack.name]}, emulated on this machine over the real protocols. Behind "
            "the emulator are fixed rules, no language model, pocketsphinx and espeak-ng. It takes "
            f"{FIRST_TOKEN * 1000:.0f} ms to the first word, and {POLLY * 1000:.0f} ms to the first sound of a "
            f"clause.{'' if stack.model.capabilities.says else _PAUSE}"
        ),
        tools=tuple(rules.tools),
        hello=HELLO if stack.model.capabilities.says else None,
        personas=False,
        free=True,
        made=None,
    )


_MAKERS: dict[str, Callable[..., Stack]] = {"aws": aws, "nova": nova}
