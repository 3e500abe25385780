"""The input of a link: what no connection has taken yet, and the newest of what was."""

from __future__ import annotations

from attrs import define, field

_TIDY = 1 << 16


@define(eq=False)
class Ring:
    """Samples of 16 bit mono PCM by their index in the session's input. Never forgets what was not :meth:`read`."""

    start: int = 0
    _held: bytearray = field(factory=bytearray)

    @property
    def end(self) -> int:
        """One past the newest sample."""
        return self.start + len(self._held) // 2

    def append(self, pcm: bytes) -> None:
        """Add the next input, in whole samples."""
        self._held += pcm

    def read(self, at: int, most: int) -> bytes:
        """At most ``most`` samples from index ``at`` on; empty when there are none yet."""
        begin = (max(at, self.start) - self.start) * 2
        return bytes(self._held[begin : begin + most * 2])

    def forget(self, before: int) -> None:
        """Samples before index ``before`` are not needed any more."""
        gone = (min(before, self.end) - self.start) * 2
        if gone >= _TIDY:
            del self._held[:gone]
            self.start += gone // 2
