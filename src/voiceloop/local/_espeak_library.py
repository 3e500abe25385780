"""espeak-ng by ctypes. One library is one synthesizer: to be used by one thread of a process of its own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

from attrs import define, field, frozen

from voiceloop.errors import MissingExtra, ProviderMisbehaved, ProviderUnavailable, UnknownName

RATE = 22_050
INSTALL = "pip install 'voiceloop[local]'"

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _IPA, _DO_NOT_EXIT = 1, 2, 0x8000
_UTF8, _END_PAUSE = 1, 0x1000
_WORDS_PER_MINUTE, _VOLUME, _PITCH = 1, 2, 3
_WORD, _PHONEME = 1, 7


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("position", ctypes.c_int),  # from 1, in characters
        ("length", ctypes.c_int),
        ("ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),  # without an end if all 8 bytes are used
    )


class _VoiceEntry(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@frozen
class VoiceFile:
    """A voice as espeak has it: its file, what people call it, and its language tags, each with a priority."""

    identifier: str
    title: str
    tags: tuple[tuple[int, str], ...]


@frozen
class Event:
    """What begins at ``sample``: a phoneme if it has ``ipa``, else a word at character ``position`` (from 0)."""

    sample: int
    position: int
    ipa: str | None


@frozen
class Prosody:
    """Words per minute (80 to 450), pitch (0 to 100, 50 is usual) and volume (0 to 200, 100 is usual)."""

    rate: int = 175
    pitch: int = 50
    volume: int = 100


@define(eq=False)
class Library:
    """The library, initialized. Raises MissingExtra if it is not installed."""

    voices: tuple[VoiceFile, ...] = field(init=False)
    variants: frozenset[str] = field(init=False)
    made: int = field(default=0, init=False)
    _library: ctypes.CDLL = field(init=False)
    _callback: object = field(init=False)
    _take: Callable[[bytes, list[Event]], bool] | None = field(default=None, init=False)
    _failure: BaseException | None = field(default=None, init=False)
    _voice: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise MissingExtra("espeak needs the package 'espeakng-loader'", hint=INSTALL) from error
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise MissingExtra("espeak's library does not load on this system", hint=INSTALL) from error
        data = str(espeakng_loader.get_data_path()).encode()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 60, data, _PHONEME_EVENTS | _IPA | _DO_NOT_EXIT)
        if rate != RATE:
            raise ProviderUnavailable(f"espeak_Initialize returned {rate}", provider="espeak")
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceEntry))
        self._library.espeak_ListVoices.argtypes = [ctypes.POINTER(_VoiceEntry)]
        self._callback = _Callback(self._on_audio)
        self._library.espeak_SetSynthCallback(self._callback)
        self.voices = tuple(self._list(None))
        named = (voice.identifier.rpartition("/")[2] for voice in self._list(b"variant"))
        self.variants = frozenset(named)

    def _list(self, language: bytes | None) -> Iterator[VoiceFile]:
        wanted = None
        if language is not None:
            text = ctypes.create_string_buffer(language)
            wanted = _VoiceEntry(languages=ctypes.addressof(text))
        entries = self._library.espeak_ListVoices(wanted)
        index = 0
        while entries[index]:
            entry = entries[index].contents
            yield VoiceFile(entry.identifier.decode(), entry.name.decode(), tuple(_tags(entry.languages)))
            index += 1

    def synthesize(
        self, text: str, voice: str, prosody: Prosody, end_pause: bool, take: Callable[[bytes, list[Event]], bool]
    ) -> None:
        """Speak ``text`` with the voice of that file; ``take`` gets audio and events, and returns whether to go on.

        What ``take`` raises is raised here. Voice and prosody are set each time: the library has one of each.
        """
        if voice != self._voice:
            self._voice = ""
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise UnknownName("voice of espeak", voice, (known.identifier for known in self.voices))
            self._voice = voice
        values = ((_WORDS_PER_MINUTE, prosody.rate), (_PITCH, prosody.pitch), (_VOLUME, prosody.volume))
        for parameter, value in values:
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        flags = _UTF8 | (_END_PAUSE if end_pause else 0)
        self._take = take
        try:
            code = self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, flags, None, None)
        finally:
            self._take, failure, self._failure = None, self._failure, None
        if failure is not None:
            raise failure
        if code != 0:
            raise ProviderMisbehaved(f"espeak_Synth returned {code}", provider="espeak")

    def _on_audio(self, wave: int | None, samples: int, events: ctypes._Pointer[_Event]) -> int:
        if self._take is None:
            return 1
        self.made += max(samples, 0)
        pcm = ctypes.string_at(wave, samples * 2) if wave and samples > 0 else b""
        try:
            return 0 if self._take(pcm, list(_events(events))) else 1
        except BaseException as error:  # noqa: BLE001 - nothing may be raised through C; synthesize() raises it
            self._failure = error
            return 1


def _events(events: ctypes._Pointer[_Event]) -> Iterator[Event]:
    index = 0
    while (event := events[index]).type != 0:
        index += 1
        if event.type == _WORD:
            yield Event(event.sample, event.position - 1, None)
        elif event.type == _PHONEME:
            raw = ctypes.string_at(ctypes.addressof(event) + _Event.name.offset, 8)
            yield Event(event.sample, event.position - 1, raw.partition(b"\0")[0].decode(errors="ignore"))


def _tags(address: int) -> Iterator[tuple[int, str]]:
    while priority := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        yield priority, tag.decode()
        address += len(tag) + 2
