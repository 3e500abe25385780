"""The public names: declared, existing, complete and documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import voiceloop

# The import paths that users write. Modules inside them are how they are built.
FACADES = ("voiceloop", "voiceloop.audio", "voiceloop.clock", "voiceloop.events", "voiceloop.interfaces")


def _modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(voiceloop.__path__, "voiceloop.")]
    return ["voiceloop", *(name for name in found if not any(part.startswith("_") for part in name.split(".")))]


def _own(module: ModuleType) -> set[str]:
    """The public classes and functions that ``module`` defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith(("_", "pytest_"))  # hooks are documented by pytest
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", FACADES[1:])
def test_a_public_module_declares_its_names(name: str) -> None:
    assert importlib.import_module(name).__all__


@pytest.mark.parametrize("name", _modules())
def test_declared_names_are_unique_existing_and_complete(name: str) -> None:
    module = importlib.import_module(name)
    declared = getattr(module, "__all__", None)
    if declared is None:  # then every name without an underscore is public, as Python has it
        return
    assert len(set(declared)) == len(declared)
    assert not [public for public in declared if not hasattr(module, public)]
    assert _own(module) <= set(declared)


@pytest.mark.parametrize("name", _modules())
def test_public_things_say_what_they_are(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert not [thing for thing in sorted(_own(module)) if not inspect.getdoc(vars(module)[thing])]


def test_the_interfaces_package_names_every_port_and_value_of_its_modules() -> None:
    package = importlib.import_module("voiceloop.interfaces")
    inside = [
        importlib.import_module(f"voiceloop.interfaces.{m.name}") for m in pkgutil.iter_modules(package.__path__)
    ]
    assert not set().union(*map(_own, inside)) - set(package.__all__)
