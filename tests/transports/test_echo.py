"""Echo cancellation, half duplex, and what they do when they cannot work."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from voiceloop.errors import BadInput, MissingExtra
from voiceloop.transports.echo import Echo, EchoCanceller, HalfDuplex, NoEcho, make_echo

RATE = 16_000
FRAME = RATE // 100
RANDOM = np.random.default_rng(3)


def noise(seconds: float, level: float) -> Any:
    return RANDOM.normal(0, level, round(seconds * RATE))


def speechlike(seconds: float, level: float = 3_000.0) -> Any:
    """Noise in syllables: 200 ms of sound, 50 ms of none."""
    sound = noise(seconds, level)
    return np.where(np.arange(len(sound)) % 4_000 < 3_200, sound, 0.0)


def delayed(sound: Any, samples: int, gain: float) -> Any:
    return np.concatenate([np.zeros(samples), sound])[: len(sound)] * gain


def pcm(sound: Any) -> bytes:
    return bytes(np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes())


def run(echo: Echo, near: Any, far: Any) -> Any:
    """What is left of ``near``, as samples."""
    n, f = pcm(near), pcm(far)
    size = echo.frame
    out = [echo.process(n[at : at + size], f[at : at + size]) for at in range(0, len(n) // size * size, size)]
    return np.frombuffer(b"".join(out), "<i2").astype(float)


def rms(sound: Any) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


@pytest.mark.parametrize("kind", [NoEcho, HalfDuplex, EchoCanceller])
def test_frames_are_exactly_10_ms(kind: type[Echo]) -> None:
    echo = kind(RATE)
    assert echo.frame == 320
    assert len(echo.process(bytes(320), bytes(320))) == 320
    for near, far in ((318, 320), (320, 322), (0, 0)):
        with pytest.raises(BadInput, match="320 bytes"):
            echo.process(bytes(near), bytes(far))


@pytest.mark.parametrize("rate", [0, 7_000, 22_050, 96_000])
def test_rates_without_whole_frames_are_refused(rate: int) -> None:
    with pytest.raises(BadInput, match="rate"):
        NoEcho(rate)


def test_half_duplex_mutes_while_the_far_end_is_audible_and_a_little_longer() -> None:
    far = np.concatenate([np.zeros(RATE), speechlike(1.0), np.zeros(RATE)])
    near = noise(3.0, 10.0)
    near[RATE // 2 :] += noise(2.5, 2_000.0)
    out = run(HalfDuplex(RATE), near, far)
    assert np.array_equal(out[:RATE], np.rint(near[:RATE]))
    assert rms(out[RATE : round(2.15 * RATE)]) < 100
    assert rms(out[round(2.3 * RATE) :]) > 1_900


def test_a_muted_microphone_goes_on_to_hiss_as_before() -> None:
    far = np.concatenate([np.zeros(2 * RATE), speechlike(3.0)])
    near = noise(5.0, 20.0) + delayed(far, 800, 0.5)
    out = run(HalfDuplex(RATE), near, far)
    assert 8 < rms(out[3 * RATE :]) < 30


def test_the_canceller_takes_three_rates() -> None:
    with pytest.raises(BadInput, match="16000, 32000 or 48000"):
        EchoCanceller(8_000)


def test_no_echo_changes_nothing() -> None:
    near = np.rint(noise(0.5, 1_000.0))
    assert np.array_equal(run(NoEcho(RATE), near, speechlike(0.5)), near)


def test_the_canceller_learns_and_says_so() -> None:
    echo = EchoCanceller(RATE)
    far = speechlike(6.0)
    out = run(echo, delayed(far, 640, 0.5) + noise(6.0, 8.0), far)
    assert (echo.state, echo.converged) == ("converged", True)
    assert echo.erle_db > 15
    assert rms(out[RATE:]) < 20


@pytest.mark.parametrize("rate", [16_000, 32_000, 48_000])
def test_the_canceller_works_at_the_usual_rates(rate: int) -> None:
    echo, seconds = EchoCanceller(rate), 6.0 * rate / RATE
    far = speechlike(seconds)
    run(echo, delayed(far, 640, 0.5) + noise(seconds, 8.0), far)
    assert echo.converged


def test_an_echo_that_cannot_be_cancelled_is_never_heard() -> None:
    # What the microphone takes is as loud as an echo, at the same time, and has nothing to do with what is played.
    echo = EchoCanceller(RATE)
    far = speechlike(6.0)
    near = np.where(far != 0, noise(6.0, 2_000.0), 0.0) + noise(6.0, 8.0)
    assert rms(run(echo, near, far)) < 100


def test_a_canceller_that_no_longer_works_is_half_duplex_again() -> None:
    echo = EchoCanceller(RATE)
    far = speechlike(6.0)
    run(echo, delayed(far, 640, 0.5) + noise(6.0, 8.0), far)
    assert echo.converged
    far = speechlike(6.0)
    out = run(echo, noise(6.0, 2_000.0), far)
    assert not echo.converged
    assert rms(out[5 * RATE :]) < 100


def test_who_wears_headphones_is_not_muted_for_ever() -> None:
    echo = EchoCanceller(RATE)
    run(echo, noise(3.0, 8.0), speechlike(3.0))
    assert echo.converged
    assert echo.erle_db == 0


def test_without_the_package_it_is_half_duplex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(MissingExtra, match=r"pip install 'voiceloop\[soundcard\]'"):
        EchoCanceller(RATE)
    assert make_echo("cancel").state == "half-duplex"


def test_modes_have_names() -> None:
    assert [make_echo(mode).state for mode in ("cancel", "half-duplex", "off")] == ["learning", "half-duplex", "off"]
    with pytest.raises(BadInput, match="'half-duplex'"):
        make_echo("loud")  # type: ignore[arg-type]
