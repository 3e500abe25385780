"""Stacks that hear and speak on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from voiceloop.cascade import Cascade, Deadlines
from voiceloop.errors import BadInput
from voiceloop.presets.environment import Environment
from voiceloop.presets.installed import ENGINES, need
from voiceloop.presets.stack import HELLO, Stack, Voice

if TYPE_CHECKING:
    from voiceloop.local.rules_reasoner import Rules

ASSISTANT = "en-us"
"""The voice of espeak-ng that speaks for the assistant, and for the emulated services."""


def local(*, rules: Rules | None = None) -> Stack:
    """Offline: pocketsphinx hears, ``rules`` (by default the demo's) answer, espeak-ng speaks.

    Raises MissingExtra when the extra ``local`` is not installed.
    """
    need("the local stack", *ENGINES)
    from voiceloop.local.espeak import EspeakSynthesizer
    from voiceloop.local.recognizer import PocketSphinx
    from voiceloop.local.rules_reasoner import Rules

    rules = rules or Rules.demo()
    return Stack(
        name="local",
        title="This machine, offline",
        about=(
            "The assistant follows fixed rules, it is no language model; it hears with pocketsphinx and speaks with "
            f"espeak-ng ({ASSISTANT}), on this machine alone."
        ),
        model=Cascade(PocketSphinx(workers=1), rules, EspeakSynthesizer(ASSISTANT)),
        voices=_VOICES,
        voice=ASSISTANT,
        tools=tuple(rules.tools),
        hello=HELLO,
        personas=False,
        free=True,
    )


_VOICES = (
    Voice("en-us", "English, America"),
    Voice("en-us+f3", "English, America, female"),
    Voice("en-gb", "English, Great Britain"),
    Voice("en-gb+f4", "English, Great Britain, female"),
    Voice("en-gb-scotland", "English, Scotland"),
    Voice("fr", "French"),
    Voice("de", "German"),
    Voice("es", "Spanish"),
)


def server(*, url: str | None = None, model: str | None = None, environ: Mapping[str, str] = os.environ) -> Stack:
    """A language model on a server that speaks as OpenAI does; pocketsphinx hears, espeak-ng speaks.

    ``url``: by default ``OPENAI_BASE_URL`` of ``environ``; without it OpenAI's own where ``OPENAI_API_KEY`` is set,
    else Ollama's on this machine. ``model``: by default ``OPENAI_MODEL``, then the first that the server has. Raises
    BadInput, and MissingExtra when the extra ``local`` is not installed.
    """
    need("the server stack", *ENGINES)
    from voiceloop.local.espeak import EspeakSynthesizer
    from voiceloop.local.recognizer import PocketSphinx
    from voiceloop.openai import ChatCompletions
    from voiceloop.openai.probe import USUAL
    from voiceloop.openai.reasoner import CLOUD

    read = Environment(environ)
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
        voices=_VOICES,
        voice=ASSISTANT,
        free=thinks.local,
    )


# Seconds to the first word: twice the reasoner's own patience, since a server may have to load the model.
_LOADING = 125.0
