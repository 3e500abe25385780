from __future__ import annotations

import pytest

from voiceloop.audio import MULAW_8K, PCM16_8K, PCM16_16K, AudioFormat, convert
from voiceloop.aws.faults import from_response
from voiceloop.aws.transcribe.keeping import Age, Attention, Deaf, Lull, Persistence
from voiceloop.errors import ProviderError, ProviderUnavailable
from voiceloop.testing.scripted import silence, tone

HOUR = 3600.0
AWAY = ProviderUnavailable("cannot be reached", provider="Amazon Transcribe", retryable=True)


def refused(status: int, code: str) -> ProviderError:
    return from_response("transcribestreaming", "StartStreamTranscription", status, {"x-amzn-errortype": code}, b"{}")


@pytest.mark.parametrize(
    ("lives", "after", "quiet", "over"),
    [
        (None, 3.8 * HOUR, True, False),
        (None, 3.9 * HOUR, True, True),
        (None, 3.9 * HOUR, False, False),
        (None, 3.99 * HOUR, False, True),
        (HOUR, HOUR - 301, True, False),
        (HOUR, HOUR - 299, True, True),
        (HOUR, HOUR - 61, False, False),
        (HOUR, HOUR - 59, False, True),
        (10.0, 59, False, False),
        (10.0, 61, False, True),
        (-10.0, 61, True, True),
    ],
)
def test_a_connection_makes_room_in_a_pause_first_and_in_time_always(
    lives: float | None, after: float, quiet: bool, over: bool
) -> None:
    assert Age.of(1000, lives).over(1000 + after, quiet=quiet) is over


@pytest.mark.parametrize("stood", [False, True])
def test_waits_grow_and_end(stood: bool) -> None:
    persistence, now, waits = Persistence(), 0.0, []
    with pytest.raises(ProviderUnavailable):
        while True:
            waits.append(persistence.wait(AWAY, now, now, stood=stood, chance=1.0))
            now += waits[-1]
    assert waits == sorted(waits)
    assert now <= 25
    assert (len(waits) == 4) is not stood


def test_what_a_new_connection_would_not_help_is_raised_at_once() -> None:
    with pytest.raises(ProviderError):
        Persistence().wait(refused(403, "AccessDeniedException"), 0, 99, stood=True, chance=0.5)
    assert Persistence().wait(refused(403, "ExpiredTokenException"), 0, 99, stood=True, chance=0.5) < 1


def test_credentials_that_stay_expired_are_told_soon() -> None:
    persistence, expired = Persistence(), refused(403, "ExpiredTokenException")
    for _ in range(2):
        persistence.wait(expired, 0, 1, stood=True, chance=0.0)
    with pytest.raises(ProviderError, match="ExpiredToken"):
        persistence.wait(expired, 0, 1, stood=True, chance=0.0)


def test_a_connection_that_worked_or_lasted_begins_the_count_anew() -> None:
    persistence = Persistence()
    for _ in range(20):
        assert persistence.wait(AWAY, 0, 1, stood=False, chance=1.0) == 0.2
        persistence.works()
    for _ in range(20):
        assert persistence.wait(AWAY, 0, 31, stood=False, chance=1.0) == 0.2


@pytest.mark.parametrize("audio", [PCM16_16K, PCM16_8K, MULAW_8K, AudioFormat(16_000, channels=2)])
def test_only_loud_audio_without_an_answer_is_suspicious(audio: AudioFormat) -> None:
    loud, quiet = (convert(pcm, PCM16_16K, audio) for pcm in (tone(50), silence(50)))
    attention, now = Attention(audio), 0.0
    for _ in range(2000):
        now += 0.05
        attention.sent(quiet, now)
    for _ in range(90):
        now += 0.05
        attention.sent(loud, now)
    attention.heard()
    heard = now
    with pytest.raises(Deaf):
        while True:
            now += 0.05
            attention.sent(loud, now)
    assert now - heard == pytest.approx(5, abs=0.2)


def test_audio_that_is_sent_again_in_a_burst_is_not_held_against_the_service() -> None:
    attention = Attention(PCM16_16K)
    for _ in range(600):
        attention.sent(tone(50), 100.0)


def heard(lull: Lull, ms: float, now: float, *, pieces: int = 1) -> None:
    for _ in range(pieces):
        lull.given(ms)
        lull.sent(ms, now, silence=False)


def test_silence_takes_the_place_of_audio_sooner_after_a_pause_while_that_lasts() -> None:
    lull = Lull()
    assert lull.patience(0, unfinished=False) == 5, "nothing was said that silence could finish"
    heard(lull, 20, 1, pieces=50)
    assert lull.patience(1, unfinished=True) == 1
    lull.paused()
    assert lull.patience(1, unfinished=True) == pytest.approx(0.2)
    heard(lull, 400, 1)
    assert lull.patience(1, unfinished=True) == pytest.approx(0.6), "pieces of 400 ms come that far apart"
    heard(lull, 20, 2, pieces=30)
    assert lull.patience(2, unfinished=True) == 1, "the user went on"


def test_after_a_pause_a_second_of_silence_goes_at_once_and_then_as_time_passes() -> None:
    lull, now, sent = Lull(), 10.0, 0.0
    heard(lull, 100, now)
    lull.paused()
    now += lull.patience(now, unfinished=True)
    at_once = now
    while (wait := lull.patience(now, unfinished=True)) < 5:
        now += wait
        assert sent <= (now - at_once) * 1000 + 1100
        lull.sent(100, now, silence=True)
        sent += 100
    assert sent == 10_000
    assert now - at_once == pytest.approx(9, abs=0.3)
    lull.given(20)
    lull.sent(20, now, silence=False)
    assert lull.patience(now, unfinished=True) == 1
