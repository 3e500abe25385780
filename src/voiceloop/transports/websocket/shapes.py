"""How events and audio look on the wire: in the protocol of version 1, or plain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from voiceloop import event_json
from voiceloop.events import AudioChunk, Event, Interrupted, ReplyText, Transcript, TurnEnded
from voiceloop.transports.websocket import frames
from voiceloop.transports.websocket.endings import Refusal

_MOST_SILENCE = 16_000  # samples: 1 s of input
_FARTHEST = 3600 * 16_000  # samples: a place later than an hour ahead is no count of samples


class Shape(Protocol):
    """Translates one connection's messages; keeps what that needs."""

    def event(self, event: Event) -> bytes | str | None:
        """The message that tells ``event``; None: it is not told."""

    def audio(self, data: bytes) -> bytes:
        """The whole samples in a binary message from the client. Raises Refusal ("bad-frame")."""

    def ready(self, ready: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first message to the client."""

    def answer(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """An answer to the client; None: it is not told."""


@define
class Framed:
    """Version 1: audio has a header, events are JSON by their names."""

    _next: int = field(default=0, init=False)

    def event(self, event: Event) -> bytes | str | None:
        """See :meth:`Shape.event`."""
        if isinstance(event, AudioChunk):
            return frames.encode(frames.Frame(frames.REPLY, event.turn, event.start, event.pcm))
        return event_json.dumps(event)

    def audio(self, data: bytes) -> bytes:
        """See :meth:`Shape.audio`. Samples that the client left out become silence, up to 1 s."""
        frame = frames.decode(data)
        missing = frame.start - self._next
        if missing < 0:
            raise Refusal("bad-frame", f"its first sample is {frame.start}; {self._next} were sent already")
        if missing > _FARTHEST:
            raise Refusal(
                "bad-frame", f"its first sample is {frame.start}, over an hour ahead: {self._next} were sent"
            )
        self._next = frame.start + len(frame.pcm) // 2
        return bytes(2 * min(missing, _MOST_SILENCE)) + frame.pcm

    def ready(self, ready: Mapping[str, Any]) -> Mapping[str, Any]:
        """See :meth:`Shape.ready`."""
        return ready

    def answer(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See :meth:`Shape.answer`."""
        return answer


@define
class Plain:
    """Bare PCM16 both ways, and transcripts."""

    _half: bytes = field(default=b"", init=False)
    _written: dict[int, str] = field(factory=dict, init=False)

    def event(self, event: Event) -> bytes | str | None:
        """See :meth:`Shape.event`."""
        match event:
            case AudioChunk():
                return event.pcm
            case Transcript():
                return _transcript("user", event.text, final=event.final)
            case ReplyText():
                self._written[event.turn] = self._written.get(event.turn, "") + event.text
                return _transcript("assistant", self._written[event.turn], final=False)
            case TurnEnded():
                self._written.pop(event.turn, None)
                return _transcript("assistant", event.heard.text, final=True)
            case Interrupted():
                return json.dumps({"type": "interrupted"})
            case _:
                return None

    def audio(self, data: bytes) -> bytes:
        """See :meth:`Shape.audio`. Half a sample at the end waits for its other half."""
        joined = self._half + data
        whole = len(joined) // 2 * 2
        self._half = joined[whole:]
        return joined[:whole]

    def ready(self, ready: Mapping[str, Any]) -> Mapping[str, Any]:
        """See :meth:`Shape.ready`."""
        return {"type": "ready"}

    def answer(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See :meth:`Shape.answer`."""
        return None


def _transcript(role: str, text: str, *, final: bool) -> str:
    return json.dumps({"type": "transcript", "role": role, "text": text, "final": final})


__all__ = ("Framed", "Plain", "Shape")
