"""The audio of one transcript over many connections: what to send, what to send again, and when it was said.

Pure: no clock and no I/O. The *input* is what was given, without a gap. A *connection* has a time of its own, which
begins with its first byte and counts the silence that was put in to keep it alive.
"""

from __future__ import annotations

import bisect

from attrs import define, field

from voiceloop.audio import AudioFormat, g711, rms_dbfs

CHUNK_MS = 50.0
"""How much audio goes in one message. Source: Amazon Transcribe developer guide, streaming best practices."""

RING_MS = 30_000.0
"""How much audio is kept to be sent again."""

BURST_MS = 1000.0
"""How far audio may run ahead of the clock."""

_INAUDIBLE = -60.0  # dBFS: nobody is recognized below
_LEAD_IN_MS = 500.0  # of quiet before the first sound, when quiet audio is not sent again
_MOST_SPANS = 1024
_USAGE_MS = 5000.0  # of audio between two reports


def level(pcm: bytes | memoryview, format: AudioFormat) -> float:
    """How loud audio is, in dBFS."""
    return rms_dbfs(pcm if format.encoding == "pcm16" else g711.decode(pcm, format.encoding))


@define(eq=False)
class Pace:
    """Admits ``rate`` seconds of audio in a second, and one second more; None: any amount.

    A source that stood still may catch up, by as much as is kept to be sent again.
    """

    rate: float | None
    _credit_ms: float = field(default=BURST_MS, init=False)
    _at: float | None = field(default=None, init=False)

    def admit(self, ms: float, now: float) -> float:
        """Count ``ms`` of audio that goes on at ``now``; returns how many seconds to wait before it does."""
        if self.rate is None:
            return 0.0
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._credit_ms = min(self._credit_ms + passed * 1000 * self.rate, RING_MS) - ms
        return max(0.0, -self._credit_ms / 1000 / self.rate)


@define(eq=False)
class Sending:
    """The audio, kept since the last final and sent from a cursor, and the map from a connection's time to the
    input's."""

    format: AudioFormat
    ring_ms: float = RING_MS
    _kept: bytearray = field(factory=bytearray, init=False)
    _first: int = field(default=0, init=False)  # the input sample with which _kept begins
    _cursor: int = field(default=0, init=False)  # the input sample to be sent next
    _sent: int = field(default=0, init=False)  # samples on this connection, silence included
    _unreported: int = field(default=0, init=False)  # samples on all connections
    _starts: list[int] = field(factory=lambda: [0], init=False)  # spans by samples of the connection ...
    _spans: list[tuple[int, bool]] = field(factory=lambda: [(0, True)], init=False)  # ... input sample, runs on

    @property
    def waiting_ms(self) -> float:
        """Audio that was not sent yet."""
        return self.format.ms(self._end - self._cursor)

    @property
    def kept_from_ms(self) -> float:
        """Where on the input the audio begins that can be sent again."""
        return self.format.ms(self._first)

    @property
    def _end(self) -> int:
        return self._first + len(self._kept) // self.format.sample_bytes

    def add(self, pcm: bytes) -> None:
        """More input, in whole samples."""
        self._kept += pcm
        over = self._end - self.format.samples_in(self.ring_ms)
        self._forget(min(over, self._cursor))

    def settled(self, ms: float) -> None:
        """Nothing before ``ms`` of the input will have to be sent again."""
        self._forget(min(self.format.samples_in(ms), self._cursor))

    def chunk(self, *, rest: bool = False) -> bytes:
        """The next chunk to send; empty when there is none. ``rest``: a shorter one will do."""
        size = min(self.format.samples_in(CHUNK_MS), self._end - self._cursor)
        if not size or (size < self.format.samples_in(CHUNK_MS) and not rest):
            return b""
        begin = self.format.bytes_of(self._cursor - self._first)
        self._span(runs=True)
        self._cursor += size
        self._count(size)
        return bytes(self._kept[begin : begin + self.format.bytes_of(size)])

    def silence(self, ms: float) -> bytes:
        """Silence to send that is no part of the input."""
        size = self.format.samples_in(ms)
        self._span(runs=False)
        self._count(size)
        return self.format.silence(size)

    def report(self, *, rest: bool = False) -> float:
        """Seconds of audio that were sent since the last report, when it is time for another one, or for the ``rest``
        of them; else 0."""
        if not rest and self.format.ms(self._unreported) < _USAGE_MS:
            return 0.0
        seconds, self._unreported = self._unreported / self.format.rate, 0
        return round(seconds, 3)

    def restart(self) -> None:
        """A new connection: send what is kept again, but not the quiet with which it begins."""
        self._cursor = self._first + self._quiet()
        self._sent = 0
        self._starts, self._spans = [0], [(self._cursor, True)]

    def input_ms(self, ms: float) -> float:
        """Where on the input is what the connection has at ``ms``."""
        at = ms * self.format.rate / 1000
        number = max(0, bisect.bisect_right(self._starts, at) - 1)
        sample, runs = self._spans[number]
        return round((sample + (at - self._starts[number] if runs else 0)) * 1000 / self.format.rate, 3)

    def _count(self, samples: int) -> None:
        self._sent += samples
        self._unreported += samples

    def _span(self, *, runs: bool) -> None:
        if self._spans[-1][1] == runs:
            return
        if self._starts[-1] == self._sent:  # the last one stayed empty
            del self._starts[-1], self._spans[-1]
        self._starts.append(self._sent)
        self._spans.append((self._cursor, runs))
        del self._starts[:-_MOST_SPANS], self._spans[:-_MOST_SPANS]

    def _forget(self, until: int) -> None:
        if until > self._first:
            del self._kept[: self.format.bytes_of(until - self._first)]
            self._first = until

    def _quiet(self) -> int:
        """How many samples at the start need not be sent again."""
        size = self.format.bytes_of(self.format.samples_in(CHUNK_MS))
        kept = memoryview(self._kept)[: self.format.bytes_of(self._cursor - self._first)]
        at = 0
        while at < len(kept) and level(kept[at : at + size], self.format) < _INAUDIBLE:
            at += size
        quiet = self.format.samples(min(at, len(kept))) - self.format.samples_in(_LEAD_IN_MS)
        return max(0, quiet)
