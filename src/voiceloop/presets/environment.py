"""What the environment says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from attrs import frozen

from voiceloop.errors import BadInput
from voiceloop.presets.stack import REGION

if TYPE_CHECKING:
    from voiceloop.aws import Account

N = TypeVar("N", int, float)

_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@frozen
class Environment:
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


def usual(environ: Mapping[str, str] = os.environ) -> Literal["local", "nova"]:
    """What to run on where nothing else is said: by ``USE_NOVA_SONIC`` (true or false) Nova Sonic, else this machine.

    Raises BadInput for another value of it.
    """
    return "nova" if Environment(environ).flag("USE_NOVA_SONIC") else "local"
