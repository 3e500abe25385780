"""Bounds: what is allowed."""

from __future__ import annotations

import attrs
import pytest

from voiceloop import BadInput
from voiceloop.rules.budgets import Idle, Limits


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "1", True])
def test_every_limit_is_a_number_above_0(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"limits.{name}="):
        Limits(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits) if field.name != "session"])
def test_only_the_session_may_be_without_end(name: str) -> None:
    assert Limits(session=None).session is None
    with pytest.raises(BadInput):
        Limits(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"after": 0}, {"after": -1.0}, {"after": float("nan")}, {"times": 0}])
def test_idle(options: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="idle"):
        Idle(**options)  # type: ignore[arg-type]
