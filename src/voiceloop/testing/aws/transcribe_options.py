"""What a caller may ask of Transcribe, checked as the service does.

Sources: Amazon Transcribe API reference, "StartStreamTranscription"; Amazon Transcribe developer guide, "Setting up a
streaming transcription" and "Supported languages"; the languages are the values of LanguageCode in its service model,
version 2017-10-26. Where AWS publishes no text for an error, ours names the option and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import UUID

from attrs import field, frozen

from voiceloop import clock
from voiceloop.audio import AudioFormat
from voiceloop.audio.format import Encoding
from voiceloop.testing.aws.exchange import Refusal

PREFIX = "x-amzn-transcribe-"

_ENCODINGS: Mapping[str, Encoding | None] = {
    "pcm": "pcm16",
    "ogg-opus": None,
    "flac": None,
    "g711-ulaw": "mulaw",
    "g711-alaw": "alaw",
    "g729": None,
}
_CHOICES = {
    "vocabulary-filter-method": ("remove", "mask", "tag"),
    "partial-results-stability": ("high", "medium", "low"),
    "content-identification-type": ("PII",),
    "content-redaction-type": ("PII",),
    "number-of-channels": ("2",),
    "transcript-format": ("written", "spoken"),
    "show-speaker-label": ("true", "false"),
    "enable-channel-identification": ("true", "false"),
    "enable-partial-results-stabilization": ("true", "false"),
    "identify-language": ("true", "false"),
    "identify-multiple-languages": ("true", "false"),
}
_NAME = re.compile(r"[0-9a-zA-Z._-]{1,200}")
_LANGUAGES = frozenset((
    "af-ZA", "am-ET", "ar-AE", "ar-SA", "be-BY", "bg-BG", "bn-IN", "bs-BA", "ca-ES", "ckb-IQ", "ckb-IR", "cs-CZ",
    "cy-WL", "da-DK", "de-CH", "de-DE", "el-GR", "en-AB", "en-AU", "en-GB", "en-IE", "en-IN", "en-NZ", "en-US",
    "en-WL", "en-ZA", "es-ES", "es-MX", "es-US", "et-ET", "eu-ES", "fa-AF", "fa-IR", "fi-FI", "fr-CA", "fr-FR",
    "gl-ES", "gu-IN", "he-IL", "hi-IN", "hr-HR", "ht-HT", "hu-HU", "hy-AM", "id-ID", "is-IS", "it-IT", "ja-JP",
    "jv-ID", "ka-GE", "kab-DZ", "kk-KZ", "km-KH", "kn-IN", "ko-KR", "lg-IN", "lt-LT", "lv-LV", "mk-MK", "ml-IN",
    "mr-IN", "ms-MY", "my-MM", "ne-NP", "nl-NL", "no-NO", "or-IN", "pa-IN", "pl-PL", "ps-AF", "pt-BR", "pt-PT",
    "ro-RO", "ru-RU", "si-LK", "sk-SK", "sl-SI", "so-SO", "sq-AL", "sr-RS", "su-ID", "sv-SE", "sw-BI", "sw-KE",
    "sw-RW", "sw-TZ", "sw-UG", "ta-IN", "te-IN", "th-TH", "tl-PH", "tr-TR", "uk-UA", "uz-UZ", "vi-VN", "zh-CN",
    "zh-HK", "zh-TW", "zu-ZA",
))  # fmt: skip
_ENTITIES = frozenset((
    "ADDRESS", "BANK_ACCOUNT_NUMBER", "BANK_ROUTING", "CREDIT_DEBIT_CVV", "CREDIT_DEBIT_EXPIRY",
    "CREDIT_DEBIT_NUMBER", "EMAIL", "NAME", "PHONE", "PIN", "SSN", "AGE", "DATE_TIME", "LICENSE_PLATE",
    "PASSPORT_NUMBER", "PASSWORD", "USERNAME", "VEHICLE_IDENTIFICATION_NUMBER", "ALL",
))  # fmt: skip


@frozen
class Options:
    """What a stream was asked for. ``given``: every option, named without the prefix, as the response repeats it."""

    given: Mapping[str, str]
    format: AudioFormat
    session: str
    language: str | None = None
    languages: tuple[str, ...] = ()
    stable: bool = False
    speakers: bool = False
    by_channel: bool = False
    entities: frozenset[str] = field(factory=frozenset)
    redact: bool = False

    @property
    def assumed_language(self) -> str | None:
        """The language that an identification finds: the preferred one, or the first."""
        return self.given.get("preferred-language") or (self.languages[0] if self.languages else None)


def read(fields: Mapping[str, str]) -> Options:
    """The options in a request's headers or query. Raises the Refusal of what is wrong or contradicts itself."""
    known = (name.removeprefix(PREFIX) for name in fields)
    given = {name: fields.get(PREFIX + name, fields.get(name, "")) for name in known if _is_option(name)}
    for name, allowed in _CHOICES.items():
        if name in given and given[name].lower() not in {choice.lower() for choice in allowed}:
            raise _invalid(name, given[name], f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    audio = _format(given)
    language, languages = _languages(given)
    _check_names(given)
    entities, redact = _entities(given)
    session = given.get("session-id") or str(UUID(clock.new_id()))
    try:
        UUID(session)
    except ValueError:
        raise _invalid("session-id", session, "Member must satisfy regular expression pattern for a UUID") from None
    if _is_on(given, "show-speaker-label") and _is_on(given, "enable-channel-identification"):
        raise _wrong("You cannot set both show-speaker-label and enable-channel-identification.")
    _check_window(given)
    return Options(
        given,
        audio,
        session,
        language,
        languages,
        _is_on(given, "enable-partial-results-stabilization"),
        _is_on(given, "show-speaker-label"),
        _is_on(given, "enable-channel-identification"),
        entities,
        redact,
    )


def _is_option(name: str) -> bool:
    return name in _CHOICES or name in {
        "language-code",
        "sample-rate",
        "media-encoding",
        "session-id",
        "vocabulary-name",
        "vocabulary-names",
        "vocabulary-filter-name",
        "vocabulary-filter-names",
        "language-model-name",
        "language-options",
        "preferred-language",
        "pii-entity-types",
        "session-resume-window",
    }


def _is_on(given: Mapping[str, str], name: str) -> bool:
    return given.get(name, "").lower() == "true"


def _listed(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, (entry.strip() for entry in given.get(name, "").split(","))))


def _format(given: Mapping[str, str]) -> AudioFormat:
    encoding = given.get("media-encoding", "")
    if encoding not in _ENCODINGS:
        allowed = f"Member must satisfy enum value set: [{', '.join(_ENCODINGS)}]"
        raise _invalid("media-encoding", encoding, allowed) if encoding else _missing("media-encoding")
    rate = given.get("sample-rate", "")
    if not rate:
        raise _missing("sample-rate")
    if not rate.isdecimal() or not 8_000 <= int(rate) <= 48_000:
        raise _invalid("sample-rate", rate, "Member must be a whole number between 8000 and 48000")
    decoded = _ENCODINGS[encoding]
    if decoded is None:
        raise _wrong(f"The emulator cannot decode media-encoding {encoding}; it takes pcm, g711-ulaw and g711-alaw.")
    by_channel = _is_on(given, "enable-channel-identification")
    if by_channel != ("number-of-channels" in given):
        raise _wrong("enable-channel-identification and number-of-channels must be set together.")
    return AudioFormat(int(rate), decoded, 2 if by_channel else 1)


def _languages(given: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The language, or those to choose from."""
    one, many = _is_on(given, "identify-language"), _is_on(given, "identify-multiple-languages")
    code, languages = given.get("language-code"), _listed(given, "language-options")
    if (code is not None) + one + many != 1:
        raise _wrong("Exactly one of language-code, identify-language and identify-multiple-languages must be set.")
    for language in filter(None, (code, *languages)):
        if language not in _LANGUAGES:
            name = "language-code" if language == code else "language-options"
            allowed = f"Member must satisfy enum value set: [{', '.join(sorted(_LANGUAGES))}]"
            raise _invalid(name, language, allowed)
    if (one or many) and len(languages) < 2:
        raise _wrong("language-options must have at least two language codes to identify languages.")
    if languages and not (one or many):
        raise _wrong("language-options can only be set with identify-language or identify-multiple-languages.")
    if len({language.partition("-")[0] for language in languages}) != len(languages):
        raise _wrong("language-options can have only one dialect of each language.")
    preferred = given.get("preferred-language")
    if preferred is not None and (not one or preferred not in languages):
        raise _wrong("preferred-language can only be set with identify-language, to one of language-options.")
    if (one or many) and ("language-model-name" in given or "content-redaction-type" in given):
        raise _wrong("Language identification cannot be combined with custom language models or redaction.")
    return code, languages


def _check_names(given: Mapping[str, str]) -> None:
    identifies = _is_on(given, "identify-language") or _is_on(given, "identify-multiple-languages")
    for single in ("vocabulary-name", "vocabulary-filter-name"):
        if single in given and identifies:
            raise _wrong(f"{single} cannot be set when languages are identified; use {single}s.")
        if f"{single}s" in given and not identifies:
            raise _wrong(f"{single}s can only be set when languages are identified; use {single}.")
        for name in (*_listed(given, single), *_listed(given, f"{single}s")):
            if not _NAME.fullmatch(name):
                raise _invalid(single, name, "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._-]+")


def _entities(given: Mapping[str, str]) -> tuple[frozenset[str], bool]:
    """The kinds of personal information to find, and whether they are taken out."""
    identify, redact = "content-identification-type" in given, "content-redaction-type" in given
    kinds = frozenset(_listed(given, "pii-entity-types"))
    if identify and redact:
        raise _wrong("You cannot set both content-identification-type and content-redaction-type.")
    if kinds and not (identify or redact):
        raise _wrong("pii-entity-types requires content-identification-type or content-redaction-type.")
    if not kinds <= _ENTITIES:
        raise _invalid("pii-entity-types", ",".join(sorted(kinds - _ENTITIES)), "Member must be a PII entity type")
    if not (identify or redact):
        return frozenset(), False
    return (_ENTITIES if not kinds or "ALL" in kinds else kinds), redact


def _check_window(given: Mapping[str, str]) -> None:
    window = given.get("session-resume-window")
    if window is not None and not (window.isdecimal() and 1 <= int(window) <= 300):
        raise _invalid("session-resume-window", window, "Member must be between 1 and 300")


def _wrong(message: str) -> Refusal:
    return Refusal(400, "BadRequestException", message)


def _missing(name: str) -> Refusal:
    return _wrong(
        f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    )


def _invalid(name: str, value: str, constraint: str) -> Refusal:
    return _wrong(
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
    )
