"""Which model is asked by default, and how each family is told how much to think."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from voiceloop.errors import BadInput

Reasoning: TypeAlias = Literal["off", "low", "medium", "high", "xhigh", "max"]
REASONING: tuple[str, ...] = get_args(Reasoning)

_DEFAULT = "anthropic.claude-haiku-5-5"
_NOVA_LEVELS = ("low", "medium", "high")
# Geographies of Claude's inference profiles (Amazon Bedrock user guide, "Supported Regions and models for inference
# profiles"); in other regions only the global profile can be called.
_PROFILES = (
    ("us-gov-", "us-gov"),
    ("us-", "us"),
    ("ca-", "us"),
    ("eu-", "eu"),
    ("ap-northeast-1", "jp"),
    ("ap-northeast-3", "jp"),
    ("ap-southeast-2", "au"),
    ("ap-southeast-4", "au"),
)


def geography(region: str) -> str:
    """The prefix of the inference profiles for callers in ``region``: "us", "eu", "jp", "au" or "global"."""
    return next((prefix for start, prefix in _PROFILES if region.startswith(start)), "global")


def default_model(region: str) -> str:
    """The inference profile that is asked when no model was chosen: the fastest Claude."""
    return f"{geography(region)}.{_DEFAULT}"


def reasoning_fields(model: str, reasoning: Reasoning) -> tuple[dict[str, Any], dict[str, Any]]:
    """What tells ``model`` how much to think: members of the request, and additional model fields.

    Sources: Amazon Bedrock user guide, "Adaptive thinking" and "Effort" of Claude; Amazon Nova 2 user guide,
    "Extended thinking". Raises BadInput for a level that the family lacks, or a family that is not known.
    """
    if "anthropic.claude" in model:
        if reasoning == "off":
            return {}, {"thinking": {"type": "disabled"}}
        return {"outputConfig": {"effort": reasoning}}, {}
    if "amazon.nova-2" in model:
        if reasoning == "off":
            return {}, {"reasoningConfig": {"type": "disabled"}}
        if reasoning in _NOVA_LEVELS:
            return {}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": reasoning}}
        raise BadInput(f"reasoning={reasoning!r}: Nova 2 takes off, {', '.join(_NOVA_LEVELS)}")
    raise BadInput(
        f"reasoning={reasoning!r}: how model {model!r} is told to think is not known",
        hint="Give its own fields instead, as in fields={'thinking': {'type': 'disabled'}}.",
    )


def merged(fields: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with those of ``over`` put in, objects member by member."""
    result = dict(fields)
    for name, value in over.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
