"""The recognizer and its options."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Literal

from attrs import evolve, field, frozen

from voiceloop.audio import PCM16_16K, AudioFormat
from voiceloop.aws.account import Account, is_account
from voiceloop.aws.arguments import of_kind, texts
from voiceloop.aws.transcribe.options import check, headers
from voiceloop.aws.transcribe.stream import open_stream
from voiceloop.interfaces import ListenConfig, Listening, Recognizer, RecognizerCapabilities


@frozen(kw_only=True)
class Transcribe(Recognizer):
    """Recognizes speech with Amazon Transcribe's streaming API.

    ``language``: a code such as ``"en-US"``, which is the default where none is identified. ``identify``: find out
    which of ``languages`` (codes, at least two, one dialect of each language) is spoken, "single" one for the whole
    stream or "multiple" ones in turn; ``preferred_language`` helps with "single".

    ``input``: the audio that it takes: 16 bit PCM from 8000 to 48 000 Hz, or G.711 at 8000 Hz where the service takes
    it; sessions convert to it. With two channels each is recognized by itself, and ``SpokenWord.speaker`` is the
    channel's name. ``speakers``: tell speakers apart.

    ``stability``: how soon words of a partial result are told to be stable: "high" is soonest, "low" most accurate,
    None never. ``vocabulary``, ``vocabulary_filter``: names of custom vocabularies and filters, one or, with
    ``identify``, several; ``filter_method``: "remove", "mask" or "tag". ``language_model``: a custom language model.
    ``transcript_format``: "written" ("$50") or "spoken" ("fifty dollars"); None: the service's default, "written".

    ``pii``: personally identifiable information is told in ``Final.entities`` ("identify") or replaced by ``[PII]``
    ("redact", which brings finals only, since the service redacts whole segments); ``pii_entities``: only those
    types, such as ``("NAME", "PHONE")``.

    ``resume_window``: minutes, 1 to 300, for which the service keeps a session whose connection dropped. ``pace``:
    how many seconds of audio are taken in a second, after the first one; the service wants 1.0, and ends streams that
    run ahead. None: no limit.

    Raises BadInput, naming both options, for what the service does not combine. Opening raises ProviderError.
    Sources: Amazon Transcribe API reference, StartStreamTranscription; developer guide, "Transcribing streaming
    audio".
    """

    name: ClassVar[str] = "Amazon Transcribe"

    language: str | None = field(default=None, kw_only=False)
    account: Account = field(default=Account(), validator=is_account)
    identify: Literal["single", "multiple"] | None = None
    languages: tuple[str, ...] = field(default=(), converter=texts)
    preferred_language: str | None = None
    input: AudioFormat = field(default=PCM16_16K, validator=of_kind(AudioFormat))
    speakers: bool = False
    stability: Literal["low", "medium", "high"] | None = "high"
    vocabulary: tuple[str, ...] = field(default=(), converter=texts)
    vocabulary_filter: tuple[str, ...] = field(default=(), converter=texts)
    filter_method: Literal["remove", "mask", "tag"] | None = None
    language_model: str | None = None
    transcript_format: Literal["written", "spoken"] | None = None
    pii: Literal["identify", "redact"] | None = None
    pii_entities: tuple[str, ...] = field(default=(), converter=texts)
    resume_window: int | None = None
    pace: float | None = 1.0
    capabilities: RecognizerCapabilities = field(init=False, repr=False)

    @capabilities.default
    def _capabilities(self) -> RecognizerCapabilities:
        return RecognizerCapabilities(input=self.input, can_finish=True, word_times=True)

    def __attrs_post_init__(self) -> None:
        check(self)

    @property
    def spoken_language(self) -> str | None:
        """The language of the stream, when it is known beforehand."""
        return None if self.identify else self.language or "en-US"

    def headers(self, session_id: str) -> dict[str, str]:
        """The request's headers for these options; ``session_id`` is a UUID."""
        return headers(self, session_id)

    def open(self, config: ListenConfig) -> AbstractAsyncContextManager[Listening]:
        """Listen. Raises ProviderRefused, ProviderUnavailable or ProviderTimeout when the stream cannot be opened,
        BadInput for an account without a region, or when ``config`` names a language and one is to be identified.

        A stream that drops, or whose connection grows old, goes on over a new connection: word times go on, and
        every final comes once. Silence is sent while no audio comes, and at once when ``flush`` told that the user
        paused: their last words become final soon. ``send_audio`` waits when audio comes faster than ``pace`` allows.
        """
        recognizer = self if config.language is None else evolve(self, language=config.language)
        return open_stream(recognizer, config.resources)
