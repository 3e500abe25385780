"""What can be set, what is refused, and what it can do."""

from __future__ import annotations

from typing import Any

import pytest

from voiceloop.audio import AudioFormat
from voiceloop.aws.nova import NovaSonic, voices_of
from voiceloop.errors import BadInput, UnknownName
from voiceloop.rules.renewal import Clocks

FIRST = "amazon.nova-sonic-v1:0"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_rate": 48_000}, "input_rate=48000: 8000, 16000, 24000 Hz"),
        ({"output_rate": 22_050}, "output_rate=22050"),
        ({"top_p": 1.5}, "top_p=1.5: a number from 0 to 1"),
        ({"temperature": -1}, "temperature=-1"),
        ({"max_tokens": 0}, "max_tokens=0: a number above 0"),
        ({"renew_after": 450}, "renew_after=450, deadline=440"),
        ({"deadline": 480}, "less than 480 s"),
        ({"endpointing": "fast"}, "endpointing='fast': 'high', 'medium', 'low'"),
        ({"endpointing": "high", "model": FIRST}, "has no such setting"),
        ({"tool_choice": "any", "model": FIRST}, "tool_choice='any'"),
        ({"tool_choice": 1}, "tool_choice must be of type str"),
        ({"voices": 1}, "neither a text nor several texts"),
        ({"voice": "lupe", "language": "de-DE"}, "does not speak de-DE: lennart, tina do"),
        ({"language": "german"}, "unknown language of amazon.nova-2-sonic-v1:0 'german'.*de-DE"),
        ({"language": 1}, "unknown language of .* '1'"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        NovaSonic(**options)


def test_a_voice_that_does_not_exist() -> None:
    with pytest.raises(UnknownName) as caught:
        NovaSonic(voice="tifany")
    assert caught.value.matches[0] == "tiffany"
    assert NovaSonic(voice="nova-new", voices=("nova-new",)).voice == "nova-new"
    assert NovaSonic(voice="nova-new", voices="nova-new").voices == ("nova-new",)  # type: ignore[arg-type]


def test_the_german_voice_differs_by_model() -> None:
    assert NovaSonic(voice="greta", model=FIRST)
    with pytest.raises(UnknownName):
        NovaSonic(voice="greta")
    assert NovaSonic(voice="tina")


def test_a_language_that_no_voice_speaks() -> None:
    with pytest.raises(UnknownName, match="language"):
        NovaSonic(voice="lupe", language="fi-FI")


def test_voices_speak_languages() -> None:
    assert NovaSonic(language="de-DE"), "matthew speaks all languages"
    assert NovaSonic(voice="kiara", language="hi-IN")
    assert NovaSonic(voice="lupe", language="es")
    assert voices_of(FIRST)["greta"].language == "de-DE"


def test_what_it_can_do() -> None:
    second = NovaSonic(input_rate=8_000, output_rate=16_000).capabilities
    assert second.input == AudioFormat(8_000)
    assert second.output == AudioFormat(16_000)
    assert second.owns_turns
    assert not second.can_cut
    assert not second.says
    assert second.text_input
    assert second.history.total_bytes == 204_800
    assert second.history.message_bytes == 51_200
    assert not second.history.tools


@pytest.mark.parametrize("model", ["amazon.nova-2-sonic-v1:0", "amazon.nova-2-5-sonic", "amazon.nova-3-sonic"])
def test_only_the_first_model_is_an_old_one(model: str) -> None:
    assert NovaSonic(model=model, endpointing="low").capabilities.text_input
    assert not NovaSonic(model=FIRST).capabilities.text_input


def test_limits_can_be_changed() -> None:
    sonic = NovaSonic(history_bytes=1000, message_bytes=5000, renew_after=100, deadline=200, quiet_after=50)
    assert sonic.capabilities.history.total_bytes == 1000
    assert sonic.capabilities.history.message_bytes == 1000
    assert sonic.clocks == Clocks(seek=100, deadline=200, quiet=50)


def test_equal_values_are_equal_and_show_no_secret() -> None:
    assert NovaSonic() == NovaSonic()
    assert "secret" not in repr(NovaSonic())
