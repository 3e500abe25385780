"""A clock that is wrong is told by how much, from what AWS says of the time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from attrs import frozen
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from voiceloop import Pool, clock
from voiceloop.aws import Polly
from voiceloop.aws.fault_clock import advice, skew
from voiceloop.aws.faults import fault_of, from_boto, from_message, from_response
from voiceloop.aws.wire.stream import Message
from voiceloop.errors import ProviderRefused
from voiceloop.interfaces import Clause, SpeakConfig
from voiceloop.testing.aws import Backing, Emulator
from voiceloop.testing.aws.exchange import Request, Response
from voiceloop.testing.aws.polly import Polly as EmulatedPolly
from voiceloop.testing.aws.stage import Stage

AHEAD = timedelta(minutes=7, seconds=12)
TOLD = "Set the clock of this machine: it is 7 min 1\\d s ahead of AWS's."
TOO_SKEWED = "The difference between the request time and the current time is too large."


def words(theirs: datetime) -> str:
    """What a service whose time it is says to a signature of ours."""

    def stamp(time: datetime) -> str:
        return f"{time:%Y%m%dT%H%M%SZ}"

    limit = timedelta(minutes=5)
    later = f"Signature not yet current: {stamp(theirs + AHEAD)} is still later than {stamp(theirs + limit)}"
    return f"{later} ({stamp(theirs)} + 5 min.)"


async def test_an_answer_tells_by_its_date_or_its_words() -> None:
    theirs = clock.utcnow() - AHEAD
    headers = {"Date": format_datetime(theirs, usegmt=True), "x-amzn-errortype": "RequestTimeTooSkewed"}
    body = b'{"message": "%s"}' % TOO_SKEWED.encode()
    of_date = from_response("polly", "SynthesizeSpeech", 403, headers, body)
    headers = {"x-amzn-errortype": "InvalidSignatureException"}
    of_words = from_response("polly", "SynthesizeSpeech", 403, headers, f'{{"message": "{words(theirs)}"}}'.encode())
    in_stream = from_message(
        "transcribestreaming",
        "StartStreamTranscription",
        Message(
            {":message-type": "exception", ":exception-type": "BadRequestException"},
            f'{{"Message": "{words(theirs).replace("not yet current", "expired")}"}}'.encode(),
        ),
    )
    answer = {
        "Error": {
            "Code": "ExpiredTokenException",
            "Message": "The security token included in the request is expired",
        },
        "ResponseMetadata": {
            "HTTPStatusCode": 403,
            "RequestId": "r",
            "HTTPHeaders": {"date": format_datetime(theirs, usegmt=True)},
        },
    }
    of_boto = from_boto("polly", "SynthesizeSpeech", ClientError(answer, "SynthesizeSpeech"))
    for error in (of_date, of_words, in_stream, of_boto):
        with pytest.raises(ProviderRefused, match=TOLD):
            raise error


async def test_a_clock_that_is_right_leaves_the_key_to_be_checked() -> None:
    headers = {"date": format_datetime(clock.utcnow(), usegmt=True), "x-amzn-errortype": "InvalidSignatureException"}
    error = from_response("polly", "SynthesizeSpeech", 403, headers, b"{}")
    assert error.hint == "The clock of this machine agrees with AWS's: check AWS_SECRET_ACCESS_KEY."
    headers["x-amzn-errortype"] = "ExpiredTokenException"
    error = from_response("polly", "SynthesizeSpeech", 403, headers, b"{}")
    assert error.hint.endswith("with its keys.")


def test_where_nothing_tells_both_are_to_be_checked() -> None:
    headers = {"x-amzn-errortype": "InvalidSignatureException"}
    error = from_response("polly", "SynthesizeSpeech", 403, headers, b"{}")
    assert error.hint == "Check the clock of this machine, and AWS_SECRET_ACCESS_KEY."


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (timedelta(days=365, hours=2), "365 d 2 h ahead of"),
        (timedelta(hours=-1, seconds=-3), "1 h behind"),
        (timedelta(minutes=-5, seconds=-59.6), "6 min behind"),
        (timedelta(seconds=61), "1 min 1 s ahead of"),
    ],
)
def test_how_far_is_in_its_two_largest_units(away: timedelta, told: str) -> None:
    assert advice(away) == f"Set the clock of this machine: it is {told} AWS's."


@given(st.text() | st.from_regex(r"Signature expired: .* than \d{8}T\d{6}Z \(\d{8}T\d{6}Z [-+] "), st.text())
async def test_any_words_are_no_failure_of_ours(text: str, date: str) -> None:
    skew(date, text)
    skew(text, date)


def test_outside_of_an_event_loop_nothing_is_known() -> None:
    assert skew(format_datetime(datetime.now(UTC), usegmt=True), "") is None


@frozen(eq=False)
class Elsewhen(EmulatedPolly):
    """Answers that the request is of another time."""

    stage: Stage

    async def answer(self, request: Request) -> Response:
        date = format_datetime(clock.utcnow() - AHEAD, usegmt=True)
        headers = {"date": date, "x-amzn-errortype": "RequestTimeTooSkewed", "x-amzn-requestid": "r"}
        return Response(403, headers, b'{"message": "%s"}' % TOO_SKEWED.encode())


async def test_a_voice_says_how_wrong_the_clock_is_by_the_date_of_the_answer(pool: Pool) -> None:
    async with Emulator(Backing.scripted(), services=lambda stage: (Elsewhen(stage),)) as aws:
        with pytest.raises(ProviderRefused, match=TOLD) as caught:
            async with Polly(account=aws.account()).speak(Clause("Hi."), SpeakConfig(pool)) as items:
                [_ async for _ in items]
    fault = fault_of(caught.value)
    assert fault is not None
    assert (fault.code, fault.message) == ("RequestTimeTooSkewed", TOO_SKEWED)
    assert not caught.value.retryable


async def test_without_a_date_the_words_of_the_refusal_tell_it() -> None:
    body = b'{"message": "%s"}' % words(clock.utcnow() - AHEAD).encode()
    headers = {"x-amzn-errortype": "InvalidSignatureException"}
    refused = from_response("transcribestreaming", "StartStreamTranscription", 403, headers, body)
    assert isinstance(refused, ProviderRefused)
    assert re.search(TOLD, str(refused))
