from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceloop.aws.transcribe.continuity import Hearing
from voiceloop.aws.transcribe.results import read
from voiceloop.aws.transcribe.sending import Sending
from voiceloop.errors import ProviderMisbehaved
from voiceloop.interfaces import Entity, Final, Partial

from .numbered_words import FORMAT

# The example of the API reference, with everything that a result can have.
FULL: dict[str, Any] = {
    "ResultId": "12345a67-8bc9-0de1-2f34-a5b678c90d12",
    "StartTime": 0.025,
    "EndTime": 2.545,
    "IsPartial": True,
    "ChannelId": "ch_0",
    "LanguageIdentification": [{"LanguageCode": "es-US", "Score": 0.2}, {"LanguageCode": "en-US", "Score": 0.8}],
    "Alternatives": [
        {
            "Transcript": "Hello, I'm Jane.",
            "Items": [
                {"StartTime": 0.1, "EndTime": 0.4, "Type": "pronunciation", "Content": "Hello", "Stable": True,
                 "Confidence": 0.9, "Speaker": "0", "VocabularyFilterMatch": False},
                {"StartTime": 0.4, "EndTime": 0.4, "Type": "punctuation", "Content": ",", "Stable": True},
                {"StartTime": 0.6, "EndTime": 0.9, "Type": "pronunciation", "Content": "I'm", "Stable": True,
                 "Confidence": 0.7, "Speaker": "0"},
                {"StartTime": 1.0, "EndTime": 1.5, "Type": "pronunciation", "Content": "Jane", "Stable": False,
                 "Confidence": 0.8, "Speaker": "1"},
                {"StartTime": 1.5, "EndTime": 1.5, "Type": "punctuation", "Content": ".", "Stable": False},
            ],
            "Entities": [
                {"StartTime": 1.0, "EndTime": 1.5, "Category": "PII", "Type": "NAME", "Content": "Jane",
                 "Confidence": 0.99}
            ],
        }
    ],
}  # fmt: skip


def told(*results: object) -> list[Partial | Final]:
    payload = json.dumps({"Transcript": {"Results": results}}).encode()
    return Hearing(Sending(FORMAT), "en-GB").take(read(payload))


def test_a_partial_has_words_with_times_and_a_stable_beginning() -> None:
    (partial,) = told(FULL)
    assert isinstance(partial, Partial)
    assert (partial.item, partial.text, partial.language) == (FULL["ResultId"], "Hello, I'm Jane.", "en-US")
    assert partial.text[: partial.stable_chars] == "Hello, I'm"
    assert [(word.text, word.start_ms, word.end_ms, word.stable, word.speaker) for word in partial.words] == [
        ("Hello", 100, 400, True, "0"),
        ("I'm", 600, 900, True, "0"),
        ("Jane", 1000, 1500, False, "1"),
    ]


def test_a_final_has_confidence_and_entities() -> None:
    (final,) = told(FULL | {"IsPartial": False, "LanguageCode": "en-AU"})
    assert isinstance(final, Final)
    assert final.confidence == pytest.approx(0.8)
    assert final.language == "en-AU"
    assert final.entities == (Entity("NAME", "Jane", 1000, 1500, 0.99),)
    assert all(word.stable for word in final.words)


@pytest.mark.parametrize(
    "payload",
    [b"{}", b'{"Transcript": null}', b'{"Transcript": {"Results": []}}', b'{"Transcript": {"Results": [{}, null]}}'],
)
def test_an_event_without_results_is_nothing(payload: bytes) -> None:
    assert read(payload) == ()


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff\xfe", b"Signature expired"])
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(ProviderMisbehaved, match="no JSON object"):
        read(payload)


def test_a_transcript_without_items_has_words_all_the_same() -> None:
    (final,) = told({"ResultId": "a", "StartTime": 1, "EndTime": 2, "Alternatives": [{"Transcript": "two words"}]})
    assert [(word.text, word.start_ms, word.end_ms) for word in final.words] == [
        ("two", 1000, 1500),
        ("words", 1500, 2000),
    ]
    assert final.confidence is None
    assert final.language == "en-GB"


@pytest.mark.parametrize("strange", [float("inf"), float("nan"), -float("inf"), 10**400, 1e300])
@pytest.mark.parametrize("member", ["StartTime", "EndTime"])
def test_a_time_that_is_none_breaks_nothing(member: str, strange: float) -> None:
    result = {"ResultId": "a", "StartTime": 1, "EndTime": 2, "Alternatives": [{"Transcript": "two words"}]}
    (final,) = told(result | {member: strange})
    assert final.text == "two words"
    assert all(0 <= word.start_ms <= word.end_ms <= 2000 for word in final.words)


def test_an_empty_result_is_not_told_unless_it_ends_an_item() -> None:
    empty = {"ResultId": "a", "IsPartial": False, "Alternatives": [{"Transcript": "", "Items": []}]}
    assert told(empty) == []
    (partial, final) = told(FULL, empty | {"ResultId": FULL["ResultId"], "ChannelId": "ch_0"})
    assert (final.item, final.text) == (partial.item, "")


scalars = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in _paths(each, (*path, key)))]


@given(st.sampled_from(_paths(FULL)[1:]), anything, st.booleans(), st.booleans())
def test_a_missing_or_strange_member_breaks_nothing(
    path: tuple[Any, ...], strange: object, missing: bool, partial: bool
) -> None:
    bent = json.loads(json.dumps(FULL | {"IsPartial": partial}))
    holder = bent
    for key in path[:-1]:
        holder = holder[key]
    if missing:
        del holder[path[-1]]
    else:
        holder[path[-1]] = strange
    for item in told(bent):
        assert all(word.end_ms >= word.start_ms for word in item.words)
        if isinstance(item, Partial):
            assert 0 <= item.stable_chars <= len(item.text)
