"""The two sides of a sound card: the loudspeaker, with what is played of whom, and the microphone, without echo."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from voiceloop.audio import PCM16_16K, AudioFormat, Converter, PlaybackBuffer, converter
from voiceloop.events import AudioChunk, Event, Interrupted, Paused, Resumed, TurnStarted
from voiceloop.transports.echo import Echo
from voiceloop.transports.timing import FarEnd, Handover, SampleClock

LINE = PCM16_16K
"""What echo is cancelled in, and what a :class:`Frame` holds."""

# The far end is read so much early: where time stamps err, an echo must still come after its cause.
_EARLY = 0.03
_PIECES = 800
_LIMIT_MS = 120_000
_LONGEST_LATENCY = 2.0


@frozen
class Rendered:
    """A block that the loudspeaker gives from ``at`` on; ``turns``: of whom it is, from and to which ms."""

    pcm: bytes
    at: float
    turns: tuple[tuple[int, float, float], ...]


@frozen
class Captured:
    """A block that the microphone took from ``at`` on."""

    pcm: bytes
    at: float


@frozen
class Piece:
    """A part of ``turn``, from ``ms`` of it on, is what the loudspeaker gives from far end sample ``start`` on."""

    start: int
    turn: int
    ms: float
    duration_ms: float


@frozen
class Frame:
    """10 ms of a call, in PCM16 at 16 kHz: what the user said, without echo, and what they heard meanwhile.

    ``at``: when its last sample was captured, on the event loop's clock. ``pieces``: what of ``heard`` is whose;
    their ``start`` counts samples from the beginning of the frame.
    """

    at: float
    said: bytes
    heard: bytes
    pieces: tuple[Piece, ...] = ()


class Loudspeaker:
    """Plays replies. :meth:`callback` is called by the sound card's thread, all else by the event loop."""

    def __init__(self, format: AudioFormat, blocks: Handover[Rendered | Captured]) -> None:
        self.format = format
        self.latency = 0.0
        self.turn: int | None = None
        """The turn whose audio came last."""
        self.far = FarEnd(LINE)
        self._blocks = blocks
        self._buffer = PlaybackBuffer(format, limit_ms=_LIMIT_MS)
        self._to_card: Converter | None = None
        self._to_far = converter(format, LINE)
        self._pieces: deque[Piece] = deque(maxlen=_PIECES)
        self._taken_ms = 0.0

    def take(self, event: Event) -> None:
        """Do what an event asks of a player."""
        match event:
            case TurnStarted() if self._to_card is not None:
                self._to_card.reset()
            case AudioChunk():
                if self._to_card is None:
                    self._to_card = converter(event.format, self.format)
                if event.turn != self.turn:
                    self.turn, self._taken_ms = event.turn, 0.0
                self._taken_ms += event.duration_ms
                self._buffer.push(self._to_card.push(event.pcm), event.turn)
            case Paused():
                self._buffer.pause()
            case Resumed():
                self._buffer.resume()
            case Interrupted():
                self._buffer.flush()
                self._buffer.resume()
            case _:
                pass

    def callback(self, outdata: Any, frames: int, time: Any, status: Any) -> None:
        """What ``sounddevice`` calls when it needs the next ``frames`` samples."""
        before = self._buffer.position
        pcm = self._buffer.pull(frames)
        after = self._buffer.position
        outdata[:] = pcm
        delay = time.outputBufferDacTime - time.currentTime
        if not 0 < delay < _LONGEST_LATENCY:  # some drivers tell no times
            delay = self.latency
        self._blocks.put(Rendered(pcm, self._blocks.now + float(delay), self._parts(before, after)))

    def _parts(self, before: Any, after: Any) -> tuple[tuple[int, float, float], ...]:
        if after is None or after == before:
            return ()
        parts = []
        if before is not None and before.turn != after.turn:
            parts.append((before.turn, before.ms, self._buffer.played(before.turn).ms))
        start = before.ms if before is not None and before.turn == after.turn else 0.0
        parts.append((after.turn, start, after.ms))
        return tuple(part for part in parts if part[2] > part[1])

    def rendered(self, block: Rendered) -> None:
        """Note what the sound card's thread has played."""
        start = self.far.played(self._to_far.push(block.pcm), block.at)
        for turn, begin, end in block.turns:
            self._pieces.append(Piece(start, turn, begin, end - begin))
            start += LINE.samples_in(end - begin)

    def pieces(self, start: int, samples: int) -> tuple[Piece, ...]:
        """What is played in these samples of the far end, counted from ``start``."""
        found = []
        for piece in reversed(self._pieces):
            skip = max(0, start - piece.start)
            ms = piece.duration_ms - LINE.ms(skip)
            if piece.start + LINE.samples_in(piece.duration_ms) <= start:
                break
            if piece.start < start + samples:
                offset = max(0, piece.start - start)
                lasts = min(ms, LINE.ms(samples - offset))
                found.append(Piece(offset, piece.turn, piece.ms + LINE.ms(skip), lasts))
        return tuple(reversed(found))

    def heard_ms(self, turn: int, now: float) -> float:
        """How much of ``turn`` has left the loudspeaker by ``now``, in ms, without what the card still holds."""
        if turn == self.turn and not self._buffer.waiting and self._noted(turn) and self.quiet_at() <= now:
            return self._taken_ms  # all: to the sample, whatever the card's rate is
        for piece in reversed(self._pieces):
            begins = self.far.time(piece.start)
            if piece.turn == turn and begins < now:
                return piece.ms + min(piece.duration_ms, (now - begins) * 1000)
        return 0.0

    def _noted(self, turn: int) -> bool:
        """Whether all that the card took of ``turn`` was handed over."""
        last = self._pieces[-1] if self._pieces else None
        return last is not None and last.turn == turn and last.ms + last.duration_ms >= self.pulled_ms(turn) - 1e-3

    def pulled_ms(self, turn: int) -> float:
        """How much of ``turn`` the card has taken, and will still play, in ms."""
        return self._buffer.played(turn).ms

    def quiet_at(self) -> float:
        """When the last of what was rendered has left the loudspeaker, on the event loop's clock."""
        if not self._pieces:
            return float("inf")
        last = self._pieces[-1]
        return self.far.time(last.start) + last.duration_ms / 1000


class Microphone:
    """Takes the user. :meth:`callback` is called by the sound card's thread, :meth:`frames` by the event loop."""

    def __init__(
        self, format: AudioFormat, blocks: Handover[Rendered | Captured], echo: Echo, speaker: Loudspeaker
    ) -> None:
        self.format = format
        self.latency = 0.0
        self.echo = echo
        self._blocks = blocks
        self._speaker = speaker
        self._to_line = converter(format, LINE)
        self._clock = SampleClock(LINE.rate)
        self._rest = b""
        self._samples = 0

    def callback(self, indata: Any, frames: int, time: Any, status: Any) -> None:
        """What ``sounddevice`` calls with the next ``frames`` samples."""
        age = time.currentTime - time.inputBufferAdcTime
        if not 0 < age < _LONGEST_LATENCY:
            age = self.latency + self.format.ms(frames) / 1000
        self._blocks.put(Captured(bytes(indata), self._blocks.now - float(age)))

    def frames(self, block: Captured) -> Iterator[Frame]:
        """The frames that ``block`` completes, without echo."""
        held = LINE.samples(len(self._rest))
        self._clock.observe(self._samples + held, block.at)
        self._rest += self._to_line.push(block.pcm)
        size = self.echo.frame
        samples = LINE.samples(size)
        while len(self._rest) >= size:
            near, self._rest = self._rest[:size], self._rest[size:]
            at = self._clock.time(self._samples)
            self._samples += samples
            number, far = self._speaker.far.read(at + _EARLY, samples)
            said = self.echo.process(near, far)
            yield Frame(self._clock.time(self._samples), said, far, self._speaker.pieces(number, samples))


__all__ = ("LINE", "Captured", "Frame", "Loudspeaker", "Microphone", "Piece", "Rendered")
