"""Records a conversation as a listener had it: both sides' sound on one wall timeline, and the events."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from attrs import define, evolve, field, frozen

from voiceloop import event_json
from voiceloop.audio import AudioFormat, convert, write_wav
from voiceloop.cli.report import Played, Recording
from voiceloop.events import Event

WAV, EVENTS = "conversation.wav", "events.jsonl"


@frozen
class Sounding:
    """A piece of a reply inside some played audio: it begins ``offset_ms`` into that, at ``ms`` of the reply."""

    turn: int
    ms: float
    offset_ms: float
    duration_ms: float


@define(eq=False)
class Recorder:
    """Both sides of a call and its events; ``said`` and ``heard`` take mono PCM16 without gaps, from 0 s on."""

    user: AudioFormat
    assistant: AudioFormat
    events: list[Event] = field(factory=list, init=False)
    played: dict[int, list[Played]] = field(factory=dict, init=False)
    _said: bytearray = field(factory=bytearray, init=False)
    _heard: bytearray = field(factory=bytearray, init=False)

    def event(self, event: Event) -> None:
        """The session's next event."""
        self.events.append(event)

    def said(self, pcm: bytes) -> None:
        """The next that the caller's microphone took, in the format ``user``."""
        self._said += pcm

    def heard(self, pcm: bytes, pieces: Iterable[Sounding] = ()) -> None:
        """The next that the loudspeaker gave, in the format ``assistant``; ``pieces``: what of it is whose."""
        start = self.assistant.ms(self.assistant.samples(len(self._heard))) / 1000
        self._heard += pcm
        for piece in pieces:
            self._join(piece.turn, Played(start + piece.offset_ms / 1000, piece.ms, piece.duration_ms))

    def _join(self, turn: int, new: Played) -> None:
        stretches = self.played.setdefault(turn, [])
        if stretches and abs(stretches[-1].end - new.start) < 1e-6:
            last = stretches.pop()
            new = evolve(last, duration_ms=last.duration_ms + new.duration_ms)
        stretches.append(new)

    @property
    def seconds(self) -> float:
        """How long the conversation lasted: to its last event, or to the last sound where that was not reached."""
        if self.events:
            return self.events[-1].at
        return self.assistant.ms(self.assistant.samples(len(self._heard))) / 1000

    def save(self, folder: Path) -> Recording:
        """Write the sound (stereo: the user left, the assistant right) and the events, one a line, into ``folder``.

        Raises OSError when that does not work.
        """
        samples = max(1, self.assistant.samples_in(self.seconds * 1000))
        stereo = np.zeros((samples, 2), "<i2")
        for side, pcm in enumerate((convert(bytes(self._said), self.user, self.assistant), bytes(self._heard))):
            mono = np.frombuffer(pcm, "<i2")[:samples]
            stereo[: len(mono), side] = mono
        wav = folder / WAV
        write_wav(wav, evolve(self.assistant, channels=2), stereo.tobytes())
        lines = "".join(f"{event_json.dumps(event)}\n" for event in self.events)
        (folder / EVENTS).write_text(lines, encoding="utf-8")
        return Recording(self.events, self.played, wav)
