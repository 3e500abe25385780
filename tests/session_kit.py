"""What the session's tests share: a small cascade of scripted parts, and a few ways to look at a log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import anyio

import voiceloop as vl
from voiceloop.events import BaseEvent, Event
from voiceloop.testing.event_log import assert_log
from voiceloop.testing.scripted import (
    ScriptedCaller,
    ScriptedReasoner,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedTurns,
)

E = TypeVar("E", bound=BaseEvent)

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
"""81 characters, 4.86 s of scripted speech."""


def cascade(said: Sequence[Any] = (), replies: Sequence[Any] = (), **parts: Any) -> vl.Cascade:
    """``said`` is recognized, ``replies`` are given; ``hears``, ``thinks``, ``speaks`` are options of the parts."""
    return vl.Cascade(
        ScriptedRecognizer(said, **parts.get("hears", {})),
        ScriptedReasoner(replies, **parts.get("thinks", {})),
        ScriptedSynthesizer(**parts.get("speaks", {})),
        **({"deadlines": parts["deadlines"]} if "deadlines" in parts else {}),
    )


def session(model: vl.Cascade, **options: Any) -> vl.Session:
    """A session that hears scripted speech."""
    return vl.Session(model, **{"turns": ScriptedTurns(), **options})


async def talk(acts: Sequence[Any], model: Any, *, checked: bool = True, **options: Any) -> list[Event]:
    """The log of the conversation of a scripted caller who does ``acts``."""
    caller_options = {k: options.pop(k) for k in ("report_ms", "latency", "frame_ms", "format") if k in options}
    caller = ScriptedCaller(acts, **caller_options)
    async with session(model, **options) as running:
        with anyio.fail_after(1000):
            log = await caller.talk(running)
    if checked:
        assert_log(log)
    return log


async def collect(running: vl.Session, log: list[Event], busy: float = 0.0) -> None:
    """Put all events into ``log``."""
    async for event in running:
        log.append(event)
        if busy:
            await anyio.sleep(busy)


async def until(running: vl.Session, kind: type[E], log: list[Event] | None = None) -> E:
    """Iterate up to the next event of ``kind``."""
    async for event in running:
        if log is not None:
            log.append(event)
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the session ended without {kind.__name__}")


def of(log: Sequence[Event], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in log if isinstance(event, kind)]


def the(log: Sequence[Event], kind: type[E]) -> E:
    """The only event of one kind."""
    [event] = of(log, kind)
    return event


def order(log: Sequence[Event], *kinds: type[BaseEvent]) -> list[str]:
    """The names of the events of some kinds, in order."""
    return [type(event).__name__ for event in log if isinstance(event, kinds)]


def finals(log: Sequence[Event]) -> list[str]:
    """The final transcripts."""
    return [event.text for event in of(log, vl.Transcript) if event.final]


def ends(log: Sequence[Event]) -> list[tuple[int, str, str]]:
    """Turn, reason and heard text of each turn's end."""
    return [(event.turn, event.reason, event.heard.text) for event in of(log, vl.TurnEnded)]


def questions(model: vl.Cascade) -> list[list[tuple[str, str]]]:
    """The histories that the reasoner was asked with, as role and text."""
    reasoner = model.reasoner
    assert isinstance(reasoner, ScriptedReasoner)
    return [[(message.role, message.text) for message in request.messages] for request in reasoner.requests]


def others() -> set[str]:
    """The names of all tasks but this one."""
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
