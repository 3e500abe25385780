"""Results as Transcribe writes them, from what a recognizer heard. Pure.

Source: Amazon Transcribe API reference, "Result", "Alternative", "Item" and "Entity".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from voiceloop.events import SpokenWord
from voiceloop.interfaces import Final, Partial
from voiceloop.testing.aws.transcribe_options import Options

_WORD = re.compile(r"(?P<core>.*?)(?P<mark>[.,?!;:]*)$", re.DOTALL)
_QUESTIONS = frozenset((
    "who", "what", "when", "where", "why", "how", "which", "whose", "is", "are", "am", "was", "were", "do", "does",
    "did", "can", "could", "will", "would", "shall", "should", "may",
))  # fmt: skip
_PERSONAL = {
    "EMAIL": re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b"),
    "PHONE": re.compile(r"(?<!\w)\+?\d[\d -]{5,}\d\b"),
    "SSN": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
    "NAME": re.compile(r"(?<=[Mm]y name is )[A-Za-z]+"),
}
_SURE = 0.95


def written(text: str) -> str:
    """``text`` with a capital, and a full stop or question mark, where it has none."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    if text[-1] in ".?!":
        return text
    return text + ("?" if text.split()[0].lower() in _QUESTIONS else ".")


def result(
    heard: Partial | Final, number: str, begin_ms: float, end_ms: float, options: Options, *, punctuate: bool
) -> dict[str, Any]:
    """One result: ``number`` is its id; speech that has no word times lies between ``begin_ms`` and ``end_ms``."""
    final = isinstance(heard, Final)
    text = written(heard.text) if punctuate and final else heard.text
    words = _words(heard, begin_ms, end_ms)
    items = list(_items(text, words, heard, options))
    entities = list(_entities(text, items, options)) if final else []
    if options.redact and entities:
        text, items = _redacted(text, items, entities)
    alternative: dict[str, Any] = {"Transcript": text, "Items": items}
    if entities:
        alternative["Entities"] = entities
    made: dict[str, Any] = {
        "ResultId": number,
        "StartTime": items[0]["StartTime"] if items else _seconds(begin_ms),
        "EndTime": items[-1]["EndTime"] if items else _seconds(end_ms),
        "IsPartial": not final,
        "Alternatives": [alternative],
    }
    if options.by_channel:
        made["ChannelId"] = "ch_0"
    if options.languages:
        chosen = heard.language or options.assumed_language
        others = len(options.languages) - 1
        made["LanguageCode"] = chosen
        made["LanguageIdentification"] = [
            {"LanguageCode": code, "Score": 0.9 if code == chosen else round(0.1 / others, 3)}
            for code in options.languages
        ]
    return made


def _words(heard: Partial | Final, begin_ms: float, end_ms: float) -> Sequence[SpokenWord]:
    """A word with times for each of the text's."""
    texts = heard.text.split()
    if len(heard.words) == len(texts):
        return heard.words
    each = (end_ms - begin_ms) / max(1, len(texts))
    return [SpokenWord(text, begin_ms + n * each, begin_ms + (n + 1) * each) for n, text in enumerate(texts)]


def _items(
    text: str, words: Sequence[SpokenWord], heard: Partial | Final, options: Options
) -> Iterator[dict[str, Any]]:
    at = 0
    for token, word in zip(text.split(), words, strict=True):
        at = text.index(token, at) + len(token)
        match = _WORD.match(token)
        assert match is not None
        stable = isinstance(heard, Final) or word.stable or at <= heard.stable_chars
        if match["core"]:
            item = _item(word.start_ms, word.end_ms, "pronunciation", match["core"])
            if isinstance(heard, Final):
                item["Confidence"] = _confidence(word, heard)
                if options.speakers:
                    item["Speaker"] = word.speaker or "0"
            yield item | ({"Stable": stable} if options.stable else {})
        for mark in match["mark"]:
            item = _item(word.end_ms, word.end_ms, "punctuation", mark)
            yield item | ({"Stable": stable} if options.stable else {})


def _item(start_ms: float, end_ms: float, kind: str, content: str) -> dict[str, Any]:
    return {
        "StartTime": _seconds(start_ms),
        "EndTime": _seconds(end_ms),
        "Type": kind,
        "Content": content,
        "VocabularyFilterMatch": False,
    }


def _confidence(word: SpokenWord, heard: Final) -> float:
    for told in (word.confidence, heard.confidence):
        if told is not None:
            return round(told, 4)
    return _SURE


def _entities(text: str, items: Sequence[dict[str, Any]], options: Options) -> Iterator[dict[str, Any]]:
    """A few kinds of personal information, by their looks."""
    spoken = [item for item in items if item["Type"] == "pronunciation"]
    for kind, pattern in _PERSONAL.items():
        for match in pattern.finditer(text) if kind in options.entities else ():
            first = len(text[: match.start()].split())
            last = first + len(match[0].split()) - 1
            yield {
                "StartTime": spoken[first]["StartTime"],
                "EndTime": spoken[last]["EndTime"],
                "Category": "PII",
                "Type": kind,
                "Content": match[0],
                "Confidence": _SURE,
            }


def _redacted(
    text: str, items: list[dict[str, Any]], entities: list[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]]]:
    kept = list(items)
    for entity in entities:
        text = text.replace(entity["Content"], "[PII]")
        inside = [i for i in kept if entity["StartTime"] <= i["StartTime"] and i["EndTime"] <= entity["EndTime"]]
        inside = [item for item in inside if item["Type"] == "pronunciation"]
        hidden = {**inside[0], "EndTime": inside[-1]["EndTime"], "Content": "[PII]"}
        at = kept.index(inside[0])
        kept = [*kept[:at], hidden, *(item for item in kept[at:] if item not in inside)]
        entity["Content"] = "[PII]"
    return text, kept


def _seconds(ms: float) -> float:
    return round(ms / 1000, 3)
