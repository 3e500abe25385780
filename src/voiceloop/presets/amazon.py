"""Stacks in an AWS account."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from voiceloop.cascade import Cascade
from voiceloop.errors import BadInput
from voiceloop.interfaces import SpeechModel
from voiceloop.presets.environment import Environment
from voiceloop.presets.stack import Stack, Voice

if TYPE_CHECKING:
    from voiceloop.aws import Account

SERVICES = {"aws": "Amazon Transcribe, Bedrock and Polly", "nova": "Amazon Nova Sonic"}

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

    read = Environment(environ)
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
        about=f"The assistant runs on {SERVICES['aws']}, in your AWS account.",
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

    read = Environment(environ)
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
        about=f"The assistant runs on {SERVICES['nova']}, in your AWS account.",
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
