"""The emulated Transcribe on HTTP/2, seen by a client made of h2, botocore and amazon-transcribe."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hyperframe.frame import GoAwayFrame

from voiceloop.audio import PCM16_16K, AudioFormat, convert
from voiceloop.aws import Keys
from voiceloop.testing.aws import Backing, Emulator, Fault, Settings
from voiceloop.testing.scripted.sound import silence, tone

from .emulator_kit import OPTIONS, Stream, connected, results_of, signed_headers, transcribing

SPEECH = tone(1200) + silence(1000)


def emulator(*heard: str, **options: object) -> Emulator:
    return Emulator(Backing.scripted(heard or ("book a room please",)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("streaming", [True, False], ids=["as the guide says", "as amazon-transcribe does"])
async def test_a_stream_is_transcribed(streaming: bool) -> None:
    async with emulator() as aws, transcribing(aws, streaming=streaming) as stream:
        assert await stream.answered() == 200
        await stream.audio(SPEECH)
        await stream.end()
        results = await stream.results()
        call = aws.calls[0]
    assert [result["IsPartial"] for result in results[-2:]] == [True, False]
    assert results[-1]["Alternatives"][0]["Transcript"] == "book a room please"
    assert len({result["ResultId"] for result in results}) == 1
    assert (call.status, call.error, call.over) == (200, None, True)


async def test_the_response_comes_before_any_audio_and_repeats_the_options() -> None:
    options = {**OPTIONS, "vocabulary-name": "rooms", "show-speaker-label": "True"}
    async with emulator() as aws, transcribing(aws, options) as stream:
        await stream.answered()
        for name, value in options.items():
            assert stream.headers[f"x-amzn-transcribe-{name}"] == value
        assert len(stream.headers["x-amzn-transcribe-session-id"]) == 36
        assert stream.headers["content-type"] == "application/vnd.amazon.eventstream"
        assert stream.headers["x-amzn-request-id"]


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        (lambda keys: Keys(keys.access_key, "another" + keys.secret_key), "InvalidSignatureException", 403),
        (lambda keys: Keys("AKIAUNKNOWN", keys.secret_key), "UnrecognizedClientException", 403),
        (lambda keys: Keys(keys.access_key, keys.secret_key, "a token"), "UnrecognizedClientException", 403),
    ],
    ids=["secret", "access key", "token"],
)
async def test_wrong_credentials_are_refused(change, code: str, status: int) -> None:  # type: ignore[no-untyped-def]
    async with emulator() as aws, transcribing(aws, keys=change(aws.keys)) as stream:
        assert await stream.answered() == status
        await stream.all()
        assert stream.headers["x-amzn-errortype"] == code
        assert json.loads(stream.body)["Message"]
        assert aws.calls[0].error == code


async def test_an_unsigned_request_is_refused() -> None:
    async with emulator() as aws, connected(aws, "h2") as tls:
        stream = Stream(tls, aws, None)
        headers = signed_headers(aws, OPTIONS)
        del headers["authorization"]
        await stream.open(headers)
        assert await stream.answered() == 403
        assert stream.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


async def test_a_changed_header_breaks_the_signature() -> None:
    async with emulator() as aws, connected(aws, "h2") as tls:
        stream = Stream(tls, aws, None)
        headers = signed_headers(aws, OPTIONS)
        headers["x-amzn-transcribe-sample-rate"] = "8000"
        await stream.open(headers)
        assert await stream.answered() == 403
        assert stream.headers["x-amzn-errortype"] == "InvalidSignatureException"


async def test_temporary_credentials_expire_while_a_stream_is_open() -> None:
    async with emulator() as aws:
        keys = aws.issue(seconds=0.5)
        async with transcribing(aws, keys=keys) as stream:
            assert await stream.answered() == 200
            await anyio.sleep(0.6)
            await stream.audio(silence(100))
            assert (await stream.failure())[0] == "ExpiredTokenException"
        async with transcribing(aws, keys=keys) as stream:
            assert await stream.answered() == 403
            assert stream.headers["x-amzn-errortype"] == "ExpiredTokenException"


async def test_a_wrong_event_signature_ends_the_stream() -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        await stream.audio(silence(100))
        stream.event("AudioEvent", silence(100))  # signed, and never sent: the chain is broken
        await stream.audio(silence(100))
        name, text = await stream.failure()
        assert name == "BadRequestException"
        assert text.startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize(("minutes", "text"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
async def test_an_event_signed_at_another_time_ends_the_stream(minutes: int, text: str) -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        stream.skew = timedelta(minutes=minutes)
        await stream.audio(silence(100))
        name, said = await stream.failure()
        assert name == "BadRequestException"
        assert said.startswith(text)
        assert "5 min.)" in said


@pytest.mark.parametrize("at", [8, -1], ids=["of the prelude", "of the message"])
async def test_a_wrong_checksum_ends_the_stream(at: int) -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        frame = bytearray(stream.event("AudioEvent", silence(100)))
        frame[at] ^= 1
        await stream.raw(bytes(frame))
        assert (await stream.failure())[0] == "BadRequestException"


async def test_the_end_needs_its_frame_or_an_empty_chunk() -> None:
    async with emulator() as aws:
        async with transcribing(aws) as stream:
            await stream.raw(stream.event("AudioEvent", silence(100)), end=True)
            assert await stream.failure() == (
                "BadRequestException",
                "A complete signal was sent without the preceding empty frame.",
            )
        async with transcribing(aws) as stream:
            await stream.raw(stream.event("AudioEvent", b""), end=True)
            assert await stream.all() == []
            assert stream.ended
        async with transcribing(aws) as stream:
            await stream.raw(stream.event("AudioEvent", b""))
            await stream.end()
            assert await stream.all() == []


async def test_a_chunk_of_more_than_a_second_is_refused() -> None:
    async with emulator() as aws, transcribing(aws) as stream:
        await stream.audio(silence(1000), chunk=32_000)
        await stream.audio(silence(1001), chunk=32_032)
        assert (await stream.failure())[0] == "BadRequestException"


async def test_one_more_stream_than_the_quota_is_refused() -> None:
    async with (
        emulator(settings=Settings(transcribe_streams=1)) as aws,
        transcribing(aws) as first,
        transcribing(aws) as second,
    ):
        assert await first.answered() == 200
        assert await second.answered() == 429
        assert second.headers["x-amzn-errortype"] == "LimitExceededException"


async def test_a_newer_stream_takes_the_session() -> None:
    options = {**OPTIONS, "session-id": "0b8ddd26-b1ad-4b51-8a5a-5f8a5a3b5c3d"}
    async with emulator() as aws, transcribing(aws, options) as first:
        assert await first.answered() == 200
        async with transcribing(aws, options) as second:
            assert await second.answered() == 200
            assert await first.failure() == (
                "ConflictException",
                "A new stream started with the same session ID. The current stream has been terminated.",
            )
            await second.end()
            assert await second.all() == []


async def test_no_audio_for_fifteen_seconds_ends_the_stream() -> None:
    async with emulator(timers=0.02) as aws, transcribing(aws) as stream:
        assert await stream.failure() == (
            "BadRequestException",
            "Your request timed out because no new audio was received for 15 seconds.",
        )
        assert stream.status == 200
        assert aws.calls[0].error == "BadRequestException"


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "LimitExceededException", 429),
        ("access_denied", "AccessDeniedException", 403),
        ("expired_token", "ExpiredTokenException", 403),
        ("instability", "InternalFailureException", 500),
        ("unavailable", "ServiceUnavailableException", 503),
    ],
)
async def test_an_error_strikes_the_request_or_the_stream(kind: str, code: str, status: int) -> None:
    async with emulator(faults=[Fault(kind), Fault(kind, after=3)]) as aws:
        async with transcribing(aws) as stream:
            assert await stream.answered() == status
            assert stream.headers["x-amzn-errortype"] == code
        async with transcribing(aws) as stream:
            await stream.audio(silence(300))
            assert (await stream.failure())[0] == code
        assert [call.faults for call in aws.calls] == [[kind], [kind]]
        assert [call.error for call in aws.calls] == [code, code]


async def test_faults_of_the_transport() -> None:
    async with emulator() as aws:
        aws.faults.add(Fault("reset", after=2))
        async with transcribing(aws) as stream:
            await stream.audio(silence(300))
            await stream.all()
            assert stream.reset is not None
        aws.faults.add(Fault("drop", at=1))
        async with transcribing(aws) as stream:
            await stream.audio(SPEECH)
            assert len(await stream.all()) == 1
            assert stream.gone
        aws.faults.add(Fault("truncate", at=1))
        async with transcribing(aws) as stream:
            await stream.audio(SPEECH)
            messages = await stream.all()
            assert len(messages) == 1
            assert stream.ended
        assert [call.faults for call in aws.calls] == [["reset"], ["drop"], ["truncate"]]


async def test_a_goaway_lets_the_stream_go_on() -> None:
    async with emulator(faults=[Fault("goaway", at=1)]) as aws, connected(aws, "h2") as tls:
        stream = Stream(tls, aws, None)
        await stream.open(signed_headers(aws, OPTIONS))
        await stream.raw(b"".join(stream.event("AudioEvent", SPEECH[n : n + 3200]) for n in range(0, 51200, 3200)))
        # h2 takes no more from its user after a GOAWAY, as duplex clients find out; its bytes still come
        received = b""
        with anyio.fail_after(5):
            while b"book a room" not in received:
                received += await tls.receive(65536)
        assert GoAwayFrame(0, last_stream_id=1).serialize() in received.partition(b"book a room")[0]


async def test_a_bad_checksum_reaches_the_caller() -> None:
    from amazon_transcribe.eventstream import ChecksumMismatch

    async with emulator(faults=[Fault("bad_crc", at=1)]) as aws, transcribing(aws) as stream:
        with pytest.raises(ChecksumMismatch):
            await stream.audio(SPEECH)
            await stream.all()


@pytest.mark.parametrize("kind", ["split", "drip"])
async def test_messages_come_in_pieces(kind: str) -> None:
    async with emulator(faults=[Fault(kind, seconds=0.0)]) as aws, transcribing(aws) as stream:
        await stream.audio(SPEECH)
        await stream.end()
        results = await stream.results()
        assert results[-1]["Alternatives"][0]["Transcript"] == "book a room please"
        assert stream.pieces > 4 * len(results)


async def test_a_stall_says_nothing_more() -> None:
    async with emulator(faults=[Fault("stall", at=1)]) as aws, transcribing(aws) as stream:
        await stream.audio(tone(1200))
        await stream.some(1)
        with anyio.move_on_after(0.3) as waiting:
            await stream.some(2)
        assert waiting.cancelled_caught


async def test_denied_actions_are_refused_in_iams_words_and_allowed_ones_recorded() -> None:
    async with emulator(denied=["transcribe:*"]) as aws:
        async with transcribing(aws) as stream:
            assert await stream.answered() == 403
            await stream.all()
            assert stream.headers["x-amzn-errortype"] == "AccessDeniedException"
            said = json.loads(stream.body)["Message"]
            assert "is not authorized to perform: transcribe:StartStreamTranscription on resource: *" in said
        assert aws.actions == set()
        aws.denied.clear()
        async with transcribing(aws) as stream:
            assert await stream.answered() == 200
        assert aws.actions == {("transcribe:StartStreamTranscription", "*")}


@pytest.mark.parametrize(
    ("encoding", "kind", "rate"), [("pcm", "pcm16", 8000), ("pcm", "pcm16", 44100), ("g711-ulaw", "mulaw", 8000)]
)
async def test_any_rate_is_heard(encoding: str, kind: Any, rate: int) -> None:
    options = {"language-code": "en-US", "sample-rate": str(rate), "media-encoding": encoding}
    audio = convert(tone(1200) + silence(200), PCM16_16K, AudioFormat(rate, kind))
    async with emulator() as aws, transcribing(aws, options) as stream:
        size = AudioFormat(rate, kind).bytes_of(rate // 10)
        await stream.audio(audio, chunk=size)
        await stream.end()
        final = (await stream.results())[-1]
    assert final["Alternatives"][0]["Transcript"] == "book a room please"
    assert 1.0 <= final["EndTime"] <= 1.4


async def test_an_empty_event_comes_now_and_then() -> None:
    async with emulator(settings=Settings(transcribe_empty=0.5)) as aws, transcribing(aws) as stream:
        await stream.audio(silence(1100))
        await stream.end()
        assert [results_of(message) for message in await stream.all()] == [[], []]


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff"]
)
async def test_garbage_does_not_kill_it(garbage: bytes) -> None:
    async with emulator() as aws:
        async with connected(aws, "h2") as tls:
            await tls.send(garbage)
            with anyio.move_on_after(0.2):
                await tls.receive()
        async with transcribing(aws) as stream:
            assert await stream.answered() == 200


async def test_leaving_it_ends_open_streams() -> None:
    aws = await emulator().__aenter__()
    file = aws.ca_file
    async with transcribing(aws) as stream:
        assert await stream.answered() == 200
        await aws.__aexit__(None, None, None)
        await stream.all()
        assert stream.gone
    assert not file.parent.exists()
