"""The process in which espeak-ng runs: it speaks texts, by turns of a sentence or so, and sends audio and marks.

espeak-ng is under the GPL, version 3 or later. This module is run as a program of its own and talks through pipes.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Mapping
from typing import Any

from attrs import define, field

from voiceloop.local._espeak_library import RATE, Event, Library, Prosody
from voiceloop.local._espeak_marks import Marks
from voiceloop.local._espeak_voices import Catalogue
from voiceloop.local._text import clean, pieces
from voiceloop.local.serving import Handler, Job, serve


@define(eq=False)
class _Piece:
    """A piece of a text while espeak speaks it. Times are sent from the first sample of the whole text."""

    job: Job
    marks: Marks
    first_char: int
    first_sample: int
    _sent: int = field(default=0, init=False)

    def take(self, pcm: bytes, events: list[Event]) -> bool:
        self.marks.pcm.frombytes(pcm)
        for event in events:
            if event.ipa is None:
                self.marks.word(event.sample, event.position)
            else:
                self.marks.phoneme(event.sample, event.ipa)
        self._send(int(self.marks.settled * RATE / 1000))
        return not self.job.cancelled

    def finish(self) -> int:
        """Send the rest; returns how many samples the piece has."""
        self.marks.finish()
        self._send(len(self.marks.pcm))
        return len(self.marks.pcm)

    def _send(self, until: int) -> None:
        until = min(until, len(self.marks.pcm))
        if until <= self._sent:
            return
        offset = self.first_sample * 1000 / RATE

        def at(ms: float) -> float:
            return round(ms + offset, 3)

        shapes, spans = self.marks.take()
        first = self.first_char
        header: dict[str, Any] = {
            "until": at(until * 1000 / RATE),
            "visemes": [(s.code, at(s.ms), at(s.end_ms), s.ipa) for s in shapes],
            "words": [(s.start + first, s.end + first, at(s.ms), at(s.end_ms or s.ms)) for s in spans],
        }
        self.job.send(header, self.marks.pcm[self._sent : until].tobytes())
        self._sent = until


@define(eq=False)
class _Speaker:
    """The operations of the worker."""

    library: Library
    catalogue: Catalogue

    def speak(self, job: Job) -> Generator[None]:
        """Speak ``text`` with ``voice``, ``rate``, ``pitch`` and ``volume``, a ``pause`` after it, and ``marks``."""
        voice = self.catalogue.find(job.header["voice"])
        prosody = Prosody(job.header["rate"], job.header["pitch"], job.header["volume"])
        text = clean(job.header["text"])
        sample = 0
        for start, end, pause in pieces(text):
            last = end == len(text)
            pause = job.header["pause"] if last else pause
            if job.header["marks"]:
                piece = _Piece(job, Marks(text[start:end], RATE, array("h")), start, sample)
                self.library.synthesize(text[start:end], voice, prosody, pause, piece.take)
                if not job.cancelled:
                    sample += piece.finish()
            else:
                self.library.synthesize(text[start:end], voice, prosody, pause, lambda pcm, _: _plain(job, pcm))
            yield

    def made(self, job: Job) -> None:
        """How many samples were made since the process began."""
        job.send({"samples": self.library.made}, last=True)

    def voices(self, job: Job) -> None:
        """All voices: file, title, first language tag."""
        rows = [(v.identifier, v.title, v.tags[0][1] if v.tags else "") for v in self.library.voices]
        job.send({"voices": rows, "variants": sorted(self.library.variants)}, last=True)


def _plain(job: Job, pcm: bytes) -> bool:
    if pcm:
        job.send({}, pcm)
    return not job.cancelled


def _start() -> Mapping[str, Handler]:
    library = Library()
    speaker = _Speaker(library, Catalogue(library.voices, library.variants))
    return {"speak": speaker.speak, "voices": speaker.voices, "made": speaker.made}


if __name__ == "__main__":
    serve(_start)
