from __future__ import annotations

from typing import Any

import pytest
from amazon_transcribe.model import StartStreamTranscriptionRequest
from amazon_transcribe.serialize import TranscribeStreamingSerializer

from voiceloop.audio import ALAW_8K, MULAW_8K, PCM16_8K, PCM16_16K, PCM16_48K, AudioFormat
from voiceloop.aws import Transcribe
from voiceloop.errors import BadInput

SESSION = "0f0e0d0c-0b0a-4908-8706-050403020100"
PREFIX = "x-amzn-transcribe-"
STEREO = AudioFormat(16_000, channels=2)


def sdk(**options: Any) -> dict[str, str]:
    """What amazon-transcribe's own serializer writes; it spells booleans as Python does."""
    request = StartStreamTranscriptionRequest(session_id=SESSION, **options)
    endpoint = "https://transcribestreaming.us-east-1.amazonaws.com"
    headers = TranscribeStreamingSerializer().serialize_start_stream_transcription_request(endpoint, request).headers
    written = {name: value for name, value in headers.items() if name.startswith(PREFIX)}
    return {name: value.lower() if value in ("True", "False") else value for name, value in written.items()}


STABLE = {"enable_partial_results_stabilization": True, "partial_results_stability": "high"}
PLAIN = {"language_code": "en-US", "media_sample_rate_hz": 16_000, "media_encoding": "pcm", **STABLE}
EITHER = ("en-US", "fr-FR")


def but(*without: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (PLAIN | changes).items() if name not in without}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, PLAIN),
        ({"language": "de-DE"}, but(language_code="de-DE")),
        ({"input": PCM16_8K}, but(media_sample_rate_hz=8_000)),
        ({"input": PCM16_48K}, but(media_sample_rate_hz=48_000)),
        ({"stability": "low"}, but(partial_results_stability="low")),
        ({"stability": None}, but(*STABLE)),
        ({"vocabulary": "names"}, but(vocabulary_name="names")),
        ({"vocabulary_filter": "rude"}, but(vocab_filter_name="rude")),
        (
            {"vocabulary_filter": ["rude"], "filter_method": "mask"},
            but(vocab_filter_name="rude", vocab_filter_method="mask"),
        ),
        ({"speakers": True}, but(show_speaker_label=True)),
        ({"input": STEREO}, but(enable_channel_identification=True, number_of_channels=2)),
        ({"language_model": "bookings"}, but(language_model_name="bookings")),
        (
            {"identify": "single", "languages": EITHER, "preferred_language": "fr-FR"},
            but("language_code", identify_language=True, language_options=[*EITHER], preferred_language="fr-FR"),
        ),
        (
            {"identify": "multiple", "languages": EITHER, "vocabulary": "a", "vocabulary_filter": ("b", "c")},
            but(
                "language_code",
                identify_multiple_languages=True,
                language_options=[*EITHER],
                vocabulary_names=["a"],
                vocab_filter_names=["b", "c"],
            ),
        ),
        ({"pii": "identify"}, but(content_identification_type="PII")),
        (
            {"pii": "redact", "pii_entities": ("NAME", "CREDIT_DEBIT_CVV")},
            but(content_redaction_type="PII", pii_entity_types=["NAME", "CREDIT_DEBIT_CVV"]),
        ),
    ],
)
def test_headers_are_those_of_the_sdk(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert Transcribe(**ours).headers(SESSION) == sdk(**theirs)


@pytest.mark.parametrize(
    ("ours", "headers"),
    [
        ({"resume_window": 30}, {"session-resume-window": "30"}),
        ({"transcript_format": "spoken"}, {"transcript-format": "spoken"}),
        ({"input": MULAW_8K}, {"media-encoding": "g711-ulaw", "sample-rate": "8000"}),
        ({"input": ALAW_8K}, {"media-encoding": "g711-alaw", "sample-rate": "8000"}),
    ],
)
def test_options_that_the_sdk_does_not_know(ours: dict[str, Any], headers: dict[str, str]) -> None:
    expected = sdk(**PLAIN) | {PREFIX + name: value for name, value in headers.items()}
    assert Transcribe(**ours).headers(SESSION) == expected


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ("language", "identify", {"language": "en-US", "identify": "single", "languages": EITHER}),
        ("languages", "identify", {"languages": EITHER}),
        ("identify", "languages", {"identify": "single"}),
        ("identify", "languages", {"identify": "multiple", "languages": "en-US"}),
        ("identify", "languages", {"identify": "single", "languages": ("en-US", "en-GB")}),
        ("preferred_language", "identify", {"preferred_language": "en-US"}),
        (
            "preferred_language",
            "identify",
            {"identify": "multiple", "languages": EITHER, "preferred_language": "en-US"},
        ),
        (
            "preferred_language",
            "languages",
            {"identify": "single", "languages": EITHER, "preferred_language": "de-DE"},
        ),
        ("identify", "language_model", {"identify": "single", "languages": EITHER, "language_model": "m"}),
        ("identify", "pii", {"identify": "single", "languages": EITHER, "pii": "redact"}),
        ("identify", "input", {"identify": "single", "languages": EITHER, "input": MULAW_8K}),
        ("speakers", "input", {"speakers": True, "input": STEREO}),
        ("pii_entities", "pii", {"pii_entities": "NAME"}),
        ("filter_method", "vocabulary_filter", {"filter_method": "mask"}),
        ("vocabulary", "identify", {"vocabulary": ("a", "b")}),
        ("vocabulary_filter", "identify", {"vocabulary_filter": ("a", "b")}),
    ],
)
def test_options_that_exclude_each_other_are_both_named(first: str, second: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        Transcribe(**options)
    assert f"{first}=" in str(caught.value)
    assert f"{second}=" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("language", "en"),
        ("language", "en-us"),
        ("language", ""),
        ("languages", ("en-US", "x")),
        ("identify", "both"),
        ("stability", "highest"),
        ("filter_method", "beep"),
        ("transcript_format", "Written"),
        ("pii", "PII"),
        ("vocabulary", "my names"),
        ("vocabulary_filter", "a" * 201),
        ("language_model", "x,y"),
        ("pii_entities", "name"),
        ("resume_window", 0),
        ("resume_window", 301),
        ("resume_window", 1.5),
        ("pace", 0.5),
        ("pace", float("nan")),
        ("input", AudioFormat(6_000)),
        ("input", AudioFormat(96_000)),
        ("input", AudioFormat(16_000, channels=3)),
        ("input", AudioFormat(16_000, "mulaw")),
        ("input", AudioFormat(8_000, "alaw", 2)),
        ("input", "pcm"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(BadInput, match=option.removesuffix("s")):
        Transcribe(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["languages", "vocabulary", "vocabulary_filter", "pii_entities"])
def test_names_are_texts(option: str) -> None:
    for wrong in (5, [None], b"name"):
        with pytest.raises(BadInput, match="neither a text nor several"):
            Transcribe(**{option: wrong})  # type: ignore[arg-type]


def test_it_takes_one_second_of_16_khz_by_default_and_says_what_else() -> None:
    assert Transcribe().capabilities.input == PCM16_16K
    assert Transcribe(input=MULAW_8K).capabilities.input == MULAW_8K
    assert not Transcribe().capabilities.can_flush
    assert Transcribe().capabilities.can_finish
    assert Transcribe("fr-FR").spoken_language == "fr-FR"
    assert Transcribe() == Transcribe()
    assert "PII" not in repr(Transcribe())
