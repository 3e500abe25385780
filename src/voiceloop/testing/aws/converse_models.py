"""The models that the emulated Bedrock runs, and how their ids are read.

Ids, profiles and what each model refuses follow the Bedrock user guide ("Supported foundation models", "Inference
profiles") and the model cards; they change often, so an emulator may be given a table of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from voiceloop.testing.aws.exchange import Refusal

_GEOGRAPHIES = ("us", "eu", "apac", "jp", "au", "global")
_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>\d{12})?:"
    r"(?P<kind>foundation-model|inference-profile|application-inference-profile)/(?P<id>[a-zA-Z0-9:.-]+)"
)


@frozen
class Model:
    """One model. ``bare``: it may be called by its own id, without an inference profile.

    ``sampling``: whether it takes temperature and topP ("free"), one of them ("one") or neither ("refused").
    ``thinking``: never, when ``asked``, unless disabled (``default``), or ``always``. ``cached`` is the fewest tokens
    that a cache point keeps, 0 for a model without a prompt cache. ``prefill``: an assistant message may come last.
    ``tokens``: the most that it writes.
    """

    id: str
    bare: bool = False
    sampling: Literal["free", "one", "refused"] = "refused"
    thinking: Literal["never", "asked", "default", "always"] = "asked"
    cached: int = 1024
    prefill: bool = False
    tokens: int = 128_000
    retired: bool = False

    @property
    def anthropic(self) -> bool:
        """Whether it is one of Anthropic's."""
        return self.id.startswith("anthropic.")


def _nova(
    name: str, *, bare: bool = True, thinking: Literal["never", "asked"] = "never", tokens: int = 10_000
) -> Model:
    return Model(f"amazon.nova-{name}", bare, "free", thinking, 1000, prefill=True, tokens=tokens)


MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model("anthropic.claude-haiku-5-5", thinking="default"),
        Model("anthropic.claude-sonnet-5-5", thinking="always", cached=512),
        Model("anthropic.claude-opus-5-5", thinking="always", cached=512),
        Model("anthropic.claude-sonnet-5"),
        Model("anthropic.claude-opus-5", cached=512),
        Model("anthropic.claude-opus-4-8"),
        Model("anthropic.claude-opus-4-7", cached=2048),
        Model("anthropic.claude-opus-4-6-v1", sampling="one", cached=4096),
        Model("anthropic.claude-sonnet-4-6", sampling="one", tokens=64_000),
        Model("anthropic.claude-sonnet-4-5-20250929-v1:0", sampling="one", prefill=True, tokens=64_000),
        Model("anthropic.claude-haiku-4-5-20251001-v1:0", sampling="one", prefill=True, cached=4096, tokens=64_000),
        Model("anthropic.claude-sonnet-4-20250514-v1:0", retired=True),
        Model("anthropic.claude-3-5-haiku-20241022-v1:0", retired=True),
        _nova("2-lite-v1:0", bare=False, thinking="asked", tokens=64_000),
        _nova("2-pro-preview-20251202-v1:0", bare=False, thinking="asked", tokens=64_000),
        _nova("micro-v1:0"),
        _nova("lite-v1:0"),
        _nova("pro-v1:0"),
        _nova("premier-v1:0", bare=False),
    )
}
APPLICATION_PROFILES: Mapping[str, str] = {"emulated0001": "anthropic.claude-haiku-5-5"}
"""Application inference profiles of the emulated account: a profile's id, and the model behind it."""


def find(model: str, region: str) -> Model:
    """The model that the id, profile or ARN ``model`` stands for in ``region``.

    Raises Refusal: unknown or not in the region (ValidationException), a bare id of a model that needs an inference
    profile (ValidationException), past its end of life (ResourceNotFoundException).
    """
    named = _ARN.fullmatch(model)
    kind, name = (named["kind"], named["id"]) if named else ("", model)
    if named and named["region"] not in ("", region):
        raise _unknown()
    if kind == "application-inference-profile":
        if name not in APPLICATION_PROFILES:
            raise Refusal(404, "ResourceNotFoundException", "The requested inference profile was not found.")
        return MODELS[APPLICATION_PROFILES[name]]
    prefix, _, rest = name.partition(".")
    profile = prefix in _GEOGRAPHIES and kind != "foundation-model"
    found = MODELS.get(rest if profile else name)
    if found is None or (profile and not _in_region(prefix, region)) or (kind == "inference-profile" and not profile):
        raise _unknown()
    if found.retired:
        raise Refusal(
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life. Please refer to the AWS documentation for more "
            "details.",
        )
    if not profile and not found.bare:
        raise Refusal(
            400,
            "ValidationException",
            f"Invocation of model ID {found.id} with on-demand throughput isn’t supported. Retry your request with "
            "the ID or ARN of an inference profile that contains this model.",
        )
    return found


def resources(model: str, region: str, account: str) -> tuple[str, ...]:
    """The ARNs that a call of ``model`` is authorised by: a profile, and the model in the regions behind it."""
    named = _ARN.fullmatch(model)
    kind, name = (named["kind"], named["id"]) if named else ("", model)
    if kind == "application-inference-profile":
        base = APPLICATION_PROFILES.get(name, name)
        return (
            f"arn:aws:bedrock:{region}:{account}:application-inference-profile/{name}",
            f"arn:aws:bedrock:*::foundation-model/{base}",
        )
    prefix, _, rest = name.partition(".")
    if prefix in _GEOGRAPHIES and kind != "foundation-model":
        return (
            f"arn:aws:bedrock:{region}:{account}:inference-profile/{name}",
            f"arn:aws:bedrock:*::foundation-model/{rest}",
        )
    return (f"arn:aws:bedrock:{region}::foundation-model/{name}",)


def _unknown() -> Refusal:
    return Refusal(400, "ValidationException", "The provided model identifier is invalid.")


def _in_region(prefix: str, region: str) -> bool:
    match prefix:
        case "us":
            return region.startswith(("us-", "ca-"))
        case "eu":
            return region.startswith("eu-")
        case "apac":
            return region.startswith("ap-")
        case "jp":
            return region in ("ap-northeast-1", "ap-northeast-3")
        case "au":
            return region in ("ap-southeast-2", "ap-southeast-4")
        case _:
            return True
