"""The sound cards of this machine: what is there, by number or name, and what to do when nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import frozen

from voiceloop.audio import AudioFormat
from voiceloop.errors import BadInput, MissingExtra, UnknownName

Kind = Literal["input", "output"]

LIST = "See: voiceloop talk --list-devices"


class SoundStream(Protocol):
    """A stream of a sound card; ``latency`` in seconds."""

    latency: float

    def start(self) -> None: ...
    def close(self) -> None: ...


class SoundSystem(Protocol):
    """What is used of the module ``sounddevice``."""

    PortAudioError: type[Exception]
    default: Any

    def query_devices(self) -> Sequence[Mapping[str, Any]]: ...
    def check_input_settings(self, **settings: Any) -> None: ...
    def check_output_settings(self, **settings: Any) -> None: ...
    def RawInputStream(self, **settings: Any) -> SoundStream: ...
    def RawOutputStream(self, **settings: Any) -> SoundStream: ...


@frozen
class Device:
    """An input or output: its ``number``, its ``name``, and the format in which it works best."""

    kind: Kind
    number: int
    name: str
    format: AudioFormat


def sound_system() -> SoundSystem:
    """The module ``sounddevice``. Raises MissingExtra with the command that mends it."""
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtra(
            "microphone and loudspeaker need the package sounddevice", hint="Run: pip install 'voiceloop[soundcard]'"
        ) from error
    except OSError as error:  # the package is there, the system's library is not
        raise MissingExtra(
            "microphone and loudspeaker need the library PortAudio",
            hint="Run: apt install libportaudio2 (macOS: brew install portaudio)",
        ) from error
    system: SoundSystem = sounddevice
    return system


def find_device(system: SoundSystem, kind: Kind, wanted: int | str | None = None) -> Device:
    """The device with this number or name (a part of it will do); None: the system's own choice.

    Raises UnknownName with near matches, and BadInput when there is none at all, or it cannot do 16 bit audio.
    """
    devices = system.query_devices()
    able = {number: str(each["name"]) for number, each in enumerate(devices) if each[f"max_{kind}_channels"] > 0}
    if not able:
        what = {"input": "microphone", "output": "loudspeaker"}[kind]
        raise BadInput(f"no {kind} device: this machine has no {what}, or does not let us use it", hint=LIST)
    number = _number(able, kind, wanted, _default(system, kind))
    return Device(kind, number, able[number], _format(system, kind, number, devices[number]))


def _default(system: SoundSystem, kind: Kind) -> int:
    return int(system.default.device[0 if kind == "input" else 1])


def _number(able: Mapping[int, str], kind: Kind, wanted: int | str | None, default: int) -> int:
    if wanted is None:
        return default if default in able else min(able)
    if isinstance(wanted, int) or wanted.isdecimal():
        if int(wanted) in able:
            return int(wanted)
        raise UnknownName(f"{kind} device", str(wanted), [f"{number}" for number in able], hint=LIST)
    folded = wanted.casefold()
    same = [number for number, name in able.items() if name.casefold() == folded]
    alike = [number for number, name in able.items() if folded in name.casefold()]
    for found in (same, alike):
        if found:
            return default if default in found else found[0]
    raise UnknownName(f"{kind} device", wanted, set(able.values()), hint=LIST)


def _format(system: SoundSystem, kind: Kind, number: int, about: Mapping[str, Any]) -> AudioFormat:
    """What the device takes: its own rate, so that nobody resamples twice; one channel, or two if it insists."""
    rate = round(about["default_samplerate"])
    check = system.check_input_settings if kind == "input" else system.check_output_settings
    for channels in (1, 2):
        try:
            check(device=number, channels=channels, dtype="int16", samplerate=rate)
        except system.PortAudioError as error:
            refusal = error
        else:
            return AudioFormat(rate, channels=channels)
    raise BadInput(
        f"{kind} device {number} ({about['name']}) cannot be used: {refusal}",
        hint=f"Choose another one, or close the program that holds it. {LIST}",
    ) from refusal


def describe_devices(system: SoundSystem) -> list[str]:
    """A line for each device: number, name, what it can do; the system's own choice is marked."""
    lines = []
    defaults = {"input": _default(system, "input"), "output": _default(system, "output")}
    for number, each in enumerate(system.query_devices()):
        kinds = [kind for kind in ("input", "output") if each[f"max_{kind}_channels"] > 0]
        marked = [f"{kind} (default)" if defaults[kind] == number else kind for kind in kinds]
        lines.append(
            f"{number:3}  {each['name']}: {', '.join(marked) or 'nothing'}, {each['default_samplerate']:g} Hz"
        )
    return lines


__all__ = ("Device", "SoundStream", "SoundSystem", "describe_devices", "find_device", "sound_system")
