"""Sound that scripted providers understand: loud is speech, quiet is silence; speech of exact length from text."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import lru_cache

from attrs import frozen

from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.errors import AudioFormatError
from voiceloop.interfaces import MarkKind, MarksUntil, Speech, SpeechAudio, VisemeMark, WordMark

_LOUD = 256
_VISEMES = ("p", "t", "S", "T", "f", "k", "i", "r", "s", "u", "@", "a", "e", "E", "o", "O")


def tone(ms: float, format: AudioFormat = PCM16_16K) -> bytes:
    """``ms`` of sound in which every sample is loud, however it is cut into chunks. 16 bit PCM, mono."""
    half = max(1, _mono(format).rate // 400)
    high, low = (12_000).to_bytes(2, "little"), (4_000).to_bytes(2, "little")
    size = format.bytes_of(format.samples_in(ms))
    wave = high * half + low * half
    return (wave * (size // len(wave) + 1))[:size]


def silence(ms: float, format: AudioFormat = PCM16_16K) -> bytes:
    """``ms`` of silence."""
    return format.silence(format.samples_in(ms))


def is_speech(pcm: bytes) -> bool:
    """Whether the first sample of 16 bit PCM is loud (256 or more either way): the rule of all scripted providers."""
    return abs(int.from_bytes(pcm[:2], "little", signed=True)) >= _LOUD


def level(text: str) -> int:
    """The value of every sample of the scripted speech of ``text``, 1000 to 30999: it tells clauses apart."""
    return 1_000 + zlib.crc32(text.encode()) % 30_000


def spoken_ms(text: str, ms_per_char: float) -> float:
    """How long the scripted speech of ``text`` lasts."""
    return len(text) * ms_per_char


@frozen
class Piece:
    """A stretch of scripted speech: its audio, and the marks whose times lie in it, the last being MarksUntil."""

    audio: SpeechAudio
    marks: tuple[Speech, ...]
    end_ms: float


@lru_cache(maxsize=64)
def pieces(
    text: str,
    format: AudioFormat,
    want: frozenset[MarkKind],
    ms_per_char: float = 60,
    chunk_ms: float = 100,
    first_ms: float = 0.0,
) -> tuple[Piece, ...]:
    """The speech of ``text`` in chunks of ``chunk_ms``, with marks of the kinds ``want``, all ``first_ms`` later.

    A character takes ``ms_per_char``; words begin and end with their characters; a mouth shape for every other one.
    """
    total = _mono(format).samples_in(spoken_ms(text, ms_per_char))
    step = max(1, format.samples_in(chunk_ms))
    sample = level(text).to_bytes(2, "little")
    marks = sorted(_marks(text, want, ms_per_char), key=lambda mark: mark.ms)
    result = []
    for start in range(0, total, step):
        end = min(start + step, total)
        begin_ms = format.ms(start)
        end_ms = format.ms(end)
        mine: list[Speech] = [_moved(mark, first_ms) for mark in marks if begin_ms <= mark.ms < end_ms]
        if want:
            mine.append(MarksUntil(first_ms + end_ms))
        result.append(Piece(SpeechAudio(sample * (end - start)), tuple(mine), first_ms + end_ms))
    return tuple(result)


def _marks(text: str, want: frozenset[MarkKind], ms_per_char: float) -> Iterator[VisemeMark | WordMark]:
    for start, end in words_of(text):
        if "word" in want:
            yield WordMark(start, end, start * ms_per_char, end * ms_per_char)
        if "viseme" in want:
            for at in range(start, end, 2):
                code = _VISEMES[ord(text[at]) % len(_VISEMES)]
                yield VisemeMark(code, at * ms_per_char, min(at + 2, end) * ms_per_char)


def _moved(mark: VisemeMark | WordMark, by: float) -> Speech:
    end = None if mark.end_ms is None else mark.end_ms + by
    if isinstance(mark, WordMark):
        return WordMark(mark.start, mark.end, mark.ms + by, end)
    return VisemeMark(mark.code, mark.ms + by, end, mark.phoneme)


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of ``text`` begin and end, in characters."""
    spans, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        spans.append((at, at + len(word)))
        at += len(word)
    return spans


def _mono(format: AudioFormat) -> AudioFormat:
    if format.encoding != "pcm16" or format.channels != 1:
        raise AudioFormatError(f"format={format}: scripted sound is 16 bit PCM, mono")
    return format
