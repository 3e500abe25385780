"""What Transcribe's options may be, which of them exclude each other, and the headers that they become."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from voiceloop.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from voiceloop.aws.transcribe.recognizer import Transcribe

_PREFIX = "x-amzn-transcribe-"
_ENCODINGS = {"pcm16": "pcm", "mulaw": "g711-ulaw", "alaw": "g711-alaw"}
_RATES = (8_000, 48_000)
_RESUME = (1, 300)
_CODE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
_NAME = re.compile(r"[0-9a-zA-Z._-]{1,200}")
_ENTITY = re.compile(r"[A-Z][A-Z_]*")
_CHOICES = {
    "identify": ("single", "multiple"),
    "stability": ("low", "medium", "high"),
    "filter_method": ("remove", "mask", "tag"),
    "transcript_format": ("written", "spoken"),
    "pii": ("identify", "redact"),
}


def check(options: Transcribe) -> None:
    """Raise BadInput for a value that the service does not take, or for two that it does not combine."""
    for name, choices in _CHOICES.items():
        value = getattr(options, name)
        if value is not None and value not in choices:
            raise UnknownName(name, str(value), choices)
    _check_values(options)
    _check_input(options)
    for first, second, why in _conflicts(options):
        raise BadInput(f"{_shown(options, first)} and {_shown(options, second)}: {why}")


def _check_values(options: Transcribe) -> None:
    codes = [code for code in (options.language, options.preferred_language) if code is not None]
    for code in (*codes, *options.languages):
        _matches("language", code, _CODE, 'a language and a region such as "en-US"')
    models = () if options.language_model is None else (options.language_model,)
    named = {
        "vocabulary": options.vocabulary,
        "vocabulary_filter": options.vocabulary_filter,
        "language_model": models,
    }
    for option, given in named.items():
        for name in given:
            _matches(option, name, _NAME, "1 to 200 of letters, digits, '.', '_' and '-'")
    for entity in options.pii_entities:
        _matches("pii_entities", entity, _ENTITY, 'capital letters such as "NAME", or "ALL"')
    window = options.resume_window
    if window is not None and (not isinstance(window, int) or not _RESUME[0] <= window <= _RESUME[1]):
        raise BadInput(f"resume_window={window!r}: from {_RESUME[0]} to {_RESUME[1]} minutes are allowed")
    pace = options.pace
    if pace is not None and not (isinstance(pace, int | float) and math.isfinite(pace) and pace >= 1):
        raise BadInput(f"pace={pace!r}: 1 or more is allowed, or None for no limit")


def _check_input(options: Transcribe) -> None:
    audio = options.input
    lowest, highest = _RATES
    if not lowest <= audio.rate <= highest:
        raise BadInput(f"input={audio!r}: Transcribe takes rates from {lowest} to {highest} Hz")
    if audio.channels > 2:
        raise BadInput(f"input={audio!r}: Transcribe takes one channel, or two that it recognizes apart")
    if audio.encoding != "pcm16" and (audio.rate, audio.channels) != (8_000, 1):
        raise BadInput(f"input={audio!r}: Transcribe takes G.711 at 8000 Hz, mono; use 16 bit PCM")


def _matches(option: str, value: object, pattern: re.Pattern[str], allowed: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadInput(f"{option}: {value!r} is not allowed, but {allowed}")


def _conflicts(o: Transcribe) -> Iterator[tuple[str, str, str]]:
    """Pairs of options that exclude or need each other, and why."""
    single, several = o.identify == "single", len({code.partition("-")[0] for code in o.languages})
    rules = (
        (o.identify and o.language, "language", "identify", "give one of them"),
        (o.languages and not o.identify, "languages", "identify", 'set identify to "single" or "multiple"'),
        (o.identify and len(o.languages) < 2, "identify", "languages", "name two languages or more"),
        (
            o.identify and several < len(o.languages),
            "identify",
            "languages",
            "one dialect of each language is allowed",
        ),
        (o.preferred_language and not single, "preferred_language", "identify", 'only with identify="single"'),
        (
            o.preferred_language and o.preferred_language not in o.languages,
            "preferred_language",
            "languages",
            "prefer one of the languages",
        ),
        (o.identify and o.input.encoding != "pcm16", "identify", "input", "languages are identified in PCM only"),
        (o.identify and o.language_model, "identify", "language_model", "a language model is for one language"),
        (o.identify and o.pii == "redact", "identify", "pii", "redaction needs a given language"),
        (o.speakers and o.input.channels > 1, "speakers", "input", "tell apart either speakers or channels"),
        (o.pii_entities and not o.pii, "pii_entities", "pii", 'set pii to "identify" or "redact"'),
        (o.filter_method and not o.vocabulary_filter, "filter_method", "vocabulary_filter", "name a filter"),
        (len(o.vocabulary) > 1 and not o.identify, "vocabulary", "identify", "one language has one vocabulary"),
        (
            len(o.vocabulary_filter) > 1 and not o.identify,
            "vocabulary_filter",
            "identify",
            "one language has one filter",
        ),
    )
    yield from (rule[1:] for rule in rules if rule[0])


def _shown(options: Transcribe, name: str) -> str:
    return f"{name}={getattr(options, name)!r}"


def headers(options: Transcribe, session_id: str) -> dict[str, str]:
    """The headers of StartStreamTranscription for ``options``.

    Source: Amazon Transcribe API reference, StartStreamTranscription, request syntax.
    """
    several = "s" if options.identify else ""
    values: dict[str, Any] = {
        "language-code": options.spoken_language,
        "sample-rate": options.input.rate,
        "media-encoding": _ENCODINGS[options.input.encoding],
        "session-id": session_id,
        f"vocabulary-name{several}": options.vocabulary,
        f"vocabulary-filter-name{several}": options.vocabulary_filter,
        "vocabulary-filter-method": options.filter_method,
        "show-speaker-label": options.speakers,
        "language-model-name": options.language_model,
        "identify-language": options.identify == "single",
        "identify-multiple-languages": options.identify == "multiple",
        "language-options": options.languages,
        "preferred-language": options.preferred_language,
        "enable-partial-results-stabilization": options.stability is not None,
        "partial-results-stability": options.stability,
        "enable-channel-identification": options.input.channels > 1,
        "number-of-channels": options.input.channels if options.input.channels > 1 else None,
        "content-identification-type": "PII" if options.pii == "identify" else None,
        "content-redaction-type": "PII" if options.pii == "redact" else None,
        "pii-entity-types": options.pii_entities,
        "session-resume-window": options.resume_window,
        "transcript-format": options.transcript_format,
    }
    return _written(values)


def _written(values: Mapping[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            case tuple():
                return ",".join(value)
            case _:
                return str(value)

    return {_PREFIX + name: text(value) for name, value in values.items() if value not in (None, False, ())}
