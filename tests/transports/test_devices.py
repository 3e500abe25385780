"""Which sound card is meant, and what to do when there is none."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from voiceloop.errors import BadInput, MissingExtra, UnknownName
from voiceloop.transports.devices import describe_devices, find_device, sound_system

from .room import PortAudioError, Room


def device(name: str, inputs: int, outputs: int, rate: float = 48_000.0) -> dict[str, Any]:
    return {
        "name": name,
        "max_input_channels": inputs,
        "max_output_channels": outputs,
        "default_samplerate": rate,
    }


class System(Room):
    """A machine with several sound cards; ``stereo`` ones take two channels and nothing else."""

    stereo: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()

    def __init__(self, *devices: Mapping[str, Any], default: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.cards = devices
        self.default.device = default

    def query_devices(self) -> Sequence[Mapping[str, Any]]:
        return self.cards

    def check_input_settings(self, **settings: Any) -> None:
        if settings["device"] in self.held or (settings["device"] in self.stereo and settings["channels"] == 1):
            raise PortAudioError("Invalid number of channels")

    check_output_settings = check_input_settings


CARDS = (
    device("HDA Intel: ALC (hw:0,0)", 2, 2),
    device("USB Headset Mono", 1, 0, 44_100.0),
    device("USB Headset Stereo", 0, 2),
    device("HDMI 0", 0, 8),
)


@pytest.mark.parametrize(
    ("kind", "wanted", "number"),
    [
        ("input", None, 0),
        ("output", None, 3),
        ("input", 1, 1),
        ("output", "2", 2),
        ("input", "usb", 1),
        ("output", "usb", 2),
        ("output", "hdmi 0", 3),
        ("output", "HDA", 0),
    ],
)
def test_devices_are_found_by_number_or_name(kind: Any, wanted: Any, number: int) -> None:
    found = find_device(System(*CARDS, default=(0, 3)), kind, wanted)
    assert (found.kind, found.number, found.name) == (kind, number, CARDS[number]["name"])
    assert found.format.rate == CARDS[number]["default_samplerate"]
    assert found.format.channels == 1


@pytest.mark.parametrize(("kind", "wanted"), [("input", "HDMI 0"), ("input", 2), ("output", "usb hedset stereo")])
def test_unknown_devices_are_named_with_near_matches(kind: Any, wanted: Any) -> None:
    with pytest.raises(UnknownName, match="--list-devices") as refused:
        find_device(System(*CARDS), kind, wanted)
    if wanted == "usb hedset stereo":
        assert refused.value.matches[0] == "USB Headset Stereo"


def test_no_device_at_all_says_how_to_look() -> None:
    with pytest.raises(BadInput, match=r"no input device: this machine has no microphone.*--list-devices"):
        find_device(System(CARDS[3], default=(-1, 0)), "input")
    assert find_device(System(CARDS[1], CARDS[0], default=(-1, -1)), "output").number == 1


def test_a_device_that_insists_on_stereo_gets_it_and_a_held_one_is_refused() -> None:
    system = System(*CARDS)
    system.stereo, system.held = frozenset({0}), frozenset({1})
    assert find_device(system, "input", 0).format.channels == 2
    with pytest.raises(BadInput, match="cannot be used: Invalid number of channels"):
        find_device(system, "input", 1)


def test_a_list_of_devices() -> None:
    assert describe_devices(System(*CARDS, default=(0, 3)))[0::3] == [
        "  0  HDA Intel: ALC (hw:0,0): input (default), output, 48000 Hz",
        "  3  HDMI 0: output (default), 48000 Hz",
    ]


def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"pip install 'voiceloop\[soundcard\]'"):
        sound_system()


def test_a_missing_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_portaudio(name: str, *args: Any, **options: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_portaudio)
    with pytest.raises(MissingExtra, match=r"apt install libportaudio2.*brew install portaudio"):
        sound_system()
