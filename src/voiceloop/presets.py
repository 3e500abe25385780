"""Stacks to begin with: what an assistant runs on, by name, with what the environment says.

``local()`` needs the extra ``local`` and nothing else; ``server()`` a model server beside it; ``aws()`` and
``nova()`` an AWS account; ``emulated()`` runs both on this machine, without one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from attrs import evolve, frozen

from voiceloop import clock
from voiceloop.cascade import Cascade, Deadlines
from voiceloop.engine.pool import Pool
from voiceloop.errors import BadInput, MissingExtra
from voiceloop.interfaces import Link, LinkContext, ModelCapabilities, SpeechModel
from voiceloop.tools import Tool

if TYPE_CHECKING:
    from voiceloop.aws import Account
    from voiceloop.local.rules_reasoner import Rules
    from voiceloop.transports.websocket import Keys

N = TypeVar("N", int, float)

ASSISTANT = "en-us"
"""The voice of espeak-ng that speaks for the assistant, and for the emulated services."""

FIRST_TOKEN, POLLY = 0.35, 0.15
"""Seconds that the emulated Bedrock takes to its first token, and Polly to its first byte: about what AWS's take."""

REGION = "us-east-1"
"""The region of an account given by keys alone."""

_SERVICES = {"aws": "Amazon Transcribe, Bedrock and Polly", "nova": "Amazon Nova Sonic"}
_PAUSE = " A pause of 1.75 s ends the caller's turn, as AWS documents it for this model."
_INSTRUCTIONS = (
    "You are a friendly assistant in a spoken conversation. Answer in one or two short sentences, as one speaks. "
    "No lists, no markup."
)
_HELLO = "Hello. I can book a meeting room, tell the time, add numbers and convert units."


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
    account.
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
            raise BadInput(f"{self.title} needs AWS keys of yours", hint="Give them in the settings.")
        return self.model


def usual(environ: Mapping[str, str] = os.environ) -> Literal["local", "nova"]:
    """What to run on where nothing else is said: by ``USE_NOVA_SONIC`` (true or false) Nova Sonic, else this machine.

    Raises BadInput for another value of it.
    """
    return "nova" if _Environment(environ).flag("USE_NOVA_SONIC") else "local"


# ---------------------------------------------------------------- on this machine


def local(*, rules: Rules | None = None) -> Stack:
    """Offline: pocketsphinx hears, ``rules`` (by default the demo's) answer, espeak-ng speaks.

    Raises MissingExtra when the extra ``local`` is not installed.
    """
    try:
        from voiceloop.local.espeak import EspeakSynthesizer
        from voiceloop.local.recognizer import PocketSphinx
        from voiceloop.local.rules_reasoner import Rules
    except ImportError as error:
        raise MissingExtra(f"the local stack needs {error.name}", hint="pip install 'voiceloop[demo]'") from error
    rules = rules or Rules.demo()
    return Stack(
        name="local",
        title="This machine, offline",
        about=(
            "The assistant follows fixed rules, it is no language model; it hears with pocketsphinx and speaks with "
            f"espeak-ng ({ASSISTANT}), on this machine alone."
        ),
        model=Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer(ASSISTANT)),
        voices=_LOCAL_VOICES,
        voice=ASSISTANT,
        tools=tuple(rules.tools),
        hello=_HELLO,
        free=True,
    )


_LOCAL_VOICES = (
    Voice("en-us", "English, America"),
    Voice("en-us+f3", "English, America, female"),
    Voice("en-gb", "English, Great Britain"),
    Voice("en-gb+f4", "English, Great Britain, female"),
    Voice("en-gb-scotland", "English, Scotland"),
    Voice("fr", "French"),
    Voice("de", "German"),
    Voice("es", "Spanish"),
)

# ---------------------------------------------------------------- on a model server


def server(*, url: str | None = None, model: str | None = None, environ: Mapping[str, str] = os.environ) -> Stack:
    """A language model on a server that speaks as OpenAI does; pocketsphinx hears, espeak-ng speaks.

    ``url``: by default ``OPENAI_BASE_URL`` of ``environ``; without it OpenAI's own where ``OPENAI_API_KEY`` is set,
    else Ollama's on this machine. ``model``: by default ``OPENAI_MODEL``, then the first that the server has. Raises
    BadInput, and MissingExtra when the extra ``local`` is not installed.
    """
    try:
        from voiceloop.local.espeak import EspeakSynthesizer
        from voiceloop.local.recognizer import PocketSphinx
    except ImportError as error:
        raise MissingExtra(f"the server stack needs {error.name}", hint="pip install 'voiceloop[demo]'") from error
    from voiceloop.openai import ChatCompletions
    from voiceloop.openai.probe import USUAL
    from voiceloop.openai.reasoner import CLOUD

    read = _Environment(environ)
    url = url or read.text("OPENAI_BASE_URL") or (CLOUD if read.text("OPENAI_API_KEY") else USUAL[0])
    model = model or read.text("OPENAI_MODEL")
    if model is None and url == CLOUD:
        raise BadInput("OPENAI_MODEL: OpenAI's own service has many models, name one", hint="Or set OPENAI_BASE_URL.")
    thinks = ChatCompletions(model, base_url=url)
    named = f"the model {thinks.model}" if thinks.model else "its first model"
    return Stack(
        name="server",
        title="Local model server" if thinks.local else "Model server",
        about=(
            f"The assistant is a language model, {named} at {thinks.base_url}. It hears with pocketsphinx on this "
            "machine, which gets about a fourth of the words of free speech wrong: speak plainly, or type. It speaks "
            f"with espeak-ng ({ASSISTANT})."
        ),
        model=Cascade(
            PocketSphinx(workers=1), thinks, EspeakSynthesizer(ASSISTANT), deadlines=Deadlines(first_token=_LOADING)
        ),
        voices=_LOCAL_VOICES,
        voice=ASSISTANT,
        free=thinks.local,
    )


# Seconds to the first word: twice the reasoner's own patience, since a server may have to load the model.
_LOADING = 125.0

# ---------------------------------------------------------------- on AWS

_POLLY_VOICES = (
    Voice("Joanna", "Joanna, English, America"),
    Voice("Ruth", "Ruth, English, America"),
    Voice("Matthew", "Matthew, English, America"),
    Voice("Stephen", "Stephen, English, America"),
    Voice("Amy", "Amy, English, Great Britain"),
    Voice("Arthur", "Arthur, English, Great Britain"),
    Voice("Olivia", "Olivia, English, Australia"),
    Voice("Kajal", "Kajal, English, India"),
    Voice("Lea", "Lea, French"),
    Voice("Remi", "Remi, French"),
    Voice("Vicki", "Vicki, German"),
    Voice("Lucia", "Lucia, Spanish"),
)


def aws(*, account: Account | None = None, environ: Mapping[str, str] = os.environ) -> Stack:
    """Amazon Transcribe, Bedrock and Polly, in ``account`` (by default the caller's own).

    From ``environ``: ``AWS_BEDROCK_REGION``, ``AWS_BEDROCK_MODEL_ID``, ``AWS_BEDROCK_MAX_TOKENS``,
    ``AWS_BEDROCK_TEMPERATURE``, ``AWS_BEDROCK_TOP_P``, ``AWS_BEDROCK_MAX_RETRIES``. Raises BadInput for a value that
    cannot be one.
    """
    from voiceloop.aws import Account, Bedrock, Polly, Transcribe
    from voiceloop.rules.backoff import Backoff

    read = _Environment(environ)
    options: dict[str, Any] = {
        "max_tokens": read.whole("AWS_BEDROCK_MAX_TOKENS"),
        "temperature": read.number("AWS_BEDROCK_TEMPERATURE"),
        "top_p": read.number("AWS_BEDROCK_TOP_P"),
    }
    retries = read.whole("AWS_BEDROCK_MAX_RETRIES")
    if retries is not None:
        options["backoff"] = Backoff(first=0.1, most=1.0, attempts=retries + 1)
    options = {name: value for name, value in options.items() if value is not None}
    region, model = read.text("AWS_BEDROCK_REGION"), read.text("AWS_BEDROCK_MODEL_ID")

    def made(account: Account) -> SpeechModel:
        thinks = evolve(account, region=region) if region is not None else account
        reasoner = Bedrock(model, account=thinks, **options)
        return Cascade(Transcribe(account=account), reasoner, Polly(account=account))

    return Stack(
        name="aws",
        title="Amazon Transcribe, Bedrock, Polly",
        about=f"The assistant runs on {_SERVICES['aws']}, in your AWS account.",
        model=made(account or Account()),
        voices=_POLLY_VOICES,
        voice="Joanna",
        made=made,
    )


def nova(*, account: Account | None = None, environ: Mapping[str, str] = os.environ) -> Stack:
    """Amazon Nova Sonic, in ``account`` (by default the caller's own).

    From ``environ``: ``NOVA_SONIC_MODEL_ID``, ``NOVA_SONIC_VOICE_ID`` or ``NOVA_VOICE_ID``,
    ``NOVA_SONIC_SAMPLE_RATE`` (Hz of its speech), ``NOVA_SONIC_SESSION_TIMEOUT`` (ms after which a connection is
    replaced at the latest), ``NOVA_AWS_ACCESS_KEY_ID``, ``NOVA_AWS_SECRET_ACCESS_KEY`` and ``NOVA_AWS_REGION``.
    Raises BadInput for a value that cannot be one.
    """
    from voiceloop.aws import Account, NovaSonic
    from voiceloop.aws.nova import voices_of

    read = _Environment(environ)
    options: dict[str, Any] = {
        "model": read.text("NOVA_SONIC_MODEL_ID"),
        "voice": read.text("NOVA_SONIC_VOICE_ID") or read.text("NOVA_VOICE_ID"),
        "output_rate": read.whole("NOVA_SONIC_SAMPLE_RATE"),
        **_lasts(read.number("NOVA_SONIC_SESSION_TIMEOUT")),
    }
    options = {name: value for name, value in options.items() if value is not None}

    def made(account: Account) -> NovaSonic:
        return NovaSonic(account=account, **options)

    model = made(account or read.nova_account() or Account())
    return Stack(
        name="nova",
        title="Amazon Nova Sonic",
        about=f"The assistant runs on {_SERVICES['nova']}, in your AWS account.",
        model=model,
        voices=tuple(
            Voice(each.name, f"{each.name.title()}, {each.language}") for each in voices_of(model.model).values()
        ),
        voice=model.voice,
        made=made,
    )


def _lasts(timeout_ms: float | None) -> dict[str, float]:
    if timeout_ms is None:
        return {}
    if not timeout_ms > 0:
        raise BadInput("NOVA_SONIC_SESSION_TIMEOUT must be a number of ms above 0")
    deadline = min(440.0, timeout_ms / 1000)  # the service ends a connection at 480 s
    return {"deadline": deadline, "renew_after": deadline * 0.8}


_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@frozen
class _Environment:
    """Reads variables; an empty one is none. Raises BadInput, which names the variable."""

    _given: Mapping[str, str]

    def text(self, name: str) -> str | None:
        return self._given.get(name, "").strip() or None

    def whole(self, name: str) -> int | None:
        return self._converted(name, int, "a whole number")

    def number(self, name: str) -> float | None:
        return self._converted(name, float, "a number")

    def flag(self, name: str) -> bool:
        text = (self.text(name) or "false").lower()
        if text not in _FLAGS:
            raise BadInput(f"{name}={text!r}: true or false is allowed")
        return _FLAGS[text]

    def _converted(self, name: str, convert: Callable[[str], N], allowed: str) -> N | None:
        text = self.text(name)
        try:
            return None if text is None else convert(text)
        except ValueError:
            raise BadInput(f"{name}={text!r}: {allowed} is allowed") from None

    def nova_account(self) -> Account | None:
        from voiceloop.aws import Account, Keys

        access, secret = self.text("NOVA_AWS_ACCESS_KEY_ID"), self.text("NOVA_AWS_SECRET_ACCESS_KEY")
        region = self.text("NOVA_AWS_REGION")
        if (access is None) != (secret is None):
            raise BadInput("NOVA_AWS_ACCESS_KEY_ID and NOVA_AWS_SECRET_ACCESS_KEY go together: one is missing")
        if access is None or secret is None:
            return None if region is None else Account(region=region)
        return Account(region=region or REGION, keys=Keys(access, secret))


# ---------------------------------------------------------------- emulated


@asynccontextmanager
async def emulated(*names: Literal["aws", "nova"], rules: Rules | None = None) -> AsyncIterator[tuple[Stack, ...]]:
    """The stacks of these ``names`` on voiceloop's emulator of AWS, which runs until the block is left.

    Behind it are the offline engines and ``rules``, by default the demo's. Each session has keys and connections of
    its own, so that the recognizer can be told what is expected next in its conversation. On simulated time it is all
    in memory. Raises MissingExtra.
    """
    try:
        from voiceloop.local.espeak import EspeakSynthesizer
        from voiceloop.local.recognizer import PocketSphinx
        from voiceloop.local.rules_reasoner import Rules
        from voiceloop.testing.aws import Backing, Emulator
        from voiceloop.testing.aws.attuned import attuned
    except ImportError as error:
        raise MissingExtra(f"the emulator needs {error.name}", hint="pip install 'voiceloop[demo]'") from error
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
            f"The assistant runs on {_SERVICES[stack.name]} as voiceloop's emulator speaks them, over their real "
            "protocols. Behind the emulator are fixed rules, no language model, pocketsphinx and espeak-ng. It takes "
            f"{FIRST_TOKEN * 1000:.0f} ms to the first word, and {POLLY * 1000:.0f} ms to the first sound of a "
            f"clause.{'' if stack.model.capabilities.says else _PAUSE}"
        ),
        tools=tuple(rules.tools),
        hello=_HELLO if stack.model.capabilities.says else None,
        free=True,
        made=None,
    )


_MAKERS: dict[str, Callable[..., Stack]] = {"aws": aws, "nova": nova}


def with_keys_only(stacks: Iterable[Stack]) -> tuple[Stack, ...]:
    """The same for users who bring keys of their own: nobody else's account is used."""
    return tuple(evolve(stack, model=None) for stack in stacks if stack.made is not None)


__all__ = (
    "ASSISTANT",
    "FIRST_TOKEN",
    "POLLY",
    "REGION",
    "Stack",
    "Voice",
    "aws",
    "emulated",
    "local",
    "nova",
    "server",
    "usual",
    "with_keys_only",
)
