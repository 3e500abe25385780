"""The pytest plugin: the marker ``virtual_time`` and the fixture ``aws_emulator``.

``@pytest.mark.virtual_time(seed=0)`` runs an async test and its fixtures on virtual time. ``aws_emulator`` is a
running :class:`voiceloop.testing.aws.Emulator`, made with the arguments of ``@pytest.mark.aws_emulator(...)``.

Needs pytest-asyncio 1.4 or later. Nothing else of voiceloop is loaded until a test asks for one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

try:
    from pytest_asyncio import fixture as _async_fixture
except ImportError:  # the plugin loads all the same; async tests need pytest-asyncio anyhow
    from pytest import fixture as _async_fixture  # type: ignore[no-redef]  # noqa: PT013

if TYPE_CHECKING:
    from voiceloop.testing.aws import Emulator

_MARKER = "virtual_time"
_EMULATOR = "aws_emulator"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "virtual_time(seed=0): run the async test on a clock that jumps instead of sleeping"
    )
    config.addinivalue_line("markers", "aws_emulator(backing, timers=1.0, ...): how the fixture aws_emulator is made")


@_async_fixture
async def aws_emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """AWS's speech services on this machine, for one test; by default with the engines of ``voiceloop.local``."""
    from voiceloop.testing.aws import Emulator

    marker = request.node.get_closest_marker(_EMULATOR)
    async with Emulator(*marker.args, **marker.kwargs) if marker is not None else Emulator() as aws:
        yield aws


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Generator[None, Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None, Any]:
    """Marked tests get the virtual loop; all others what the project says, or asyncio's own."""
    chosen = yield
    if item.get_closest_marker(_MARKER) is None:
        return chosen if chosen is not None else {"default": asyncio.new_event_loop}
    from voiceloop.testing.virtual_time import VirtualTimeLoop

    return {_MARKER: VirtualTimeLoop}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Time of day, ids and chance of a marked test and its fixtures come from its seed."""
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return (yield)
    from voiceloop import clock
    from voiceloop.testing.virtual_time import seeded

    token = clock.use(seeded(marker.kwargs.get("seed", 0)))
    try:
        return (yield)
    finally:
        clock.reset(token)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A marker that could not work must not look as if it did."""
    marked = [(item, marker) for item in items if (marker := item.get_closest_marker(_MARKER)) is not None]
    if marked and not hasattr(config.hook, "pytest_asyncio_loop_factories"):
        raise pytest.UsageError(f"{marked[0][0].nodeid}: the virtual_time marker needs pytest-asyncio 1.4 or later")
    wrong = [item.nodeid for item, marker in marked if marker.args or not _known(marker.kwargs)]
    if wrong:
        raise pytest.UsageError(f"virtual_time takes one keyword, seed=<whole number>: {', '.join(wrong)}")


def _known(keywords: Mapping[str, Any]) -> bool:
    return not set(keywords) - {"seed"} and isinstance(keywords.get("seed", 0), int)
