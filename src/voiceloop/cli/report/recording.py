"""What a report is made from: a conversation's sound, its events, and when each reply was played."""

from __future__ import annotations

import wave
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from voiceloop.errors import AudioFormatError
from voiceloop.events import Event


@frozen
class Played:
    """A stretch of a reply that the listener got without a gap.

    It began ``start`` s into the conversation, at ``ms`` of the reply's own timeline, and lasted ``duration_ms``.
    """

    start: float
    ms: float
    duration_ms: float

    @property
    def end(self) -> float:
        """When it stopped, in s into the conversation."""
        return self.start + self.duration_ms / 1000


def _in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(events)


@frozen
class Recording:
    """One conversation on one timeline, in s since the session began (every event's ``at`` is on it).

    ``events``: all of them, in order. ``played``: for each turn, what of its reply the listener got, in order; a
    pause or a barge-in ends a stretch. ``wav``: a 16 bit stereo file, the user on the left and the assistant on the
    right, whose first sample is at 0 s. User speech at a ms of input is at the same ms of the file. ``owns_turns``:
    the model decides when the user's turn is over, and tells it only with its answer.
    """

    events: Sequence[Event] = field(converter=_in_order)
    played: Mapping[int, Sequence[Played]]
    wav: Path
    owns_turns: bool = False


@frozen
class Sound:
    """A stereo file's bytes, its ``duration`` in s, and the loudness of both sides over time, 0 to 100."""

    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")
    duration: float
    user: list[int]
    assistant: list[int]


def read_sound(path: Path, *, bars: int = 600) -> Sound:
    """Read a stereo WAV file and sum up each side in at most ``bars`` peaks.

    Raises AudioFormatError when the file is not 16 bit stereo or holds no sample, OSError when it cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            samples = array("h", file.readframes(frames)) if (channels, width) == (2, 2) else array("h")
    except (wave.Error, EOFError) as error:
        raise AudioFormatError(
            f"wav={path.name!r}: not a readable WAV file ({error})", doing="writing a report"
        ) from error
    if not samples:
        raise AudioFormatError(
            f"wav={path.name!r}: {channels} channels of {8 * width} bit with {frames} samples; "
            "16 bit stereo with at least one sample is allowed",
            doing="writing a report",
        )
    return Sound(path.read_bytes(), frames / rate, _peaks(samples[0::2], bars), _peaks(samples[1::2], bars))


def _peaks(samples: array[int], bars: int) -> list[int]:
    step = max(1, -(-len(samples) // bars))
    # A square root lifts quiet speech, as ears do.
    return [
        round(100 * (max(max(part), -min(part)) / 32768) ** 0.5)
        for part in (samples[begin : begin + step] for begin in range(0, len(samples), step))
    ]
