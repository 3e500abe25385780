"""Joins the audio of clauses, spoken one by one, to one reply with natural pauses, and keeps its marks in place.

Voices put silence around everything they say. Here the silence before the first sound of a reply is cut to
``lead_ms``, the silence between two clauses to ``clause_ms``, between two sentences to ``sentence_ms`` (what one ends
with and the next begins with, together). Shorter pauses stay as they are; silence inside a clause is never touched.
"""

from __future__ import annotations

from math import inf
from typing import Literal, TypeAlias

import numpy as np
from attrs import define, field

from voiceloop.audio import AudioFormat
from voiceloop.errors import BadInput

Ends: TypeAlias = Literal["clause", "sentence", "reply"]
LONGEST_HOLD_MS = 2000
"""Silence after a sound that lasts this long is a pause inside the clause: it is no longer held back."""
_WIDTH = 2  # bytes of a sample


@define
class _Clause:
    """The present clause; all but ``pending`` in samples."""

    ends: Ends
    done: bool = False
    heard: bool = False  # it has made a sound
    silent: int = 0  # how much silence it began with
    pending: bytearray = field(factory=bytearray)  # the end of that, as much as may be kept
    cut: int = 0  # how much of its beginning was cut
    base: int = 0  # where on the reply its first kept sample is
    edge: int = 0  # where on the reply its last kept sample ends


class Joints:
    """The timeline of one reply, fed with 16 bit mono PCM at ``rate`` Hz, clause after clause.

    For each clause: :meth:`begin`, any number of :meth:`audio`, :meth:`end`; :meth:`place` in between and after. A
    sample is silent when its size is below ``threshold_dbfs``. What comes out does not depend on how audio is cut
    into chunks. ``tail_ms``: the silence that is kept after the clause that ends the reply. Of the silence before a
    clause's first sound at least ``lead_ms`` are kept, so that no soft beginning is lost.

    ``samples``: how many samples of the reply came out so far. Raises BadInput on settings out of range.
    """

    def __init__(
        self,
        rate: int,
        *,
        lead_ms: float = 20,
        clause_ms: float = 120,
        sentence_ms: float = 300,
        tail_ms: float = 120,
        threshold_dbfs: float = -50,
    ) -> None:
        pauses = {"lead_ms": lead_ms, "clause_ms": clause_ms, "sentence_ms": sentence_ms, "tail_ms": tail_ms}
        for name, value in pauses.items():
            least = 0 if name in ("lead_ms", "tail_ms") else lead_ms
            if not least <= value < LONGEST_HOLD_MS:
                raise BadInput(f"{name}={value!r}: from {least} to less than {LONGEST_HOLD_MS} ms is allowed")
        if threshold_dbfs > 0:
            raise BadInput(f"threshold_dbfs={threshold_dbfs!r}: 0 or less is allowed")
        self._format = AudioFormat(rate)
        self._lead, clause, sentence, tail = (self._format.samples_in(value) for value in pauses.values())
        self._limits = {"clause": clause, "sentence": sentence, "reply": tail}
        self._most = max(self._limits.values())
        self._sure = max(0, min(clause - self._lead, sentence - self._lead, tail))  # kept of any pause
        self._longest = self._format.samples_in(LONGEST_HOLD_MS)
        self._loud = max(1, round(32768 * 10 ** (threshold_dbfs / 20)))
        self.samples = 0
        self._held = bytearray()  # silence after the last sound that is not out
        self._paused = 0  # ... and how much is out
        self._pause = self._lead  # the longest pause at the present joint
        self._clause = _Clause("clause", done=True)

    def begin(self, ends: Ends) -> None:
        """The next clause starts; ``ends`` says what its end will be. Raises BadInput if one is open."""
        if not self._clause.done:
            raise BadInput("begin: the clause before is not complete; call end() first")
        if ends not in self._limits:
            raise BadInput(f"ends={ends!r}: one of {', '.join(self._limits)} is allowed")
        self._clause = _Clause(ends)

    def audio(self, pcm: bytes) -> bytes:
        """More audio of the present clause. Returns what is to be appended to the reply now.

        Silence that may turn out to be the end of the clause is held back, at most ``LONGEST_HOLD_MS`` of it.
        Raises AudioFormatError on a broken sample, BadInput when no clause is open.
        """
        if self._clause.done:
            raise BadInput("audio: no clause is open; call begin() first")
        size = self._format.samples(pcm)
        samples = np.frombuffer(pcm, "<i2")
        loud = (samples >= self._loud) | (samples <= -self._loud)
        last = size - 1 - int(loud[::-1].argmax()) if size else -1
        if size == 0 or not loud[last]:
            return self._silence(pcm) if self._clause.heard else self._silent_start(pcm)
        out = bytearray()
        if not self._clause.heard:
            first = int(loud.argmax())
            out += self._first_sound(pcm[: first * _WIDTH])
            pcm, last = pcm[first * _WIDTH :], last - first
        out += self._held
        out += pcm[: (last + 1) * _WIDTH]
        self.samples += len(self._held) // _WIDTH + last + 1
        self._held.clear()
        self._paused = 0
        out += self._silence(pcm[(last + 1) * _WIDTH :])
        return bytes(out)

    def end(self, ends: Ends | None = None) -> bytes:
        """The present clause is complete. Returns what is still owed of it: its last silence, cut to the joint.

        ``ends``: what its end is, when that is known better now than at :meth:`begin`. Up to ``lead_ms`` of what is
        cut here may still come out before the next clause, if that begins without silence.
        """
        clause = self._clause
        if clause.done:
            raise BadInput("end: no clause is open; call begin() first")
        ends = ends or clause.ends
        clause.done = True
        limit = self._limits[ends]
        if not clause.heard:  # its silence makes the pause before it longer
            self._held += clause.pending
            limit = max(limit, self._pause) if ends != "reply" else limit
        if clause.heard or self.samples:
            self._pause = limit
            out = self._emit((limit if ends == "reply" else limit - self._lead) - self._paused)
        else:
            out = b""
        del self._held[self._most * _WIDTH :]
        clause.edge = self.samples
        return out

    def place(self, ms: float) -> float | None:
        """Where a mark at ``ms`` of the present clause's own audio is on the reply's timeline, in ms.

        None as long as that is open: until :meth:`audio` has given out the mark's sample, or :meth:`end` was called.
        So keep marks without an answer, ask again after each call of :meth:`audio` or :meth:`end`, and pass them on
        before the audio which that call returned. Marks in silence that was cut lie on its edge. Answers for times
        that do not decrease do not decrease, over all clauses, and never exceed what came out.
        """
        clause = self._clause
        at = max(0.0, ms * self._format.rate / 1000)
        if not clause.heard:
            return clause.edge * 1000 / self._format.rate if clause.done else None
        position = clause.base + max(0.0, at - clause.cut)
        if clause.done:
            position = min(position, clause.edge)
        elif position > self.samples:
            return None
        return position * 1000 / self._format.rate

    @property
    def decided_ms(self) -> float:
        """Up to where in the present clause's own audio :meth:`place` has an answer; ``inf`` when it is complete.

        When all marks of the clause before ``ms`` are known, those of the reply are known up to
        ``place(min(ms, decided_ms))``; nothing new is known where that is None.
        """
        clause = self._clause
        if clause.done:
            return inf
        return (clause.cut + self.samples - clause.base) * 1000 / self._format.rate if clause.heard else 0.0

    def _emit(self, count: int) -> bytes:
        """Gives out the first ``count`` samples, or as many as there are, of the held silence."""
        count = max(0, count)
        out = bytes(self._held[: count * _WIDTH])
        del self._held[: count * _WIDTH]
        self._paused += len(out) // _WIDTH
        self.samples += len(out) // _WIDTH
        return out

    def _silence(self, pcm: bytes) -> bytes:
        """Silence after a sound: as much as every pause keeps goes out at once."""
        self._held += pcm
        run = self._paused + len(self._held) // _WIDTH
        return self._emit((run if run >= self._longest else self._sure) - self._paused) if pcm else b""

    def _silent_start(self, pcm: bytes) -> bytes:
        clause = self._clause
        clause.silent += len(pcm) // _WIDTH
        clause.pending += pcm
        del clause.pending[: max(0, len(clause.pending) - self._most * _WIDTH)]
        return b""

    def _first_sound(self, pcm: bytes) -> bytes:
        """The clause makes its first sound, after ``pcm``: the pause before it is known now."""
        clause = self._clause
        self._silent_start(pcm)
        kept = min(len(clause.pending) // _WIDTH, max(self._pause - self._paused, self._lead))
        out = self._emit(self._pause - self._paused - kept) + clause.pending[len(clause.pending) - kept * _WIDTH :]
        clause.pending.clear()
        self._held.clear()
        clause.heard = True
        clause.cut = clause.silent - kept
        clause.base = self.samples
        self.samples += kept
        return out
