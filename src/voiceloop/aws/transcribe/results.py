"""What the service says: TranscriptEvents, read tolerantly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from voiceloop.errors import ProviderMisbehaved
from voiceloop.interfaces import Entity

_MOST_SECONDS = 1e6  # of a stream that lasts four hours at most


@frozen
class Token:
    """A word (``spoken``) or a mark of punctuation; ``begin`` and ``end`` are its place in the result's text.

    Times in ms from the start of the connection's audio.
    """

    text: str
    start_ms: float
    end_ms: float
    begin: int
    end: int
    spoken: bool = True
    stable: bool = False
    confidence: float | None = None
    speaker: str | None = None


@frozen
class Result:
    """One result: the newest version of a segment of speech, the last one when not ``partial``.

    Times as in :class:`Token`, those of the personally identifiable information ``found`` too.
    """

    id: str
    partial: bool
    start_ms: float
    end_ms: float
    text: str
    tokens: tuple[Token, ...] = ()
    channel: str | None = None
    language: str | None = None
    found: tuple[Entity, ...] = ()

    @property
    def spaced(self) -> bool:
        """Whether its words stand apart, as far as it shows."""
        return " " in self.text or sum(token.spoken for token in self.tokens) < 2


def read(payload: bytes) -> tuple[Result, ...]:
    """The results of a TranscriptEvent: often none. What is missing is left out.

    Source: Amazon Transcribe API reference, TranscriptEvent, Result, Alternative, Item and Entity. Raises
    ProviderMisbehaved for what is no JSON object.
    """
    try:
        event = json.loads(payload)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise ProviderMisbehaved(
            "sent a transcript event that is no JSON object", provider="Amazon Transcribe", doing="listening"
        )
    results = _member(_member(event, "Transcript", dict), "Results", list)
    return tuple(_result(each) for each in results if isinstance(each, dict) and each.get("ResultId"))


def _member(holder: Mapping[str, Any], name: str, kind: type) -> Any:
    value = holder.get(name)
    return value if isinstance(value, kind) else kind()


def _result(told: Mapping[str, Any]) -> Result:
    alternatives = [each for each in _member(told, "Alternatives", list) if isinstance(each, dict)]
    best: Mapping[str, Any] = alternatives[0] if alternatives else {}
    text = _member(best, "Transcript", str)
    start, end = _ms(told.get("StartTime"), 0.0), _ms(told.get("EndTime"), 0.0)
    channel: str | None = _member(told, "ChannelId", str) or None
    items = [each for each in _member(best, "Items", list) if isinstance(each, dict) and each.get("Content")]
    return Result(
        id=str(told["ResultId"]),
        partial=bool(told.get("IsPartial", False)),
        start_ms=start,
        end_ms=max(start, end),
        text=text,
        tokens=tuple(_tokens(text, items, start, channel) if items else _spread(text, start, end, channel)),
        channel=channel,
        language=_language(told),
        found=tuple(_found(each, start) for each in _member(best, "Entities", list) if isinstance(each, dict)),
    )


def _tokens(text: str, items: Sequence[Mapping[str, Any]], start: float, channel: str | None) -> Iterator[Token]:
    place = 0
    for item in items:
        content = str(item["Content"])
        begin = text.find(content, place)
        if begin < 0:  # not in the transcript as it stands here: it has its time, and no place of its own
            begin = end = place
        else:
            end = begin + len(content)
        begins = _ms(item.get("StartTime"), start)
        yield Token(
            text=content,
            start_ms=begins,
            end_ms=max(begins, _ms(item.get("EndTime"), begins)),
            begin=begin,
            end=end,
            spoken=str(item.get("Type", "pronunciation")).lower() != "punctuation",
            stable=bool(item.get("Stable", False)),
            confidence=_share(item.get("Confidence")),
            speaker=str(item["Speaker"]) if item.get("Speaker") is not None else channel,
        )
        place = end


def _spread(text: str, start: float, end: float, channel: str | None) -> Iterator[Token]:
    """The words of a transcript without items, evenly over its time."""
    words, place = text.split(), 0
    each = max(0.0, end - start) / max(1, len(words))
    for number, word in enumerate(words):
        begin = text.index(word, place)
        place = begin + len(word)
        yield Token(word, start + number * each, start + (number + 1) * each, begin, place, speaker=channel)


def _found(told: Mapping[str, Any], start: float) -> Entity:
    begins = _ms(told.get("StartTime"), start)
    return Entity(
        type=str(told.get("Type") or told.get("Category") or "PII"),
        text=_member(told, "Content", str),
        start_ms=begins,
        end_ms=max(begins, _ms(told.get("EndTime"), begins)),
        confidence=_share(told.get("Confidence")),
    )


def _language(told: Mapping[str, Any]) -> str | None:
    if told.get("LanguageCode"):
        return str(told["LanguageCode"])
    scored = [each for each in _member(told, "LanguageIdentification", list) if isinstance(each, dict)]
    likely = max(scored, key=lambda each: _share(each.get("Score")) or 0.0, default={})
    return str(likely["LanguageCode"]) if likely.get("LanguageCode") else None


def _number(value: object) -> float | None:
    """A number that is one: JSON as Python reads it has infinity, NaN, and whole numbers of any length."""
    known = isinstance(value, int | float) and abs(value) <= _MOST_SECONDS
    return float(value) if known else None  # type: ignore[arg-type]


def _ms(seconds: object, default: float) -> float:
    number = _number(seconds)
    return default if number is None else round(number * 1000, 3)


def _share(value: object) -> float | None:
    number = _number(value)
    return None if number is None else min(1.0, max(0.0, number))
