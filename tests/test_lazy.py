"""Names that load late: from where they are said to be, once, and no others."""

from __future__ import annotations

import importlib
import sys

import pytest

from voiceloop._lazy import lazy


def test_a_name_is_found_kept_and_a_wrong_one_is_told() -> None:
    find = lazy(__name__, {"Fraction": "fractions"})
    here = sys.modules[__name__]
    assert not hasattr(here, "Fraction")
    found = find("Fraction")
    assert found is importlib.import_module("fractions").Fraction
    assert vars(here).pop("Fraction") is found
    with pytest.raises(AttributeError, match=f"module '{__name__}' has no attribute 'Nonsense'"):
        find("Nonsense")


@pytest.mark.parametrize("package", ["voiceloop", "voiceloop.aws", "voiceloop.local", "voiceloop.transports.web"])
def test_packages_that_load_late_say_what_they_lack(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nonsense'"):
        importlib.import_module(package).Nonsense  # noqa: B018 - looked up
