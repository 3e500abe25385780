"""Polly: the synthesizer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import anyio
from attrs import Attribute, field, frozen

from voiceloop.audio import MULAW_8K, AudioFormat
from voiceloop.aws.account import Access, Account, is_account
from voiceloop.aws.arguments import of_kind, texts
from voiceloop.aws.polly.gate import UNHEARD, gate
from voiceloop.aws.polly.limiter import Quota
from voiceloop.aws.polly.speech import Asker, Outlet, Speaking
from voiceloop.aws.polly.text import scripts
from voiceloop.aws.polly.voices import ENGINES, catalogue
from voiceloop.aws.polly.whole import Format, MarkType, Recording, record
from voiceloop.errors import BadInput, UnknownName, VoiceloopError
from voiceloop.interfaces import (
    Clause,
    MarkKind,
    Resources,
    SpeakConfig,
    Speech,
    Synthesizer,
    SynthesizerCapabilities,
)

Engine: TypeAlias = Literal["standard", "neural", "long-form", "generative"]
_MARKS: frozenset[MarkKind] = frozenset({"viseme", "word"})


def _engine(instance: object, attribute: Attribute[str], value: str) -> None:
    if value not in ENGINES:
        raise UnknownName("engine", str(value), ENGINES)


def _fits(pattern: str, allowed: str) -> Any:
    def check(instance: object, attribute: Attribute[str | None], value: str | None) -> None:
        if value is not None and (not isinstance(value, str) or not re.fullmatch(pattern, value)):
            raise BadInput(f"{attribute.name}={value!r}: {allowed}")

    return check


def _rate(instance: object, attribute: Attribute[float | None], value: float | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0.2 <= value <= 2):
        raise BadInput(f"{attribute.name}={value!r}: a number from 0.2 to 2 is allowed, 1 is usual")


def _marks(instance: object, attribute: Attribute[Any], value: tuple[str, ...]) -> None:
    for kind in value:
        if kind not in _MARKS:
            raise UnknownName("kind of mark", kind, _MARKS)


def _lexicons(instance: object, attribute: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if len(value) > 5 or not all(re.fullmatch(r"[0-9A-Za-z]{1,20}", str(name)) for name in value):
        raise BadInput(f"lexicons={value!r}: up to 5 names of 1 to 20 letters and digits are allowed")


@frozen
class Polly(Synthesizer):
    """Speaks with Amazon Polly.

    ``voice``: a name such as "Joanna" (Amazon Polly developer guide, "Available voices"). ``engine``: "standard",
    "neural", "long-form" or "generative"; the voice must have it. All but generative give visemes and words. A
    generative voice speaks a whole reply on one stream. ``language``: of a bilingual voice, such as "hi-IN".
    ``rate``: how fast it speaks, 0.2 to 2, 1 is usual. ``lexicons``: names of up to five of the account's
    pronunciation lexicons. ``sample_rate``: 16000 or 8000 Hz. ``encoding``: "pcm", or "mulaw" (at 8000 Hz), which is
    sent as µ-law and given as PCM, so that a telephone's µ-law is the very bytes that Polly made. ``account``: whose
    it is, and the region. ``quota``: what the account may ask of the engine, where that is not the service's default.
    ``marks``: what sessions may ask for, "word" and "viseme"; ``()`` for neither.

    All sessions of a pool share connections and one queue for the account's quota. Characters are billed for audio
    and, where a session wants any of the ``marks``, a second time for these. All of them want words, by which it is
    known to the word what was heard; without words it is estimated.

    Raises BadInput and UnknownName for wrong arguments; at the first use UnknownName for a voice that the region
    does not have with this engine.
    """

    voice: str = field(default="Joanna", validator=_fits(r"[A-Za-z]+", "the name of a voice, such as 'Joanna'"))
    engine: Engine = field(default="neural", kw_only=True, validator=_engine)
    language: str | None = field(
        default=None,
        kw_only=True,
        validator=_fits(r"[a-z]{2,3}(-[A-Za-z]{2,4})*", "a language code of Polly, such as 'en-US'"),
    )
    rate: float | None = field(default=None, kw_only=True, validator=_rate)
    lexicons: tuple[str, ...] = field(default=(), kw_only=True, converter=texts, validator=_lexicons)
    sample_rate: Literal[8000, 16000] = field(kw_only=True)
    encoding: Literal["pcm", "mulaw"] = field(default="pcm", kw_only=True)
    account: Account = field(factory=Account, kw_only=True, validator=is_account)
    quota: Quota | None = field(default=None, kw_only=True, validator=of_kind(Quota))
    marks: tuple[MarkKind, ...] = field(default=("word", "viseme"), kw_only=True, converter=texts, validator=_marks)
    capabilities: SynthesizerCapabilities = field(init=False, repr=False, eq=False)

    name = "Amazon Polly"

    @sample_rate.default
    def _usual_rate(self) -> int:
        return 16_000

    @capabilities.default
    def _capabilities(self) -> SynthesizerCapabilities:
        if self.encoding not in ("pcm", "mulaw"):
            raise BadInput(f"encoding={self.encoding!r}: 'pcm' or 'mulaw' is allowed in sessions")
        if self.sample_rate not in (8000, 16000) or (self.encoding == "mulaw" and self.sample_rate != 8000):
            raise BadInput(
                f"sample_rate={self.sample_rate!r}, encoding={self.encoding!r}: 8000 or 16000 Hz is allowed, mulaw "
                "at 8000 Hz alone"
            )
        generative = self.engine == "generative"
        return SynthesizerCapabilities(
            AudioFormat(self.sample_rate), frozenset(() if generative else self.marks), streams=generative
        )

    @asynccontextmanager
    async def speak(self, clause: Clause, config: SpeakConfig) -> AsyncIterator[AsyncIterator[Speech]]:
        """Speak one clause; see :meth:`Synthesizer.speak`. Two requests at once where marks are wanted, else one.

        Audio is given as it arrives. Without an answer to the request for marks, speech goes on without them. A
        request that fails before its first byte is made again, up to three times, where that helps.
        """
        access, voice = await self._ready(config)
        client = await access.client("polly")
        passing = await gate(config.resources, self.account, access.region, self.engine, self.quota)
        outlet = Outlet(self.capabilities.output)
        speaking = Speaking(
            Asker(client, passing, self._parameters(voice)),
            scripts(clause.text, self.rate),
            config.want & self.capabilities.marks,
            clause.first,
            self._sent,
            outlet,
        )
        async with _beside(speaking.run):
            yield outlet

    @asynccontextmanager
    async def stream(
        self, clauses: AsyncIterable[Clause], config: SpeakConfig
    ) -> AsyncIterator[AsyncIterator[Speech]]:
        """Speak clauses as they come, on one bidirectional stream; for generative voices alone, without marks."""
        from voiceloop.aws.polly.stream import Streaming

        if not self.capabilities.streams:
            raise BadInput(f"engine={self.engine!r} does not stream clauses; generative does")
        access, voice = await self._ready(config)
        passing = await gate(config.resources, self.account, access.region, self.engine, self.quota)
        outlet = Outlet(self.capabilities.output)
        streaming = Streaming(access, passing, self._headers(voice), self.rate, self._sent, bool(config.want), outlet)
        async with _beside(streaming.run, clauses):
            yield outlet

    async def prepare(self, resources: Resources) -> None:
        """Open two connections, for audio and marks, and ask for the list of voices, once in a pool."""
        access = await self.account.access(resources)
        voices = await catalogue(access)
        failure: VoiceloopError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(voices.load, access)
            try:
                await access.warm("polly", 2)
            except VoiceloopError as error:  # raised below, outside of the group, so that it stays bare
                failure = error
        if failure is not None:
            raise failure

    async def synthesize(
        self,
        text: str,
        *,
        format: Format = "mp3",
        sample_rate: int | None = None,
        ssml: bool = False,
        marks: Iterable[MarkType] = (),
        pool: Resources | None = None,
    ) -> Recording:
        """Speak ``text`` outside of any session; returns the whole audio, and marks of the kinds in ``marks``.

        ``format``: "mp3", "ogg_opus", "ogg_vorbis", "pcm", "mulaw" or "alaw". ``sample_rate`` in Hz; by default the
        service's own for the format. ``ssml``: ``text`` is an SSML document, and ``rate`` is not used. ``marks``:
        "sentence", "word", "viseme", and "ssml" for ``<mark>`` tags. ``pool``: whose connections are used; without
        one they are opened for this call. A plain text that is longer than the service takes is spoken in several
        requests.

        Raises BadInput, UnknownName and ProviderError.
        """
        return await record(self, text, format, sample_rate, ssml, texts(marks), pool)

    async def asker(self, resources: Resources) -> Asker:
        """What makes requests for this voice, for recordings. Raises as :meth:`speak` does."""
        access, voice = await self._ready(SpeakConfig(resources))
        passing = await gate(resources, self.account, access.region, self.engine, self.quota)
        return Asker(await access.client("polly"), passing, self._parameters(voice), UNHEARD)

    async def _ready(self, config: SpeakConfig) -> tuple[Access, str]:
        access = await self.account.access(config.resources)
        voice = config.voice or self.voice
        await (await catalogue(access)).check(voice, self.engine, access)
        return access, voice

    @property
    def _sent(self) -> AudioFormat:
        """What the service is asked to send."""
        return MULAW_8K if self.encoding == "mulaw" else AudioFormat(self.sample_rate)

    def _parameters(self, voice: str) -> Mapping[str, Any]:
        given = {"LanguageCode": self.language, "LexiconNames": list(self.lexicons)}
        return {"VoiceId": voice, "Engine": self.engine, **{name: value for name, value in given.items() if value}}

    def _headers(self, voice: str) -> Mapping[str, str]:
        given = {
            "x-amzn-Engine": self.engine,
            "x-amzn-VoiceId": voice,
            "x-amzn-OutputFormat": self.encoding,
            "x-amzn-SampleRate": str(self.sample_rate),
            "x-amzn-LanguageCode": self.language,
            "x-amzn-LexiconNames": ",".join(self.lexicons),
        }
        return {name: value for name, value in given.items() if value}


@asynccontextmanager
async def _beside(work: Callable[..., Coroutine[Any, Any, None]], *args: object) -> AsyncIterator[None]:
    """Do ``work`` beside what is done inside, and cancel it then. What is raised inside stays bare."""
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(work, *args)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
        finally:
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
