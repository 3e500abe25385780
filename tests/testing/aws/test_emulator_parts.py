"""The parts of the emulator by themselves: signatures, frames, options, results, faults, settings."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import clock
from voiceloop.aws import Keys
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import BadInput, SessionClosed, UnknownName
from voiceloop.events import SpokenWord
from voiceloop.interfaces import Final, Partial
from voiceloop.testing.aws import Backing, Emulator, Fault
from voiceloop.testing.aws.exchange import Caller, Refusal
from voiceloop.testing.aws.frames import BadFrame, Decoder, decode, encode, spoil
from voiceloop.testing.aws.record import Call, Record
from voiceloop.testing.aws.settings import Timers
from voiceloop.testing.aws.signatures import Chain, Head, Keyring, Seal, verify
from voiceloop.testing.aws.transcribe_options import read
from voiceloop.testing.aws.transcribe_results import result, written

from .emulator_kit import OPTIONS, transcribing

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
REGION = "us-east-1"


@pytest.fixture
def golden_time(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The time of the vectors: 2026-01-02T03:04:05.678Z."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    monkeypatch.setattr(clock, "utcnow", lambda: moment)
    return moment


@pytest.mark.usefixtures("golden_time")
def test_the_chain_accepts_the_golden_frames_in_order_only() -> None:
    inner = bytes.fromhex(
        "0000006c000000585c509ce30d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479706507000a417564696f457"
        "6656e740d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d0001020371e2c8d0"
    )
    date = "053a64617465080000019b7ca98f2e103a6368756e6b2d7369676e6174757265060020"
    first = "a129dc76686dbe21df4c9503f4be40b00ce415f6af9f0b3c3af7e95a33f9b2a5"
    last = "657193761b17cbc4e1950de779dca6c7495158805904b8850f11e33b68f2f552"
    frame = decode(bytes.fromhex(f"000000bf0000004318605086{date}{first}{inner.hex()}34f2d2e6"))
    end = decode(bytes.fromhex(f"0000005300000043f5447a58{date}{last}7fb97187"))

    def chain() -> Chain:
        return Chain.of(Seal(Caller("AKIDEXAMPLE", REGION), KEYS, "transcribe", "ab" * 32), "BadRequestException")

    good = chain()
    assert good.open(frame) == inner
    assert decode(inner).payload == b"\x00\x01\x02\x03"
    assert good.open(end) == b""
    assert good.ended
    for wrong in (end, Message(frame.headers, inner + b"\x00"), Message({}, inner)):
        with pytest.raises(Refusal):
            chain().open(wrong)
    with pytest.raises(Refusal):
        good.open(frame)


def signed(method: str, path: str, body: bytes, service: str = "polly", **more: str) -> Head:
    request = AWSRequest(method, f"https://localhost{path}", data=body, headers={"host": "localhost", **more})
    SigV4Auth(Credentials(KEYS.access_key, KEYS.secret_key), service, REGION).add_auth(request)
    return Head(method, path, tuple((name.lower(), value) for name, value in request.headers.items()))


def ring() -> Keyring:
    made = Keyring()
    made.add(KEYS)
    return made


async def test_a_signature_covers_path_query_headers_and_body() -> None:
    path = "/model/amazon.nova-2-sonic-v1%3A0/converse?b=2&a=x%20y"
    head = signed("POST", path, b"{}", **{"x-amz-meta": "a  b", "user-agent": "any"})
    assert verify(head, b"{}", "polly", ring(), 3).caller == Caller(KEYS.access_key, REGION, 3)
    changed = [
        (Head("GET", path, head.headers), b"{}"),
        (Head("POST", path.replace("a=", "c="), head.headers), b"{}"),
        (Head("POST", path.replace("%3A0", ""), head.headers), b"{}"),
        (Head("POST", path, tuple((n, v.replace("localhost", "other")) for n, v in head.headers)), b"{}"),
        (Head("POST", path, (*head.headers, ("x-amz-more", "1"))), b"{}"),
        (Head("POST", path, (*head.headers, ("x-amz-content-sha256", "0" * 64))), b"{}"),
        (head, b"{ }"),
    ]
    for wrong, body in changed:
        with pytest.raises(Refusal) as caught:
            verify(wrong, body, "polly", ring(), 1)
        assert caught.value.code == "InvalidSignatureException"


async def test_a_scope_for_another_service_is_told() -> None:
    with pytest.raises(Refusal) as caught:
        verify(signed("GET", "/v1/voices", b"", "bedrock"), b"", "polly", ring(), 1)
    assert caught.value.message == "Credential should be scoped to correct service: 'polly'."


async def test_an_old_signature_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    head = signed("GET", "/v1/voices", b"")
    late = clock.utcnow() + timedelta(minutes=6)
    monkeypatch.setattr(clock, "utcnow", lambda: late)
    with pytest.raises(Refusal) as caught:
        verify(head, b"", "polly", ring(), 1)
    assert caught.value.message.startswith("Signature expired: ")
    assert caught.value.message.endswith(" - 5 min.)")


@given(authorization=st.text(alphabet=st.characters(codec="latin-1"), max_size=120), stamp=st.text(max_size=20))
def test_any_authorization_is_refused_politely(authorization: str, stamp: str) -> None:
    headers = (("host", "h"), ("authorization", authorization), ("x-amz-date", stamp))
    with pytest.raises(Refusal):
        verify(Head("GET", "/v1/voices", headers), b"", "polly", ring(), 1)


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 50))
def test_frames_survive_any_cut(payloads: list[bytes], size: int) -> None:
    messages = [Message({":event-type": "x", "n": number}, payload) for number, payload in enumerate(payloads)]
    data = b"".join(map(encode, messages))
    decoder = Decoder()
    got = [m for at in range(0, len(data), size) for m in decoder.feed(data[at : at + size])]
    assert [(dict(m.headers), m.payload) for m in got] == [(dict(m.headers), m.payload) for m in messages]
    assert decoder.whole


@given(st.binary(min_size=12, max_size=200))
def test_any_bytes_are_a_bad_frame_at_worst(data: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Decoder().feed(data)) or decode(data)


def test_a_spoilt_frame_is_noticed() -> None:
    with pytest.raises(BadFrame, match="Checksum"):
        decode(spoil(encode(Message({":event-type": "x"}, b"abc"))))


def options(**given: str) -> dict[str, str]:
    return {f"x-amzn-transcribe-{name.replace('_', '-')}": value for name, value in given.items()}


BASE = {"sample_rate": "16000", "media_encoding": "pcm"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"language_code": "en-US", "sample_rate": "7999"},
        {"language_code": "en-US", "sample_rate": "fast"},
        {"language_code": "en-US", "media_encoding": "mp3"},
        {"language_code": "en-US", "media_encoding": "flac"},
        {"language_code": "english"},
        {"language_code": "en-US", "identify_language": "true", "language_options": "en-US,fr-FR"},
        {"identify_language": "true"},
        {"identify_language": "true", "language_options": "en-US"},
        {"identify_language": "true", "language_options": "en-US,en-GB"},
        {"identify_language": "true", "language_options": "en-US,fr-FR", "preferred_language": "de-DE"},
        {"identify_multiple_languages": "true", "language_options": "en-US,fr-FR", "preferred_language": "en-US"},
        {"identify_language": "true", "language_options": "en-US,fr-FR", "language_model_name": "mine"},
        {"identify_language": "true", "language_options": "en-US,fr-FR", "vocabulary_name": "mine"},
        {"language_code": "en-US", "language_options": "en-US,fr-FR"},
        {"language_code": "en-US", "vocabulary_names": "a,b"},
        {"language_code": "en-US", "vocabulary_name": "a b"},
        {"language_code": "en-US", "session_id": "me"},
        {"language_code": "en-US", "number_of_channels": "2"},
        {"language_code": "en-US", "enable_channel_identification": "true"},
        {
            "language_code": "en-US",
            "enable_channel_identification": "true",
            "number_of_channels": "2",
            "show_speaker_label": "true",
        },
        {"language_code": "en-US", "number_of_channels": "3", "enable_channel_identification": "true"},
        {"language_code": "en-US", "partial_results_stability": "highest"},
        {"language_code": "en-US", "pii_entity_types": "NAME"},
        {"language_code": "en-US", "content_redaction_type": "PII", "pii_entity_types": "SHOE_SIZE"},
        {"language_code": "en-US", "content_redaction_type": "PII", "content_identification_type": "PII"},
        {"language_code": "en-US", "session_resume_window": "301"},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        read(options(**{**BASE, **wrong}))
    assert (caught.value.status, caught.value.code) == (400, "BadRequestException")


@pytest.mark.parametrize("name", ["language-code", "language-options"])
def test_a_language_that_transcribe_does_not_have_is_refused(name: str) -> None:
    given = {**BASE, "language-code": "xx-XX"}
    if name == "language-options":
        given = {**BASE, "identify-language": "true", name: "en-US,xx-XX"}
    with pytest.raises(Refusal, match="de-CH, de-DE, el-GR") as caught:
        read(options(**given))
    assert f"Value 'xx-XX' at '{name}' failed to satisfy constraint" in caught.value.message


def test_options_are_read_with_and_without_prefix() -> None:
    long = read(options(language_code="en-US", show_speaker_label="True", **BASE))
    short = read({"language-code": "en-US", "sample-rate": "16000", "media-encoding": "pcm", "x-amz-date": "x"})
    assert long.speakers
    assert (long.format, long.language) == (short.format, short.language)
    assert "x-amz-date" not in short.given


def heard(kind: Any, text: str, **more: Any) -> Any:
    words = tuple(SpokenWord(word, n * 200.0, n * 200.0 + 150) for n, word in enumerate(text.split()))
    return kind("1", text, words, **more)


def test_a_final_is_written_and_its_punctuation_an_item() -> None:
    made = result(
        heard(Final, "book a room", confidence=0.8),
        "id",
        0,
        1000,
        read(options(language_code="en-US", enable_partial_results_stabilization="true", **BASE)),
        punctuate=True,
    )
    (alternative,) = made["Alternatives"]
    assert alternative["Transcript"] == "Book a room."
    assert [item["Content"] for item in alternative["Items"]] == ["Book", "a", "room", "."]
    stop = alternative["Items"][-1]
    assert stop["Type"] == "punctuation"
    assert stop["StartTime"] == stop["EndTime"] == made["EndTime"] == 0.55
    assert "Confidence" not in stop
    assert all(item["Stable"] for item in alternative["Items"])
    assert (made["StartTime"], made["IsPartial"]) == (0.0, False)
    assert "LanguageCode" not in made


def test_stability_is_told_only_when_asked_for() -> None:
    partial = heard(Partial, "book a room", stable_chars=6)
    plain = read(options(language_code="en-US", **BASE))
    stable = read(options(language_code="en-US", enable_partial_results_stabilization="true", **BASE))
    items = result(partial, "id", 0, 1000, plain, punctuate=True)["Alternatives"][0]["Items"]
    assert all("Stable" not in item for item in items)
    items = result(partial, "id", 0, 1000, stable, punctuate=True)["Alternatives"][0]["Items"]
    assert [item["Stable"] for item in items] == [True, True, False]


def test_personal_information_is_named_or_taken_out() -> None:
    final = heard(Final, "my name is Ada call 555 0100 22 now")
    named = read(options(language_code="en-US", content_identification_type="PII", **BASE))
    (alternative,) = result(final, "id", 0, 1000, named, punctuate=False)["Alternatives"]
    assert {(e["Type"], e["Content"]) for e in alternative["Entities"]} == {("NAME", "Ada"), ("PHONE", "555 0100 22")}
    redacted = read(options(language_code="en-US", content_redaction_type="PII", **BASE))
    (alternative,) = result(final, "id", 0, 1000, redacted, punctuate=False)["Alternatives"]
    assert alternative["Transcript"] == "my name is [PII] call [PII] now"
    assert [item["Content"] for item in alternative["Items"]] == ["my", "name", "is", "[PII]", "call", "[PII]", "now"]


@given(st.lists(st.sampled_from(["book", "a", "room,", "please.", "what?", "..."]), max_size=6), st.booleans())
def test_items_say_what_the_transcript_says(words: list[str], final: bool) -> None:
    text = " ".join(words)
    item = Final("1", text) if final else Partial("1", text)
    made = result(item, "id", 100, 900, read(options(language_code="en-US", **BASE)), punctuate=True)
    (alternative,) = made["Alternatives"]
    contents = "".join(item["Content"] for item in alternative["Items"])
    assert contents == alternative["Transcript"].replace(" ", "")
    times = [item["StartTime"] for item in alternative["Items"]]
    assert times == sorted(times)
    assert made["StartTime"] <= made["EndTime"]


def test_text_is_written_as_transcribe_writes() -> None:
    assert [written(text) for text in ("", "what now", "yes", "Is it?")] == ["", "What now?", "Yes.", "Is it?"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "earthquake"},
        {"kind": "reset", "at": 1, "after": 1},
        {"kind": "reset", "at": -1},
        {"kind": "reset", "probability": 1.5},
        {"kind": "stall", "seconds": -1.0},
        {"kind": "error"},
    ],
)
def test_faults_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises((BadInput, UnknownName)):
        Fault(**wrong)


def test_arguments_that_make_no_sense() -> None:
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(BadInput):
            Timers(wrong)
    with pytest.raises(BadInput):
        Emulator(Backing.scripted(), port=70_000)
    with pytest.raises(BadInput):
        Backing.scripted(first_token=-1)
    with pytest.raises(SessionClosed):
        _ = Emulator(Backing.scripted()).url


def test_iam_denies_by_pattern_and_records_what_it_allows() -> None:
    record = Record({"bedrock:invoke*"})
    call = record.begin("bedrock-runtime", "Converse", 1)
    with pytest.raises(Refusal) as caught:
        record.authorise(
            call, Caller("A"), [("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/m")]
        )
    assert caught.value.message == (
        "User: arn:aws:iam::123456789012:user/voiceloop is not authorized to perform: bedrock:InvokeModel "
        "on resource: arn:aws:bedrock:us-east-1::foundation-model/m "
        "because no identity-based policy allows the bedrock:InvokeModel action"
    )
    record.authorise(call, Caller("A", "eu-west-1"), [("bedrock:CountTokens", "*")])
    assert record.actions == {("bedrock:CountTokens", "*")}
    assert isinstance(call, Call)
    assert call.region == "eu-west-1"


def test_nothing_shows_a_key() -> None:
    shown = repr((Caller("AKIDSECRET"), Seal(Caller("AKIDSECRET"), KEYS, "polly", "5ig"), ring()))
    assert not any(secret in shown for secret in ("AKIDSECRET", KEYS.access_key, KEYS.secret_key, "5ig"))


def open_files() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    }


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files by /proc")
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_nothing_is_left(factory: Any) -> None:
    async def once() -> None:
        async with Emulator(Backing.scripted(["hello"])) as aws:
            async with transcribing(aws) as stream:
                assert await stream.answered() == 200
                await stream.audio(bytes(6400))
                await stream.end()
                await stream.all()
            async with transcribing(aws, OPTIONS) as stream:
                assert await stream.answered() == 200
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(once())  # what the first use of a loop or a module opens, stays
    gc.collect()
    files, threads = open_files(), threading.active_count()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(once())
    gc.collect()
    assert open_files() <= files
    assert threading.active_count() == threads
