"""The package's names: all there, and none of them hidden by a module of the same name."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import voiceloop.audio


def test_every_public_name_is_there() -> None:
    assert len(set(voiceloop.audio.__all__)) == len(voiceloop.audio.__all__)
    for module in pkgutil.iter_modules(voiceloop.audio.__path__):
        importlib.import_module(f"voiceloop.audio.{module.name}")
        assert module.name not in voiceloop.audio.__all__
    for name in voiceloop.audio.__all__:
        assert getattr(voiceloop.audio, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'loudness'"):
        voiceloop.audio.__getattr__("loudness")
