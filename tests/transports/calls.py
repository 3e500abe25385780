"""A call in a simulated room, on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from attrs import define, field

import voiceloop as vl
from voiceloop.interfaces import Synthesizer, TurnDetector
from voiceloop.testing.scripted import ScriptedReasoner, ScriptedRecognizer
from voiceloop.transports.echo import EchoMode
from voiceloop.transports.sides import Frame
from voiceloop.transports.soundcard import SoundCard

from .room import Room


@define
class Call:
    """What came of a call: events with the room's time, frames, and when the user began to speak."""

    room: Room
    card: SoundCard
    events: list[tuple[float, vl.Event]] = field(factory=list)
    frames: list[Frame] = field(factory=list)
    spoke: float | None = None

    def of(self, *kinds: type) -> list[Any]:
        """The events of these kinds."""
        return [event for _, event in self.events if isinstance(event, kinds)]

    def when(self, kind: type) -> list[float]:
        """When the events of a kind came, in s after the user began to speak."""
        assert self.spoke is not None
        return [at - self.spoke for at, event in self.events if isinstance(event, kind)]


async def hold(
    room: Room,
    model: vl.SpeechModel,
    *texts: str,
    user: Any = None,
    after: float = 5.0,
    echo: EchoMode = "cancel",
    turns: TurnDetector | None = None,
    microphone: bool = True,
    session: Callable[[vl.Session], Any] | None = None,
) -> Call:
    """The assistant says ``texts``; ``user`` (samples) is said ``after`` s of the assistant's first sound."""
    call = Call(room, SoundCard(system=room, echo=echo, microphone=microphone))
    audible: list[float] = []

    def each() -> None:
        if not audible and room.played and any(room.played[-1]):
            audible.append(room.at)
        if user is not None and call.spoke is None and audible and room.at >= audible[0] + after:
            call.spoke = room.at
            room.say(user)

    async def drive(live: vl.Session) -> None:
        for text in texts:
            await (await live.say(text)).done()
        if session is not None:
            await session(live)
        await anyio.sleep(2.0)
        await live.end()

    async with vl.Session(model, turns=turns or "auto") as live, anyio.create_task_group() as group:
        group.start_soon(room.run, each)
        group.start_soon(drive, live)
        await call.card.run(
            live,
            on_event=lambda event: call.events.append((room.at, event)),
            on_frame=call.frames.append,
        )
        group.cancel_scope.cancel()
    assert all(stream.closed for stream in room.streams.values())
    return call


def assistant(voice: Synthesizer, heard: Sequence[str] = (), replies: Sequence[str] = ("Fine. ",)) -> vl.SpeechModel:
    """A model that speaks with ``voice``; its recognizer hears ``heard`` in whatever is loud."""
    recognizer = ScriptedRecognizer(heard, partials=bool(heard))
    return vl.Cascade(recognizer, ScriptedReasoner(list(replies), cycle=True), voice)
