"""G.711 against the standard library's tables where Python still has them, and against their hashes everywhere."""

from __future__ import annotations

import hashlib
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from voiceloop.audio import g711
from voiceloop.errors import AudioFormatError

ALL_SAMPLES = np.arange(-32768, 32768).astype("<i2").tobytes()
ALL_CODES = bytes(range(256))


def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop

    return audioop


@pytest.mark.parametrize(
    ("law", "encoded", "decoded"),
    [("mulaw", "81d633c9e6972a18", "3dab54339e520bb2"), ("alaw", "38488f6fd710f468", "e04788d110e58ff8")],
)
def test_all_values_both_ways(law: g711.Law, encoded: str, decoded: str) -> None:
    assert hashlib.sha256(g711.encode(ALL_SAMPLES, law)).hexdigest()[:16] == encoded
    assert hashlib.sha256(g711.decode(ALL_CODES, law)).hexdigest()[:16] == decoded


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left the standard library; the hashes stand for it")
def test_the_same_as_the_standard_library() -> None:
    oracle = audioop()
    assert g711.encode(ALL_SAMPLES, "mulaw") == oracle.lin2ulaw(ALL_SAMPLES, 2)
    assert g711.encode(ALL_SAMPLES, "alaw") == oracle.lin2alaw(ALL_SAMPLES, 2)
    assert g711.decode(ALL_CODES, "mulaw") == oracle.ulaw2lin(ALL_CODES, 2)
    assert g711.decode(ALL_CODES, "alaw") == oracle.alaw2lin(ALL_CODES, 2)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_what_is_decoded_encodes_to_itself(law: g711.Law) -> None:
    decoded = g711.decode(ALL_CODES, law)
    assert g711.decode(g711.encode(decoded, law), law) == decoded


def test_an_odd_number_of_bytes_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="3 bytes"):
        g711.encode(b"abc", "mulaw")


def test_empty_stays_empty() -> None:
    assert g711.encode(b"", "alaw") == b""
    assert g711.decode(b"", "mulaw") == b""
